"""The fused objective on CUDA: one Triton program a row, the closed form that `row_terms_cpu.cpp` explains.

Logits are read from memory once in each direction; the other passes over a row meet it in the second-level cache.
Numbers of a whole row are held in float64, because 1 - p near p = 1 needs its digits; those of a word in float32.

With TRITON_INTERPRET=1 in the environment the kernels run on CPU, slowly, for tests.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_STATE = 8  # numbers a row: highest, top, log_others, log_total, kl_others, slope_others, a, b


def forward(
    logits: Tensor, labels: Tensor, alpha: float | None, beta: float | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Values (5, N) in float32, ordered as `caref.kernels.row_terms.TERMS`, and what `backward` needs.

    Args:
        logits: (N, V), contiguous, float32 or bfloat16.
        labels: (N,), contiguous, int64, in [0, V) or `ignore_index`. A label outside makes its row NaN.
        alpha, beta: SCED's exponents, None to leave it out.
    """
    rows, size = logits.shape
    values = torch.zeros(5, rows, dtype=torch.float32, device=logits.device)
    state = torch.empty(_STATE, rows, dtype=torch.float64, device=logits.device)
    _forward[(rows,)](
        *(logits, labels, values, state, rows, size, ignore_index),
        **_exponents(alpha, beta),
        **_launch(size),
    )
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
    """The gradient by the logits, (N, V) in their dtype, from that by the values, (5, N) contiguous float32."""
    rows, size = logits.shape
    grad = torch.empty_like(logits)
    _backward[(rows,)](
        *(logits, labels, state, grad_values, grad, rows, size, ignore_index),
        **_exponents(alpha, beta),
        **_launch(size),
    )
    return grad


def _exponents(alpha: float | None, beta: float | None) -> dict:
    return {"ALPHA": alpha or 0.0, "BETA": beta or 0.0, "SCED": alpha is not None}


