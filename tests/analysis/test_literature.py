"""Claims of the literature on a cell's evidence: each method by itself, paired, corrected, and only what was asked."""

import numpy as np
import pytest
from made_up_cells import TINY

from caref.analysis import evidence_compared, literature
from caref.analysis.claims import NOT_ENOUGH, NOT_SUPPORTED, SUPPORTED
from caref.analysis.every_cell import lines
from caref.analysis.significance import holm, signed_rank
from caref.report import evidence_grids
from caref.results import evidence

ASKED = {
    "examples": 12,
    "attributions": ["saliency", "leave_one_out", "explanation_words", "human", "random"],
    "measures": ["erasure", "alignment"],
}
RANKING = "saliency", "leave_one_out", "random"
OVER_RANDOM = "erasure.{}.flips_over_random"


@pytest.fixture
def question(make_cell, written):
    """A function: the question of one cell whose evidence holds these scores by split, and by epoch."""

    def make(scores, by_epoch=None):
        n = len(next(iter(scores.values())))
        cell = make_cell("AQ", "esnli", [50.0] * n, model=TINY)
        root = written([cell])
        for split in range(n):
            own = {name: float(values[split]) for name, values in scores.items()}
            own |= {f"erasure.{name}.tau": 0.5 for name in RANKING}  # which sets of words do not have
            if OVER_RANDOM.format("explanation_words") in own:
                own = {"erasure.explanation_words.n": 12.0} | own
            own = {name: value for name, value in own.items() if not np.isnan(value)}
            record = {"split": split, "examples": 12, "scores": own} | (
                {"by_epoch": by_epoch[split]} if by_epoch else {}
            )
            evidence.write_split(root / cell.signature, ASKED, record, [])
        (found,) = evidence_compared.gather(lines([cell]), [], root).questions
        return found

    return make


def of_claim(found, start: str):
    (one,) = (one for one in literature.tested(found) if one.claim.text.startswith(start))
    return one


def test_each_attribution_is_a_part_and_controls_and_sets_are_none(question):
    random = np.random.default_rng(0)
    means = {"saliency": 20, "leave_one_out": 0, "random": 30, "explanation_words": 40, "human": 50}
    scores = {OVER_RANDOM.format(name): random.normal(mean, 3, 16) for name, mean in means.items()}
    found = of_claim(question(scores), "Attributions name words that move the answer")
    assert {part.attribution for part in found.parts} == {"saliency", "leave_one_out"}
    ps = holm([signed_rank(scores[part.left.raw].round(9)) for part in found.parts])
    assert [part.difference.p_holm for part in found.parts] == pytest.approx(ps)
    assert {part.attribution: part.outcome for part in found.parts} == {
        "saliency": "holds",
        "leave_one_out": "undecided",
    }
    assert found.verdict == NOT_SUPPORTED


def test_attributions_are_held_against_people_and_against_the_explanations_words(question):
    random = np.random.default_rng(1)
    means = {"saliency": 20, "leave_one_out": 30, "explanation_words": 0, "human": 25}
    scores = {OVER_RANDOM.format(name): random.normal(mean, 1, 16) for name, mean in means.items()}
    # Of the examples that people marked it is the other way.
    means = {"saliency": 30, "leave_one_out": 20}
    scores |= {f"{OVER_RANDOM.format(name)}_marked": random.normal(mean, 1, 16) for name, mean in means.items()}
    found = question(scores)
    repeated = of_claim(found, "After fine-tuning")  # of prompted words there are no scores
    assert repeated.verdict == SUPPORTED and "its explanation repeats" in repeated.claim.text
    people = of_claim(found, "The words that people marked")
    assert {part.attribution: part.outcome for part in people.parts} == {"saliency": "fails", "leave_one_out": "holds"}
    part = next(part for part in people.parts if part.attribution == "saliency")
    assert (part.left.attribution, part.right.attribution) == ("human", "saliency")
    assert part.difference.mean == pytest.approx(np.mean(scores[part.left.raw] - scores[part.right.raw]))
    assert part.left_mean == pytest.approx(scores[part.left.raw].mean())


