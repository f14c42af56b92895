"""Integrated gradients (Sundararajan et al. 2017) from a text whose words are masked, by 50 Gauss-Legendre points.

The baseline has the mask token's embedding in the place of every word's tokens, and the template as it is: the words'
scores add up to log p(choice | text) - log p(choice | baseline). Embeddings of zero, which some papers take, make a
path that no number of points follows where a layer divides by the embedding's length (T5, Llama): all of it happens
next to zero.
"""

import numpy as np
import torch

from caref.data.batches import mask_token
from caref.evidence.gradients import Batch, by_word_of

STEPS = 50


def attribute(reading, labels):
    """Word scores by split and question, complete as above; see `Reading.word_scores`."""
    return by_word_of(reading, labels, integrated)


def integrated(batch: Batch, steps: int = STEPS) -> torch.Tensor:
    """(B, T): of every token; 0 where the baseline has the token's own embedding."""
    baseline = masked(batch)
    apart = batch.embeddings - baseline
    places, weights = np.polynomial.legendre.leggauss(steps)
    total = torch.zeros_like(apart)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        total += float(weight) * batch.gradients(baseline + float(place) * apart)
    return (total * apart).sum(-1)


def masked(batch: Batch) -> torch.Tensor:
    """(B, T, D): the embeddings of the batch with every word's tokens masked."""
    mask = batch.embedded(mask_token(batch.tokenizer, "integrated_gradients", "choose other evidence.attributions"))
    return torch.where(batch.rankable.unsqueeze(-1), mask, batch.embeddings)
