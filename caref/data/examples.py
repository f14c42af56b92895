"""What an example is: the texts a model reads, the choices, the right one, and how people explained it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of one field of an example."""

    field: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled example with its gold explanations.

    Args:
        id: what the release calls it, unique within a split of the release.
        fields: the texts by name (premise and hypothesis, sent0 and sent1, or question).
        choices: the possible answers, as the target text writes them.
        label: position of the right choice.
        explanations: every gold explanation that says something, in the release's order; none of a dataset whose
            examples nobody explained in words of their own.
        rationale: the words that people marked as deciding, in order of field and place; empty where
            nobody marked any.
    """

    id: str
    fields: Mapping[str, str]
    choices: tuple[str, ...]
    label: int
    explanations: tuple[str, ...]
    rationale: tuple[Span, ...] = ()

    @property
    def answer(self) -> str:
        """The right choice."""
        return self.choices[self.label]


def fingerprint(examples: Iterable[Example]) -> str:
    """SHA-256 (hex) of the examples' whole content, in their order; the same on every machine."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(_written(example))
    return digest.hexdigest()


def fingerprint_of_sides(*sides: Iterable[Example], ordered: bool) -> str:
    """SHA-256 (hex) of the examples that splits are drawn from, told apart by side.

    Args:
        sides: the training examples, then the evaluated ones.
        ordered: whether their order counts, and how often one is there, as for a sampler that draws row numbers.
    """
    digest = hashlib.sha256()
    for side in sides:
        contents = map(_written, side)
        for content in contents if ordered else sorted(set(contents)):
            digest.update(content)
        digest.update(b"\n")
    return digest.hexdigest()


def _written(example: Example) -> bytes:
    """Everything that an example says, in one line."""
    content = [
        example.id,
        sorted(example.fields.items()),
        example.choices,
        example.label,
        example.explanations,
        [[span.field, span.start, span.end] for span in example.rationale],
    ]
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"