def test_where_a_model_names_no_word_it_moves_no_answer_as_words_that_others_name_would(question):
    """The same words in half of the examples are half as faithful; in none, not at all."""
    random = np.random.default_rng(4)
    moved, named = random.normal(30, 2, 15), np.array([6.0] * 14 + [0.0])
    scores = {OVER_RANDOM.format("saliency"): moved / 2, "erasure.explanation_words.n": named}
    scores[OVER_RANDOM.format("explanation_words")] = np.where(named > 0, moved, np.nan)
    (part,) = of_claim(question(scores), "After fine-tuning").parts
    assert part.outcome == "undecided" and part.difference.n == 15
    assert part.right_mean == pytest.approx((moved[:14] / 2).sum() / 15)
    assert part.difference.mean == pytest.approx(moved[14] / 2 / 15)


def test_what_a_cell_has_no_scores_of_is_not_asked_and_few_splits_are_not_tested(question):
    found = literature.tested(question({"mention.phi": [0.5] * 11}))
    assert [(one.claim.left, one.verdict) for one in found] == [("mention.phi", NOT_ENOUGH)]
    (one,) = literature.tested(question({"mention.phi": [0.5] * 12}))
    assert one.verdict == SUPPORTED


def test_over_epochs_the_correlation_of_each_split_is_one_observation(question):
    random = np.random.default_rng(2)
    by_epoch = [
        {
            str(epoch): {
                "calibration.choice_accuracy": 10.0 * epoch + noise,
                "alignment.saliency.f1": 0.1 * epoch,
                "erasure.saliency.flips": -epoch if epoch else None,
            }
            for epoch, noise in enumerate(random.normal(0, 8, 5))
        }
        for _ in range(13)
    ]
    scores = {"alignment.saliency.f1": [0.4] * 13, "calibration.choice_accuracy": [40.0] * 13}
    found = question(scores | {"erasure.saliency.flips": [1.0] * 13}, by_epoch)
    rises = of_claim(found, "Attributions agree with people the more")
    rs = [
        np.corrcoef(
            *zip(*[(e["calibration.choice_accuracy"], e["alignment.saliency.f1"]) for e in one.values()], strict=True)
        )[0, 1]
        for one in by_epoch
    ]
    (part,) = rises.parts
    assert part.difference.mean == pytest.approx(np.mean(rs)) and part.outcome == "holds"
    (falls,) = of_claim(found, "Attributions are the more faithful").parts
    assert falls.outcome == "fails" and falls.difference.n == 13  # the epoch without a score is left out


def test_of_words_that_a_model_names_the_correlation_is_to_fall(question):
    random = np.random.default_rng(3)
    by_epoch = [
        {
            str(epoch): {"calibration.choice_accuracy": 10.0 * epoch + noise, "alignment.prompting.f1": -0.1 * epoch}
            for epoch, noise in enumerate(random.normal(0, 8, 5))
        }
        for _ in range(12)
    ]
    found = question({"alignment.prompting.f1": [0.2] * 12, "calibration.choice_accuracy": [40.0] * 12}, by_epoch)
    (one,) = of_claim(found, "The words that a model itself names agree with people the less").parts
    r = [
        np.corrcoef(range(5), [e["calibration.choice_accuracy"] for e in epochs.values()])[0, 1] for epochs in by_epoch
    ]
    assert one.outcome == "holds" and one.left_mean == pytest.approx(-np.mean(r)) == -one.difference.mean
    assert one.right_mean is None and one.difference.n == 12


FLIPS, ALL, ONE_LABEL = "erasure.saliency.flips", "erasure.all.flips", "calibration.most_predicted"


def at(accuracy: float, flips: float, one_label: float) -> dict[str, float]:
    own = {"calibration.choice_accuracy": accuracy, "calibration.zero_rate": 40.0}
    return own | {FLIPS: flips, ALL: 2 * flips, ONE_LABEL: one_label}


