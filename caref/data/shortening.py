"""Texts that are longer than a model is to read lose their end: `dataset.max_tokens`."""

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

from caref.data.examples import Example
from caref.errors import UserError


def shortened(example: Example, most: int, length: Callable[[Example], int]) -> Example:
    """The example with just so many words left out at the end of its longest field that it fits.

    What people marked beyond the cut is no longer marked: a model that never read a word cannot be asked about it.

    Args:
        most: tokens that its source may take.
        length: how many an example's source takes.

    Returns:
        The example itself where it fits.

    Raises:
        UserError: it does not fit without any word of that field but the first.
    """
    if length(example) <= most:
        return example
    field = max(example.fields, key=lambda name: len(example.fields[name]))
    ends = [word.end() for word in re.finditer(r"\S+", example.fields[field])]
    kept = bisect_right(ends, most, key=lambda end: length(_until(example, field, end)))
    while kept and length(_until(example, field, ends[kept - 1])) > most:  # one word more may be one token less
        kept -= 1
    if not kept:
        raise UserError(f"dataset.max_tokens={most}: {example.id} takes more without all but a word of its {field}")
    return _until(example, field, ends[kept - 1])


def _until(example: Example, field: str, end: int) -> Example:
    marks = (
        replace(span, end=min(span.end, end)) if span.field == field else span
        for span in example.rationale
        if span.field != field or span.start < end
    )
    return replace(example, fields={**example.fields, field: example.fields[field][:end]}, rationale=tuple(marks))
