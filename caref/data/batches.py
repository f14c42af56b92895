"""From texts to padded tensors: what a model is trained on and what it is asked.

An encoder-decoder reads the source and writes the target. A decoder-only model reads the source and a newline,
and goes on with the target; there only the target's positions carry labels. A classifier reads the source and chooses:
its target is a text of one token, of a vocabulary of as many classes as there are choices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch

from caref.data.examples import Example
from caref.data.prompts import SEPARATOR, Text
from caref.errors import UserError

IGNORED = -100  # the label of a position that no loss looks at
_PROMPT_END = "\n"  # between source and target, in a decoder-only model


@dataclass(frozen=True)
class Encoded:
    """One example in tokens."""

    prompt: tuple[int, ...]  # what the model is given before it writes
    target: tuple[int, ...]  # what it is to write, end-of-sequence token included
    answer_length: int  # how many of the target's first tokens are the answer
    # For objectives that ask about words and choices only:
    words: tuple[tuple[int, ...], ...] = ()  # positions of each rankable word's tokens in the prompt
    choices: tuple[tuple[int, ...], ...] = ()  # the tokens that tell each choice from the others
    classes: tuple[str, ...] = ()  # of a classifier, what each class says: the choices


@dataclass(frozen=True)
class Batch:
    """B examples, padded on the right.

    inputs: keyword arguments of the model's forward; all (B, ...) int64.
    labels: (B, T) int64, IGNORED where nothing is to be predicted; labels[:, t] belongs to logits[:, t].
    answer_labels: the same, with the explanation's positions IGNORED too.
    labelled: (N,) int64, the places of labels.flatten() where something is to be predicted.
    """

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor
    answer_labels: torch.Tensor
    labelled: torch.Tensor

    def parts(self, parts: int, splits: int = 1) -> "Iterator[tuple[int, Batch]]":
        """Smaller batches, one after the other, each with equally many rows of each split, and the first one's number.

        Args:
            parts: how many, or one a row where there are fewer rows.
            splits: the batch's rows are those of so many splits, equally many of each.
        """
        if parts == 1:
            yield 0, self
            return
        places = torch.arange(len(self.labels), device=self.labels.device).view(splits, -1)
        for rows in filter(torch.numel, places.tensor_split(parts, dim=1)):
            own = rows.flatten()
            inputs = {name: tensor[own] for name, tensor in self.inputs.items()}
            labels = self.labels[own]
            yield int(rows[0, 0]), Batch(inputs, labels, self.answer_labels[own], _labelled(labels))


def for_backbone(example: Example, text: Text, backbone) -> Encoded:
    """One example in the tokens that a backbone reads and answers by."""
    if backbone.classifier:
        prompt = tuple(backbone.tokenizer(text.source).input_ids)
        return Encoded(prompt, (example.label,), answer_length=1, classes=example.choices)
    return encode(text, backbone.tokenizer, backbone.encoder_decoder)


def encode(text: Text, tokenizer, encoder_decoder: bool) -> Encoded:
    """Tokenise one example to be answered in words, with the special tokens that the tokenizer puts around a text.

    Args:
        text: source and target.
        tokenizer: of transformers, with an end-of-sequence token.
        encoder_decoder: whether the source goes to an encoder of its own.
    """
    end = tokenizer.eos_token_id
    answer = tokenizer(text.target.split(SEPARATOR)[0], add_special_tokens=False).input_ids
    target = [*tokenizer(text.target, add_special_tokens=False).input_ids, end]
    prompt = tokenizer(text.source if encoder_decoder else text.source + _PROMPT_END).input_ids
    if not encoder_decoder and prompt[-1] == end:
        prompt = prompt[:-1]  # the text goes on
    return Encoded(tuple(prompt), tuple(target), len(answer))


def attended(rows: Sequence[Sequence[int]], pad_token: int, left: bool = False) -> dict[str, torch.Tensor]:
    """What a model reads of these rows: `input_ids`, and `attention_mask`, 0 where they are filled up."""
    return {"input_ids": pad(rows, pad_token, left), "attention_mask": _taken(rows, left).long()}


def pad(rows: Sequence[Sequence[int]], value: int, left: bool = False) -> torch.Tensor:
    """(B, T) int64: every row filled up with `value` to the longest, on the right or on the left."""
    taken = _taken(rows, left)
    padded = torch.full(taken.shape, value)
    padded[taken] = torch.from_numpy(np.fromiter(chain.from_iterable(rows), np.int64))
    return padded


def _taken(rows: Sequence[Sequence[int]], left: bool) -> torch.Tensor:
    """(B, T) bool: the places of a padded batch that hold the rows' own values."""
    lengths = torch.tensor([len(row) for row in rows]).unsqueeze(1)
    places = torch.arange(int(lengths.max()))
    return places >= len(places) - lengths if left else places < lengths