def test_a_model_of_low_accuracy_hardly_flips_and_one_answer_takes_nearly_all(question):
    low = [[at(39.0, 2.0 + split / 10, 90.0), at(40.0, 4.0, 86.0)] for split in range(12)]
    by_epoch = [{"0": one, "1": two, "2": at(40.1, 90.0, 30.0)} for one, two in low]
    final = at(80.0, 70.0, 34.0)
    found = question({name: [value] * 12 for name, value in final.items()}, by_epoch)
    flips, without = (
        of_claim(
            found,
            f"A model no more accurate than the most frequent answer changes less than 5 % of answers without {of}",
        )
        for of in ("an attribution's", "any word")
    )
    (part,) = flips.parts
    assert flips.verdict == SUPPORTED and part.attribution == "saliency" and part.difference.n == 12
    means = [(2.0 + split / 10 + 4.0) / 2 for split in range(12)]  # of the two epochs of such accuracy alone
    assert (part.left_mean, part.right_mean) == pytest.approx((np.mean(means), 5.0))
    assert part.difference.mean == pytest.approx(5.0 - np.mean(means))
    (of_all,) = without.parts
    assert of_all.outcome == "fails" and without.verdict == NOT_SUPPORTED  # 6.55 % and more
    label = of_claim(found, "A model no more accurate than the most frequent answer gives one answer")
    assert label.verdict == SUPPORTED and label.parts[0].difference.mean == pytest.approx(88.0 - 80.0)
    table = next(grid for grid in evidence_grids.claims(found, ["the cell"]) if "any word" in grid.title)
    assert table.note == "flips without any word below 5, at epochs of such accuracy."
    assert table.head[2:5] == ["flips without any word", "5", "below by"] and table.body[0][4] == "-1.55"


def test_the_end_of_a_training_counts_once_and_without_low_accuracy_nothing_is_asked(question):
    last = at(30.0, 1.0, 95.0)
    scores = {name: [value] * 12 for name, value in last.items()}
    both = [{"0": at(20.0, 3.0, 85.0), "1": dict(last) | {f"erasure.{name}.tau": 0.5 for name in RANKING}}] * 12
    for by_epoch, label in ((both, 90.0), (None, 95.0)):
        (part,) = of_claim(
            question(scores, by_epoch), "A model no more accurate than the most frequent answer gives"
        ).parts
        assert part.left_mean == label
    accurate = literature.tested(question({name: [value] * 12 for name, value in at(41.0, 1.0, 95.0).items()}))
    assert not [one for one in accurate if one.claim.of_low_accuracy]


@pytest.mark.parametrize(
    "by_epoch",
    [
        {},
        {"0": {"a": 1.0, "b": 2.0}, "1": {"a": 2.0, "b": 3.0}},
        {str(epoch): {"a": 1.0, "b": float(epoch)} for epoch in range(5)},
        {str(epoch): {"a": float(epoch), "b": None} for epoch in range(5)},
    ],
)
def test_of_too_few_epochs_or_of_a_score_that_never_moves_there_is_no_correlation(by_epoch):
    assert literature.correlation(by_epoch, "a", "b") is None


def test_the_tables_say_what_was_held_against_what_and_how_it_came_out(question):
    moved = {OVER_RANDOM.format("saliency"): [3.0] * 12 + [2.0], OVER_RANDOM.format("human"): [1.0] * 13}
    found = question(moved | {f"{OVER_RANDOM.format('saliency')}_marked": [3.0] * 12 + [2.0]})
    grids = evidence_grids.claims(found, ["the cell"])
    assert [grid.title.rpartition(": ")[2] for grid in grids] == [
        "supported in 1 of 1 cell",
        "supported in 0 of 1 cell",
    ]
    assert grids[0].body[0][:2] == ["the cell", "saliency"] and grids[0].body[0][-1] == "holds"
    assert grids[1].body[0][2:5] == ["1.00", "2.92", "-1.92"] and grids[1].body[0][-1] == "the other way"
