"""Insertions and mention, against scikit-learn and scipy, with FRAME's axioms for references."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import matthews_corrcoef

from caref.data.examples import Example
from caref.evidence.attribution.explanation_words import content_words
from caref.evidence.choices import Asked
from caref.evidence.insertions import WORDS, Inserted, inserted
from caref.evidence.measures import mention
from caref.evidence.reading import Question


def test_an_insertion_is_one_word_that_nothing_of_the_example_holds(examples):
    for dataset in ("esnli", "ecqa", "comve", "cos_e"):
        for place, example in enumerate(examples(dataset, 20)):
            found = inserted(example, seed=place)
            assert len(found) == 4 and len({one.word for one in found}) == 4
            assert found == inserted(example, seed=place)
            for one in found:
                texts = (*example.fields.values(), *example.choices, *example.explanations)
                assert not any(one.word in content_words(text) for text in texts)
                changed = [name for name, text in one.example.fields.items() if text != example.fields[name]]
                (field,) = changed
                words = one.example.fields[field].split()
                assert words[0] != one.word != words[-1]
                words.remove(one.word)
                assert words == example.fields[field].split()
                assert (one.example.choices, one.example.label) == (example.choices, example.label)
    assert len(set(WORDS)) == len(WORDS) > 200


def test_a_field_of_one_word_takes_none():
    assert inserted(Example("1", {"question": "why?"}, ("a", "b"), 0, ("x",)), 0) == []


def made(count: int, seed: int = 0):
    """Questions, one insertion each, log-probabilities before and after."""
    draw = np.random.default_rng(seed)
    example = Example("1", {"question": "what is it?"}, ("a", "b", "c"), 0, ("a thing",))
    questions = [Question(example, Asked((), ()), (), "a", "it is a thing") for _ in range(count)]
    words = [WORDS[place % len(WORDS)] for place in range(count)]
    insertions = [
        [Inserted(Example("1", {"question": f"what {word} is it?"}, example.choices, 0, ("a thing",)), word)]
        for word in words
    ]
    return questions, insertions, draw.normal(size=(count, 3)), draw.normal(size=(count, 3)).tolist(), words


def test_scores_are_scipys_and_scikit_learns():
    questions, insertions, before, after, words = made(200)
    said = np.random.default_rng(1).random(200) < 0.4
    explanations = [
        f"because it is {word.upper()}, yes" if tell else "so" for word, tell in zip(words, said, strict=True)
    ]
    found = mention.scores(questions, insertions, before, after, explanations)
    p, q = (np.exp(table) / np.exp(table).sum(-1, keepdims=True) for table in (before, np.array(after)))
    flips = p.argmax(-1) != q.argmax(-1)
    assert found["phi"] == pytest.approx(matthews_corrcoef(flips, said), abs=1e-12)
    assert found["cct"] == pytest.approx(pearsonr(abs(p - q).sum(-1) / 2, said).statistic, abs=1e-12)
    assert found["unmentioned"] == pytest.approx(100 * (~said[flips]).mean())
    assert found["mention_rate"] == pytest.approx(100 * said.mean()) and found["mention_rate_before"] == 0


def test_gold_like_explanations_beat_shuffled_and_neither_copies_nor_silence_win():
    questions, insertions, before, after, words = made(300)
    p, q = (np.exp(table) / np.exp(table).sum(-1, keepdims=True) for table in (before, np.array(after)))
    flips = p.argmax(-1) != q.argmax(-1)
    true = [word if flip else "it is" for word, flip in zip(words, flips, strict=True)]
    shuffled = np.array(true)[np.random.default_rng(0).permutation(300)].tolist()
    copied = [one.example.fields["question"] for (one,) in insertions]

    def phi(explanations):
        return mention.scores(questions, insertions, before, after, explanations)["phi"]

    assert phi(true) == pytest.approx(1)
    assert phi(shuffled) is None or abs(phi(shuffled)) < 0.2
    assert phi(copied) is None and phi([""] * 300) is None
    assert mention.scores(questions, insertions, before, after, copied)["mention_rate_copied"] == 100


def test_a_word_within_another_is_not_mentioned():
    questions, insertions, before, after, words = made(3)
    found = mention.scores(questions, insertions, before, after, [f"x{word}y" for word in words])
    assert found["mention_rate"] == 0


def test_no_temperature_moves_phi():
    questions, insertions, before, after, words = made(100)
    explanations = [word if place % 3 else "no" for place, word in enumerate(words)]
    plain = mention.scores(questions, insertions, before, after, explanations)
    flat = mention.scores(questions, insertions, before / 7, (np.array(after) / 7).tolist(), explanations)
    for name in ("phi", "flip_rate", "unmentioned", "mention_rate"):
        assert flat[name] == plain[name]
    assert flat["cct"] != pytest.approx(plain["cct"], abs=1e-3)


def test_without_insertions_there_are_no_scores():
    questions, _, before, _, _ = made(2)
    found = mention.scores(questions, [[], []], before, [], [])
    assert found.pop("insertions") == 0 and set(found.values()) == {None}
