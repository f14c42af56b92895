"""How far a predicted distribution is from the uniform one: the readable definitions.

Every function maps log-probabilities (..., V) to one value a position (...), in natural logarithms, by
plain PyTorch operations that autograd differentiates. What takes care is in `log_probabilities`: both
log p and log(1 - p) are computed, and differentiated, without cancellation, so that nothing below needs an
epsilon. Values and gradients are finite for any finite logits, and for logits of -inf (words masked out).
"""

import math

import torch
from torch import Tensor

from caref.kernels.once import not_twice


def log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities and their complements: log p and log(1 - p), each (..., V).

    Args:
        logits: (..., V), V >= 2. float64 stays float64; any other dtype is computed in float32, and its
            gradient is cast back. Log-probabilities are logits too: normalising twice changes nothing.

    log(1 - p) is no lower than the dtype's lowest finite number, so that beta * log(1 - p) is 0 for beta = 0.
    """
    return _LogProbabilities.apply(logits if logits.dtype == torch.float64 else logits.float())


class _LogProbabilities(torch.autograd.Function):
    # Only the largest probability of a row can come near 1. For that one, 1 - p is the sum of the others, and
    # derivatives meet 1 - p as a factor or in a ratio p_j / (1 - p) <= 1, never alone in a denominator:
    # (1 - p) ** beta then has a finite gradient for beta in (0, 1), at p = 1 as well.

    @staticmethod
    def forward(ctx, logits: Tensor) -> tuple[Tensor, Tensor]:
        highest, top = logits.max(-1, keepdim=True)
        below = logits - highest
        log_others = below.scatter(-1, top, -math.inf).logsumexp(-1, keepdim=True)
        log_total = log_others.exp().log1p()
        log_p = below - log_total
        log_q = torch.log1p(-log_p.exp()).scatter(-1, top, log_others - log_total)
        log_q = log_q.clamp_min(torch.finfo(log_q.dtype).min)
        ctx.save_for_backward(log_p, log_q, top)
        return log_p, log_q

    @staticmethod
    def backward(ctx, grad_p: Tensor, grad_q: Tensor) -> Tensor:
        log_p, log_q, top = ctx.saved_tensors
        p = log_p.exp()
        p_top, q_top = p.gather(-1, top), log_q.gather(-1, top).exp()
        grad_p_top, grad_q_top = grad_p.gather(-1, top), grad_q.gather(-1, top)

        # d log p_v / d z_j = [j = v] - p_j
        others = grad_p.scatter(-1, top, 0.0).sum(-1, keepdim=True)
        grad = grad_p - p * (others + grad_p_top)
        at_top = grad_p_top * q_top - p_top * others

        # d log(1 - p_v) / d z_j = p_j p_v / (1 - p_v) for j != v, and -p_v for j = v
        odds = (grad_q * torch.exp(log_p - log_q)).scatter(-1, top, 0.0)
        others = odds.sum(-1, keepdim=True)
        share_of_rest = torch.exp(log_p - log_q.gather(-1, top))
        grad = grad + p * (others - odds - grad_q) + grad_q_top * p_top * share_of_rest
        at_top = at_top + p_top * (others - grad_q_top)
        return not_twice(grad.scatter(-1, top, at_top), log_p, log_q)


def entropy(log_p: Tensor) -> Tensor:
    """-sum_v p log p, from 0 (certain) to log V (uniform)."""
    return -(log_p.exp() * _finite(log_p)).sum(-1)


def kl_to_uniform(log_p: Tensor) -> Tensor:
    """KL(P || U) = sum_v p log(p / U) with U = 1 / V, from 0 (uniform) to log V (certain)."""
    return _surprise(log_p).sum(-1)


def cross_entropy_to_uniform(log_p: Tensor) -> Tensor:
    """-sum_v U log p with U = 1 / V: what label smoothing adds. At least log V; infinite where a p is 0."""
    return -log_p.mean(-1)


def sced(log_p: Tensor, log_q: Tensor, alpha: float, beta: float) -> Tensor:
    """Scaled confidence-error divergence: sum_v |p log(p / U)| ** alpha * (1 - p) ** beta, U = 1 / V.

    Args:
        log_p, log_q: (..., V), as `log_probabilities` returns them.
        alpha: >= 1. At alpha = 1 the absolute value has a kink where p = U; the subgradient taken there is 0
            (where rounding puts p beside U, it is the slope of that side).
        beta: >= 0. beta = 0 leaves the last factor out, at p = 1 as well.

    Special case: alpha = 1, beta = 0 gives sum_v |p log(p / U)|. That is KL(P || U) only where every p >= U,
    that is, only for P = U; elsewhere it is larger, by twice the parts of the sum where p < U.

    Source: CAREF's L_SCED (FACTS: the objective), for one position.
    """
    return (_surprise(log_p).abs() ** alpha * torch.exp(beta * log_q)).sum(-1)


def _surprise(log_p: Tensor) -> Tensor:
    """p log(p / U), 0 where p is 0."""
    return log_p.exp() * (_finite(log_p) + math.log(log_p.shape[-1]))


def _finite(log_p: Tensor) -> Tensor:
    # log 0 is only ever multiplied by p = 0, and 0 * -inf would be NaN; so would 0 * (a weight * the lowest number).
    return log_p.clamp_min(max(-1e30, torch.finfo(log_p.dtype).min))
