"""Files that are written whole or not at all, in folders that can be written."""

import errno
import os
import shutil
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from caref.errors import UserError

_LEAST_FREE_BYTES = 1 << 20  # about what the records and predictions of a few splits take


def check_writable(folder: str | Path, named: str = "results_dir=") -> None:
    """Refuse a folder that cannot be made, cannot be written, or stands on a full disk; leave no trace.

    Args:
        named: the key or option that names it, up to its value.

    Raises:
        UserError: naming the folder as the user did, and what to do.
    """
    folder = Path(folder)
    existing = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    for one in (folder, *folder.absolute().parents):
        if one.is_symlink() and not one.exists():
            raise refusal(folder, OSError(errno.ELOOP, f"the link {one} leads nowhere"), named)
    if not existing.is_dir():
        raise refusal(folder, NotADirectoryError(errno.ENOTDIR, f"{existing} is not a folder"), named)
    if not os.access(existing, os.W_OK | os.X_OK):
        raise refusal(folder, PermissionError(errno.EACCES, "no permission to write there"), named)
    free = shutil.disk_usage(existing).free
    if free < _LEAST_FREE_BYTES:
        raise UserError(f"{named}{folder}: only {free // 1024} kB free there; make room or choose another")


def move_aside(paths: Iterable[Path], ending: str) -> bool:
    """Give those files that are there a name with this ending; whether any was."""
    moved = False
    for path in paths:
        with suppress(FileNotFoundError):
            os.replace(path, path.with_name(path.name + ending))
            moved = True
    return moved


def refusal(folder: Path, error: OSError, named: str = "results_dir=") -> UserError:
    """What a user is told where a folder cannot be written; see `check_writable`."""
    reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
    return UserError(f"{named}{folder}: cannot be written ({reason}); choose another or make room")


def write_atomically(path: Path, content: bytes, named: str = "results_dir=") -> None:
    """Put `content` at `path` whole or not at all, also over a crash and beside other writers.

    Args:
        named: the key or option that names the folder, up to its value.

    Raises:
        UserError: where the folder cannot be written or the disk is full; no temporary file stays.
    """
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise refusal(path.parent, error, named) from None
