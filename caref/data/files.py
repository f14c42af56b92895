"""Reading the files of a release, with the file and the line in every complaint."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from caref.errors import UserError


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a release, and where it stands (a file and its line, or a hub id and its row)."""

    where: str
    cells: Mapping[str, Any]

    def text(self, *keys: str) -> str:
        """The text under a key, or under keys inside keys.

        Raises:
            UserError: there is no such key, or no text under it.
        """
        value = self.value(*keys)
        if not isinstance(value, str):
            raise self.refusal(f"{'.'.join(keys)} is no text")
        return value

    def list(self, *keys: str) -> Sequence[Any]:
        """The list under a key, or under keys inside keys.

        Raises:
            UserError: there is no such key, or no list under it.
        """
        value = self.value(*keys)
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.refusal(f"{'.'.join(keys)} is no list")
        return value

    def value(self, *keys: str) -> Any:
        """Whatever is under a key, or under keys inside keys.

        Raises:
            UserError: there is no such key.
        """
        value: Any = self.cells
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                raise self.refusal(f"{'.'.join(keys)} is missing")
            value = value[key]
        return value

    def refusal(self, reason: str) -> UserError:
        """The error that says what is wrong with this row."""
        return UserError(f"{self.where}: {reason}")


def stored(path: Path) -> Path:
    """The file itself, or, where only that is there, the same packed by gzip, its name ending in .gz."""
    packed = path.with_name(path.name + ".gz")
    return packed if packed.is_file() and not path.is_file() else path


def read_text(path: Path) -> str:
    """A UTF-8 file's text, line ends as they are.

    Raises:
        UserError: the file cannot be opened or unpacked, or is not UTF-8 (names the line and the byte).
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be unpacked ({error}); fetch it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        position = len(content) - len(error.object) + error.start
        line = content.count(b"\n", 0, position) + 1
        raise UserError(
            f"{path}, line {line}: not UTF-8 (0x{content[position]:02x} at byte {position}); fetch it again"
        ) from None


def read_lines(path: Path) -> list[str]:
    """A file's lines that hold something, trimmed."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_jsonl(path: Path) -> Iterator[Row]:
    """One JSON object a line.

    Raises:
        UserError: a line is not a JSON object (names the line).
    """
    # not splitlines, which also breaks at characters that JSON texts may hold
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}: broken JSON ({error.msg} at column {error.colno})") from None
        except (ValueError, RecursionError):  # a number of thousands of digits, brackets in thousands of brackets
            raise UserError(f"{where}: JSON that cannot be read: a number too long, or nested too deeply") from None
        if _ESCAPED_SURROGATE.search(line) and not _encodable(record):
            raise UserError(f"{where}: not Unicode: half of a surrogate pair (\\ud800 to \\udfff); fetch it again")
        if not isinstance(record, dict):
            raise UserError(f"{where}: not a JSON object")
        yield Row(where, record)


# Pairs of them are characters beyond the 65,536th; one alone is no character, and no file can hold it.
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _encodable(record: object) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def by_id(rows: Iterable[Row], key: str) -> dict[str, Row]:
    """Rows by the id under `key`, in their order; a row that is there again, word for word, counts once.

    Raises:
        UserError: two rows have one id and do not say the same (names both lines).
    """
    found: dict[str, Row] = {}
    for row in rows:
        first = found.setdefault(row.text(key), row)
        if first.cells != row.cells:
            raise row.refusal(f"{key} {row.text(key)} is also at {first.where}, which says otherwise; keep one of them")
    return found


# After the last line of a file: swallowed by a quote that was never closed, else a row of its own.
_END = "end of file\x00"


def read_csv(path: Path, columns: tuple[str, ...], header: bool = True, delimiter: str = ",") -> Iterator[Row]:
    """Rows of a csv file, by column; cells may span lines.

    Args:
        path: the file.
        columns: the columns that must be there; without a header, the names of all columns, in order.
        header: whether the first row names the columns.
        delimiter: what stands between two cells.

    Raises:
        UserError: columns are missing, a row has too few or too many cells, or a quote is never closed.
    """
    reader = csv.reader(chain(io.StringIO(read_text(path), newline=""), [_END]), delimiter=delimiter)
    names: tuple[str, ...] | None = None if header else columns
    while True:
        number = reader.line_num + 1
        where = f"{path}, line {number}"
        try:
            cells = next(reader)
        except csv.Error as error:
            raise UserError(f"{where}: broken csv ({error}); is a quote never closed?") from None
        if cells == [_END]:
            if names is None:
                raise UserError(f"{path}: the file is empty")
            return
        if cells and cells[-1].endswith(_END):
            raise UserError(f"{where}: a quote is never closed; the file is cut short or broken")
        if not cells:
            continue
        if names is None:
            names = tuple(cells)
            if lacking := [column for column in columns if column not in names]:
                raise UserError(f"{where}: no column {', '.join(lacking)}; the columns are {', '.join(names)}")
        elif len(cells) != len(names):
            raise UserError(f"{where}: {len(cells)} cells where {len(names)} belong; the file is cut short or broken")
        else:
            yield Row(where, dict(zip(names, cells, strict=True)))
