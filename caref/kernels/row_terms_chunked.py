"""The fused objective in PyTorch alone, a few rows at a time: for machines without a C++ compiler or Triton.

The closed form that `row_terms_cpu.cpp` explains, with operations in place on a few rows.
"""

import math

import torch
from torch import Tensor

# Floats a buffer, of which there are a few: small beside the logits, large beside the cost of starting an operation.
_CHUNK = 2**19


def forward(
    logits: Tensor, labels: Tensor, alpha: float | None, beta: float | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Values (5, N) in float32, ordered as `caref.kernels.row_terms.TERMS`, and what `backward` needs.

    Args:
        logits: (N, V), float32 or bfloat16.
        labels: (N,), int64, in [0, V) or `ignore_index`.
        alpha, beta: SCED's exponents, None to leave it out.
    """
    values = torch.zeros(5, len(labels), dtype=torch.float32, device=logits.device)
    state = torch.zeros(8, len(labels), dtype=torch.float64, device=logits.device)
    for rows in _chunks(logits, labels, ignore_index):
        values[:, rows], state[:, rows] = _forward(logits[rows], labels[rows], alpha, beta)
    return values, state


def backward(
    logits: Tensor,
    labels: Tensor,
    alpha: float | None,
    beta: float | None,
    ignore_index: int,
    state: Tensor,
    grad_values: Tensor,
) -> Tensor:
    """The gradient by the logits, (N, V) in their dtype, from that by the values, (5, N) float32."""
    grad = torch.zeros_like(logits)
    for rows in _chunks(logits, labels, ignore_index):
        by = grad_values[:, rows].double()
        grad[rows] = _backward(logits[rows], labels[rows], alpha, beta, state[:, rows], by).to(grad.dtype)
    return grad


def _chunks(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, ...]:
    counted = (labels != ignore_index).nonzero().squeeze(-1)
    return counted.split(max(1, _CHUNK // logits.shape[-1])) if len(counted) else ()


def _forward(z: Tensor, labels: Tensor, alpha: float | None, beta: float | None) -> tuple[Tensor, Tensor]:
    size = z.shape[-1]
    log_size = math.log(size)
    z = z.float()
    highest, top = z.max(-1, keepdim=True)
    ce = (highest - z.gather(-1, labels.unsqueeze(-1))).squeeze(-1).double()
    log_p = z.sub_(highest)
    mean_distance = log_p.mean(-1).double()
    # Without the largest: its p is 0 from here on and adds nothing to the sums.
    log_p.scatter_(-1, top, -math.inf)
    p = log_p.exp()
    others = p.sum(-1, keepdim=True).double()
    # Where all others underflow, their sum is taken relative to the second largest.
    log_others = torch.where(others > 1e-30, others.log(), log_p.logsumexp(-1, keepdim=True).double())
    log_total = log_others.exp().log1p()
    log_q = (log_others - log_total).clamp_min(-1e30).squeeze(-1)
    log_total = log_total + (highest - highest)  # NaN where the row is no distribution: it holds +inf, say
    p = p.mul_((-log_total).exp().float())
    u = log_p.clamp_(min=-1e30).add_((log_size - log_total).float())
    t = p * u
    log_total = log_total.squeeze(-1)

    p_top, u_top = (-log_total).exp(), log_size - log_total
    t_top = p_top * u_top
    kl_others = t.sum(-1).double()
    kl = kl_others + t_top
    sced = slope_others = a = b = torch.zeros_like(kl)
    if alpha is not None:
        g, slope = _g(p, t, u, alpha, beta)
        slope_others = slope.mul_(p).sum(-1).double()
        lower, q_beta = t_top.abs() ** (alpha - 1), (beta * log_q).exp()
        a = alpha * lower * t_top.sgn() * p_top * (u_top + 1) * q_beta
        b = beta * t_top.abs() * lower * q_beta * p_top
        sced = g.sum(-1).double() + t_top.abs() * lower * q_beta
    values = torch.stack([ce + log_total, log_total - mean_distance, log_size - kl, kl, sced])
    state = [highest.squeeze(-1).double(), top.squeeze(-1).double(), log_total, log_q, kl_others, slope_others, a, b]
    return values.float(), torch.stack(state)


def _backward(z: Tensor, labels: Tensor, alpha: float | None, beta: float | None, state: Tensor, by: Tensor) -> Tensor:
    size = z.shape[-1]
    log_size = math.log(size)
    highest, top, log_total, log_q, kl_others, slope_others, a, b = state.unsqueeze(-1)
    by_ce, by_uniform, by_entropy, by_kl, by_sced = by.unsqueeze(-1)
    by_kl = by_kl - by_entropy
    top, labels = top.long(), labels.unsqueeze(-1)
    p_top, q, u_top = (-log_total).exp(), log_q.exp(), log_size - log_total

    log_p = z.float()
    log_p = (log_p if log_p is not z else z.clone()).sub_(highest.float()).sub_(log_total.float())
    p = log_p.exp()
    # What meets p_j / q: taken in log space, because p_j may underflow where q is as small.
    share = p.new_zeros(()) if alpha is None else (log_p - log_q.float()).exp_().mul_((by_sced * b).float())
    u = log_p.clamp_(min=-1e30).add_(log_size)
    common = by_ce + by_uniform - by_kl * (kl_others + p_top * u_top) - by_sced * (slope_others + a)
    slope = u * by_kl.float() + common.float()
    if alpha is not None:
        slope.addcmul_(_g(p, p * u, u, alpha, beta)[1], by_sced.float())
    grad = slope.mul_(p).add_(share).sub_((by_uniform / size).float())
    grad.scatter_add_(-1, labels, -by_ce.float())
    at_top = (
        by_ce * torch.where(labels == top, -q, p_top)
        + by_uniform * (p_top - 1 / size)
        + by_kl * p_top * (u_top * q - kl_others)
        + by_sced * (a * q - b - p_top * slope_others)
    )
    return grad.scatter_(-1, top, at_top.float())


def _g(p: Tensor, t: Tensor, u: Tensor, alpha: float, beta: float) -> tuple[Tensor, Tensor]:
    """g(p) = |t| ** alpha * (1 - p) ** beta and its slope by p; u is overwritten.

    For p of at most 1/2: at the largest p of a row, what this gives is not used.
    """
    size = t.abs()
    lower = torch.ones_like(t) if alpha == 1 else size if alpha == 2 else size ** (alpha - 1)
    power = size * lower
    slope = u.add_(1).mul_(lower).mul_(t.sgn_()).mul_(alpha)
    if beta == 0:
        return power, slope
    q = (1 - p).clamp_(min=0.25)
    if beta == 1:
        return power * q, slope.mul_(q).sub_(power)
    q_lower = q ** (beta - 1)
    slope = slope.mul_(q).sub_(power, alpha=beta).mul_(q_lower)
    return power.mul_(q_lower).mul_(q), slope