def collate(examples: Sequence[Encoded], backbone) -> Batch:
    """Pad examples into one training batch for `backbone`, on its device."""
    pad_token = backbone.tokenizer.pad_token_id
    targets = [example.target for example in examples]
    if backbone.classifier:
        inputs = attended([example.prompt for example in examples], pad_token)
        unlabelled = [0] * len(examples)
    elif backbone.encoder_decoder:
        inputs = attended([example.prompt for example in examples], pad_token)
        read = attended([(*backbone.start, *target[:-1]) for target in targets], pad_token)
        inputs["decoder_input_ids"] = read["input_ids"]
        if backbone.decoder_mask:
            inputs["decoder_attention_mask"] = read["attention_mask"]
        unlabelled = [len(backbone.start) - 1] * len(examples)  # what is forced is not learnt
    else:
        # The last token is predicted, never read.
        inputs = attended([(*example.prompt, *example.target[:-1]) for example in examples], pad_token)
        unlabelled = [len(example.prompt) - 1 for example in examples]
    labels = pad([(IGNORED,) * before + target for before, target in zip(unlabelled, targets, strict=True)], IGNORED)
    ends = [before + example.answer_length for before, example in zip(unlabelled, examples, strict=True)]
    after_answer = torch.arange(labels.shape[1]) >= torch.tensor(ends).unsqueeze(1)
    beside = {
        "labels": labels,
        "answer_labels": labels.masked_fill(after_answer, IGNORED),
        "labelled": _labelled(labels),
    }
    inputs, beside = (
        {name: tensor.to(backbone.device) for name, tensor in tensors.items()} for tensors in (inputs, beside)
    )
    return Batch(inputs, **beside)


def mask_token(tokenizer, asked: str, mend: str) -> int:
    """What stands in the place of a masked word: the tokenizer's mask, T5's first sentinel, or the unknown token.

    Args:
        asked: what masks words, a key and its value.
        mend: what to do where there is no such token.

    Raises:
        UserError: it has none of them.
    """
    sentinel = tokenizer.convert_tokens_to_ids("<extra_id_0>")
    for token in (tokenizer.mask_token_id, sentinel if sentinel != tokenizer.unk_token_id else None):
        if token is not None:
            return token
    if tokenizer.unk_token_id is None:
        raise UserError(f"{asked}: the tokenizer has no token to mask a word by (mask, sentinel or unknown); {mend}")
    return tokenizer.unk_token_id


def _labelled(labels: torch.Tensor) -> torch.Tensor:
    return (labels.flatten() != IGNORED).nonzero().squeeze(-1)


def shuffled(examples: Sequence[Encoded], batch_size: int, epochs: int, seed: int) -> Iterator[list[Encoded]]:
    """The examples in batches, in a new order every epoch; the orders depend on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(examples), generator=generator).tolist()
        for begin in range(0, len(order), batch_size):
            yield [examples[place] for place in order[begin : begin + batch_size]]
