"""Addresses of tensors' numbers: the one place where they are taken, so that C++ never reads what is not there."""

import torch
from torch import Tensor


def holds_its_numbers(tensor: Tensor) -> bool:
    """Whether a tensor's numbers lie where it says: not so in a DTensor, another wrapper or a sparse layout."""
    return type(tensor).__torch_dispatch__ is Tensor.__torch_dispatch__ and tensor.layout is torch.strided


def pointer(tensor: Tensor, *dtypes: torch.dtype) -> int:
    """The address of a tensor's numbers in this machine's memory, one after the other.

    Args:
        dtypes: what the C++ that reads or writes there takes them for.

    Raises:
        TypeError: they are of another type, on another device, not in one piece, or not what the memory holds.
    """
    if tensor.dtype not in dtypes:
        wanted = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise TypeError(f"expected a tensor of {wanted}, but got {str(tensor.dtype).removeprefix('torch.')}")
    if tensor.device.type != "cpu":
        raise TypeError(f"expected a tensor on cpu, but got one on {tensor.device}")
    if not holds_its_numbers(tensor):
        raise TypeError(f"expected a plain tensor, but got {type(tensor).__name__} ({tensor.layout})")
    if not tensor.is_contiguous():
        raise TypeError("expected a contiguous tensor")
    if tensor.is_neg() or (tensor.numel() and not tensor.data_ptr()):  # a sign, or zeros, that no memory holds
        raise TypeError("expected a tensor whose memory holds its numbers")
    return tensor.data_ptr()
