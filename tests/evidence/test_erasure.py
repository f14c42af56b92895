"""Erasure and alignment: by hand, on a model whose evidence is known, and what no temperature may move."""

from dataclasses import replace

import numpy as np
import pytest
from additive import RANKED, Additive, made
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from caref.evidence.measures import alignment, erasure, skewness


def questions(count=40, words=12):
    return [made(seed, words + seed % 7) for seed in range(count)]


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 50))
def test_no_temperature_moves_what_stands_beside_comprehensiveness(t):
    (plain,), (other,) = (erasure.measure(Additive(questions(), temperature)) for temperature in (1.0, t))
    unmoved = [name for name in plain if not name.endswith(("comprehensiveness", "sufficiency", "log_odds_drop"))]
    assert {name.rpartition(".")[2] for name in unmoved} == {
        *("n", "words", "flips", "flips_over_random", "tau", "tau_n", "unscored"),
        *("comprehensiveness_matched", "sufficiency_matched"),
    }
    for name in unmoved:
        assert other[name] == pytest.approx(plain[name], abs=1e-6), name


def test_a_temperature_moves_comprehensiveness_sufficiency_and_log_odds():
    (plain,), (flat,) = (erasure.measure(Additive(questions(), temperature)) for temperature in (1.0, 4.0))
    name = "leave_one_out"
    assert flat[f"{name}.comprehensiveness"] < 0.7 * plain[f"{name}.comprehensiveness"]  # "worse"
    assert flat[f"{name}.sufficiency"] != pytest.approx(plain[f"{name}.sufficiency"], rel=0.05)  # neither is a finding
    assert flat[f"{name}.log_odds_drop"] < 0.5 * plain[f"{name}.log_odds_drop"]


def test_the_true_evidence_beats_random_words():
    (scores,) = erasure.measure(Additive(questions(200)))
    assert scores["leave_one_out.flips_over_random"] > 10 > abs(scores["random.flips_over_random"])
    assert scores["leave_one_out.comprehensiveness"] > scores["random.comprehensiveness"] + 0.05
    assert scores["leave_one_out.tau"] == pytest.approx(1) and abs(scores["random.tau"]) < 0.1


def test_random_words_are_drawn_anew_and_as_many_as_are_compared_with():
    asked = []

    class Noting(Additive):
        def log_p_without(self, removed):
            asked.append(removed)
            return super().log_p_without(removed)

    own = questions(6)
    reading = Noting(own)
    tops = [[tuple(one.rankable[:3]) for one in own]]
    erasure._random_flips(reading, tops, lambda one: one.rankable)
    (drawn,) = asked[0]
    for sets, one in zip(drawn, own, strict=True):
        assert [len(words) for words in sets] == [3] * erasure.DRAWS
        assert len({tuple(sorted(words)) for words in sets}) > 1
        assert all(len({*words}) == 3 and {*words} <= {*one.rankable} for words in sets)


def test_drops_by_hand():
    whole = np.log([0.7, 0.2, 0.1])
    tables = np.log([[0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1]])
    found = erasure.drops_of(whole, tables, 0, matched=None)
    assert found["comprehensiveness"] == pytest.approx(((0.7 - 0.4) + (0.7 - 0.1)) / 2)
    assert found["sufficiency"] == pytest.approx(((0.7 - 0.6) + (0.7 - 0.7)) / 2)
    odds = np.log([0.7 / 0.3, 0.4 / 0.6, 0.1 / 0.9])
    assert found["log_odds_drop"] == pytest.approx(odds[0] - (odds[1] + odds[2]) / 2)
    assert found["comprehensiveness_matched"] is None


def test_log_odds_do_not_end_where_probabilities_do():
    assert erasure.log_odds(np.array([0.0, -800.0]), 0) == pytest.approx(800)


def test_the_matching_temperature_makes_mean_confidence_half_way():
    log_p = np.random.default_rng(0).normal(size=(50, 3)) * 7
    t = erasure.matching_temperature(log_p)
    assert softmax(log_p / t, -1).max(-1).mean() == pytest.approx(2 / 3, abs=1e-9)
    assert erasure.matching_temperature(log_p * 9) == pytest.approx(9 * t)
    assert erasure.matching_temperature(np.zeros((5, 3))) is None


