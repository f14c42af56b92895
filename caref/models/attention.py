"""Attention on CPU whose weights are dropped out by hash, forward and backward, compiled on first use.

What it computes is `masks.drop(attention_weights(...)) @ value`, for the queries that matter; no weights the size of
queries x keys are ever kept. Where `takes` says no, the caller composes it.
"""

import ctypes
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from caref import compiled

SOURCE = Path(__file__).with_suffix(".cpp")
_DTYPES = {torch.float32: "float32", torch.float64: "float64"}
_WEIGHTS_A_THREAD = 50_000
_WEIGHTS_A_HEAD = 100  # whose time a head of a row takes beside its own


class _Call(ctypes.Structure):
    """Field by field what attention.cpp declares."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("query", "key", "value", "mask", "bias", "hashed", "asked")),
        *((name, ctypes.c_int64) for name in ("batch", "heads", "key_heads", "queries", "keys", "size")),
        *((f"{name}_strides", ctypes.c_int64 * 3) for name in ("query", "key", "value")),
        *((f"{name}_strides", ctypes.c_int64 * 4) for name in ("mask", "bias")),
        *(("rows_a_split", ctypes.c_int64), ("causal", ctypes.c_int32), ("threads", ctypes.c_int32)),
        *(("below", ctypes.c_uint32), ("scale", ctypes.c_double), ("keep_scale", ctypes.c_double)),
    )


def takes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    p: float = 0.0,
) -> bool:
    """Whether `fused` computes these: float32 or float64 on CPU, a bias without gradients, a compiler at hand."""
    dtype = query.dtype
    return (
        query.device.type == "cpu"
        and dtype in _DTYPES
        and {key.dtype, value.dtype} == {dtype}
        and query.dim() == 4
        and query.shape[-1] == value.shape[-1]
        and bool(query.numel() and key.numel())
        and (mask is None or mask.dtype is torch.bool)
        and (bias is None or (bias.dtype == dtype and not bias.requires_grad))
        and p < 1
        and _library() is not None
    )


def fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    hashed: Tensor | None = None,
    p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    asked: Tensor | None = None,
) -> Tensor:
    """softmax(query key' * scale + bias), a share p of it dropped, @ value: (B, H, Tq, D). Differentiable once.

    Args:
        query: (B, H, Tq, D).
        key, value: (B, H', Tk, D); H' divides H, and a head of them serves H / H' of the query's in a row.
        mask: bool, false where a key is not looked at; it broadcasts to (B, H, Tq, Tk).
        bias: broadcasts likewise.
        hashed: (K,) int32, of the K splits whose rows lie one after the other; None where nothing is dropped.
        p: in [0, 1).
        is_causal: no query looks at a later key.
        scale: of the scores; 1 / sqrt(D) by default.
        asked: (B,) int64, how many of each row's queries are computed; those after them, which are padding, are given
            0, and no gradient comes from them. All by default.
    """
    weights = *query.shape[:-1], key.shape[-2]
    mask, bias = (None if of_scores is None else of_scores.expand(weights) for of_scores in (mask, bias))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return _Attention.apply(query, key, value, mask, bias, hashed, asked, p, is_causal, scale)


@dataclass
class Targets:
    """What the rows of a batch are to write.

    Attributes:
        lengths: (B,) int64 on CPU, the places of a decoder from the first to the last that a loss comes to; None for
            all of them.
    """

    lengths: Tensor | None = None


@contextmanager
def with_bias_apart(hashes: Iterator[Tensor] | None = None, targets: Targets | None = None) -> Iterator[None]:
    """In the block models of transformers that add a position bias to their scores call `fused` for it.

    Otherwise mask and bias are first made one tensor of queries x keys for every row and head of every layer. A mask
    that is alike for all queries stays one row of keys. What attention gives an encoder's padding is 0.

    Args:
        hashes: of whatever is dropped out; without them nothing is to be.
        targets: of the batch that is being computed; without them all that a decoder asks is.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, bidirectional_mask_function
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    composed, composed_mask = ALL_ATTENTION_FUNCTIONS["sdpa"], ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]

    def mask(batch_size, q_length, kv_length, *, mask_function, attention_mask, **options):
        if (
            mask_function is bidirectional_mask_function
            and attention_mask is not None
            and attention_mask.shape == (batch_size, kv_length)
            and attention_mask.device.type == "cpu"
        ):
            return attention_mask[:, None, None].expand(batch_size, 1, q_length, kv_length)
        return composed_mask(
            batch_size, q_length, kv_length, mask_function=mask_function, attention_mask=attention_mask, **options
        )

    def attend(module, query, key, value, attention_mask, *, dropout=0.0, position_bias=None, **options):
        sides = query, key, value
        causal = query.shape[2] > 1 and attention_mask is None and options.get("is_causal", module.is_causal)
        if (
            position_bias is None
            or (causal and query.shape[2] != key.shape[2])
            or (dropout and hashes is None)
            or any(options.get(name) for name in ("softcap", "cache", "output_attentions"))
            or not takes(*sides, attention_mask, position_bias, dropout)
        ):
            return composed(module, *sides, attention_mask, dropout=dropout, position_bias=position_bias, **options)
        hashed = next(hashes) if dropout else None
        bias = position_bias if position_bias.any() else None  # T5 gives attention over the source one of zeros
        in_decoder = getattr(module, "is_decoder", None)  # None where a module does not say
        asked = None
        if in_decoder and targets is not None:
            asked = targets.lengths
        elif in_decoder is False and query.shape[2] == key.shape[2] and _alike_for_all(attention_mask):
            asked = _looked_at(attention_mask)
        out = fused(*sides, attention_mask, bias, hashed, dropout, causal, options.get("scaling"), asked)
        return out.transpose(1, 2), None

    ALL_ATTENTION_FUNCTIONS["sdpa"], ALL_MASK_ATTENTION_FUNCTIONS["sdpa"] = attend, mask
    try:
        yield
    finally:
        ALL_ATTENTION_FUNCTIONS["sdpa"], ALL_MASK_ATTENTION_FUNCTIONS["sdpa"] = composed, composed_mask


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, mask, bias, hashed, asked, *settings):
        query, key, value = (_rows_together(side) for side in (query, key, value))
        call = _call(query, key, value, mask, bias, hashed, asked, *settings)
        out = _like(query)
        kept = query.new_empty(2, *query.shape[:-1])  # each row's largest score, and its sum
        getattr(_library(), f"forward_{_DTYPES[query.dtype]}")(ctypes.byref(call), out.data_ptr(), kept.data_ptr())
        ctx.save_for_backward(query, key, value, mask, bias, hashed, asked, out, kept)
        ctx.settings = settings
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        query, key, value, mask, bias, hashed, asked, out, kept = ctx.saved_tensors
        call = _call(query, key, value, mask, bias, hashed, asked, *ctx.settings)
        grad_out = _rows_together(grad_out)
        wanted = zip((query, key, value), ctx.needs_input_grad[:3], strict=True)
        grads = [_like(side) if needed else None for side, needed in wanted]
        getattr(_library(), f"backward_{_DTYPES[query.dtype]}")(
            *(ctypes.byref(call), out.data_ptr(), kept.data_ptr(), grad_out.data_ptr()),
            (ctypes.c_int64 * 3)(*grad_out.stride()[:3]),
            *(None if grad is None else grad.data_ptr() for grad in grads),
        )
        return *grads, *[None] * (4 + len(ctx.settings))


