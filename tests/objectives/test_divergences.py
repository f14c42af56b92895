"""The reference definitions against 60-digit and 80-bit arithmetic, and against PyTorch's own functions."""

import math

import exact_terms
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rows import hard_rows, masked_rows

from caref import CarefLoss
from caref.objectives.divergences import entropy, kl_to_uniform, log_probabilities, sced
from caref.objectives.per_token import reference

ALPHAS = (1.0, 1.5, 2.0, 2.5, 4.0)
BETAS = (0.0, 0.5, 1.0, 2.0)
every_exponent = pytest.mark.parametrize(("alpha", "beta"), [(a, b) for a in ALPHAS for b in BETAS] + [(1.3, 0.01)])


def terms_and_slopes(logits, label, alpha, beta):
    """(value, gradient) of every term of one row, by name."""
    logits = logits.clone().requires_grad_()
    terms = reference(logits[None], torch.tensor([label]), alpha=alpha, beta=beta)
    for name in exact_terms.TERMS:
        value = getattr(terms, name).sum()
        (slope,) = torch.autograd.grad(value, logits, retain_graph=True)
        yield name, value.item(), slope.numpy()


def assert_close(found, exact, what, floor=1e-2):
    exact = np.asarray(exact, dtype=np.longdouble)
    scale = max(np.abs(exact).max(), floor)
    assert np.abs(found - exact).max() <= 1e-10 * scale, what


@every_exponent
@pytest.mark.parametrize("size", [2, 7])
def test_small_vocabularies_equal_60_digit_arithmetic(size, alpha, beta):
    rows = hard_rows(size) | masked_rows(size)
    for row, logits in rows.items():
        label = size // 2
        exact = exact_terms.small(logits.tolist(), label, alpha, beta)
        slopes = exact_terms.small_slopes(logits.tolist(), label, alpha, beta)
        for name, value, slope in terms_and_slopes(logits, label, alpha, beta):
            if name == "uniform" and row.endswith("masked"):
                assert value == math.inf  # the mean of -log p has no finite value where a p is 0
                continue
            assert_close(value, float(exact[name]), (row, name))
            # At p = U and alpha = 1 there is a kink: any slope between the one-sided ones is right.
            if not (alpha == 1 and name == "sced" and row == "uniform"):
                assert_close(slope, slopes[name], (row, name))


@every_exponent
@pytest.mark.parametrize("size", [1000, 50000])
def test_large_vocabularies_equal_80_bit_arithmetic(size, alpha, beta):
    rows = hard_rows(size)
    for row in ("peaked", "20 above the rest"):
        logits = rows[row]
        label, top = 3, int(logits.argmax())
        exact = exact_terms.large(logits.numpy().astype(np.longdouble), label, alpha, beta)
        at = [top, label]
        slopes = [exact_terms.large_slope(logits.numpy().astype(np.longdouble), j, label, alpha, beta) for j in at]
        for name, value, slope in terms_and_slopes(logits, label, alpha, beta):
            assert_close(value, exact[name], (row, name))
            # The floor is what finite differences of 80-bit sums can tell.
            assert_close(slope[at], [s[name] for s in slopes], (row, name), floor=1.0)
            assert abs(slope.sum()) < 1e-10, "shifting all logits changes nothing"


@every_exponent
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [2, 1000])
def test_nothing_is_ever_nan_or_infinite(size, dtype, alpha, beta):
    rows = hard_rows(size) | masked_rows(size)
    rows["masked by the lowest number"] = masked_rows(size)["half masked"].clamp_min(torch.finfo(dtype).min)
    for row, logits in rows.items():
        logits = logits.to(dtype).requires_grad_()
        terms = reference(logits[None], torch.tensor([size // 2]), alpha=alpha, beta=beta)
        for name in ("entropy", "kl", "sced") if "masked" in row else exact_terms.TERMS:
            value = getattr(terms, name)
            (slope,) = torch.autograd.grad(value.sum(), logits, retain_graph=True)
            assert value.isfinite().all() and slope.isfinite().all(), (row, name)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.5), (2.0, 1.0), (2.5, 0.0)])
