"""What others have published of their models, a seed at a time, as cells of a results folder.

    python -m caref.published sparsefit FOLDER [--out RESULTS]

FOLDER holds the csv that the authors of SparseFit published, one folder a setting: results_all.csv has the accuracy
and nBERT of each seed, results_with_std.csv their own means and deviations. Whatever is amiss is named in the output
and nothing is guessed: equal rows are one, rows that contradict each other are left out. The csv say neither what was
trained nor how; a setting keeps the name of its folder. A cell's name is no signature, so no run can fall together
with it.
"""

import argparse
import csv
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from caref.analysis.summary import summarise
from caref.data.splits import SEEDS
from caref.errors import UserError, reported
from caref.results import store
from caref.results.published import SOURCE
from caref.results.writing import check_writable

BY = "SparseFit (Solano et al. 2024)"
REPOSITORY = "https://github.com/SanniM3/predicitons_with_explanations"
PUBLISHERS = ("sparsefit",)

_SCORES = {"dev_acc": "accuracy", "dev_bertscore_correct_normalized": "nbert"}
_CELL = ("task_name", "model_type", "io_format", "n_shots")  # what a cell of theirs is, beside its folder
_DATASETS = {"sensemaking": "comve"}  # FEB's name for it
_MARKER = re.compile(r"<{7}|={7}|>{7}")  # of a conflict that git left in a file
# By the repository's README and by these folders' names; their rows say T5 and UnifiedQA.
_LLAMA, _MISLABELLED = "Llama-2-7b", re.compile("llama", re.IGNORECASE)
_EQUAL = 1e-9

Scores = tuple[float, ...]  # one a value of _SCORES, percent


@dataclass
class Published:
    """One cell as its csv has it: of each seed its different scores, and how often each stands there."""

    setting: str  # its folder
    said: Mapping[str, str]  # by name of _CELL
    file: str
    sha256: str
    seeds: dict[int, Counter[Scores]] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """What was trained; both words where the folder and its rows contradict each other."""
        said = self.said["model_type"].removeprefix("allenai/")
        return f"{_LLAMA}, rows say {said}" if _MISLABELLED.search(self.setting) else said

    @property
    def dataset(self) -> str:
        return _DATASETS.get(self.said["task_name"], self.said["task_name"])

    @property
    def name(self) -> str:
        """The cell's folder: told apart from any signature, which is of hexadecimal digits alone."""
        parts = ("sparsefit", self.setting, self.said["model_type"], self.dataset)
        return "published-" + re.sub(r"[^\w.]+", "-", "-".join(parts))

    def agreed(self) -> dict[int, Scores]:
        """By seed, where all its rows say the same."""
        return {seed: next(iter(found)) for seed, found in self.seeds.items() if len(found) == 1}

    def config(self) -> dict:
        """What config.yaml says; the method and the objective are told nowhere."""
        return {
            "model": {"name": self.model},
            "dataset": {"name": self.dataset},
            "peft": {"name": self.setting, "method": "unstated"},
            "reg": {"term": "unstated"},
            "published": {"by": BY, "repository": REPOSITORY, "file": self.file, **self.said},
        }

    def records(self) -> Iterator[dict]:
        """A record a seed, under the number that FEB's order gives it."""
        for seed, scores in self.agreed().items():
            accuracy, nbert = scores
            similarity = nbert / accuracy if accuracy else None
            yield {
                "split": SEEDS.index(seed),
                "seed": seed,
                "status": "done",
                "source": SOURCE,
                "scores": {"accuracy": accuracy, "nbert": nbert, "similarity": similarity},
                "published": {"by": BY, "repository": REPOSITORY, "file": self.file, "sha256": self.sha256},
            }


def read(folder: Path) -> tuple[list[Published], list[str]]:
    """Every cell that the csv under `folder` tell of, and in a line each what is amiss with them.

    Raises:
        UserError: there is no such file, or one of them is not what it should be.
    """
    files = sorted(folder.rglob("results_all.csv"))
    if not files:
        raise UserError(f"{folder}: no results_all.csv in it or below; name the folder that holds SparseFit's csv")
    cells: list[Published] = []
    notes: list[str] = []
    for path in files:
        found, amiss = _cells(path, folder)
        cells += found
        notes += amiss
        notes += _against_their_summary(path.with_name("results_with_std.csv"), found, folder)
    return cells, notes