def _alike_for_all(mask: Tensor | None) -> bool:
    """Whether a mask (B, 1, Tq, Tk) is one row of keys for all queries."""
    return mask is not None and mask.shape[1] == 1 and mask.stride(2) == 0


def _looked_at(mask: Tensor) -> Tensor:
    """(B,) int64, by one row for all queries: the keys from the first to the last they look at; all, where at none."""
    keys = mask.shape[-1]
    lengths = (mask[:, 0, 0] * torch.arange(1, keys + 1)).amax(-1)
    return lengths.where(lengths > 0, keys)


def _rows_together(side: Tensor) -> Tensor:
    return side if side.stride(-1) == 1 else side.contiguous()


def _like(side: Tensor) -> Tensor:
    """(B, H, T, D) whose memory is ordered (B, T, H, D): what comes next is a matrix product over H * D."""
    batch, heads, length, size = side.shape
    return side.new_empty(batch, length, heads, size).transpose(1, 2)


def _call(query, key, value, mask, bias, hashed, asked, p, is_causal, scale) -> _Call:
    (batch, heads, queries, size), (_, key_heads, keys, _) = query.shape, key.shape
    splits = 1 if hashed is None else len(hashed)
    weights = batch * heads * (queries * keys + _WEIGHTS_A_HEAD)
    strides = [(ctypes.c_int64 * 3)(*side.stride()[:3]) for side in (query, key, value)]
    return _Call(
        *(None if side is None else side.data_ptr() for side in (query, key, value, mask, bias, hashed, asked)),
        *(batch, heads, key_heads, queries, keys, size),
        *strides,
        *((ctypes.c_int64 * 4)(*(() if of_scores is None else of_scores.stride())) for of_scores in (mask, bias)),
        *(batch // splits, is_causal),
        compiled.threads(weights, _WEIGHTS_A_THREAD),
        *(round(p * 2**32), scale, 1 / (1 - p)),
    )


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = compiled.parallel_library(SOURCE)
    except compiled.CannotCompile as error:
        warnings.warn(f"attention runs in plain PyTorch, several times slower: {error}", stacklevel=2)
        return None
    pointer = ctypes.c_void_p
    for dtype in _DTYPES.values():
        for name, arguments in (("forward", 3), ("backward", 8)):
            function = getattr(library, f"{name}_{dtype}")
            function.restype, function.argtypes = None, [pointer] * arguments
    return library
