"""Dropout whose masks depend on a split's seed, on the how-many-eth dropout of its training it is, and on the place.

Whether a value is dropped is a hash of these, not the next number of a stream: it is the same whatever else is in the
batch, however far the batch is padded, and on every device. That is what lets splits that are trained side by side
drop what each would drop alone. (On CPU it is also several times faster than PyTorch's own generator.)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional


@contextmanager
def own_masks(seeds: Sequence[int], device: torch.device) -> Iterator[None]:
    """In the block all dropout draws its masks from the seeds of the splits that share the batch.

    `torch.nn.functional.dropout` and `scaled_dot_product_attention` are replaced meanwhile; every model comes to one
    of them. (A function mode of PyTorch would cost a microsecond at each of a step's thousands of operations.)

    Args:
        seeds: one a split; the first dimension of all that is dropped out holds equally many rows of each, in order.
    """
    masks = Masks(seeds, device)
    dropout, attention = functional.dropout, functional.scaled_dot_product_attention

    def masked_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        return masks.drop(input, p) if training and p else input

    def masked_attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if not dropout_p:
            return attention(query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa)
        if enable_gqa:
            key, value = (side.repeat_interleave(query.shape[1] // side.shape[1], dim=1) for side in (key, value))
        return masks.drop(attention_weights(query, key, attn_mask, is_causal, scale), dropout_p) @ value

    functional.dropout, functional.scaled_dot_product_attention = masked_dropout, masked_attention
    try:
        yield
    finally:
        functional.dropout, functional.scaled_dot_product_attention = dropout, attention


def attention_weights(
    query: Tensor, key: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None
) -> Tensor:
    """softmax(query key' * scale + mask), (B, H, Tq, Tk); the arguments mean what they mean to PyTorch's own."""
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1)


# The constants of MurmurHash3's finaliser and the golden ratio, as the int32 that PyTorch computes in.
_STAGES = ((16, 0xFFFF, 0x85EBCA6B - 2**32), (13, 0x7FFFF, 0xC2B2AE35 - 2**32))
_GOLDEN = 0x9E3779B9 - 2**32


class Masks:
    """The masks of K splits, one after the other.

    Args:
        seeds: one a split.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu"):
        self._seeds = _mixed(torch.tensor(list(map(_signed, seeds)), dtype=torch.int32, device=device))
        self._drawn = 0
        self._steps: dict[int, Tensor] = {}

    def drop(self, values: Tensor, p: float) -> Tensor:
        """The values with a share p of them at 0 and the others divided by 1 - p.

        Args:
            values: (K * B, ...), the rows of a split one after the other.
            p: in [0, 1].
        """
        return values.masked_fill(self.next(values.shape, p), 0.0) * (1 / (1 - p) if p < 1 else 0.0)

    def next(self, shape: Sequence[int], p: float) -> Tensor:
        """What is dropped, bool of this shape; padding its dimensions changes nothing at the places that were there."""
        splits = len(self._seeds)
        if shape[0] % splits:
            raise ValueError(f"dropout over {tuple(shape)}: its first dimension is no multiple of {splits} splits")
        self._drawn += 1
        hashed = _mixed(self._seeds + _signed(self._drawn * _GOLDEN))
        for size in (shape[0] // splits, *shape[1:]):
            hashed = _mixed(hashed.unsqueeze(-1) + self._along(size))
        return (hashed < round(p * 2**32) - 2**31).view(*shape)

    def _along(self, size: int) -> Tensor:
        """What tells the places along a dimension apart."""
        if size not in self._steps:
            self._steps[size] = torch.arange(size, dtype=torch.int32, device=self._seeds.device) * _GOLDEN
        return self._steps[size]


def _signed(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def _mixed(hashed: Tensor) -> Tensor:
    """MurmurHash3's finaliser, in place. Shifts of int32 keep the sign, hence the masks."""
    for shift, kept, factor in _STAGES:
        hashed.bitwise_xor_((hashed >> shift).bitwise_and_(kept)).mul_(factor)
    return hashed.bitwise_xor_((hashed >> 16).bitwise_and_(0xFFFF))
