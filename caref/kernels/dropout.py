"""Dropout whose masks depend on a split's seed, on the how-many-eth dropout of its training it is, and on the place.

Whether a value is dropped is a hash of these, not the next number of a stream: it is the same whatever else is in the
batch, however far the batch is padded, and on every device. That is what lets splits that are trained side by side
drop what each would drop alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from caref.kernels import masks


@contextmanager
def own_masks(seeds: Sequence[int], device: torch.device) -> Iterator[masks.Hashes]:
    """In the block all dropout draws its masks from the seeds of the splits that share the batch.

    `torch.nn.functional.dropout` and `scaled_dot_product_attention` are replaced meanwhile; every model comes to one
    of them. (A function mode of PyTorch would cost a microsecond at each of a step's thousands of operations.)

    Args:
        seeds: one a split; the first dimension of all that is dropped out holds equally many rows of each, in order.
    """
    hashes = masks.Hashes(seeds, device)
    dropout, attention = functional.dropout, functional.scaled_dot_product_attention

    def masked_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        return masks.drop(input, next(hashes), p) if training and p else input

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
        weights = attention_weights(query, key, attn_mask, is_causal, scale)
        return masks.drop(weights, next(hashes), dropout_p) @ value

    functional.dropout, functional.scaled_dot_product_attention = masked_dropout, masked_attention
    try:
        yield hashes
    finally:
        functional.dropout, functional.scaled_dot_product_attention = dropout, attention


def attention_weights(
    query: Tensor, key: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None
) -> Tensor:
    """softmax(query key' * scale + mask), (B, H, Tq, Tk); the arguments mean what they mean to PyTorch's own."""
    scores = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.mT
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1)
