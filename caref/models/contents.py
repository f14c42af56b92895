"""What a model is, whatever it is called: a mark of its files' content, so that other weights make another cell.

A folder or a file, a wheel's too, is its bytes, a hub id the commit that it stands for. Files that were hashed once are
known again by path, size and times, so planning stays fast.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from caref.errors import UserError
from caref.models.checkpoints import Folder, Gguf, Hub, locate

# What transformers may read of a folder, and what a trainer leaves there beside it.
_READ = {".safetensors", ".bin", ".json", ".model", ".txt", ".jinja", ".tiktoken", ".py", ".gguf"}
_LEFT = {"trainer_state.json", "training_args.bin", "optimizer.bin", "scheduler.bin", "all_results.json"}
_DIGITS = 16  # of a mark: tables show it
_SETTLED = 2.0  # seconds since a file was last changed, before its times can be trusted to show the next change


def content(path: str, revision: str | None = None, key: str = "model.path") -> str:
    """The mark of what `path` names: "files:<of their SHA-256>" or "hub:<commit>".

    Raises:
        UserError: naming `key`, where there is no such thing, or the hub is out of reach and there is no local copy.
    """
    if not path.startswith("wheel:") and not Path(path).expanduser().exists():
        found = _on_hub(path, revision, key)
        if isinstance(found, UserError):
            raise found
        return found
    try:
        match locate(path, revision, key):
            case Folder(folder):
                return f"files:{_folder(folder)}"
            case Gguf(file):
                return f"files:{_file(file)[:_DIGITS]}"
    except OSError as error:
        raise UserError(f"{key}={path}: cannot be read ({error.strerror or error})") from None
    raise UserError(f"{key}={path}: neither a folder nor a GGUF file")


def commit(mark: str) -> str | None:
    """The hub's commit that a mark names; None where it names none."""
    return mark.removeprefix("hub:") if mark.startswith("hub:") else None


# Asked once a process, also where it is out of reach, which takes its time to be found: a sweep's cells share their
# model, and a job stays with the commit that it was planned with.
@cache
def _on_hub(path: str, revision: str | None, key: str) -> str | UserError:
    try:
        match locate(path, revision, key):
            case Hub(commit=str(found)):
                return f"hub:{found}"
    except UserError as error:
        return error
    return UserError(f"{key}={path}: the hub does not say which commit it is; name one with model.revision")


def _folder(folder: Path) -> str:
    told = [
        [file.name, _file(file)]
        for file in sorted(folder.iterdir())
        if file.suffix in _READ and file.name not in _LEFT and not file.name.startswith(".") and file.is_file()
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:_DIGITS]


def _file(file: Path) -> str:
    """SHA-256 of a file's content, from the cache where the file has not changed since."""
    from caref.results.writing import write_atomically

    there = file.resolve()
    status = there.stat()
    known = [str(there), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    kept = _cache() / f"{hashlib.sha256(str(there).encode()).hexdigest()[:32]}.json"
    try:
        *of, digest = json.loads(kept.read_bytes())
        if of == known:
            return digest
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    with there.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if (
        time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED
        and there.stat().st_mtime_ns == status.st_mtime_ns
    ):
        with suppress(UserError):  # else it is hashed again next time
            write_atomically(kept, json.dumps([*known, digest]).encode())
    return digest


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "caref" / "fingerprints"