def _launch(size: int) -> dict:
    block = min(4096, triton.next_power_of_2(size))
    return {"BLOCK": block, "num_warps": max(1, block // 512)}


@triton.jit
def _g(p, t, u, ALPHA: tl.constexpr, BETA: tl.constexpr):
    """g(p) = |t|^alpha (1 - p)^beta and its slope by p, for p of at most 1/2."""
    size = tl.abs(t)
    if ALPHA == 1.0:
        lower = size * 0.0 + 1.0
    elif ALPHA == 1.5:
        lower = tl.sqrt(size)
    elif ALPHA == 2.0:
        lower = size
    elif ALPHA == 2.5:
        lower = size * tl.sqrt(size)
    else:
        lower = tl.where(size > 0, tl.exp((ALPHA - 1.0) * tl.log(tl.maximum(size, 1e-37))), 0.0)
    sign = tl.where(t > 0, 1.0, tl.where(t < 0, -1.0, 0.0))
    power = size * lower
    slope = ALPHA * lower * sign * (u + 1.0)
    q = tl.maximum(1.0 - p, 0.25)  # a largest p above 1/2 passes here too; what it gives is not used
    if BETA == 0.0:
        value = power
    elif BETA == 1.0:
        value = power * q
        slope = slope * q - power
    else:
        q_lower = tl.exp((BETA - 1.0) * tl.log(q))
        value = power * q * q_lower
        slope = (slope * q - BETA * power) * q_lower
    return value, slope


@triton.jit
def _log1p(x):
    # Exact for small x too: what rounding takes from 1 + x is put back by the ratio.
    rounded = 1.0 + x
    return tl.where(rounded == 1.0, x, tl.log(rounded) * x / tl.where(rounded == 1.0, 1.0, rounded - 1.0))


@triton.jit
def _others(z, begin, size, top, BLOCK: tl.constexpr):
    """A block of logits as float32, -inf at the end of the row and in the place of the largest."""
    v = begin + tl.arange(0, BLOCK)
    x = tl.load(z + v, mask=v < size, other=float("-inf")).to(tl.float32)
    return tl.where(v == top, float("-inf"), x)


@triton.jit
def _p_and_u(x, highest, log_total, log_size):
    log_p = (x - highest) - log_total
    return tl.exp(log_p), tl.maximum(log_p, -1e30) + log_size  # u is finite for p = 0 and log p = -inf


@triton.jit
def _forward(
    logits, labels, values, state, rows, size, ignored,
    ALPHA: tl.constexpr, BETA: tl.constexpr, SCED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    label = tl.load(labels + row)
    if label != ignored:
        z = logits + row * size
        width = tl.full([], size, tl.float64)
        log_size = tl.log(width)
        lowest = float("-inf")

        # Lane by lane, the two largest logits and where the larger is.
        first = tl.full([BLOCK], lowest, tl.float32)
        second = tl.full([BLOCK], lowest, tl.float32)
        at = tl.arange(0, BLOCK)
        for begin in range(0, size, BLOCK):
            x = _others(z, begin, size, -1, BLOCK)
            second = tl.maximum(second, tl.minimum(first, x))
            at = tl.where(x > first, begin + tl.arange(0, BLOCK), at)
            first = tl.maximum(first, x)
        highest = tl.max(first, 0)
        top = tl.min(tl.where(first == highest, at, size), 0)
        runner_up = tl.max(tl.where(at == top, second, first), 0)

        # Relative to the second largest: relative to the largest, all others might underflow.
        weights = tl.zeros([BLOCK], tl.float32)
        distances = tl.zeros([BLOCK], tl.float32)
        for begin in range(0, size, BLOCK):
            x = _others(z, begin, size, top, BLOCK) - runner_up
            v = begin + tl.arange(0, BLOCK)
            weights += tl.exp(x)
            distances += tl.where((v < size) & (v != top), x, 0.0)
        gap = runner_up.to(tl.float64) - highest.to(tl.float64)
        log_others = gap + tl.log(tl.sum(weights.to(tl.float64), 0))
        mean_distance = (tl.sum(distances.to(tl.float64), 0) + (width - 1) * gap) / width
        if runner_up == lowest:
            log_others = tl.full([], -1e30, tl.float64)
            mean_distance = gap
        log_total = _log1p(tl.exp(log_others))

        sum_t = tl.zeros([BLOCK], tl.float32)
        sum_g = tl.zeros([BLOCK], tl.float32)
        sum_slope = tl.zeros([BLOCK], tl.float32)
        for begin in range(0, size, BLOCK):
            x = _others(z, begin, size, top, BLOCK)
            p, u = _p_and_u(x, highest, log_total.to(tl.float32), log_size.to(tl.float32))
            sum_t += p * u
            if SCED:
                g, slope = _g(p, p * u, u, ALPHA, BETA)
                sum_g += g
                sum_slope += p * slope
        kl_others = tl.sum(sum_t.to(tl.float64), 0)
        sced = tl.sum(sum_g.to(tl.float64), 0)
        slope_others = tl.sum(sum_slope.to(tl.float64), 0)

        # The largest probability. Its p g'(p) is a - b / (1 - p).
        p = tl.exp(-log_total)
        u = log_size - log_total
        t = p * u
        a = p * 0.0
        b = p * 0.0
        if SCED:
            size_t = tl.abs(t)
            lower = p * 0.0 + 1.0
            if ALPHA != 1.0:
                lower = tl.where(size_t > 0, tl.exp((ALPHA - 1.0) * tl.log(tl.maximum(size_t, 1e-300))), 0.0)
            q_beta = tl.exp(BETA * (log_others - log_total))
            sign = tl.where(t > 0, 1.0, tl.where(t < 0, -1.0, 0.0))
            a = ALPHA * lower * sign * p * (u + 1.0) * q_beta
            b = BETA * size_t * lower * q_beta * p
            sced += size_t * lower * q_beta

        # NaN where the row is no distribution (it holds +inf or NaN, or nothing but -inf), or the label no word.
        at_label = tl.load(z + label, mask=(label >= 0) & (label < size), other=float("nan")).to(tl.float64)
        invalid = (highest - highest).to(tl.float64) + log_total * 0.0
        log_total += invalid
        kl = kl_others + t + invalid
        ce = tl.where(label == top, 0.0, highest.to(tl.float64) - at_label) + log_total
        tl.store(values + 0 * rows + row, ce.to(tl.float32))
        tl.store(values + 1 * rows + row, (log_total - mean_distance).to(tl.float32))
        tl.store(values + 2 * rows + row, (log_size - kl).to(tl.float32))
        tl.store(values + 3 * rows + row, kl.to(tl.float32))
        tl.store(values + 4 * rows + row, (sced + invalid).to(tl.float32))
        tl.store(state + 0 * rows + row, highest.to(tl.float64))
        tl.store(state + 1 * rows + row, top.to(tl.float64))
        tl.store(state + 2 * rows + row, log_others)
        tl.store(state + 3 * rows + row, log_total)
        tl.store(state + 4 * rows + row, kl_others)
        tl.store(state + 5 * rows + row, slope_others)
        tl.store(state + 6 * rows + row, a)
        tl.store(state + 7 * rows + row, b)


@triton.jit
def _backward(
    logits, labels, state, by, grad, rows, size, ignored,
    ALPHA: tl.constexpr, BETA: tl.constexpr, SCED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    label = tl.load(labels + row)
    z = logits + row * size
    out = grad + row * size
    if label == ignored:
        for begin in range(0, size, BLOCK):
            v = begin + tl.arange(0, BLOCK)
            tl.store(out + v, tl.zeros([BLOCK], tl.float32).to(grad.dtype.element_ty), mask=v < size)
    else:
        width = tl.full([], size, tl.float64)
        log_size = tl.log(width)
        highest = tl.load(state + 0 * rows + row)
        top = tl.load(state + 1 * rows + row).to(tl.int32)
        log_others = tl.load(state + 2 * rows + row)
        log_total = tl.load(state + 3 * rows + row)
        kl_others = tl.load(state + 4 * rows + row)
        slope_others = tl.load(state + 5 * rows + row)
        a = tl.load(state + 6 * rows + row)
        b = tl.load(state + 7 * rows + row)
        by_ce = tl.load(by + 0 * rows + row).to(tl.float64)
        by_uniform = tl.load(by + 1 * rows + row).to(tl.float64)
        by_kl = tl.load(by + 3 * rows + row).to(tl.float64) - tl.load(by + 2 * rows + row).to(tl.float64)
        by_sced = tl.load(by + 4 * rows + row).to(tl.float64)
        if not SCED:
            by_sced = by_sced * 0.0

        p_top = tl.exp(-log_total)
        q = tl.exp(log_others - log_total)
        u_top = log_size - log_total
        at_top = (
            by_ce * tl.where(label == top, -q, p_top)
            + by_uniform * (p_top - 1.0 / width)
            + by_kl * p_top * (u_top * q - kl_others)
            + by_sced * (a * q - b - p_top * slope_others)
        )
        common = by_ce + by_uniform - by_kl * (kl_others + p_top * u_top) - by_sced * (slope_others + a)
        by_share = by_sced * b
        for begin in range(0, size, BLOCK):
            v = begin + tl.arange(0, BLOCK)
            x = tl.load(z + v, mask=v < size, other=float("-inf")).to(tl.float32)
            p, u = _p_and_u(x, highest.to(tl.float32), log_total.to(tl.float32), log_size.to(tl.float32))
            slope = common.to(tl.float32) + by_kl.to(tl.float32) * u
            if SCED:
                _, slope_of_g = _g(p, p * u, u, ALPHA, BETA)
                slope += by_sced.to(tl.float32) * slope_of_g
            change = p * slope - (by_uniform / width).to(tl.float32)
            if by_share != 0.0:
                share = tl.exp((x - highest.to(tl.float32)) - log_others.to(tl.float32))  # p_j / q, at most 1
                change += by_share.to(tl.float32) * share
            change -= tl.where(v == label, by_ce.to(tl.float32), 0.0)
            change = tl.where(v == top, at_top.to(tl.float32), change)
            tl.store(out + v, change.to(grad.dtype.element_ty), mask=v < size)
