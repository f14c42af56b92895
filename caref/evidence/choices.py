"""How probable a model holds each choice of an example: teacher-forced, all choices of many examples at a time.

The probability of a choice is the softmax over the choices of log p(the choice's tokens, then the separator's |
source); of a model that answers only, the end of the text's in the separator's place. Either belongs to it: without it
`dog` is never less likely than `dog house`. The separator is one token to the
tokenizers of the models that people train; to a tokenizer of bytes its first, a space, would still tell no `dog` from
`dog house`. Log-probabilities are summed over tokens: a mean would favour long choices whose ends are easy to foresee.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from caref.data.batches import IGNORED, Encoded, attended, collate, pad
from caref.data.prompts import SEPARATOR
from caref.models.backbones import Backbone

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


def told_by(choice: str, tokenizer, answers_only: bool = False) -> tuple[int, ...]:
    """The tokens that tell a choice from all others, also from those that it begins: its own and what comes after it.

    Args:
        answers_only: whether the text ends there, or the separator comes.
    """
    if answers_only:
        return (*tokenizer(choice, add_special_tokens=False).input_ids, tokenizer.eos_token_id)
    return tuple(tokenizer(choice + SEPARATOR.rstrip(), add_special_tokens=False).input_ids)


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
    if backbone.encoder_decoder:
        read = _after_encoder
    elif _shares_prompts(model, backbone, len(splits)):
        read = _after_shared_prompts
    else:
        read = _after_whole_prompts
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
            summed = read(model, backbone, pairs, width).view(len(asked), width).tolist()
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


def summed_log_p(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) sums over positions of log p(label), in float32, or in what is more precise still.

    Args:
        logits: (B, T, V), aligned with the labels.
        labels: (B, T) int64, IGNORED where nothing is asked.
    """
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    chosen = precise.log_softmax(-1).gather(-1, labels.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    return chosen.masked_fill(labels == IGNORED, 0.0).sum(-1)


def _after_encoder(model, backbone: Backbone, pairs: Sequence[Encoded], width: int) -> Tensor:
    """(pairs,) of an encoder-decoder, whose encoder reads every prompt once."""
    from transformers.modeling_outputs import BaseModelOutput

    batch = collate(pairs, backbone)
    once = {name: batch.inputs[name][::width] for name in ("input_ids", "attention_mask")}
    hidden = model.get_encoder()(**once).last_hidden_state.repeat_interleave(width, dim=0)
    output = model(**batch.inputs, encoder_outputs=BaseModelOutput(hidden), use_cache=False)
    return summed_log_p(output.logits, batch.labels)


def _after_shared_prompts(model, backbone: Backbone, pairs: Sequence[Encoded], width: int) -> Tensor:
    """(pairs,) of a decoder-only model, which reads every prompt once: its keys and values serve all that follows."""
    pad_token = backbone.tokenizer.pad_token_id
    inputs = attended([pair.prompt for pair in pairs[::width]], pad_token, left=True)
    before = inputs["attention_mask"]
    read = attended([pair.target[:-1] for pair in pairs], pad_token)
    after = torch.cat([before.repeat_interleave(width, dim=0), read["attention_mask"]], dim=1)
    placed, last = [{}, {}], {}
    takes = inspect.signature(backbone.model.forward).parameters
    if "logits_to_keep" in takes:
        last["logits_to_keep"] = 1
    if "position_ids" in takes:
        places = [(mask.cumsum(-1) - 1).clamp_min(0) for mask in (before, after)]
        placed = [{"position_ids": places[0]}, {"position_ids": places[1][:, before.shape[1] :]}]
    first = model(**_on(backbone, inputs | placed[0]), **last, use_cache=True)
    cache = first.past_key_values
    cache.batch_repeat_interleave(width)
    read["attention_mask"] = after
    then = model(**_on(backbone, read | placed[1]), past_key_values=cache, use_cache=True)
    logits = torch.cat([first.logits[:, -1:].repeat_interleave(width, dim=0), then.logits], dim=1)
    return summed_log_p(logits, pad([pair.target for pair in pairs], IGNORED).to(logits.device))


def _after_whole_prompts(model, backbone: Backbone, pairs: Sequence[Encoded], width: int) -> Tensor:
    """(pairs,) of a model that cannot share: every continuation after its own copy of the prompt, as in training."""
    batch = collate(pairs, backbone)
    return summed_log_p(model(**batch.inputs, use_cache=False).logits, batch.labels)


def _shares_prompts(model, backbone: Backbone, splits: int) -> bool:
    """Whether a decoder-only model keeps a prompt as keys and values by layer, which can be repeated."""
    from transformers import DynamicCache

    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        return False  # its prefix already lies in the cache
    shortest = torch.full((splits, 1), backbone.tokenizer.pad_token_id, device=backbone.device)
    with backbone.autocast():
        output = model(input_ids=shortest, use_cache=True)
    return isinstance(getattr(output, "past_key_values", None), DynamicCache)


def _on(backbone: Backbone, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(backbone.device) for name, tensor in tensors.items()}
