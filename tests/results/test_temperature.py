"""What the list of scores says a temperature moves, it moves, and nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import log_softmax

from caref.evidence.measures import calibration, erasure, mention
from caref.results.evidence_names import named
from caref.results.evidence_scores import SCORES

T = 2.5


@pytest.fixture
def tables():
    """Log-probabilities of three choices in 60 examples, and the right ones: a model that knows a little."""
    random = np.random.default_rng(5)
    labels = random.integers(0, 3, 60)
    logits = random.normal(0, 2, (60, 3)) + 1.5 * np.eye(3)[labels]
    return log_softmax(logits, axis=-1), labels


def agrees(prefix: str, before: dict, after: dict, only=()) -> None:
    for key, value in before.items():
        score = named(f"{prefix}.{key}").score
        if (only and key not in only) or value is None:
            continue
        moved = abs(value - after[key]) > 1e-4 * max(1.0, abs(value))
        assert moved == score.moved, f"{key}: {value} became {after[key]}"


def test_of_calibration(tables):
    log_p, labels = tables
    agrees("calibration", calibration.scores(log_p, labels), calibration.scores(log_p / T, labels))


def test_of_mention(tables):
    before, _ = tables
    random = np.random.default_rng(6)
    after = [[row + random.normal(0, 1.5, 3)] for row in before]
    words = ["very"] * len(before)
    example = SimpleNamespace(fields={"premise": "a very old dog"})
    insertions = [[SimpleNamespace(word=word, example=example)] for word in words]
    questions = [SimpleNamespace(explanation="it is old")] * len(before)
    said = ["it is very old" if draw else "it is old" for draw in random.integers(0, 2, len(before))]

    def scores(t: float) -> dict:
        return mention.scores(questions, insertions, before / t, [row[0] / t for row in after], said)

    agrees("mention", scores(1.0), scores(T))


def test_of_erasure(tables):
    whole, _ = tables
    random = np.random.default_rng(7)
    without = whole[:, None] + random.normal(0, 1, (60, 10, 3))

    def scores(t: float) -> dict:
        matched = erasure.matching_temperature(whole / t)
        drops = [
            erasure.drops_of(one / t, other / t, int(one.argmax()), matched)
            for one, other in zip(whole, without, strict=True)
        ]
        return {f"saliency.{key}": float(np.mean([drop[key] for drop in drops])) for key in drops[0]}

    agrees("erasure", scores(1.0), scores(T))


def test_of_every_score_it_is_said():
    assert all(isinstance(score.moved, bool) for score in SCORES.values())
