"""How probable a model holds each choice of an example: teacher-forced, all choices of many examples at a time.

A choice is its tokens and then the separator's; of a model that answers only, the end of the text's in the separator's
place. Either belongs to it: without it `dog` is never less likely than `dog house`. The separator is one token to the
tokenizers of the models that people train; to a tokenizer of bytes its first, a space, would still tell no `dog` from
`dog house`.

`sequence`: the probability of a choice is the softmax over the choices of log p(its tokens | source), summed. A mean
would favour long choices whose ends are easy to foresee; a sum holds against a choice whatever its model spreads over
tokens that no choice has. A regulariser that pulls towards uniform does that at every token, so that a choice of three
tokens loses to one of one whatever the model has learnt: its own flattening is read as belief.

`tree`: the choices' tokens form a tree, and at each of its forks p is shared among the tokens that lead on, as in
decoding that is held to the choices. A token without alternative costs nothing; where choices part once, at one fork, a
temperature of the tokens' logits is one of the choices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from caref.data.batches import Encoded
from caref.models import heads
from caref.models.backbones import Backbone
from caref.models.continuations import (
    after_encoder,
    after_shared_prompts,
    after_whole_prompts,
    forks,
    held_to,
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


def log_probabilities(
    model, backbone: Backbone, splits: Sequence[Sequence[Asked]], batch_size: int, definition: str = "sequence"
) -> list[list[list[float]]]:
    """log p(continuation | prompt) of every continuation, in nats, by split, question and continuation.

    Args:
        model, backbone, splits, batch_size: as `by_token` takes them.
        definition: of DEFINITIONS.
    """
    found = by_token(model, backbone, splits, batch_size)
    return [
        [DEFINITIONS[definition](*one) for one in zip(*pair, strict=True)] for pair in zip(splits, found, strict=True)
    ]


def sequence(asked: Asked, tokens: Sequence[Sequence[float]]) -> list[float]:
    """log p of each continuation: the sum of its tokens'."""
    return [sum(own) for own in tokens]


def tree(asked: Asked, tokens: Sequence[Sequence[float]]) -> list[float]:
    """log p of each continuation in decoding that is held to them.

    Args:
        tokens: by continuation, log p of each of its tokens after those before it.
    """
    length = max(map(len, tokens))
    padded = torch.tensor([[*own, *[0.0] * (length - len(own))] for own in tokens], dtype=torch.float64)
    return held_to(padded, forks(asked.continuations, length)).tolist()


DEFINITIONS = {"tree": tree, "sequence": sequence}


@torch.inference_mode()
def by_token(
    model, backbone: Backbone, splits: Sequence[Sequence[Asked]], batch_size: int
) -> list[list[list[list[float]]]]:
    """log p of every token of every continuation, in nats, by split, question, continuation and token.

    Args:
        model: the trained models of K splits in one, as `caref.models.packed` makes it, on their device.
        splits: the questions of each; they may differ in number, and in how many continuations they have.
        batch_size: questions of each split at a time.
    """
    model.eval()
    found = [[[]] * len(questions) for questions in splits]
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
    with heads.precise(model):
        for rows in side_by_side(splits, batch_size, length=lambda asked: len(asked.prompt)):
            asked = [splits[split][place] for split, place in rows]
            # Every prompt has as many continuations as the one with the most: what fills it up is not looked at.
            pairs = [
                Encoded(one.prompt, continuation, 0)
                for one in asked
                for continuation in (one.continuations + one.continuations[:1] * width)[:width]
            ]
            with backbone.autocast():
                tokens = read(model, backbone, pairs, width).by_token.double().unflatten(0, (len(asked), width))
            for (split, place), one, values in zip(rows, asked, tokens.tolist(), strict=True):
                found[split][place] = [own[: len(c)] for c, own in zip(one.continuations, values, strict=False)]
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