def _rows(path: Path) -> tuple[list[tuple[int, list[str]]], int]:
    """The rows of a csv with their line numbers, and how many conflict markers stood between them."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            rows = [(lines.line_num, row) for row in lines if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    kept = [(number, row) for number, row in rows if not _MARKER.match(row[0])]
    return kept, len(rows) - len(kept)


def _cells(path: Path, folder: Path) -> tuple[list[Published], list[str]]:
    file = path.relative_to(folder).as_posix()
    rows, markers = _rows(path)
    notes = [f"{file}: {markers} conflict markers of git; the rows of all sides are read"] if markers else []
    setting = path.parent.relative_to(folder).as_posix()
    if _MISLABELLED.search(setting):
        notes.append(f"{file}: the folder says Llama, its rows say T5; the model is called {_LLAMA} with both said")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    cells: dict[tuple[str, ...], Published] = {}
    head: list[str] = []
    strange: list[str] = []
    repeated = 0
    for number, row in rows:
        if row[0] == "" or not head:  # the head, whose first column has no name
            head = row
            if missing := {*_CELL, "seed", *_SCORES} - set(head):
                raise UserError(f"{path}, line {number}: no column {', '.join(sorted(missing))}")
            continue
        one = dict(zip(head, row, strict=False))
        read_off = _scores(one)
        if read_off is None:
            strange.append(str(number))
            continue
        seed, scores = read_off
        key = tuple(one[name] for name in _CELL)
        said = dict(zip(_CELL, key, strict=True))
        found = cells.setdefault(key, Published(setting, said, file, sha256)).seeds.setdefault(seed, Counter())
        repeated += scores in found
        found[scores] += 1
    if strange:
        notes.append(f"{file}: left out, no seed of FEB's or no two scores from 0 to 100: lines {', '.join(strange)}")
    if repeated:
        notes.append(f"{file}: {repeated} rows say again what an earlier one says; each counts once")
    for cell in cells.values():
        if contradictory := sorted(seed for seed, found in cell.seeds.items() if len(found) > 1):
            seeds = ", ".join(map(str, contradictory))
            notes.append(f"{cell.name}: left out, rows contradict each other on {len(contradictory)} seeds: {seeds}")
    return [cells[key] for key in sorted(cells)], notes


def _scores(row: Mapping[str, str]) -> tuple[int, Scores] | None:
    """Seed and scores of a row; None where it has none that can be."""
    try:
        seed, scores = int(row["seed"]), tuple(float(row[name]) for name in _SCORES)
    except (KeyError, ValueError):
        return None
    return (seed, scores) if seed in SEEDS and all(0 <= score <= 100 for score in scores) else None


def _against_their_summary(path: Path, cells: list[Published], folder: Path) -> Iterator[str]:
    """Where the authors' own means and population deviations are not those of the seeds."""
    if not path.is_file():
        yield f"{path.relative_to(folder).as_posix()}: not there, so nothing was checked against it"
        return
    by_key = {tuple(cell.said[name] for name in _CELL): cell for cell in cells}
    for key, theirs in summaries(path).items():
        cell = by_key.pop(key, None)
        if cell is None:
            yield f"{path.relative_to(folder).as_posix()}: {key[0]}, {key[1]} is summarised, but has no row a seed"
        elif not _agree(theirs, _summary(list(cell.agreed().values()))):
            every = [scores for found in cell.seeds.values() for scores in found.elements()]
            if _agree(theirs, _summary(every)):
                why = "counts the repeated rows as often as they stand"
            else:
                ours = _summary(list(cell.agreed().values()))
                apart = max((abs(a - b) for a, b in zip(theirs, ours, strict=True)), default=math.nan)
                why = f"is not that of these rows, once or as often as they stand (up to {apart:.2g} apart)"
            yield f"{cell.name}: the authors' summary {why}"
    for cell in by_key.values():
        yield f"{cell.name}: the authors' summary does not have it"


def summaries(path: Path) -> dict[tuple[str, ...], Scores]:
    """Of each cell the authors' own mean and deviation of accuracy, then of nBERT; see `_CELL` for the key."""
    found = {}
    for number, row in _rows(path)[0]:
        if row[0] in ("", _CELL[0]):
            continue
        try:
            found[tuple(row[: len(_CELL)])] = tuple(map(float, row[len(_CELL) : len(_CELL) + 2 * len(_SCORES)]))
        except ValueError:
            raise UserError(f"{path}, line {number}: no mean and deviation of {' and '.join(_SCORES)}") from None
    return found


def _summary(scores: list[Scores]) -> Scores:
    each = [summarise(values) for values in zip(*scores, strict=True)]
    return tuple(figure for one in each for figure in (one.mean, one.std))


def _agree(left: Scores, right: Scores) -> bool:
    return len(left) == len(right) and all(abs(a - b) <= _EQUAL for a, b in zip(left, right, strict=True))


def write(cells: list[Published], results_dir: Path) -> list[str]:
    """Write the cells into a results folder; what it says of each, in a line."""
    check_writable(results_dir)
    lines = []
    for cell in cells:
        records = list(cell.records())
        for record in records:
            store.write_split(results_dir / cell.name, cell.config(), record, [])
        lines.append(f"{cell.name}: {len(records)} of {len(SEEDS)} seeds")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m caref.published", description=__doc__.splitlines()[0])
    parser.add_argument("publisher", choices=PUBLISHERS, help="whose results")
    parser.add_argument("folder", type=Path, help="where their csv lie, each setting in a folder of its own")
    parser.add_argument("--out", type=Path, default=Path("results"), help="a results folder (default: results)")
    arguments = parser.parse_args()
    with reported():
        cells, notes = read(arguments.folder)
        written = write(cells, arguments.out)
        records = sum(len(cell.agreed()) for cell in cells)
        print("\n".join(written))
        print("\n".join(["", "amiss in what was published:", *(f"  {note}" for note in notes)] if notes else []))
        print(f"\n{len(cells)} cells, {records:,} records in {arguments.out}, marked published")


if __name__ == "__main__":
    main()
