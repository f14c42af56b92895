"""What raters answered, from the sheets they hand back: nothing is guessed, nothing silently left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from caref.errors import UserError
from caref.ratings import sheets
from caref.ratings.question import JUSTIFIES, REASONS, SCORES
from caref.ratings.sampling import told_apart
from caref.ratings.study import Entry


@dataclass(frozen=True)
class Judged:
    """Something that was judged, of one system.

    Args:
        item: what the answers name it; "" where nobody was asked, since there was no explanation.
        panel: which raters judge it together: agreement is measured within a panel.
        kind: cell or gold.
        input: the same for every system that was judged on it.
        scores: what automatic measures say of it.
        split: of the cell, which evaluated it; -1 where nobody tells.
    """

    item: str
    panel: str
    kind: str
    dataset: str
    cell: str
    system: str
    input: str
    demo: bool
    scores: Mapping[str, float] = field(default_factory=dict)
    split: int = -1


@dataclass(frozen=True)
class Answers:
    """All that `agree` works on.

    Args:
        given: by item, what each rater answered: one of the question's answers.
        reasons: by (item, question's name), likewise.
        notes: what a reader must know, a line each.
        persons: whether a rater's name stands for one person throughout.
    """

    judged: tuple[Judged, ...]
    given: Mapping[str, Mapping[str, str]]
    reasons: Mapping[tuple[str, str], Mapping[str, str]]
    notes: tuple[str, ...]
    persons: bool = True


def collect(paths: Sequence[Path], key_path: Path) -> Answers:
    """The answers in some sheets, told apart by a key.

    Raises:
        UserError: an edited key, a file that is no sheet, a sheet of another study, an unknown item or answer, one
            rater with two different answers to an item, no answer at all.
    """
    handed = {path: rows for path in paths if not sheets.is_key(rows := sheets.rows_of(path))}
    for path, rows in handed.items():
        if not rows or {"study", "rater", "item", JUSTIFIES.name} - set(next(iter(rows.values()))):
            raise UserError(f"{path}: not a sheet of ratings; leave it out of the line")
    study, entries = sheets.read_key(key_path)
    known = {entry.item for entry in entries if entry.item}
    answered: dict[str, dict[str, tuple[dict[str, str], Path]]] = {}  # by rater and item
    files: dict[str, list[Path]] = {}
    notes = []
    for path, rows in handed.items():
        filled = _filled(path, rows, study, known)
        if not filled:
            notes.append(f"{path.name}: nothing is answered in it; left out")
            continue
        (rater,) = {row["rater"].strip() for row in rows.values()}
        files.setdefault(rater, []).append(path)
        before = answered.setdefault(rater, {})
        for item, row in filled.items():
            if item in before and before[item][0] != row:
                raise UserError(
                    f"{rater} answered {item} twice and differently, in {before[item][1]} and {path}; "
                    "leave one of the files out of the line"
                )
            before[item] = row, path
    if not answered:
        raise UserError("no sheet holds an answer; raters hand back what their page saves, or their filled-in csv")
    notes += [f"{rater}: {len(of)} files that agree, taken together" for rater, of in files.items() if len(of) > 1]
    notes += _told(answered, entries, known)
    given: dict[str, dict[str, str]] = {item: {} for item in known}
    reasons: dict[tuple[str, str], dict[str, str]] = {}
    for rater in sorted(answered):
        for item, (row, _) in answered[rater].items():
            if row[JUSTIFIES.name]:
                given[item][rater] = row[JUSTIFIES.name]
            for question in REASONS:
                if row.get(question.name):
                    reasons.setdefault((item, question.name), {})[rater] = row[question.name]
    called = _called(entries)
    judged = tuple(
        Judged(
            *(one.item, one.dataset, one.kind, one.dataset, one.cell, system, one.input, demo, one.scores),
            split=one.split,
        )
        for one in entries
        if one.kind != "check"
        for demo, system in [("demo" in one.source, called.get((one.dataset, one.cell), one.system))]
    )
    return Answers(judged, given, reasons, tuple(notes))


def _called(entries: Sequence[Entry]) -> dict[tuple[str, str], str]:
    """What each cell is called, by dataset and signature: a key of before may call two of them the same."""
    of: dict[str, dict[str, str]] = {}
    for one in entries:
        if one.kind == "cell":
            of.setdefault(one.dataset, {})[one.cell] = one.system
    return {(dataset, cell): name for dataset, names in of.items() for cell, name in told_apart(names).items()}


def _filled(
    path: Path, rows: Mapping[int, Mapping[str, str]], study: str, known: set[str]
) -> dict[str, dict[str, str]]:
    """By item, what is filled in of a sheet; its rows by number."""
    if other := {row["study"].strip() for row in rows.values()} - {study}:
        raise UserError(f"{path}: of study {', '.join(sorted(other))}, the key is of {study}; give each its own key")
    if len({row["rater"].strip() for row in rows.values()}) != 1:
        raise UserError(f"{path}: names more than one rater; give each rater's sheet by itself")
    found: dict[str, dict[str, str]] = {}
    for number, row in rows.items():
        item = row["item"].strip()
        if item not in known:
            raise UserError(f"{path}, row {number}: no item {item!r} in the key; hand in the sheet as it was made")
        values = {"skipped": row.get("skipped", "").strip().removeprefix("'")}
        for question in (JUSTIFIES, *REASONS):
            value = values[question.name] = " ".join(row.get(question.name, "").casefold().split())
            if value and value not in question.answers:
                raise UserError(
                    f"{path}, row {number}: {question.name} {value!r}; write one of: {', '.join(question.answers)}"
                )
        if any(values.values()) and found.setdefault(item, values) != values:
            raise UserError(f"{path}, row {number}: {item} is answered twice and differently; keep one row")
    return found


def _told(answered: Mapping[str, Mapping], entries: Sequence[Entry], known: set[str]) -> list[str]:
    """Unfinished sheets, skipped screens, raters who fail checks."""
    expected = {entry.item: entry.expected for entry in entries if entry.kind == "check"}
    notes = []
    for rater in sorted(answered):
        rows = {item: row for item, (row, _) in answered[rater].items()}
        rated = sum(bool(row[JUSTIFIES.name]) for row in rows.values())
        skipped = sum(not row[JUSTIFIES.name] for row in rows.values())
        if rated + skipped < len(known):
            notes.append(f"{rater}: unfinished, {rated} of {len(known)} rated; used as far as it goes")
        if skipped:
            notes.append(f"{rater}: {skipped} skipped")
        wrong = sum(item in rows and rows[item][JUSTIFIES.name] != answer for item, answer in expected.items())
        if wrong:
            notes.append(
                f"{rater} fails {wrong} of {sum(item in rows for item in expected)} attention checks; "
                "still counted: leave the sheet out of the line to see it without"
            )
    return notes


def score(answer: str) -> float:
    """An answer on the paper's scale, 0 to 1."""
    return SCORES[answer]
