"""Evidence beside the records of a cell: added later or at once, it changes nothing of them.

    RESULTS/<signature>/evidence/<mark>/asked.yaml      what was asked; the mark is its hash
    RESULTS/<signature>/evidence/<mark>/000.json        the scores of split 0
    RESULTS/<signature>/evidence/<mark>/000.jsonl.gz    one line an example: choices, words and their scores

Files are written as records are: whole or not at all, sealed, the scores last.
"""

import gzip
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from caref.results.records import Damaged, Unreadable, canonical, digest, numbered, parse, read, sealed
from caref.results.writing import move_aside, write_atomically

# Of what measures and attributions compute: evidence of one edition is not evidence of another.
EDITION = 2
# Measures and attributions that have changed by themselves since, and how often: evidence without them stays as it is.
REVISED = {
    # by the reading's choices, once by all their tokens; of examples that are drawn, once a split's first
    "robustness": 2,
    **dict.fromkeys(("naopc", "consistency"), 1),  # the same of theirs
    "simulatability": 1,  # its students' examples drawn apart from what random words are drawn by
    "alignment": 1,  # spans end where a field does
    # a reply in prose is no list, and listed words that the input lacks count
    **dict.fromkeys(("prompting", "prompting_top", "prompting_untrained", "prompting_top_untrained"), 1),
}

# What were no keys once, and what stood for each.
_LATER = {"epochs": [], "module": None, "student_lr": 5e-3, "student_steps": 100}


@dataclass
class Found:
    """What a cell's folder holds of one question."""

    mark: str
    asked: dict
    records: dict[int, dict] = field(default_factory=dict)  # by split
    damaged: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def described(evidence: Mapping) -> dict:
    """What is asked, without what it is called: the same question has the same mark."""
    asked = {key: value for key, value in evidence.items() if key != "name"}
    if revised := _revised(asked):
        asked["revised"] = revised
    for later, usual in _LATER.items():
        if asked.get(later, usual) == usual:
            asked.pop(later, None)
    return {"edition": EDITION} | asked


def _revised(asked: Mapping) -> dict[str, int]:
    named = (*asked.get("measures", ()), *asked.get("attributions", ()))
    return {name: REVISED[name] for name in named if name in REVISED}


def outdated(asked: Mapping) -> str:
    """What of a question is not as it is computed today: "edition 1", "robustness"; empty where nothing is."""
    if asked.get("edition") != EDITION:
        return f"edition {asked.get('edition')}"
    before = asked.get("revised", {})
    return ", ".join(name for name, now in _revised(asked).items() if before.get(name) != now)


def mark(evidence: Mapping) -> str:
    """8 hexadecimal digits, of everything that can change a score."""
    return digest(canonical(described(evidence)))[:8]


def folder_of(cell: Path, evidence: Mapping) -> Path:
    """Where the evidence of a cell is kept."""
    return cell / "evidence" / mark(evidence)


def write_split(cell: Path, evidence: Mapping, record: Mapping, rows: Sequence[Mapping]) -> dict:
    """Keep what one split came to: its rows, then its scores, which make it finished.

    Args:
        cell: RESULTS/<signature>.
        evidence: the part `evidence` of the job.
        record: with the key "split"; gains "rows_sha256".
        rows: one an example.

    Returns:
        The record as written.
    """
    folder, split = folder_of(cell, evidence), record["split"]
    packed = gzip.compress(b"".join(canonical(row) + b"\n" for row in rows), mtime=0)
    if not (folder / "asked.yaml").exists():
        write_atomically(folder / "asked.yaml", yaml.safe_dump(described(evidence), sort_keys=True).encode())
    write_atomically(folder / f"{split:03d}.jsonl.gz", packed)
    record = {**record, "rows_sha256": digest(packed)}
    write_atomically(folder / f"{split:03d}.json", sealed(record))
    return record


def read_split(folder: Path, split: int) -> dict | None:
    """The scores of a split, its rows verified too; None where there are none.

    Raises:
        Damaged, Unreadable: as `store.read_record` does.
    """
    path, rows = folder / f"{split:03d}.json", folder / f"{split:03d}.jsonl.gz"
    try:
        record = parse(path, read(path))
    except FileNotFoundError:
        return None
    try:
        intact = digest(read(rows)) == record.get("rows_sha256")
    except FileNotFoundError:
        intact = False
    if not intact:
        raise Damaged(f"{rows}: missing, or not what its record names")
    return record


def read_rows(folder: Path, split: int) -> list[dict]:
    """The rows of a split's examples, in the split's order.

    Raises:
        FileNotFoundError, Damaged, Unreadable: as `store.read_predictions` does.
    """
    path = folder / f"{split:03d}.jsonl.gz"
    try:
        with gzip.open(io.BytesIO(read(path)), "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    except (EOFError, ValueError, gzip.BadGzipFile, zlib.error, RecursionError) as error:
        raise Damaged(f"{path}: cannot be what was written ({error})") from None


def set_aside(folder: Path, split: int) -> None:
    """Move damaged evidence out of the way, to names that end in .damaged."""
    move_aside((folder / f"{split:03d}.json", folder / f"{split:03d}.jsonl.gz"), ".damaged")


def set_aside_all(cell: Path, split: int) -> bool:
    """Move a split's evidence of every question to names that end in .stale; whether there was any."""
    names = f"{split:03d}.json", f"{split:03d}.jsonl.gz"
    return move_aside([path for name in names for path in cell.glob(f"evidence/*/{name}")], ".stale")


def of_cell(cell: Path, only: int | None = None) -> list[Found]:
    """Everything a cell's folder holds, one question after the other; what is damaged is named and left out.

    Args:
        only: read of this split alone.
    """
    try:
        folders = sorted(folder for folder in (cell / "evidence").iterdir() if folder.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Found("", {}, unread=[f"{cell / 'evidence'}: cannot be read ({error.strerror or error})"])]
    return [_found(folder, only) for folder in folders]


def _found(folder: Path, only: int | None) -> Found:
    found = Found(folder.name, _asked(folder))
    if not found.asked:
        found.unread.append(
            f"{folder / 'asked.yaml'}: does not tell what was asked, which the folder's name is made of"
        )
    try:
        splits = [split for split in numbered(folder) if only in (None, split)]
    except Unreadable as error:
        found.unread.append(str(error))
        splits = []
    for split in splits:
        path = folder / f"{split:03d}.json"
        try:
            found.records[split] = parse(path, read(path, patient=not found.unread))
        except Damaged as damage:
            found.damaged.append(str(damage))
        except Unreadable as error:
            found.unread.append(str(error))
        except FileNotFoundError:  # a job has set it aside meanwhile
            continue
    return found


def _asked(folder: Path) -> dict:
    """What was asked, as far as it is what the folder is named after."""
    try:
        asked = yaml.safe_load(read(folder / "asked.yaml"))
        return asked if isinstance(asked, dict) and digest(canonical(asked))[:8] == folder.name else {}
    except (FileNotFoundError, Unreadable, yaml.YAMLError, ValueError, TypeError, RecursionError):
        return {}
