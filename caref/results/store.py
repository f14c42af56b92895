"""The results folder: one atomic record a split, safe with many writers, nothing lost and nothing half written.

    RESULTS/<signature>/config.yaml               the configuration, without what cannot change a number
    RESULTS/<signature>/splits/000.json           the record of split 0: scores, counts, times, provenance
    RESULTS/<signature>/predictions/000.jsonl.gz  one line an evaluated example
    RESULTS/<signature>/failed/000.json           why split 0 could not be finished; goes when it is
    RESULTS/<signature>/locks/000.lock            there while a process works on split 0, and held by it

Every file is written under a temporary name in its folder, flushed to the disk and renamed. The record is
written last: a split is finished when its record is there. Plain files and no database, so that a shared
file system serves many nodes at once. This module knows nothing of what a record's scores mean.
"""

import fcntl
import gzip
import io
import itertools
import json
import os
import shutil
import socket
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml

from caref.errors import UserError
from caref.results import configuration
from caref.results.records import Damaged, Unreadable, canonical, digest, note, numbered, parse, read, sealed
from caref.results.writing import move_aside, refusal, write_atomically


@dataclass
class Cell:
    """What the folder holds for one signature."""

    signature: str
    config: dict
    records: dict[int, dict] = field(default_factory=dict)  # by split index
    failed: dict[int, dict] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)  # one line a damaged record, naming its file
    unread: list[str] = field(default_factory=list)  # one line a file that is there and could not be read


def _record_path(cell: Path, split: int) -> Path:
    return cell / "splits" / f"{split:03d}.json"


def predictions_path(cell: Path, split: int) -> Path:
    return cell / "predictions" / f"{split:03d}.jsonl.gz"


def _failure_path(cell: Path, split: int) -> Path:
    return cell / "failed" / f"{split:03d}.json"


def write_split(cell: Path, config: Mapping, record: Mapping, predictions: Sequence[Mapping]) -> dict:
    """Keep what one split produced: its predictions, then its record, which makes it finished.

    Args:
        cell: RESULTS/<signature>.
        config: what config.yaml is to hold, see `describe`.
        record: with the key "split"; gains "predictions_sha256".
        predictions: one mapping an evaluated example, in the split's order.

    Returns:
        The record as written.
    """
    split = record["split"]
    lines = b"".join(canonical(prediction) + b"\n" for prediction in predictions)
    packed = gzip.compress(lines, mtime=0)  # no time of day in the file: the same predictions, the same bytes
    describe(cell, config)
    write_atomically(predictions_path(cell, split), packed)
    record = {**record, "predictions_sha256": digest(packed)}
    write_atomically(_record_path(cell, split), sealed(record))
    with suppress(FileNotFoundError):
        _failure_path(cell, split).unlink()
    return record


