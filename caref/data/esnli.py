"""e-SNLI (Camburu et al. 2018): does a premise entail a hypothesis, and why; with the words that say so.

People put the deciding words between asterisks; these words are the gold rationale.
"""

from collections.abc import Iterable, Iterator
from itertools import compress, count
from pathlib import Path

from caref.data.examples import Example, Span
from caref.data.files import Row, read_csv
from caref.data.releases import Hub, Layout, ReleaseFile, Unusable

SOURCE = "explain nli hypothesis: {hypothesis} premise: {premise}"
LOWERCASE = False

_LABELS = ("entailment", "neutral", "contradiction")
_COLUMNS = {"premise": "Sentence1", "hypothesis": "Sentence2"}


def read_release(*paths: Path) -> Iterator[Example | Unusable]:
    """The release's csv files, one after another."""
    for path in paths:
        for row in read_csv(path, ("pairID", "gold_label", "Sentence1", "Sentence2", "Explanation_1")):
            label = row.text("gold_label").strip()
            if label in ("", "-"):
                yield Unusable("no gold label")
                continue
            if label not in _LABELS:
                raise row.refusal(f"gold_label is {label!r}, not one of {', '.join(_LABELS)}")
            fields = {field: row.text(column).strip() for field, column in _COLUMNS.items()}
            explanations = [row.cells.get(f"Explanation_{annotator}") for annotator in (1, 2, 3)]
            yield _example(row.text("pairID"), fields, _LABELS.index(label), explanations, _rationale(row, fields))


def read_hub(rows: Iterable[Row]) -> Iterator[Example | Unusable]:
    """The hub's rows: labels as numbers, no highlighted words, no ids."""
    for number, row in enumerate(rows):
        label = row.value("label")
        if label == -1:
            yield Unusable("no gold label")
            continue
        if label not in range(len(_LABELS)):
            raise row.refusal(f"label is {label!r}, not 0, 1 or 2")
        fields = {field: row.text(field).strip() for field in _COLUMNS}
        yield _example(str(number), fields, label, [row.cells.get(f"explanation_{n}") for n in (1, 2, 3)], ())


def _example(
    id: str,
    fields: dict[str, str],
    label: int,
    explanations: Iterable[str | None],
    rationale: tuple[Span, ...],
) -> Example | Unusable:
    said = tuple(text.strip() for text in explanations if _filled(text))
    if not said:
        return Unusable("no explanation")
    return Example(id, fields, _LABELS, label, said, rationale)


def _filled(cell: str | None) -> bool:
    """Whether a cell holds something; some copies of the release write NA into empty ones."""
    return cell is not None and cell.strip() not in ("", "NA")


def _rationale(row: Row, fields: dict[str, str]) -> tuple[Span, ...]:
    """The words that any annotator highlighted, each once, in order."""
    spans: set[Span] = set()
    for field, column in _COLUMNS.items():
        for annotator in (1, 2, 3):
            marked = row.cells.get(f"{column}_marked_{annotator}")
            if marked is not None and "*" in marked:
                spans.update(Span(field, start, end) for start, end in marked_words(fields[field], marked))
    order = list(_COLUMNS)
    return tuple(sorted(spans, key=lambda span: (order.index(span.field), span.start, span.end)))


def marked_words(text: str, marked: str) -> list[tuple[int, int]]:
    """Where in `text` the words lie that `marked`, the same text, holds between asterisks.

    Spaces are not compared. Where the two are not the same text, nothing is marked.
    """
    parts = marked.split("*")  # outside, inside, outside, ...
    if len(parts) % 2 == 0 or _unspaced("".join(parts)) != _unspaced(text):
        return []
    places = list(compress(count(), map(str.strip, text)))  # of all characters but spaces
    words, read = [], 0
    for number, part in enumerate(parts):
        length = len(_unspaced(part))
        if number % 2 and length:
            words.append((places[read], places[read + length - 1] + 1))
        read += length
    return words


def _unspaced(text: str) -> str:
    return "".join(text.split())


LAYOUTS = (
    Layout(
        {
            "train": ("esnli_train_1.csv", "esnli_train_2.csv"),
            "validation": ("esnli_dev.csv",),
            "test": ("esnli_test.csv",),
        },
        read_release,
    ),
)

_AT = "https://raw.githubusercontent.com/OanaMariaCamburu/e-SNLI/7b585a3f077fdea899780eb0473940522ae44a2e/dataset"
_BLOBS = {
    "esnli_train_1.csv": "04b098c83c88500a68bf4979fdecd5e796898891",
    "esnli_train_2.csv": "1288666e01ecc3ec391d64f11a4d24a6591c229d",
    "esnli_dev.csv": "4ce63116003f2ca8ddbf12035cebb9d019a0cf46",
    "esnli_test.csv": "58e3400341dd20296dedb7a539aa51dcb8750fef",
}
RELEASE = tuple(ReleaseFile(f"{_AT}/{path}", path, blob) for path, blob in _BLOBS.items())

# Its files are converted from a script, which `datasets` no longer runs.
HUB = Hub("esnli/esnli", revision="refs/convert/parquet")
