"""How probable a model holds each choice of an example: teacher-forced, all choices of many examples at a time.

The probability of a choice is the softmax over the choices of log p(the choice's tokens, then the separator's |
source); of a model that answers only, the end of the text's in the separator's place. Either belongs to it: without it
`dog` is never less likely than `dog house`. The separator is one token to the
tokenizers of the models that people train; to a tokenizer of bytes its first, a space, would still tell no `dog` from
`dog house`. Log-probabilities are summed over tokens: a mean would favour long choices whose ends are easy to foresee.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from caref.data.batches import Encoded
from caref.models.backbones import Backbone
from caref.models.continuations import (
    after_encoder,
    after_shared_prompts,
    after_whole_prompts,
    of_classes,
    shares_prompts,
)

_UNSHARED = 8  # continuations read at once where each is read with its whole prompt and all positions have logits


@dataclass(frozen=True)
class Asked:
    """What a model is asked, in tokens.

    Attributes:
        prompt: what it reads.
        continuations: what it may go on with, one or more.
    """

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


@torch.inference_mode()
def log_probabilities(
    model, backbone: Backbone, splits: Sequence[Sequence[Asked]], batch_size: int
) -> list[list[list[float]]]:
    """log p(continuation | prompt) of every continuation, in nats, by split, question and continuation.

    Args:
        model: the trained models of K splits in one, as `caref.models.packed` makes it, on their device.
        splits: the questions of each; they may differ in number, and in how many continuations they have.
        batch_size: questions of each split at a time.
    """
    model.eval()
    found = [[[0.0]] * len(questions) for questions in splits]
    width = max((len(asked.continuations) for questions in splits for asked in questions), default=0)
    if backbone.classifier:
        read = of_classes
    elif backbone.encoder_decoder:
        read = after_encoder
    elif shares_prompts(model, backbone, len(splits)):
        read = after_shared_prompts
    else:
        read = after_whole_prompts
        batch_size = max(1, _UNSHARED // (width * len(splits)))
    for rows in side_by_side(splits, batch_size, length=lambda asked: len(asked.prompt)):
        asked = [splits[split][place] for split, place in rows]
        # Every prompt has as many continuations as the one with the most: what fills it up is not looked at.
        pairs = [
            Encoded(one.prompt, continuation, 0)
            for one in asked
            for continuation in (one.continuations + one.continuations[:1] * width)[:width]
        ]
        with backbone.autocast():
            summed = read(model, backbone, pairs, width).log_p.view(len(asked), width).tolist()
        for (split, place), one, values in zip(rows, asked, summed, strict=True):
            found[split][place] = values[: len(one.continuations)]
    return found


def side_by_side(splits: Sequence[Sequence], batch_size: int, length) -> Iterator[list[tuple[int, int]]]:
    """Batches of (split, place), the longest first: equally many of each split, one split after the other.

    Where a split has fewer than another its last is repeated.

    Args:
        length: of one thing, by which they are sorted, so that little is padded.
    """
    most = max(map(len, splits))
    orders = []
    for things in splits:
        order = sorted(range(len(things)), key=lambda place: -length(things[place]))
        orders.append(order + order[-1:] * (most - len(order)))
    for begin in range(0, most, batch_size):
        yield [(split, place) for split, order in enumerate(orders) for place in order[begin : begin + batch_size]]
