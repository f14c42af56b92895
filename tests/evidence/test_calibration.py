"""Calibration by scikit-learn, torchmetrics' definition written out, and what temperature must and must not move."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss, log_loss

from caref.evidence.measures import calibration


def drawn(seed: int, count: int = 200, choices: int = 3, sharp: float = 2.0):
    generator = np.random.default_rng(seed)
    logits = sharp * generator.normal(size=(count, choices))
    return logits, generator.integers(0, choices, count)


@pytest.mark.parametrize("choices", (2, 3, 5))
def test_brier_nll_and_auroc_are_scikit_learns(choices):
    logits, labels = drawn(1, choices=choices)
    p = softmax(logits, -1)
    found = calibration.scores(logits, labels)
    assert found["nll"] == pytest.approx(log_loss(labels, p, labels=range(choices)), abs=1e-12)
    brier = brier_score_loss(labels, p, labels=range(choices), scale_by_half=False)
    assert found["brier"] == pytest.approx(brier, abs=1e-12)
    assert found["choice_accuracy"] == pytest.approx(100 * (p.argmax(-1) == labels).mean())
    pairs = [
        (p.max(-1)[one] > p.max(-1)[other]) + 0.5 * (p.max(-1)[one] == p.max(-1)[other])
        for one in np.flatnonzero(p.argmax(-1) == labels)
        for other in np.flatnonzero(p.argmax(-1) != labels)
    ]
    assert found["auroc"] == pytest.approx(np.mean(pairs), abs=1e-12)


def test_ece_by_hand():
    confidence = np.array([0.95, 0.99, 0.55, 0.58, 0.41])
    right = np.array([True, False, True, True, False])
    # bins of a fifteenth: {.95, .99}, {.55, .58}, {.41}
    expected = (2 * abs(0.5 - 0.97) + 2 * abs(1 - 0.565) + 1 * abs(0 - 0.41)) / 5
    assert calibration.ece(confidence, right, calibration.equal_width(confidence)) == pytest.approx(expected)


def test_bins_hold_what_they_should():
    confidence = np.array([1 / 15, 1 / 15 + 1e-9, 1.0, 1e-9, 14 / 15])
    assert calibration.equal_width(confidence).tolist() == [0, 1, 14, 0, 13]
    sizes = np.bincount(calibration.equal_mass(np.random.default_rng(0).random(100)), minlength=15)
    assert sizes.sum() == 100 and set(sizes) == {6, 7}


def test_a_calibrated_model_has_an_error_that_goes_to_zero_and_an_overconfident_one_does_not():
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(40_000, 3))
    labels = np.array([generator.choice(3, p=p) for p in softmax(logits, -1)])
    assert calibration.scores(logits, labels)["ece"] < 1
    over = calibration.scores(3 * logits, labels)
    assert over["ece"] > 10 and over["ece_tempered"] < 1
    assert over["temperature"] == pytest.approx(3, rel=0.02)


def test_each_half_is_tempered_by_what_fits_the_other():
    logits, labels = drawn(5, count=400)
    labels[::2] = logits[::2].argmax(-1)  # one half asks for confidence, the other for none
    labels[::10] = 0
    steps = np.exp(np.linspace(-np.log(100), np.log(100), 4001))

    def fitted(rows: slice) -> float:
        losses = [log_loss(labels[rows], softmax(logits[rows] / t, -1), labels=range(3)) for t in steps]
        return steps[int(np.argmin(losses))]

    even, odd = slice(0, None, 2), slice(1, None, 2)
    temperatures = {"even": fitted(even), "odd": fitted(odd)}
    assert temperatures["odd"] > 3 * temperatures["even"]
    halves = ((even, temperatures["odd"]), (odd, temperatures["even"]))
    losses = [log_loss(labels[rows], softmax(logits[rows] / t, -1), labels=range(3)) for rows, t in halves]
    assert calibration.scores(logits, labels)["nll_tempered"] == pytest.approx(np.mean(losses), rel=1e-3)


def test_risk_over_coverage_by_hand():
    confidence, right = np.array([0.9, 0.5, 0.7]), np.array([True, False, False])
    assert calibration.aurc(confidence, right) == pytest.approx((0 + 1 / 2 + 2 / 3) / 3)
    best = calibration.aurc(np.array([0.9, 0.8, 0.1]), np.array([True, True, False]))
    assert best == pytest.approx(1 / 9)
    for order in permutations((True, True, False, False)):  # as sure of all: half of whichever are answered
        assert calibration.aurc(np.full(4, 0.5), np.array(order)) == pytest.approx(0.5)


@pytest.mark.parametrize("leads", [9.0, 900.0])
def test_answers_that_are_all_right_want_the_least_temperature(leads):
    log_p = np.log(softmax(np.array([[leads, 0.0], [0.0, leads]]), -1).clip(1e-300))
    assert calibration.temperature(log_p, np.array([0, 1])) == 0.01


@given(st.integers(0, 50), st.floats(0.05, 20))
def test_no_temperature_moves_what_rests_on_order_or_is_tempered(seed, t):
    logits, labels = drawn(seed, count=60)
    plain, other = calibration.scores(logits, labels), calibration.scores(logits / t, labels)
    for name in ("choice_accuracy", "label_bias", "most_predicted", "zero_rate"):
        assert other[name] == pytest.approx(plain[name], abs=1e-9)
    if 0.02 < plain["temperature"] < 4 and 0.02 < other["temperature"] < 50:
        assert other["temperature"] == pytest.approx(plain["temperature"] / t, rel=1e-3)
        assert other["nll_tempered"] == pytest.approx(plain["nll_tempered"], abs=1e-2)


def test_a_temperature_moves_confidence_and_ece():
    logits, labels = drawn(3)
    plain, flat = calibration.scores(logits, labels), calibration.scores(logits / 4, labels)
    assert flat["confidence"] < plain["confidence"] - 10 and abs(flat["ece"] - plain["ece"]) > 5


def test_what_does_not_exist_is_none():
    logits = np.array([[2.0, 0.0], [0.0, 2.0]])
    found = calibration.scores(logits, np.array([0, 1]))
    assert found["auroc"] is None and found["aurc"] == 0
    one = calibration.scores(logits[:1], np.array([0]))
    assert one["ece_tempered"] is None and one["nll"] == pytest.approx(-log_softmax(logits[0])[0])


def test_collapsed_predictions_show():
    logits = np.tile([3.0, 0.0, 0.0], (9, 1))
    found = calibration.scores(logits, np.arange(9) % 3)
    assert found["most_predicted"] == 100 and found["zero_rate"] == pytest.approx(100 / 3)
    assert found["label_bias"] == pytest.approx(100 * 2 / 3)


def test_choices_that_an_example_does_not_have_have_no_part():
    logits = np.array([[1.0, 0.0, -np.inf], [0.0, 1.0, 2.0]])
    found = calibration.scores(logits, np.array([0, 2]))
    assert np.isfinite([value for value in found.values() if value is not None]).all()


def test_what_is_written_is_compared_with_the_choices(backbone, examples):
    from caref.evidence.reading import question

    few = examples("esnli", 3)
    answers = ["Entailment ", "nothing of the kind", "neutral"]
    asked = [question("esnli", one, backbone("tiny_t5"), answer) for one, answer in zip(few, answers, strict=True)]
    log_p = np.log(np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.8, 0.1, 0.1]]))
    found = calibration.written(asked, log_p)
    assert found == {"disagreement": pytest.approx(200 / 3), "unreadable": pytest.approx(100 / 3)}
