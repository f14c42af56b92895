"""From an example to the two texts a model learns from: FEB's best prompts (Marasovic et al. 2022).

White space of any kind and length becomes one space. A target is in lower case, its answer included. Each dataset's
module holds its own template, SOURCE, and says whether the input is lower-cased, LOWERCASE. The template may name the
example's fields and `{choices}`, which reads "(A) first (B) second ...". Neither the gold label nor an explanation is
within its reach, so the source cannot leak them.
"""

import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from caref.data.examples import Example
from caref.data.releases import dataset_module

SEPARATOR = " because "  # between the answer and its explanation, in targets and in generations


@dataclass(frozen=True)
class Text:
    """What the model reads and what it should write.

    Args:
        source: the input text.
        target: answer, SEPARATOR, and the first gold explanation; or the answer alone. In lower case.
        offsets: characters [start, end) of the source where each field's text lies.
    """

    source: str
    target: str
    offsets: Mapping[str, tuple[int, int]]


def text(dataset: str, example: Example, answer_only: bool = False) -> Text:
    """The source and target texts of an example of a dataset (esnli, ecqa, comve, cos_e, ...).

    Args:
        answer_only: leave the explanation out of the target; where nobody explained the example there is none anyway.
    """
    source, offsets = _source(dataset, example)
    explained = "" if answer_only else "".join(SEPARATOR + said for said in example.explanations[:1])
    return Text(source, _spaced(example.answer + explained).lower(), offsets)


def rationale(dataset: str, example: Example) -> tuple[tuple[int, int], ...]:
    """Where the example's gold rationale lies in its source text: characters [start, end), in order."""
    written = _written(dataset)
    _, offsets = _source(dataset, example)

    def place(field: str, position: int) -> int:
        # a lower-cased text may be longer than the original (İ), so positions move with what stands before
        before = example.fields[field][:position]
        space = " " if before[-1:].isspace() and before.strip() else ""
        return offsets[field][0] + len(written(before) + space)

    places = [(place(span.field, span.start), place(span.field, span.end)) for span in example.rationale]
    return tuple(sorted(places))


def normalised(answer: str) -> str:
    """An answer as accuracy compares it: case-folded, trimmed, white space of any kind and length as one space."""
    return " ".join(answer.split()).casefold()


def offered_once(choices: Iterable[str]) -> dict[str, str]:
    """The different ones of an example's choices, as accuracy compares them, each with how it is first written.

    ECQA and CoS-E have questions that offer one answer twice: asked about both, a model would halve its probability.
    """
    found: dict[str, str] = {}
    for choice in choices:
        found.setdefault(normalised(choice), choice)
    return found


def _source(dataset: str, example: Example) -> tuple[str, dict[str, tuple[int, int]]]:
    written = _written(dataset)
    source, offsets = "", {}
    for literal, field in _pieces(dataset_module(dataset).SOURCE):
        source += literal.lower() if dataset_module(dataset).LOWERCASE else literal
        if field == "choices":
            source += written(_lettered(example.choices))
        elif field is not None:
            start = len(source)
            source += written(example.fields[field])
            offsets[field] = (start, len(source))
    return source, offsets


def _written(dataset: str) -> Callable[[str], str]:
    """How a field or a choice is set down: spaced, and lower-cased where the dataset's sources are."""
    lowercase = dataset_module(dataset).LOWERCASE
    return lambda text: _spaced(text).lower() if lowercase else _spaced(text)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _pieces(template: str) -> Iterator[tuple[str, str | None]]:
    return ((literal, field) for literal, field, _, _ in string.Formatter().parse(template))


def _lettered(choices: tuple[str, ...]) -> str:
    pairs = zip(string.ascii_uppercase, choices, strict=False)
    return " ".join(f"({letter}) {choice}" for letter, choice in pairs)
