"""A record's bytes: sealed when they are written, judged when they are read, of every version there has been.

Everything that is read of a results folder is read here. Only content says damage: a checksum that does not fit, or
what is no JSON. What cannot be read says nothing of the content (on a network's file system it may be read a moment
later): it is tried again, then told, and never moved.
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

_SEAL = b'{\n "checksum": "%s",'  # how a record's file begins; the checksum is of the same JSON without it
_PAUSES = (0.05, 0.25)  # seconds before the second and the third try
_LASTING = (errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)  # what no wait mends

Read = TypeVar("Read")


class Damaged(Exception):
    """A record or its predictions cannot be what was written; the message names the file and what is wrong."""


class Unreadable(Exception):
    """A file that is there could not be read, which says nothing of what it holds; the message names it and why."""


def read(path: Path, patient: bool = True) -> bytes:
    """A file's content.

    Args:
        patient: try again for a moment where it cannot be read.

    Raises:
        FileNotFoundError: there is none.
        Unreadable: naming it.
    """
    return _tried(path.read_bytes, path, patient)


def numbered(folder: Path, suffix: str = ".json") -> list[int]:
    """The numbers that name files of a folder ("007.json"), ascending; none where there is no folder.

    Raises:
        Unreadable: naming the folder.
    """
    try:
        names = _tried(lambda: os.listdir(folder), folder)
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def _tried(action: Callable[[], Read], path: Path, patient: bool = True) -> Read:
    for pause in (*_PAUSES, None):
        try:
            return action()
        except FileNotFoundError:
            raise
        except OSError as error:
            if pause is None or not patient or error.errno in _LASTING:
                raise Unreadable(f"{path}: cannot be read ({error.strerror or error}); it is left as it is") from None
            time.sleep(pause)
    raise AssertionError  # the last try returns or raises


def sealed(record: Mapping) -> bytes:
    """The content of a record's file."""
    body = json.dumps(record, indent=1, sort_keys=True).encode()
    return _SEAL % digest(body).encode() + body[1:]


def parse(path: Path, content: bytes) -> dict:
    """The record of a split out of its file's content.

    Fields that it lacks or that this version does not know are left as they are, but for its sections, which are
    mappings, and its source and fingerprint, which are texts.

    Raises:
        Damaged: it is not what was written, or not of the split that `path` names.
    """
    record = _unsealed(path, content)
    if record.get("split") != int(path.stem):
        raise Damaged(f"{path}: it is the record of split {record.get('split')}")
    for section in ("scores", "training", "counts", "run"):
        record[section] = _mapping(record.get(section))
    for section in ("seconds", "versions"):
        record["run"][section] = _mapping(record["run"].get(section))
    for text in ("source", "fingerprint"):
        record[text] = str(record.get(text, "unknown"))
    return record


def _unsealed(path: Path, content: bytes) -> dict:
    rest = content[len(_SEAL % (b"0" * 64)) :]
    fits = content[: -len(rest)] == _SEAL % digest(b"{" + rest).encode()
    try:
        record = json.loads(content)
        checksum = record.pop("checksum")
        # The first version's checksum is of the record, not of the bytes that it is written in.
        fits = fits or checksum == digest(canonical(record))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        fits = False
    if not fits:
        raise Damaged(f"{path}: not whole, or not what was written: its checksum does not fit")
    return record


def note(path: Path) -> dict:
    """A JSON object that has no seal: why a split failed.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it is none.
        Unreadable: naming it.
    """
    try:
        found = json.loads(read(path))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Damaged(f"{path}: not whole, or not what was written")
    return found


def canonical(content: Mapping) -> bytes:
    """The same content, the same bytes."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _mapping(value: object) -> dict:
    return value if isinstance(value, dict) else {}