@pytest.mark.parametrize(
    ("words", "sizes"), [(21, (1, 1, 2, 4, 10)), (8, (1, 1, 1, 2, 4)), (1, (1, 1, 1, 1, 1)), (0, (0, 0, 0, 0, 0))]
)
def test_how_many_words_a_threshold_is(words, sizes):
    assert tuple(erasure.share(words, percent) for percent in erasure.PERCENT) == sizes


def test_ties_go_by_position():
    assert erasure.top([2, 3, 5, 7], np.array([0, 0, 1, 1, 0, 1, 0, 2.0]), 3) == (2, 3, 7)


def test_how_many_top_words_are_top_by_their_place_alone_is_told():
    """Twenty words of which three have a score: of 1, 1, 2, 4 and 10 top ones 0, 0, 0, 1 and 7 have none."""
    sparse = Additive([made(0, 20), made(1, 20)])
    sparse.word_scores = lambda name, of=None: [[np.repeat([0, 0.5, 0.3, 0.2, 0], [5, 1, 1, 1, 12])] * 2]
    (scores,) = erasure.measure(sparse)
    assert scores["leave_one_out.unscored"] == pytest.approx(100 * np.mean([0, 0, 0, 1 / 4, 7 / 10]))
    (scores,) = erasure.measure(Additive(questions(5)))
    assert scores["leave_one_out.unscored"] == 0


def test_an_explanation_that_names_nothing_is_no_zero():
    (scores,) = erasure.measure(Additive(questions(5), attributions=("explanation_words",)))
    assert scores["explanation_words.flips"] is None and scores["explanation_words.flips_over_random"] is None
    (scores,) = erasure.measure(Additive([made(0, 0)], attributions=RANKED))  # a text of no words
    assert scores["leave_one_out.flips"] is None and scores["leave_one_out.comprehensiveness"] is None


def test_words_of_content_drawn_blindly_are_no_better_than_others_of_content():
    """Where words that any text holds weigh nothing, any set of others moves the answer more than any words do."""
    draw = np.random.default_rng(3)
    own = []
    for seed in range(500):
        one = made(seed, 16, explanation=" ".join(f"w{place}" for place in draw.permutation(8)[:4]))
        words = tuple(replace(word, text="the") if place >= 8 else word for place, word in enumerate(one.words))
        own.append(replace(one, words=words))
    reading = Additive(own, attributions=("explanation_words",))
    for weights in reading.weights:
        weights[8:] *= 0.01
    (scores,) = erasure.measure(reading)
    assert scores["explanation_words.n"] == 500 and scores["explanation_words.words"] == 4
    assert scores["explanation_words.flips_over_random"] > 8
    assert abs(scores["explanation_words.flips_over_content"]) < 3


def test_beside_people_an_attribution_is_told_of_the_examples_that_they_marked():
    own = [made(seed, 12, marked=(1, 5) if seed % 4 == 0 else ()) for seed in range(80)]
    (scores,) = erasure.measure(Additive(own, attributions=("leave_one_out", "human", "random")))
    (alone,) = erasure.measure(Additive(own, attributions=("leave_one_out", "random")))
    assert "leave_one_out.flips_over_random_marked" not in alone and "human.flips_over_random_marked" not in scores
    reading = Additive(own)
    (ranked,) = reading.word_scores("leave_one_out")
    tops = [[erasure.top(one.rankable, each, erasure.held_to(one)) for one, each in zip(own, ranked, strict=True)]]
    flips, random = erasure._flips(reading, tops)[0], erasure._random_flips(reading, tops, lambda one: one.rankable)[0]
    expected = 100 * np.mean([flips[place] - random[place] for place in range(0, 80, 4)])
    assert scores["leave_one_out.flips_over_random_marked"] == pytest.approx(expected)
    assert scores["human.n"] == 20


