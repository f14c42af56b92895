"""Which tokens of the prompt a model attends to where it writes a choice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from caref.errors import UserError
from caref.evidence.gradients import Batch


@contextmanager
def told(model) -> Iterator[None]:
    """In the block a model computes attention so that its weights can be read: transformers' `sdpa` returns none."""
    own = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(own)


@torch.no_grad()
def attended(batch: Batch) -> torch.Tensor:
    """(layers, B, T): attention to every token read, mean over the heads and over the positions that write the choice.

    Of an encoder-decoder it is cross-attention, to the encoder's outputs; of a decoder-only model self-attention; of a
    classifier that of the first token, which its head reads.

    Raises:
        UserError: the model has no attention to tell.
    """
    output = batch.read(output_attentions=True)
    layers = output.get("cross_attentions") or output.get("attentions")
    if not layers or any(layer is None for layer in layers):
        raise UserError("evidence.attributions=attention: this model has no attention that could be read; leave it out")
    writes = batch.writes.unsqueeze(1)  # (B, 1, T')
    count = writes.sum(-1)
    positions = writes.shape[-1]  # a classifier's only one is the first
    return torch.stack([(layer.mean(1)[:, :positions] * writes.mT).sum(1) / count for layer in layers])
