"""Dropout masks by hash: what is dropped depends on a key and on the place, and on nothing else.

The hash is MurmurHash3's finaliser, taken over the indices one dimension after the other. `dropped` is its definition;
on CPU the same is compiled (masks.cpp), which is several times faster, and faster than PyTorch's own generator.
"""

import ctypes
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from caref.kernels import compiled
from caref.kernels.pointers import holds_its_numbers, pointer

SOURCE = Path(__file__).with_name("masks.cpp")
_DTYPES = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16"}
_AHEAD = 1024  # dropouts whose hashes are made at once
_VALUES_A_THREAD = 50_000

# As the int32 that PyTorch computes in.
_STAGES = ((16, 0xFFFF, 0x85EBCA6B - 2**32), (13, 0x7FFFF, 0xC2B2AE35 - 2**32))
_GOLDEN = 0x9E3779B9 - 2**32


class Hashes:
    """Where the masks of K splits begin, (K,) int32, one dropout of their training after the other, without end.

    A step may be computed in parts, and parts of it again: each value is dropped as it is in one pass over the batch.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str):
        self._keys = mixed(torch.tensor([_signed(seed) for seed in seeds], dtype=torch.int32, device=device))
        self._next, self._row, self._step = 0, 0, 0  # the dropout that comes, the part's first row, the step's first
        self._made, self._made_from = (), 0

    def __next__(self) -> Tensor:
        if not 0 <= self._next - self._made_from < len(self._made):
            self._made_from = self._next - self._next % _AHEAD
            indices = torch.arange(_AHEAD, dtype=torch.int32, device=self._keys.device) + self._made_from
            self._made = mixed(self._keys + indices.unsqueeze(-1) * _GOLDEN).unbind()
        hashed = self._made[self._next - self._made_from]
        self._next += 1
        return hashed + _signed(self._row * _GOLDEN) if self._row else hashed  # the row is hashed before the columns

    def begin_step(self) -> None:
        """What follows is the whole of a step's batch, or its first part."""
        self._step, self._row = self._next, 0

    def begin_part(self, row: int) -> None:
        """What follows is the part of the step's batch that begins with this row of each split."""
        self._next, self._row = self._step, row

    def replayed(self) -> tuple[AbstractContextManager, AbstractContextManager]:
        """What `torch.utils.checkpoint` takes as its context_fn, for what is computed now and once more later."""
        return nullcontext(), self._again(self._next, self._row)

    @contextmanager
    def _again(self, *begun: int) -> Iterator[None]:
        after = self._next, self._row
        self._next, self._row = begun
        try:
            yield
        finally:
            self._next, self._row = after


def drop(values: Tensor, hashed: Tensor, p: float) -> Tensor:
    """The values with a share p of them at 0 and the others divided by 1 - p. Differentiable.

    Args:
        values: (K * B, ...), the rows of each split one after the other; at least two dimensions.
        hashed: (K,) int32.
        p: in [0, 1].

    Raises:
        ValueError: there are not equally many rows of each split.
    """
    if values.shape[0] % len(hashed):
        raise ValueError(f"dropout over {tuple(values.shape)}: its first dimension holds no {len(hashed)} splits")
    return _Drop.apply(values, hashed, p)


class _Drop(torch.autograd.Function):
    # The mask is cheaper to make again than to keep.
    @staticmethod
    def forward(ctx, values, hashed, p):
        ctx.save_for_backward(hashed)
        ctx.p = p
        return _dropped_out(values, hashed, p)

    @staticmethod
    def backward(ctx, gradient):
        return _Drop.apply(gradient, *ctx.saved_tensors, ctx.p), None, None


def _dropped_out(values: Tensor, hashed: Tensor, p: float) -> Tensor:
    if p == 1:
        return torch.zeros_like(values)
    compilable = values.device.type == "cpu" and values.dtype in _DTYPES and holds_its_numbers(values)
    if compilable and (library := _library()) is not None:
        return _by_library(library, values.resolve_neg().contiguous(), hashed.contiguous(), p)
    return values.masked_fill(dropped(hashed, values.shape, p), 0.0) * (1 / (1 - p))


def dropped(hashed: Tensor, shape: Sequence[int], p: float) -> Tensor:
    """Which places are dropped, bool of this shape; a longer dimension changes nothing at the places before.

    Args:
        hashed: (K,) int32.
        shape: (K * B, ...).
        p: in [0, 1).
    """
    for size in (shape[0] // len(hashed), *shape[1:]):
        along = torch.arange(size, dtype=torch.int32, device=hashed.device) * _GOLDEN
        hashed = mixed(hashed.unsqueeze(-1) + along)
    return (hashed < _signed_bound(p)).view(*shape)


def mixed(hashed: Tensor) -> Tensor:
    """MurmurHash3's finaliser of int32, in place. Its shifts keep the sign, hence the masks."""
    for shift, kept, factor in _STAGES:
        hashed.bitwise_xor_((hashed >> shift).bitwise_and_(kept)).mul_(factor)
    return hashed.bitwise_xor_((hashed >> 16).bitwise_and_(0xFFFF))


def _by_library(library: ctypes.CDLL, values: Tensor, hashed: Tensor, p: float) -> Tensor:
    out = torch.empty_like(values)
    sizes = (values.shape[0] // len(hashed), *values.shape[1:])
    getattr(library, f"drop_{_DTYPES[values.dtype]}")(
        *(pointer(values, values.dtype), pointer(out, values.dtype), pointer(hashed, torch.int32), len(hashed)),
        *((ctypes.c_int64 * len(sizes))(*sizes), len(sizes), _signed_bound(p) + 2**31, 1 / (1 - p)),
        compiled.threads(values.numel(), _VALUES_A_THREAD),
    )
    return out


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = compiled.parallel_library(SOURCE)
    except compiled.CannotCompile as error:
        warnings.warn(f"dropout runs in plain PyTorch, several times slower: {error}", stacklevel=2)
        return None
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    for dtype in _DTYPES.values():
        function = getattr(library, f"drop_{dtype}")
        function.restype = None
        function.argtypes = [pointer, pointer, pointer, integer, pointer, ctypes.c_int]
        function.argtypes += [ctypes.c_uint32, ctypes.c_double, ctypes.c_int]
    return library


def _signed_bound(p: float) -> int:
    """Of all int32 a share p is below it."""
    return round(p * 2**32) - 2**31


def _signed(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31
