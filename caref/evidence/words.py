"""The words of an example: where their tokens are, which of them people marked, and prompts without some of them.

A word is a maximal run of characters that are no space, inside a field of the source text. Words are what is ranked,
removed and counted; the template, the choices and special tokens are neither ranked nor removed.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from caref.data.prompts import Text, rationale, text
from caref.errors import UserError

REMOVALS = ("delete", "mask")


@dataclass(frozen=True)
class Word:
    """One word of a field.

    Attributes:
        text: its characters.
        field: whose it is.
        tokens: positions of its tokens in the prompt, ascending; none where it shares its only token with the word
            before it.
        marked: whether people marked it as deciding.
    """

    text: str
    field: str
    tokens: tuple[int, ...]
    marked: bool


def words_of(dataset: str, example, prompt: Sequence[int], tokenizer) -> tuple[Word, ...]:
    """The words of an example's fields, in the order of its source text.

    Args:
        prompt: the example's, as `caref.data.batches.encode` makes it.

    Raises:
        UserError: the tokenizer does not tell where its tokens lie in a text.
    """
    written = text(dataset, example)
    spans = _spans(written)
    tokens = [[] for _ in spans]
    places = iter(enumerate(spans))
    place, (_, begin, end) = next(places, (None, (None, 0, 0)))
    for position, (first, last) in enumerate(token_spans(written.source, prompt, tokenizer)):
        while place is not None and end <= first:
            place, (_, begin, end) = next(places, (None, (None, 0, 0)))
        if place is not None and first < last and last > begin:
            tokens[place].append(position)
    marks = rationale(dataset, example)
    return tuple(
        Word(
            written.source[first:last],
            field,
            tuple(own),
            any(first < mark_end and mark_begin < last for mark_begin, mark_end in marks),
        )
        for (field, first, last), own in zip(spans, tokens, strict=True)
    )


def _spans(written: Text) -> list[tuple[str, int, int]]:
    """(field, begin, end) of every word, in the order of the text."""
    found = [
        (field, begin + word.start(), begin + word.end())
        for field, (begin, end) in written.offsets.items()
        for word in re.finditer(r"\S+", written.source[begin:end])
    ]
    return sorted(found, key=lambda span: span[1])


def token_spans(source: str, prompt: Sequence[int], tokenizer) -> list[tuple[int, int]]:
    """Characters [begin, end) of the source that each token of a prompt covers; empty for those that cover none."""
    from transformers import ByT5Tokenizer

    if tokenizer.is_fast:
        told = tokenizer(source, return_offsets_mapping=True)
        spans = [tuple(span) for span in told["offset_mapping"]]
        if tuple(told["input_ids"][: len(prompt)]) != tuple(prompt[: len(told["input_ids"])]):
            # What follows the source in a decoder-only prompt may join its last token.
            spans = spans[: _shared(told["input_ids"], prompt)]
    elif isinstance(tokenizer, ByT5Tokenizer):
        spans = [(place, place + 1) for place, letter in enumerate(source) for _ in letter.encode()]
    else:
        raise UserError(f"evidence: {type(tokenizer).__name__} does not tell where its tokens lie in a text")
    return (spans + [(len(source), len(source))] * len(prompt))[: len(prompt)]


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with together."""
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def without(
    prompt: Sequence[int], words: Sequence[Word], removed: Collection[int], mask: int | None = None
) -> tuple[int, ...]:
    """The prompt without some words.

    Args:
        removed: places of the words.
        mask: the token that stands for each of them; None to delete them.
    """
    gone = {}
    for place in removed:
        for nth, position in enumerate(words[place].tokens):
            gone[position] = mask if nth == 0 else None
    kept = (gone.get(position, token) for position, token in enumerate(prompt))
    return tuple(token for token in kept if token is not None)
