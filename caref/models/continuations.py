"""How probable a model holds what may follow a prompt, each prompt read once for all that may follow it.

Differentiable, by weights and by the prompt's embeddings.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from caref.data.batches import IGNORED, Encoded, attended, collate, pad
from caref.data.prompts import SEPARATOR
from caref.models.backbones import Backbone


@dataclass(frozen=True)
class Read:
    """What was read.

    by_token: (pairs, T), log p of each of a continuation's tokens, in nats; 0 beyond its end.
    prompts: the output of whatever read the prompts, (pairs / width, ...): encoder or decoder-only model.
    """

    by_token: Tensor
    prompts: Mapping

    @property
    def log_p(self) -> Tensor:
        """(pairs,), of whole continuations."""
        return self.by_token.sum(-1)


def told_by(choice: str, tokenizer, answers_only: bool = False) -> tuple[int, ...]:
    """The tokens that tell a choice from all others, also from those that it begins: its own and what comes after it.

    Args:
        answers_only: whether the text ends there, or the separator comes.
    """
    if answers_only:
        return (*tokenizer(choice, add_special_tokens=False).input_ids, tokenizer.eos_token_id)
    return tuple(tokenizer(choice + SEPARATOR.rstrip(), add_special_tokens=False).input_ids)


def summed_log_p(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,): `log_p_by_token`, summed over positions."""
    return log_p_by_token(logits, labels).sum(-1)


def log_p_by_token(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, T): log p(label), 0 where none is asked, in float32, or in what is more precise still.

    Args:
        logits: (B, T, V), aligned with the labels.
        labels: (B, T) int64, IGNORED where nothing is asked.
    """
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    chosen = precise.log_softmax(-1).gather(-1, labels.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    return chosen.masked_fill(labels == IGNORED, 0.0)


def forks(continuations: Sequence[tuple[int, ...]], length: int) -> Tensor:
    """(W, W, length) bool: at [c, other, t], whether the other's token t is one that may follow the first t of c.

    Of several that go on with the same token one counts; c itself does always, also beyond its end.
    """
    found = torch.eye(len(continuations), dtype=torch.bool).unsqueeze(-1).repeat(1, 1, length)
    for c, own in enumerate(continuations):
        for place, token in enumerate(own):
            known = {token}
            for other, another in enumerate(continuations):
                if another[:place] == own[:place] and len(another) > place and another[place] not in known:
                    known.add(another[place])
                    found[c, other, place] = True
    return found


def held_to(by_token: Tensor, among: Tensor) -> Tensor:
    """(..., W): log p of each continuation in decoding that is held to them: p is shared at every fork.

    Args:
        by_token: (..., W, T), log p of each of a continuation's tokens; 0 beyond its end.
        among: (..., W, W, T), of `forks`.
    """
    rivals = by_token.unsqueeze(-3).masked_fill(~among, -torch.inf)
    return (by_token - rivals.logsumexp(-2)).sum(-1)


def of_classes(
    model, backbone: Backbone, pairs: Sequence[Encoded], width: int, embeddings: Tensor | None = None, **options
) -> Read:
    """A classifier's, which reads every prompt once and says all classes; a continuation is a class.

    Args:
        pairs, embeddings, options: as `after_encoder`'s.
    """
    inputs = _embedded(collate(pairs[::width], backbone).inputs, embeddings)
    output = model(**inputs, **options, use_cache=False)
    labels = torch.tensor([pair.target for pair in pairs], device=output.logits.device)
    return Read(log_p_by_token(output.logits.repeat_interleave(width, dim=0), labels), output)


def after_encoder(
    model, backbone: Backbone, pairs: Sequence[Encoded], width: int, embeddings: Tensor | None = None, **options
) -> Read:
    """An encoder-decoder's, whose encoder reads every prompt once.

    Args:
        pairs: prompt and continuation, `width` continuations of a prompt after one another.
        embeddings: (prompts, T, D), padded on the right: read in the place of the prompts' own.
        options: of the encoder's call.
    """
    from transformers.modeling_outputs import BaseModelOutput

    batch = collate(pairs, backbone)
    once = {name: batch.inputs[name][::width] for name in ("input_ids", "attention_mask")}
    encoded = model.get_encoder()(**_embedded(once, embeddings), **options)
    hidden = encoded.last_hidden_state.repeat_interleave(width, dim=0)
    output = model(**batch.inputs, encoder_outputs=BaseModelOutput(hidden), use_cache=False)
    return Read(log_p_by_token(output.logits, batch.labels), encoded)


def after_shared_prompts(
    model, backbone: Backbone, pairs: Sequence[Encoded], width: int, embeddings: Tensor | None = None, **options
) -> Read:
    """A decoder-only model's, which reads every prompt once: its keys and values serve all that follows.

    Args:
        pairs, options: as `after_encoder`'s.
        embeddings: (prompts, T, D), padded on the left.
    """
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
    first_read = _embedded(_on(backbone, inputs | placed[0]), embeddings)
    first = model(**first_read, **last, **options, use_cache=True)
    cache = first.past_key_values
    cache.batch_repeat_interleave(width)
    read["attention_mask"] = after
    then = model(**_on(backbone, read | placed[1]), past_key_values=cache, use_cache=True)
    logits = torch.cat([first.logits[:, -1:].repeat_interleave(width, dim=0), then.logits], dim=1)
    return Read(log_p_by_token(logits, pad([pair.target for pair in pairs], IGNORED).to(logits.device)), first)


def after_whole_prompts(model, backbone: Backbone, pairs: Sequence[Encoded], width: int) -> Read:
    """Of a model that cannot share: every continuation after its own copy of the prompt, as in training."""
    batch = collate(pairs, backbone)
    output = model(**batch.inputs, use_cache=False)
    first = (batch.labels == IGNORED).int().argsort(dim=1, stable=True)  # what is asked, before the prompt's positions
    return Read(log_p_by_token(output.logits, batch.labels).gather(1, first), output)


def shares_prompts(model, backbone: Backbone, splits: int) -> bool:
    """Whether a decoder-only model keeps a prompt as keys and values by layer, which can be repeated."""
    from transformers import DynamicCache

    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        return False  # its prefix already lies in the cache
    shortest = torch.full((splits, 1), backbone.tokenizer.pad_token_id, device=backbone.device)
    with backbone.autocast():
        output = model(input_ids=shortest, use_cache=True)
    return isinstance(getattr(output, "past_key_values", None), DynamicCache)


def _embedded(inputs: dict[str, Tensor], embeddings: Tensor | None) -> dict[str, Tensor]:
    """The inputs with these embeddings in the place of tokens, where there are any."""
    if embeddings is None:
        return inputs
    return {name: tensor for name, tensor in inputs.items() if name != "input_ids"} | {"inputs_embeds": embeddings}


def _on(backbone: Backbone, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(backbone.device) for name, tensor in tensors.items()}
