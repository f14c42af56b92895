"""The turning point and resting places that docs/objective.md tells of, against numerical search and real training."""

import itertools
import re
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from caref import CarefLoss, landscape
from caref.objectives.single_target import SingleTarget, logit, slope, turning_point, value

ROOT = Path(__file__).parents[2]
GRID = list(itertools.product((1.0, 1.5, 2.0, 2.5), (0.0, 0.5, 1.0, 2.0)))
SIZES = (3, 300, 32_128)


def predicted(t: float, words: int) -> torch.Tensor:
    """Logits whose first word has this logit of probability, the others sharing the rest."""
    logits = torch.zeros(1, words, dtype=torch.float64)
    logits[0, 0] = t + np.log(words - 1)
    return logits.requires_grad_()


@pytest.mark.parametrize("words", SIZES)
@pytest.mark.parametrize(("alpha", "beta"), [pair for pair in GRID if pair[1]])
def test_sced_turns_where_a_search_finds_its_maximum(alpha, beta, words):
    turn = turning_point(alpha, beta, words)
    found = minimize_scalar(
        lambda p: -float(value(p, alpha, beta, words)), bounds=(1 / words, 1), method="bounded", options={"xatol": 1e-9}
    )
    assert turn == pytest.approx(found.x, abs=1e-6)
    assert turn > max(alpha / (alpha + beta), 1 / words)
    # the vocabulary that turns at a given p, in closed form
    assert np.exp(alpha * (1 - turn) / ((alpha + beta) * turn - alpha)) / turn == pytest.approx(words, rel=1e-6)


def test_the_papers_sced_rewards_confidence_beyond_two_thirds():
    assert slope(0.6, 2, 1, 32_128) > 0 > slope(0.7, 2, 1, 32_128)
    assert turning_point(2, 1, 32_128) == pytest.approx(0.6875, abs=5e-5)
    assert turning_point(2, 0, 32_128) == 1 and slope(0.999999, 2, 0, 32_128) > 0


@pytest.mark.parametrize(("alpha", "beta"), GRID)
def test_the_slope_is_the_derivative(alpha, beta):
    words = 32_128
    for p in (1e-6, 1 / (2 * words), 3 / words, 0.01, 0.4, 0.9, 0.999):
        with mpmath.workdps(40):
            exact = mpmath.diff(
                lambda x: abs(x * mpmath.log(x * words)) ** alpha * (1 - x) ** beta, p, h=mpmath.mpf(10) ** -20
            )
        assert slope(p, alpha, beta, words) == pytest.approx(float(exact), rel=1e-8)


@pytest.mark.parametrize("words", SIZES)
@pytest.mark.parametrize(("alpha", "beta"), GRID)
def test_the_loss_of_a_single_target_and_its_push_are_those_of_the_loss_that_is_trained(alpha, beta, words):
    of = SingleTarget(alpha, beta, 0.3, 0.2, words)
    trained = CarefLoss(alpha, beta, 0.3, 0.2)
    for t in (-8.0, 0.7, 30.0):
        logits = predicted(t, words)
        terms = trained(logits, torch.tensor([0]))
        terms.loss.backward()
        assert float(of.value(t)) == pytest.approx(terms.loss.item(), rel=1e-9, abs=1e-12)
        assert float(of.sced(t)) == pytest.approx(terms.sced.item(), rel=1e-9, abs=1e-12)
        assert float(of.slope(t)) == pytest.approx(logits.grad[0, 0].item(), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize(
    ("alpha", "beta", "lambda_sced", "lambda_kl"),
    [(2.0, 1.0, 0.0, 0.1), (2.0, 1.0, 0.1, 0.1), (2.0, 0.0, 0.1, 0.1), (2.5, 2.0, 0.1, 0.1)],
)
def test_training_comes_to_rest_where_it_is_said_to(alpha, beta, lambda_sced, lambda_kl):
    words = 3_000
    rests = SingleTarget(alpha, beta, lambda_sced, lambda_kl, words).rests()
    assert [rest.stable for rest in rests] == [True, False, True][: len(rests)]
    parting = [rest.p for rest in rests if not rest.stable]
    loss = CarefLoss(alpha, beta, lambda_sced, lambda_kl)
    starts = [0.01, *(p + side for p in parting for side in (-0.02, 0.02)), 0.95]
    noise = 0.3 * torch.randn(len(starts), words, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise[:, 0] = torch.as_tensor(logit(starts)) + noise[:, 1:].logsumexp(-1)
    logits = noise.requires_grad_()
    labels = torch.zeros(len(starts), dtype=torch.long)
    optimizer = torch.optim.SGD([logits], lr=0.5)  # momentum would carry a start over the barrier
    for _ in range(1_600):
        optimizer.zero_grad()
        (loss(logits, labels).loss * len(starts)).backward()
        optimizer.step()
    ended = logits.detach().softmax(-1)[:, 0].tolist()
    stable = [rest.p for rest in rests if rest.stable]
    for start, end in zip(starts, ended, strict=True):
        expected = stable[sum(start > p for p in parting)]
        assert end == pytest.approx(expected, abs=5e-3), start


def test_under_the_papers_objective_a_target_has_two_resting_places():
    low, barrier, high = SingleTarget().rests()
    assert (low.stable, barrier.stable, high.stable) == (True, False, True)
    assert low.p == pytest.approx(0.259, abs=1e-3) and barrier.p == pytest.approx(0.669, abs=1e-3)
    assert high.doubt < 1e-40 and high.value < low.value < barrier.value
    (only,) = SingleTarget(lambda_sced=0).rests()
    assert only.p == pytest.approx(0.834, abs=1e-3)


def test_the_picture_in_the_documentation_is_what_the_command_draws(tmp_path, capsys):
    landscape.main(["--picture", str(tmp_path / "drawn.svg")])
    assert (tmp_path / "drawn.svg").read_bytes() == (ROOT / "docs" / "objective.svg").read_bytes()
    landscape.main([])
    printed = capsys.readouterr().out.strip().splitlines()
    told = (ROOT / "docs" / "objective.md").read_text()
    for line in printed[2:]:
        assert re.sub(r"\s+$", "", line) in told, line


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["--alpha", "0.5"], "--alpha=0.5: must be at least 1"),
        (["--beta", "-1"], "--beta=-1.0: must be at least 0"),
        (["--lambda-kl", "nan"], "--lambda-kl=nan"),
        (["--words", "2"], "--words=2"),
        (["--alpha", "1000"], "--alpha=1000: must be at most 100"),
        (["--picture", "drawn.svg", "--beta", "1"], "--beta: the picture is of the paper's grid; leave it out"),
        (["--picture", "drawn.png"], "--picture drawn.png: it is an SVG"),
        (["--picture", "nowhere/at/all.svg"], "--picture nowhere/at/all.svg"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(capsys, line, told):
    with pytest.raises(SystemExit) as ended:
        landscape.main(line)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
