"""Token embeddings kept from one split, cell and job to the next: a folder of safetensors files.

What one call adds is one file, named after its texts, written to a temporary name and renamed: any number of
processes may read and write the same folder, and two that compute the same texts write the same entries. Every
entry carries a checksum, looked at when it is first read. What was read stays on disk, mapped into memory.
"""

import hashlib
import os
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

Ids = tuple[int, ...]  # a text as its model reads it

_SUFFIX = ".safetensors"
_ABANDONED = 24 * 3600  # seconds after which a temporary file is what a killed process left behind


def default_folder() -> Path:
    """Where embeddings are kept: `$XDG_CACHE_HOME/caref/bertscore`, by default under `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "caref" / "bertscore"


class Embeddings:
    """Embeddings by token ids.

    A text's entry takes 4 bytes x hidden size x tokens: with roberta-large about 70 kB for an explanation of
    e-SNLI, 250 MB for all of ComVE's validation split.

    Args:
        folder: of one model on one kind of machine; made when first written to.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._memory: dict[str, torch.Tensor] = {}
        self._file_of: dict[str, Path] = {}
        self._read: set[Path] = set()
        _sweep(folder)

    def find(self, texts: Iterable[Ids]) -> dict[Ids, torch.Tensor]:
        """Those of the texts that are there, each (tokens, hidden) float32; damaged entries are not there.

        The tensors are shared: read, never written to.
        """
        names = {text: _name(text) for text in texts}
        if any(name not in self._memory and name not in self._file_of for name in names.values()):
            self._look()
        wanted: dict[Path, list[str]] = {}
        for name in names.values():
            if name not in self._memory and name in self._file_of:
                wanted.setdefault(self._file_of[name], []).append(name)
        for file, inside in wanted.items():
            self._open(file, inside)
        return {text: self._memory[name] for text, name in names.items() if name in self._memory}

    def keep(self, embedded: Mapping[Ids, torch.Tensor]) -> None:
        """Add texts. Where the folder cannot be written, says so and keeps them in memory."""
        entries = {_name(text): vectors for text, vectors in sorted(embedded.items())}
        if not entries:
            return
        file = self._folder / (_digest("".join(entries).encode()) + _SUFFIX)
        try:
            _write(file, save(entries, {name: str(_checksum(vectors)) for name, vectors in entries.items()}))
        except OSError as error:
            warnings.warn(f"{self._folder}: embeddings are not kept on disk ({error.strerror})", stacklevel=2)
            self._memory |= entries
            return
        self._read.add(file)
        self._file_of |= dict.fromkeys(entries, file)

    def _look(self) -> None:
        """Learn what files have come into the folder since, and what is in them."""
        for file in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if file not in self._read:
                self._read.add(file)
                try:
                    with safe_open(file, "pt") as inside:
                        self._file_of |= dict.fromkeys(inside.keys(), file)
                except (OSError, SafetensorError) as error:
                    self._drop(file, str(error))

    def _open(self, file: Path, names: list[str]) -> None:
        try:
            with safe_open(file, "pt") as inside:
                sums = inside.metadata() or {}
                entries = {name: inside.get_tensor(name) for name in names}
            damaged = [name for name, vectors in entries.items() if sums.get(name) != str(_checksum(vectors))]
        except (OSError, SafetensorError) as error:
            self._drop(file, str(error))
        else:
            if damaged:
                self._drop(file, f"{len(damaged)} checksums of {len(names)} are wrong")
            else:
                self._memory |= entries

    def _drop(self, file: Path, reason: str) -> None:
        """Forget a file that is not what was written; its texts are embedded again."""
        warnings.warn(f"{file}: damaged ({reason}); removed, its texts are embedded again", stacklevel=2)
        self._file_of = {name: at for name, at in self._file_of.items() if at != file}
        self._read.discard(file)  # the same texts come back under the same name
        try:
            file.unlink(missing_ok=True)
        except OSError:  # another user's file: it stays, and is passed over
            self._read.add(file)


def _name(text: Ids) -> str:
    return _digest(" ".join(map(str, text)).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _checksum(vectors: torch.Tensor) -> int:
    kind = zlib.crc32(f"{vectors.dtype} {tuple(vectors.shape)}".encode())
    return zlib.crc32(memoryview(vectors.numpy()).cast("B"), kind)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sweep(folder: Path) -> None:
    """Remove what processes killed long ago were writing."""
    for left in folder.glob(".*.tmp"):
        try:
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()
        except OSError:  # gone already, or another user's
            continue