def test_float32_is_float64_within_its_rounding(alpha, beta):
    for row, logits in hard_rows(1000).items():
        double = terms_and_slopes(logits, 7, alpha, beta)
        single = terms_and_slopes(logits.float(), 7, alpha, beta)
        for (name, value, slope), (_, value32, slope32) in zip(double, single, strict=True):
            # An error of one float32 rounding of log V, relative to each p, is all that may show.
            assert abs(value32 - value) <= 2e-5 * max(1, abs(value)), (row, name)
            if not (alpha == 1 and name == "sced" and "uniform" in row):
                assert np.abs(slope32 - slope).max() <= 2e-6 * max(1, np.abs(slope).max()), (row, name)


def test_bfloat16_is_float32_on_the_same_logits():
    torch.manual_seed(0)
    logits = (torch.randn(6, 1000) * 4).bfloat16()
    labels = torch.randint(1000, (6,))
    for name in exact_terms.TERMS:
        ours, single = logits.clone().requires_grad_(), logits.float().requires_grad_()
        value = getattr(reference(ours, labels, alpha=2.0, beta=0.5), name)
        expected = getattr(reference(single, labels, alpha=2.0, beta=0.5), name)
        value.sum().backward()
        expected.sum().backward()
        assert value.dtype == torch.float32 and torch.equal(value, expected)
        assert ours.grad.dtype == torch.bfloat16 and torch.equal(ours.grad, single.grad.bfloat16())


def test_entropy_and_kl_are_pytorchs():
    torch.manual_seed(0)
    logits = torch.randn(5, 300, dtype=torch.float64) * 3
    log_p, _ = log_probabilities(logits)
    torch.testing.assert_close(log_p, logits.log_softmax(-1), rtol=0, atol=1e-13)
    torch.testing.assert_close(entropy(log_p), torch.distributions.Categorical(logits=logits).entropy())
    uniform = torch.full_like(log_p, -math.log(300))
    expected = F.kl_div(uniform, log_p, log_target=True, reduction="none").sum(-1)
    torch.testing.assert_close(kl_to_uniform(log_p), expected)


def test_alpha_1_beta_0_is_kl_only_at_the_uniform_distribution():
    torch.manual_seed(0)
    log_p, log_q = log_probabilities(torch.randn(4, 50, dtype=torch.float64))
    t = log_p.exp() * (log_p + math.log(50))
    excess = -2 * t.clamp(max=0).sum(-1)
    torch.testing.assert_close(sced(log_p, log_q, 1.0, 0.0), kl_to_uniform(log_p) + excess)
    assert (excess > 0.1).all()

    log_p, log_q = log_probabilities(torch.zeros(1, 50, dtype=torch.float64))
    assert sced(log_p, log_q, 1.0, 0.0).item() == pytest.approx(kl_to_uniform(log_p).item(), abs=1e-12)


def test_log_probabilities_are_logits_too():
    torch.manual_seed(0)
    once, _ = log_probabilities(torch.randn(3, 40, dtype=torch.float64))
    twice, _ = log_probabilities(once)
    torch.testing.assert_close(once, twice, rtol=0, atol=1e-14)


@pytest.mark.parametrize("weight", [1.0, 1024.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_where_logits_are_masked_whatever_the_loss_is_scaled_by(dtype, weight):
    logits = torch.tensor([[2.0, 1.0, -math.inf, -math.inf, 0.5]], dtype=dtype, requires_grad=True)
    terms = CarefLoss(lambda_kl=2.0)(logits, torch.tensor([0]))
    (weight * terms.loss).backward()
    assert logits.grad.isfinite().all() and (logits.grad[0, 2:4] == 0).all()
