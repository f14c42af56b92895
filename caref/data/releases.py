"""What the module of a dataset tells about it, and how that module is found by the dataset's name.

A dataset is one module of this package that fills in `DatasetModule`; nothing else lists the datasets.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from caref.data.examples import Example
from caref.data.files import Row
from caref.errors import UserError


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that cannot be trained on or scored, and why; `label` is the position of its right choice, where known."""

    reason: str
    label: int | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """A row that can be used, made an example only when it is asked for: of half a million few ever are."""

    label: int
    row: Row
    make: Callable[[Row], Example]


Record = Example | Deferred | Unusable  # what a row of a release comes to; each has a `label`


@dataclass(frozen=True)
class Layout:
    """One way the files of a release lie in their folder.

    Args:
        files: for each split that the release has, the files that it is read from.
        read: from these files' paths, in their order, to what each row of the split comes to, in FEB's order.
    """

    files: Mapping[str, tuple[str, ...]]
    read: Callable[..., Iterator[Record]]


@dataclass(frozen=True)
class Hub:
    """A copy on the Hugging Face hub: its id, configuration and revision."""

    id: str
    config: str | None = None
    revision: str = "main"


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release: where it is fetched from, where it goes, and how it is known to be whole.

    Args:
        address: the file's address.
        path: its place in the dataset's folder, as the first or another of its layouts names it.
        blob: its git blob id; None where nobody has published one.
        lines: for a file without a blob id, how many lines of JSON it must hold.
    """

    address: str
    path: str
    blob: str | None = None
    lines: int | None = None


class DatasetModule(Protocol):
    """What each dataset's module defines; its name is the file's, or its NAME, where `dataset=` calls it otherwise.

    FEB, a `feb.Rule`, says how FEB draws its samples; a module without one gets `feb.FOREIGN`. EXPLAINED = False says
    that nobody explained its examples in words of their own: then a model can only answer, and FEB has no samples.
    ELSEWHERE says where a release is that caref.download cannot fetch and verify; its RELEASE is empty.
    """

    SOURCE: str  # template of the input text: names fields, and {choices}
    LOWERCASE: bool  # whether the input text is lower-cased
    LAYOUTS: tuple[Layout, ...]  # the first is the one that caref.download writes
    RELEASE: tuple[ReleaseFile, ...]  # what caref.download fetches
    HUB: Hub | None  # None where the hub has no copy

    def read_hub(self, rows: Iterable[Row]) -> Iterator[Record]:
        """From the hub's rows to what each comes to; not there where HUB is None."""


def names() -> tuple[str, ...]:
    """Every dataset, in alphabetical order."""
    return tuple(sorted(_modules()))


def explained(name: str) -> bool:
    """Whether a dataset's examples come with free-text explanations.

    Raises:
        UserError: there is no such dataset.
    """
    return getattr(dataset_module(name), "EXPLAINED", True)


def fetching(name: str, root: str | Path) -> str:
    """What a user does to have a dataset's release in a folder.

    Raises:
        UserError: there is no such dataset.
    """
    if place := getattr(dataset_module(name), "ELSEWHERE", None):
        return f"put {place} into {Path(root) / name}"
    return f"python -m caref.download {name} --root {root} fetches the release"


@cache
def _modules() -> dict[str, str]:
    """The module of each dataset, by the dataset's name."""
    # looked at, not imported: other modules of this package bring in torch
    texts = {path.stem: path.read_text("utf-8") for path in Path(__file__).parent.glob("*.py")}
    datasets = {stem: text for stem, text in texts.items() if re.search("^LAYOUTS = ", text, re.M)}
    called = {stem: re.search('^NAME = "([^"]+)"', text, re.M) for stem, text in datasets.items()}
    return {name[1] if name else stem: stem for stem, name in called.items()}


def dataset_module(name: str) -> DatasetModule:
    """The module that knows a dataset.

    Raises:
        UserError: there is no such dataset.
    """
    if name not in _modules():
        raise UserError(f"dataset={name}: no such dataset; choose one of {', '.join(names())}")
    return importlib.import_module(f"caref.data.{_modules()[name]}")
