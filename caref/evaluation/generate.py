"""Greedy generation for many prompts, in batches of like length; for several splits side by side.

What a classifier writes is what the most probable of its classes says.
"""

from collections.abc import Callable, Sequence

import torch
from transformers import GenerationConfig

from caref.data.batches import Encoded, attended, collate
from caref.evaluation.greedy import rows_leave
from caref.models import heads
from caref.models.backbones import Backbone


def generate(
    model,
    backbone: Backbone,
    examples: Sequence[Encoded],
    batch_size: int,
    max_new_tokens: int,
) -> list[str]:
    """What the model writes for every example, greedily, in the order of the examples: `side_by_side` for one split."""
    (texts,) = side_by_side(model, backbone, [examples], batch_size, max_new_tokens)
    return texts


@torch.no_grad()  # in inference mode autocast would cast trained weights anew for every token
def side_by_side(
    model,
    backbone: Backbone,
    splits: Sequence[Sequence[Encoded]],
    batch_size: int,
    max_new_tokens: int,
    on_batch: Callable[[int], None] = lambda done: None,
) -> list[list[str]]:
    """What the model of each split writes for its examples, greedily.

    Args:
        model: the trained models of K splits in one, as `caref.models.packed` makes it, on their device.
        backbone: its tokenizer and kind.
        splits: the examples of each, equally many; only their prompts are read.
        batch_size: prompts of each split at a time; the longest come first, so that what does not fit shows at once.
        max_new_tokens: where a generation is cut; nothing to a classifier.
        on_batch: is told how many more examples of each split are done.

    Returns:
        The texts of each split in the order of its examples, without special tokens, trimmed.
    """
    answer = _chooser(model, backbone) if backbone.classifier else _writer(model, backbone, max_new_tokens, len(splits))
    model.eval()
    (count,) = {len(examples) for examples in splits}  # or else a split would have no rows in some batch
    by_length = [sorted(range(count), key=lambda place: -len(examples[place].prompt)) for examples in splits]
    texts = [[""] * count for _ in splits]
    with heads.precise(model):
        for begin in range(0, count, batch_size):
            end = begin + batch_size
            rows = [(split, place) for split, places in enumerate(by_length) for place in places[begin:end]]
            read = [splits[split][place] for split, place in rows]
            for (split, place), text in zip(rows, answer(read), strict=True):
                texts[split][place] = text.strip()
            on_batch(min(end, count) - begin)
    return texts


def _chooser(model, backbone: Backbone) -> Callable[[Sequence[Encoded]], list[str]]:
    """From examples to what the most probable class of each says."""

    def chosen(examples: Sequence[Encoded]) -> list[str]:
        with backbone.autocast():
            logits = model(**collate(examples, backbone).inputs, use_cache=False).logits.squeeze(1)
        return [one.classes[place] for one, place in zip(examples, logits.argmax(-1).tolist(), strict=True)]

    return chosen


def _writer(model, backbone: Backbone, max_new_tokens: int, splits: int) -> Callable[[Sequence[Encoded]], list[str]]:
    """From examples, as many of each split, to what the model writes after the prompt of each."""
    tokenizer = backbone.tokenizer
    known = len(tokenizer)
    # A tokenizer in Python looks up what is special anew for every text.
    special = frozenset(() if tokenizer.is_fast else tokenizer.all_special_ids)
    greedy = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=backbone.start[0] if backbone.start else None,
    )
    # On a GPU a step takes as long for a row as for thirty.
    decode = rows_leave(splits) if backbone.device.type == "cpu" else None

    def written(examples: Sequence[Encoded]) -> list[str]:
        left = not backbone.encoder_decoder  # a decoder-only model goes on where its prompt ends
        inputs = attended([one.prompt for one in examples], tokenizer.pad_token_id, left)
        if len(backbone.start) > 1 or backbone.decoder_mask:  # generation itself begins with one token, unmasked
            inputs["decoder_input_ids"] = torch.tensor([backbone.start] * len(examples))
            inputs["decoder_attention_mask"] = torch.ones_like(inputs["decoder_input_ids"])
        inputs = {name: tensor.to(backbone.device) for name, tensor in inputs.items()}
        with backbone.autocast():
            tokens = model.generate(**inputs, generation_config=greedy, custom_generate=decode)
        tokens = tokens[:, inputs["input_ids"].shape[1] if left else len(backbone.start) :]
        # A model may have more output rows than its tokenizer has tokens; what such a row stands for says nothing.
        told = [[token for token in row if token < known and token not in special] for row in tokens.tolist()]
        return tokenizer.batch_decode(told, skip_special_tokens=tokenizer.is_fast)

    return written
