"""The trained parts of a cell's splits: kept whole or not at all, and only where there is room before the training.

RESULTS/<signature>/trained/003/    what `caref.models.trained.load_trained` reads
"""

import errno
import os
import shutil
import socket
from collections.abc import Callable, Collection
from pathlib import Path

from caref.errors import UserError

_WRITTEN_LAST = ("trained.json", "adapter_config.json")  # of a sparse variant and of an adapter
_BYTES = 4  # of a trained parameter, which is float32
_BESIDE = 1 << 20  # names, descriptions, and the records that are written next
_FULL = (errno.ENOSPC, errno.EDQUOT)


def kept(folder: Path, split: int) -> bool:
    """Whether the trained part of a split is there, whole."""
    return any((folder / f"{split:03d}" / name).is_file() for name in _WRITTEN_LAST)


def set_aside(folder: Path, split: int) -> bool:
    """Move the trained part of a split to a name that ends in .stale, over an earlier one's; whether it was there."""
    place = folder / f"{split:03d}"
    if not place.is_dir():
        return False
    stale = place.with_name(f"{place.name}.stale")
    shutil.rmtree(stale, ignore_errors=True)
    os.replace(place, stale)
    return True


def check_room(folder: Path, splits: Collection[int], trainable: int) -> None:
    """Refuse to train what there is no room to keep.

    Args:
        folder: RESULTS/<signature>/trained, which need not be there.
        splits: whose trained parts are to be kept; those that are there take no further room.
        trainable: parameters of each.

    Raises:
        UserError: naming what they take and what is free.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    count = sum(not kept(folder, split) for split in splits)
    wanted, free = count * (_BYTES * trainable + _BESIDE), shutil.disk_usage(there).free
    if count and wanted > free:
        raise UserError(
            f"train.save=true: the trained parts of {count} split{'s' * (count > 1)} take about {_size(wanted)}, and "
            f"{_size(free)} are free in {there}; make room, choose another results_dir, or train.save=false"
        )


def keep(folder: Path, split: int, save: Callable[[Path], None]) -> None:
    """Put a split's trained part in its place, complete, readable by whom the umask lets read.

    Args:
        folder: RESULTS/<signature>/trained.
        save: writes it into the folder that it is given.

    Raises:
        UserError: where it cannot be written; nothing of it stays.
    """
    place = folder / f"{split:03d}"
    made = folder / f".{split:03d}.{socket.gethostname()}-{os.getpid()}.tmp"
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        save(made)
        mode = _mode_of_new_files(made)
        for file in filter(Path.is_file, made.rglob("*")):
            file.chmod(mode)  # safetensors writes for the user alone, whatever the umask
            with file.open("rb") as written:
                os.fsync(written.fileno())
        shutil.rmtree(place, ignore_errors=True)  # what an earlier version left incomplete
        os.replace(made, place)
    except BaseException as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(made, ignore_errors=True)
        if not isinstance(error, Exception):  # Ctrl-C, the end of a Slurm job
            raise
        raise UserError(
            f"train.save=true: {place} cannot be written ({_reason(error)}); the job stops here, its records are kept, "
            "and the same line goes on"
        ) from None


def _mode_of_new_files(folder: Path) -> int:
    probe = folder / ".probe"
    probe.touch()
    mode = probe.stat().st_mode & 0o777
    probe.unlink()
    return mode


def _reason(error: Exception) -> str:
    full = getattr(error, "errno", None) in _FULL or any(f"os error {number}" in str(error) for number in _FULL)
    return "the disk is full" if full else getattr(error, "strerror", None) or str(error) or type(error).__name__


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count // 1000} kB"
