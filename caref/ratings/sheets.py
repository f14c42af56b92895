"""Sheets that raters fill in, and the key that they do not get, as csv.

A sheet is made for spreadsheets, so nothing in it can be taken for a formula: a text that begins like one gets an
apostrophe in front, as spreadsheets themselves mark text (OWASP, CSV injection), and so does none after a
semicolon, which is the separator in half of the world. The key is sealed: its figures and names are what `sample`
wrote, or it is refused.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import zip_longest
from pathlib import Path

from caref.errors import UserError
from caref.ratings.question import JUSTIFIES, REASONS, Question
from caref.ratings.study import Entry, Screen, Study

SHEET = ("study", "rater", "number", "item", "dataset", "input", "answer", "explanation")
_KEY = ("study", "seal", "seed", *(field.name for field in fields(Entry)))
_FORMULA = "=+-@＝＋－＠\t\r\n"


def questions(reasons: bool) -> tuple[Question, ...]:
    return (JUSTIFIES, *REASONS) if reasons else (JUSTIFIES,)


def safe(text: str) -> str:
    """A text that no spreadsheet reads as a formula."""
    apart = re.sub(rf"([;,|])(?=[{re.escape(_FORMULA)}])", r"\1 ", text)
    return f"'{apart}" if apart[:1] and apart[0] in _FORMULA else apart


def written(rows: Iterable[Sequence[object]]) -> bytes:
    """csv that spreadsheets open as what it is: UTF-8 with its mark, every field in quotes."""
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return file.getvalue().encode("utf-8-sig")


def sheet(study: Study, rater: str, reasons: bool) -> bytes:
    """A rater's sheet: texts to the left, empty columns for the answers to the right."""
    asked = [question.name for question in questions(reasons)]
    rows = [[*SHEET, *asked, "skipped"]]
    for number, screen in enumerate(study.order(rater), start=1):
        texts = (screen.dataset, _input(screen), screen.answer, screen.explanation)
        rows.append([study.code, rater, number, screen.code, *map(safe, texts), *[""] * (len(asked) + 1)])
    return written(rows)


def _input(screen: Screen) -> str:
    task = [screen.task] if screen.task else []
    return " | ".join([*task, *(f"{label}: {text}" for label, text in screen.fields)])


def key(study: Study) -> bytes:
    """The key, a row for each thing that is judged."""
    rows = [_key_row(entry) for entry in study.entries]
    seal = _seal(study.code, str(study.seed), rows)
    return written([_KEY, *([study.code, seal, study.seed, *row] for row in rows)])


def _key_row(entry: Entry) -> list[str]:
    return [
        safe(json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value))
        for value in asdict(entry).values()
    ]


def _seal(code: str, seed: str, rows: Sequence[Sequence[str]]) -> str:
    return hashlib.sha256(json.dumps([code, seed, [list(row) for row in rows]]).encode()).hexdigest()[:16]


def rows_of(path: Path) -> dict[int, dict[str, str]]:
    """The rows of a csv as people hand it back: any of the separators and marks that spreadsheets write.

    Returns:
        By number, as a spreadsheet counts them; rows that are blank are left out.

    Raises:
        UserError: where it cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        head, *rows = [*csv.reader(io.StringIO(text, newline=""), delimiter=separator)] or [[]]
    except csv.Error as error:
        raise UserError(f"{path}: not csv ({error}); export it again") from None
    return {
        number: dict(zip_longest(head, row[: len(head)], fillvalue=""))
        for number, row in enumerate(rows, start=2)
        if any(map(str.strip, row))
    }


def is_key(rows: Mapping[int, Mapping[str, str]]) -> bool:
    return any("seal" in row for row in rows.values())


def read_key(path: Path) -> tuple[str, tuple[Entry, ...]]:
    """The study's code and the key's entries.

    Raises:
        UserError: where it is no key, or not the one that `sample` wrote.
    """
    rows = list(rows_of(path).values())
    if not rows or set(_KEY) - set(rows[0]):
        raise UserError(f"--key {path}: not a key; `sample` writes it as key.csv beside the sheets")
    content = [[row[name] for name in _KEY[3:]] for row in rows]
    if {(row["study"], row["seal"], row["seed"]) for row in rows} != {
        (rows[0]["study"], _seal(rows[0]["study"], rows[0]["seed"], content), rows[0]["seed"])
    }:
        raise UserError(f"--key {path}: edited since `sample` wrote it; the same line of `sample` writes it again")
    return rows[0]["study"], tuple(_entry(row) for row in rows)


def _entry(row: Mapping[str, str]) -> Entry:
    values = {field.name: row[field.name].removeprefix("'") for field in fields(Entry)}
    return Entry(**{**values, "split": int(values["split"]), "scores": json.loads(values["scores"])})