def test_a_word_without_tokens_is_neither_counted_nor_named():
    one = made(0, 6, marked=(2, 3))
    one = replace(
        one, words=tuple(replace(word, tokens=()) if place == 2 else word for place, word in enumerate(one.words))
    )
    named = np.array([float(word.marked) for word in one.words])
    assert erasure.size("human", one, named) == erasure.held_to(one) == 1
    assert alignment.words_named("human", one, named) == (3,)


def test_a_span_ends_where_its_field_does():
    one = made(0, 6, marked=(2, 3))
    words = tuple(replace(word, field="question" if place < 3 else "premise") for place, word in enumerate(one.words))
    one = replace(one, words=words)
    assert alignment.spans(alignment.apart(one)[[2, 3]]) != alignment.spans([2, 3])
    reading = Additive([one], attributions=("leave_one_out",))
    reading.word_scores = lambda name, of=None: [[np.array([0, 0, 1.0, 0.0, 0, 0.5])]]
    (scores,) = alignment.measure(reading)
    assert scores["leave_one_out.iou_f1"] == pytest.approx(0.5)  # of two spans one is found, and one of two is right


def test_what_people_marked_sets_the_size():
    one = made(0, 10, marked=(1, 4, 5))
    assert erasure.size("saliency", one, np.arange(10.0)) == 3
    assert erasure.size("saliency", made(0, 10), np.arange(10.0)) == 2
    assert erasure.size("human", one, np.array([0, 1, 0, 0, 1, 1, 0, 0, 0, 0])) == 3


def test_the_f1_of_random_words_is_the_share_that_is_marked():
    marked = [made(seed, 12, marked=tuple(range(seed % 5 + 1))) for seed in range(4000)]
    (scores,) = alignment.measure(Additive(marked, attributions=("random",)))
    assert scores["random.f1"] == pytest.approx(scores["chance.f1"], abs=0.01)
    assert scores["chance.f1"] == pytest.approx(np.mean([(seed % 5 + 1) / 12 for seed in range(4000)]))


def test_f1_and_iou_by_hand():
    assert alignment.f1((1, 2, 3), (3, 4)) == pytest.approx(2 / 5)
    assert alignment.f1((), (3,)) == 0
    assert alignment.spans([1, 2, 5, 6, 7, 9]) == [(1, 3), (5, 8), (9, 10)]
    # named [1,3) meets [2,4) by 1/3: not found. [5,8) meets [5,7) by 2/3: found. P = 1/2; R = 1/2
    assert alignment.iou_f1([[1, 2, 5, 6, 7]], [[2, 3, 5, 6]]) == pytest.approx(0.5)
    assert alignment.iou_f1([[]], [[2]]) == 0
    assert alignment.iou_f1([[2]], [[2]], [3]) == alignment.f1((2,), (2,), 3) == pytest.approx(2 * 0.25 / 1.25)
    assert alignment.iou_f1([], []) is None


def test_the_area_under_precision_and_recall_is_by_trapezoids():
    marked, scores = np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 1.0])
    # recall 0, .5, .5, 1, 1 with precision 1, 1, .5, 2/3, .5
    assert alignment.auprc(marked, scores) == pytest.approx(0.5 * 1 + 0.5 * (0.5 + 2 / 3) / 2)


def test_alignment_is_told_by_answer_and_is_absent_without_marks():
    pair = [made(0, 6, marked=(0,)), made(1, 6)]
    (scores,) = alignment.measure(Additive(pair, attributions=("random",)))
    assert scores["marked"] == 50 and scores["random.f1.choice 1"] is None
    assert scores["random.f1.choice 0"] == scores["random.f1"]
    (scores,) = alignment.measure(Additive([made(1, 6)], attributions=("random",)))
    assert scores["marked"] == 0 and scores["random.f1"] is None and scores["random.auc"] is None


def test_skewness_is_told_with_its_n():
    (scores,) = skewness.measure(Additive(questions(3, 30)))
    assert scores["words"] == pytest.approx(31)
    values = np.concatenate([[9.0], np.zeros(19)])
    assert skewness.skew(values) == pytest.approx(18 / np.sqrt(19))  # its bound, (n - 2) / sqrt(n - 1)
