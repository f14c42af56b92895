"""e-SNLI (Camburu et al. 2018): does a premise entail a hypothesis, and why; with the words that say so.

People put the deciding words between asterisks; these words are the gold rationale.
"""

from collections.abc import Iterable, Iterator
from itertools import compress, count
from pathlib import Path

from caref.data import feb
from caref.data.examples import Example, Span
from caref.data.files import Row, read_csv
from caref.data.releases import Deferred, Hub, Layout, Record, ReleaseFile, Unusable

SOURCE = "explain nli hypothesis: {hypothesis} premise: {premise}"
LOWERCASE = False
# As many of each class: 16 to train on, and 116 of the 350 to evaluate, so 348.
FEB = feb.Rule(feb.shuffled_by_class, rows={"train": 549_367, "validation": 9_842})

_LABELS = ("entailment", "neutral", "contradiction")
_COLUMNS = {"premise": "Sentence1", "hypothesis": "Sentence2"}
_EXPLANATIONS = ("Explanation_1", "Explanation_2", "Explanation_3")
_HUB_EXPLANATIONS = ("explanation_1", "explanation_2", "explanation_3")


def read_release(*paths: Path) -> Iterator[Record]:
    """The release's csv files, one after another."""
    for path in paths:
        for row in read_csv(path, ("pairID", "gold_label", "Sentence1", "Sentence2", "Explanation_1")):
            cells = row.cells  # all of them texts
            label = cells["gold_label"].strip()
            if label in ("", "-"):
                yield Unusable("no gold label")
            elif label not in _LABELS:
                raise row.refusal(f"gold_label is {label!r}, not one of {', '.join(_LABELS)}")
            elif not (_filled(cells["Explanation_1"]) or _said(row, _EXPLANATIONS)):
                yield Unusable("no explanation", _LABELS.index(label))
            else:
                yield Deferred(_LABELS.index(label), row, _example)


def read_hub(rows: Iterable[Row]) -> Iterator[Record]:
    """The hub's rows: labels as numbers, no highlighted words, no ids."""
    for number, row in enumerate(rows):
        label = row.value("label")
        if label == -1:
            yield Unusable("no gold label")
        elif label not in range(len(_LABELS)):
            raise row.refusal(f"label is {label!r}, not 0, 1 or 2")
        elif not (said := _said(row, _HUB_EXPLANATIONS)):
            yield Unusable("no explanation", label)
        else:
            yield Example(str(number), {field: row.text(field).strip() for field in _COLUMNS}, _LABELS, label, said)


def _example(row: Row) -> Example:
    fields = {field: row.text(column).strip() for field, column in _COLUMNS.items()}
    label = _LABELS.index(row.text("gold_label").strip())
    return Example(row.text("pairID"), fields, _LABELS, label, _said(row, _EXPLANATIONS), _rationale(row, fields))


def _said(row: Row, columns: Iterable[str]) -> tuple[str, ...]:
    return tuple(row.cells[column].strip() for column in columns if _filled(row.cells.get(column)))


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