def write_failure(cell: Path, config: Mapping, split: int, seed: int, error: str) -> None:
    """Note why a split could not be finished; the note goes when a later run finishes it."""
    describe(cell, config)
    note = {
        "split": split,
        "seed": seed,
        "error": error,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_atomically(_failure_path(cell, split), json.dumps(note, indent=1, sort_keys=True).encode())


def describe(cell: Path, config: Mapping) -> None:
    """See to it that config.yaml tells what the cell is: it is written where it is missing, broken or unreadable.

    Nothing is lost by that: of one signature there is one configuration.
    """
    if configuration.read(cell)[1] is None:
        return
    path = cell / "config.yaml"
    if path.is_dir():
        os.replace(path, path.with_name(path.name + ".damaged"))
    write_atomically(path, yaml.safe_dump(dict(config), sort_keys=True).encode())


def read_record(cell: Path, split: int) -> dict | None:
    """The record of a finished split, its predictions verified too; None where there is none.

    Raises:
        Damaged: where record or predictions are not what was written.
        Unreadable: where either could not be read.
    """
    path = _record_path(cell, split)
    try:
        record = parse(path, read(path))
    except FileNotFoundError:
        return None
    predictions = predictions_path(cell, split)
    try:
        intact = digest(read(predictions)) == record.get("predictions_sha256")
    except FileNotFoundError:
        intact = False
    if not intact:
        raise Damaged(f"{predictions}: missing, or not what its record names")
    return record


def read_predictions(cell: Path, split: int, most: int | None = None) -> list[dict]:
    """The predictions of a finished split, in the split's order; the first `most` of them.

    Raises:
        FileNotFoundError: there are none.
        Damaged: where they are not what was written.
        Unreadable: where they could not be read.
    """
    path = predictions_path(cell, split)
    try:
        with gzip.open(io.BytesIO(read(path)), "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in itertools.islice(lines, most)]
    except (EOFError, ValueError, gzip.BadGzipFile, zlib.error, RecursionError) as error:
        raise Damaged(f"{path}: cannot be what was written ({error})") from None


def set_aside(cell: Path, split: int) -> None:
    """Move a damaged record and its predictions out of the way, to names that end in .damaged."""
    move_aside((_record_path(cell, split), predictions_path(cell, split)), ".damaged")


@contextmanager
def claimed(cell: Path, split: int, wait: bool) -> Iterator[bool]:
    """Hold a split against the other processes of this machine (of the cluster, where the file system locks for it).

    The kernel drops the lock with the process, so a killed one blocks nobody. What it left half written is swept up.

    Args:
        wait: wait for the holder, or give up at once.

    Yields:
        Whether the split is held.
    """
    path = cell / "locks" / f"{split:03d}.lock"
    lock = _acquire(path, wait)
    if lock is None:
        yield False
        return
    try:
        _sweep_leftovers(cell)
        yield True
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _sweep_leftovers(cell: Path) -> None:
    """Remove what processes of this machine that have died were writing: files, and folders of trained parts."""
    for leftover in (*cell.glob(".*.tmp"), *cell.glob("*/.*.tmp"), *cell.glob("evidence/*/.*.tmp")):
        host, _, process = leftover.name.removesuffix(".tmp").rpartition("-")
        if host.endswith(f".{socket.gethostname()}") and not Path(f"/proc/{process}").exists():
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _acquire(path: Path, wait: bool) -> int | None:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)  # and it stays: to remove it would trip the next to come
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise refusal(path.parent, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError:  # a file system without locks: at worst two nodes do the same work and agree
            return lock
        with suppress(FileNotFoundError):
            if os.fstat(lock).st_ino == os.stat(path).st_ino:
                return lock
        os.close(lock)  # the holder before us has removed this file: lock the one that others see


def cells(results_dir: str | Path) -> list[Cell]:
    """Everything the folder holds, by signature, each split once; damaged records and copies are named and left out.

    Raises:
        UserError: where the folder is missing or cannot be read.
    """
    results_dir = Path(results_dir)
    if not results_dir.is_dir():
        raise UserError(f"{results_dir}: no such results folder; run.py makes one, results_dir= names it")
    try:
        folders = [results_dir / name for name in sorted(os.listdir(results_dir))]
    except OSError as error:
        raise UserError(f"{results_dir}: cannot be read ({error.strerror}); ask its owner, or try again") from None
    return _without_copies([cell for folder in folders if (cell := read_cell(folder)) is not None], results_dir)


def read_cell(folder: Path) -> Cell | None:
    """One signature's folder; None where it is not one. Predictions are not opened."""
    if not any(os.path.lexists(folder / part) for part in ("config.yaml", "splits", "failed")):
        return None
    config, amiss = configuration.read(folder)
    cell = Cell(folder.name, config, unread=[amiss] if amiss else [])
    for split in _listed(folder / "splits", cell):
        path = _record_path(folder, split)
        try:
            cell.records[split] = parse(path, read(path, patient=not cell.unread))
        except Damaged as damage:
            cell.damaged.append(str(damage))
        except Unreadable as error:
            cell.unread.append(str(error))
        except FileNotFoundError:  # a job has set it aside meanwhile
            continue
    for split in _listed(folder / "failed", cell):
        try:
            cell.failed[split] = note(_failure_path(folder, split))
        except (Damaged, Unreadable) as error:
            cell.failed[split] = {"error": str(error)}
        except FileNotFoundError:  # it is finished by now
            continue
    return cell


def _without_copies(found: list[Cell], results_dir: Path) -> list[Cell]:
    """Without those that have a configuration and a record in common with another; that one names them as unread.

    A record tells when its split was finished, so that no second run writes it again. The shortest name is the cell's.
    """
    kept, holders = [], {}
    for cell in sorted(found, key=lambda cell: (len(cell.signature), cell.signature)):
        marks = [digest(canonical(record)) for record in cell.records.values()]
        alike = (holder for mark in marks for holder in holders.get(mark, ()) if holder.config == cell.config)
        if original := next(alike, None):
            original.unread.append(f"{results_dir / cell.signature}: a copy, not counted; keep it in another folder")
            continue
        kept.append(cell)
        for mark in marks:
            holders.setdefault(mark, []).append(cell)
    return sorted(kept, key=lambda cell: cell.signature)


def _listed(folder: Path, cell: Cell) -> list[int]:
    try:
        return numbered(folder)
    except Unreadable as error:
        cell.unread.append(str(error))
        return []


def finished(cell: Path) -> set[int]:
    """Indices of the splits whose record is there; the records are not opened."""
    return set(numbered(cell / "splits"))
