"""Fetch a dataset's release from its own address: `python -m caref.download esnli --root data`.

Every file is verified before it gets its name: by its git blob id, or, where nobody publishes one, by what it
must hold. An interrupted download goes on from where it stopped; a file that is there and whole is left alone.
"""

import argparse
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from caref.data import releases
from caref.data.files import read_jsonl
from caref.data.releases import ReleaseFile
from caref.errors import UserError, reported

TIMEOUT = 30  # seconds without a byte before a connection is given up
ATTEMPTS = 4  # connections a file, as long as each one brings something
_PIECE = 1 << 18  # bytes read at a time


@reported("interrupted; the same line typed again goes on from what has come")
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and fetch."""
    parser = argparse.ArgumentParser(
        prog="python -m caref.download",
        description="Fetch a dataset's release from its own address, and verify it.",
    )
    parser.add_argument("dataset", help=f"{', '.join(releases.names())}, or all")
    parser.add_argument(
        "--root",
        default=os.environ.get("CAREF_DATA", "data"),
        help="folder to fill, one folder a dataset (default: $CAREF_DATA, else data)",
    )
    options = parser.parse_args(arguments)
    for dataset in releases.names() if options.dataset == "all" else [options.dataset]:
        if options.dataset == "all" and not releases.dataset_module(dataset).RELEASE:
            print(f"{dataset}: not fetched; {releases.fetching(dataset, options.root)}")
        else:
            download(dataset, Path(options.root), report=print)


def download(dataset: str, root: Path, base: str | None = None, report: Callable[[str], None] = print) -> None:
    """Fetch all files of a dataset's release into `root`/`dataset`.

    Args:
        dataset: which one.
        root: the folder that source.root names.
        base: scheme and host to fetch from, in place of the release's own (a mirror with the same paths).
        report: told a line about each file.

    Raises:
        UserError: no such dataset, one that cannot be fetched, a folder that cannot be written, an address that
            cannot be had, or a file that is not what it should be.
    """
    folder, files = root / dataset, releases.dataset_module(dataset).RELEASE
    if not files:
        raise UserError(f"{dataset}: nothing that could be verified to fetch; {releases.fetching(dataset, root)}")
    for file in files:
        path = folder / file.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            done = _had(file, path, base)
        except OSError as error:
            raise UserError(f"--root {root}: {path} cannot be written ({error.strerror})") from None
        report(f"{path}: {done}")


def blob_id(path: Path) -> str:
    """A file's git blob id: SHA-1 of `blob SIZE`, a zero byte, and its content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _had(file: ReleaseFile, path: Path, base: str | None) -> str:
    """Make sure that the file is there and whole; say in a few words what was done."""
    bad = path.with_name(path.name + ".bad")
    note = ""
    if path.exists():
        if _flaw(file, path) is None:
            return f"already there, {_proof(file)}"
        note = f"; what was there is not the release's and is set aside as {bad.name}"
    address = file.address if base is None else base.rstrip("/") + urlsplit(file.address).path
    part = path.with_name(path.name + ".part")
    _fetch(address, part)
    if flaw := _flaw(file, part):
        os.replace(part, bad)
        raise UserError(f"{address}: not the release's file ({flaw}); what came is set aside as {bad}")
    if note:
        os.replace(path, bad)
    os.replace(part, path)
    return f"fetched, {path.stat().st_size:,} bytes, {_proof(file)}{note}"


def _flaw(file: ReleaseFile, path: Path) -> str | None:
    """What shows that the content of `path` is not the release's; None where nothing does."""
    if file.blob is not None:
        found = blob_id(path)
        return None if found == file.blob else f"its blob id is {found}, not {file.blob}"
    try:
        count = 0
        for row in read_jsonl(path):
            row.text("id"), row.text("question", "stem"), row.text("answerKey")
            count += 1
    except UserError as error:
        return str(error)
    return None if count == file.lines else f"it holds {count:,} questions, not {file.lines:,}"


def _proof(file: ReleaseFile) -> str:
    if file.blob is not None:
        return f"verified by its blob id {file.blob[:10]}"
    return f"checked only to hold {file.lines:,} questions: nobody publishes a checksum"


def _fetch(address: str, part: Path) -> None:
    """Bring the whole of `address` into `part`, going on from what is already in it."""
    idle = 0
    while idle < ATTEMPTS:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _append(address, part, before):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise UserError(f"{address}: HTTP {error.code} {error.reason}") from None
            reason = f"HTTP {error.code} {error.reason}"
        except urllib.error.URLError as error:
            raise UserError(
                f"{address}: cannot be reached ({error.reason}); run the same line again to go on"
            ) from None
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = f"the connection was cut: {error!r}"
        idle = 0 if part.exists() and part.stat().st_size > before else idle + 1
        time.sleep(idle * 0.5)
    size = part.stat().st_size if part.exists() else 0
    raise UserError(f"{address}: {reason} after {size:,} bytes; run the same line again to go on")


def _append(address: str, part: Path, start: int) -> bool:
    """Read `address` from byte `start` on into `part`; False where the end did not come."""
    headers = {"User-Agent": "caref", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies beyond: it is whole, or it is another file and found out as such
            return True
        raise
    resumed = answer.status == 206  # else the server sends all of it, whatever was asked
    length = answer.headers.get("Content-Length")
    with answer, part.open("ab" if resumed else "wb") as file, _progress(part, length, start * resumed) as bar:
        received = 0
        while piece := answer.read(_PIECE):
            file.write(piece)
            received += len(piece)
            bar.update(len(piece))
        file.flush()
        os.fsync(file.fileno())
    return length is None or received == int(length)


def _progress(part: Path, length: str | None, start: int) -> tqdm:
    total = start + int(length) if length else None
    # disable=None: silent where nobody watches
    return tqdm(desc=part.stem, total=total, initial=start, unit="B", unit_scale=True, leave=False, disable=None)


if __name__ == "__main__":
    main()
