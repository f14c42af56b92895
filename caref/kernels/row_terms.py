"""Every term of an objective and its closed-form gradient, keeping nothing the size of the logits but the gradient.

What is computed is what `caref.objectives.divergences` defines. A forward pass reads the logits and keeps a few
numbers a row; the backward pass reads them again and writes the gradient. Three modules do it, each with the same
`forward` and `backward`: row_terms_cpu (C++), row_terms_triton (CUDA) and row_terms_chunked (PyTorch, anywhere).
"""

import importlib.util
import logging
import warnings
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from caref.kernels import row_terms_chunked, row_terms_cpu
from caref.kernels.compiled import CannotCompile
from caref.kernels.once import not_twice

TERMS = ("ce", "uniform", "entropy", "kl", "sced")

# How many logits are held at once when they are computed from hidden states.
_LOGITS_HELD = 2**21


def row_terms(
    logits: Tensor,
    labels: Tensor,
    alpha: float | None = None,
    beta: float | None = None,
    ignore_index: int = -100,
    backend: ModuleType | None = None,
) -> Tensor:
    """The terms of every row, (5, N) in float32, in the order of TERMS; 0 for ignored rows. Differentiable once.

    Args:
        logits: (N, V), float32 or bfloat16; the gradient has the same dtype.
        labels: (N,) int64, in [0, V) or `ignore_index`.
        alpha, beta: SCED's exponents; without them its row is 0.
        backend: the module that computes it; by default the fastest that works here.

    Raises:
        TypeError: another dtype, or logits and labels on two devices.
    """
    _check(logits, labels)
    if backend is None:
        backend = backend_for(logits.device.type, alpha, beta)
    logits, labels = (tensor.resolve_neg().contiguous() for tensor in (logits, labels))
    return _RowTerms.apply(logits, labels, alpha, beta, ignore_index, backend)


def linear_row_terms(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    alpha: float | None = None,
    beta: float | None = None,
    ignore_index: int = -100,
) -> Tensor:
    """`row_terms` of the logits hidden @ weight.T, which are never held all at once; computed twice instead.

    Args:
        hidden: (N, D), float32 or bfloat16: the last hidden states, scaled as the model scales them.
        weight: (V, D), the output matrix, in the same dtype.
        labels: (N,) int64.

    Raises:
        TypeError: as `row_terms` does.
    """
    _check(hidden, labels)
    backend = backend_for(hidden.device.type, alpha, beta)
    return _LinearRowTerms.apply(hidden, weight, labels.contiguous(), alpha, beta, ignore_index, backend)


def _check(numbers: Tensor, labels: Tensor) -> None:
    if numbers.dtype not in (torch.float32, torch.bfloat16) or labels.dtype != torch.int64:
        raise TypeError(
            f"expected float32 or bfloat16 and int64 labels, but got {numbers.dtype} and {labels.dtype}".replace(
                "torch.", ""
            )
        )
    if numbers.device != labels.device:
        raise TypeError(f"expected all tensors on one device, but labels are on {labels.device}, not {numbers.device}")


@cache
def backend_for(device: str, alpha: float | None = None, beta: float | None = None) -> ModuleType:
    """The fastest module that computes these exponents on a kind of device; a slower one is taken with a warning."""
    if device == "cpu":
        try:
            row_terms_cpu.prepare(alpha, beta)
            backend = row_terms_cpu
        except CannotCompile as error:
            warnings.warn(f"the objective runs in plain PyTorch, several times slower: {error}", stacklevel=2)
            backend = row_terms_chunked
    elif device == "cuda" and importlib.util.find_spec("triton"):
        from caref.kernels import row_terms_triton as backend
    else:
        warnings.warn(f"the objective runs in plain PyTorch: no kernel of it for {device} here", stacklevel=2)
        backend = row_terms_chunked
    logging.getLogger(__name__).info("objective on %s: %s", device, backend.__name__)
    return backend


class _RowTerms(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels, alpha, beta, ignore_index, backend):
        values, state = backend.forward(logits, labels, alpha, beta, ignore_index)
        ctx.save_for_backward(logits, labels, state)
        ctx.settings, ctx.backend = (alpha, beta, ignore_index), backend
        return values

    @staticmethod
    def backward(ctx, grad_values):
        logits, labels, state = ctx.saved_tensors
        grad = ctx.backend.backward(logits, labels, *ctx.settings, state, grad_values.contiguous())
        return not_twice(grad, logits), None, None, None, None, None


class _LinearRowTerms(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, labels, alpha, beta, ignore_index, backend):
        values = torch.zeros(len(TERMS), len(labels), dtype=torch.float32, device=hidden.device)
        chunks = (labels != ignore_index).nonzero().squeeze(-1).split(max(1, _LOGITS_HELD // len(weight)))
        states = []
        for rows in chunks:
            logits = hidden[rows] @ weight.T
            values[:, rows], state = backend.forward(logits, labels[rows], alpha, beta, ignore_index)
            states.append(state)
        ctx.save_for_backward(hidden, weight, labels, *chunks, *states)
        ctx.settings, ctx.backend = (alpha, beta, ignore_index), backend
        return values

    @staticmethod
    def backward(ctx, grad_values):
        hidden, weight, labels, *kept = ctx.saved_tensors
        chunks, states = kept[: len(kept) // 2], kept[len(kept) // 2 :]
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        grad_hidden = torch.zeros_like(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if needs_weight else None
        for rows, state in zip(chunks, states, strict=True):
            logits = hidden[rows] @ weight.T
            by = grad_values[:, rows].contiguous()
            grad = ctx.backend.backward(logits, labels[rows], *ctx.settings, state, by)
            if needs_hidden:
                grad_hidden[rows] = grad @ weight
            if needs_weight:
                grad_weight += grad.T @ hidden[rows]
        if needs_weight:
            grad_weight = not_twice(grad_weight.to(weight.dtype), hidden, weight)
        if needs_hidden:
            grad_hidden = not_twice(grad_hidden, hidden, weight)
        return grad_hidden, grad_weight, None, None, None, None, None
