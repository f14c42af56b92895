"""The fused objective on CPU: `row_terms_cpu.cpp`, compiled on first use by the machine's C++ compiler.

One compilation takes about two seconds, is needed once for each kind of exponents (see `_kind`) and is kept
for later.
"""

import ctypes
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from caref.kernels import compiled
from caref.kernels.pointers import pointer

SOURCE = Path(__file__).with_suffix(".cpp")
_LOGITS_A_THREAD = 200_000
_DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


def prepare(alpha: float | None, beta: float | None) -> None:
    """Compile what these exponents need, unless it lies ready.

    Raises:
        CannotCompile: there is no C++ compiler, it refused, or what it built does not load.
    """
    _library(*_kinds(alpha, beta))


def forward(
    logits: Tensor, labels: Tensor, alpha: float | None, beta: float | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Values (5, N) in float32, ordered as `caref.kernels.row_terms.TERMS`, and what `backward` needs.

    Args:
        logits: (N, V), contiguous, float32 or bfloat16.
        labels: (N,), contiguous, int64, in [0, V) or `ignore_index`.
        alpha, beta: SCED's exponents, None to leave it out.
    """
    library = _library(*_kinds(alpha, beta))
    rows, size = logits.shape
    values = torch.zeros(5, rows, dtype=torch.float32, device=logits.device)
    state = torch.empty(rows, library.row_bytes(), dtype=torch.uint8, device=logits.device)
    getattr(library, f"forward_{_DTYPES[logits.dtype]}")(
        *(pointer(logits, *_DTYPES), pointer(labels, torch.int64), rows, size, ignore_index),
        *(alpha or 0.0, beta or 0.0),
        *(pointer(values, torch.float32), pointer(state, torch.uint8), _threads(logits)),
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
    library = _library(*_kinds(alpha, beta))
    rows, size = logits.shape
    grad = torch.empty_like(logits)
    getattr(library, f"backward_{_DTYPES[logits.dtype]}")(
        *(pointer(logits, *_DTYPES), pointer(labels, torch.int64), rows, size, ignore_index),
        *(alpha or 0.0, beta or 0.0),
        *(pointer(state, torch.uint8), pointer(grad_values, torch.float32), pointer(grad, *_DTYPES)),
        _threads(logits),
    )
    return grad


def _threads(logits: Tensor) -> int:
    return compiled.threads(logits.numel(), _LOGITS_A_THREAD)


def _kinds(alpha: float | None, beta: float | None) -> tuple[int, int]:
    if alpha is None:
        return -2, 0
    return _kind(alpha, (1, 1.5, 2, 2.5)), _kind(beta, (0, 0.5, 1, 2))


def _kind(exponent: float, simple: tuple[float, ...]) -> int:
    # The powers that row_terms_cpu.cpp computes without a logarithm are compiled each on their own.
    return int(2 * exponent) if exponent in simple else -1


@cache
def _library(alpha_kind: int, beta_kind: int) -> ctypes.CDLL:
    library = compiled.parallel_library(SOURCE, f"-DALPHA_KIND={alpha_kind}", f"-DBETA_KIND={beta_kind}")
    pointer, integer, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
    library.row_bytes.restype = integer
    for dtype in _DTYPES.values():
        before = [pointer, pointer, integer, integer, integer, real, real]
        for function in (getattr(library, f"forward_{dtype}"), getattr(library, f"backward_{dtype}")):
            function.restype = None
        getattr(library, f"forward_{dtype}").argtypes = [*before, pointer, pointer, ctypes.c_int]
        getattr(library, f"backward_{dtype}").argtypes = [*before, pointer, pointer, pointer, ctypes.c_int]
    return library
