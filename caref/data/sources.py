"""Where examples come from: the files of a release, the Hugging Face hub, or the project's own demo."""

import gc
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from caref.data.examples import Example
from caref.data.files import stored
from caref.data.releases import DatasetModule, Deferred, Layout, Record, Unusable, dataset_module, fetching
from caref.errors import UserError


@dataclass(frozen=True)
class Loaded:
    """What a source gave of a split: every row, in the release's order.

    Args:
        rows: what each row comes to.
        source: files, hub or demo.
        place: the folder or hub id, for refusals.
    """

    rows: tuple[Record, ...]
    source: str
    place: str = field(default="", compare=False)

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """All that can be used."""
        return tuple(self.example(place) for place, row in enumerate(self.rows) if not isinstance(row, Unusable))

    @cached_property
    def dropped(self) -> Mapping[str, int]:
        """How many rows cannot be used, by the reason."""
        return dict(Counter(row.reason for row in self.rows if isinstance(row, Unusable)))

    @property
    def labels(self) -> list[int]:
        """Of each row the position of its right choice, -1 where that is not known."""
        return [-1 if row.label is None else row.label for row in self.rows]

    @property
    def classes(self) -> int:
        """How many choices an example has."""
        place = next(place for place, row in enumerate(self.rows) if not isinstance(row, Unusable))
        return len(self.example(place).choices)

    def example(self, place: int) -> Example:
        """The example of a row that can be used."""
        row = self.rows[place]
        return row.make(row.row) if isinstance(row, Deferred) else row


def load(dataset: str, split: str, source: str, root: str | None = None) -> Loaded:
    """All examples of a split.

    Args:
        dataset: which one (esnli, ecqa, comve, cos_e, ...).
        split: train, validation or test, whatever the release calls it.
        source: files, hub, demo, or auto: files where root has any of the dataset, else the hub.
        root: for files and auto, the folder that holds one folder a dataset.

    Raises:
        UserError: no such dataset, split or source; files that are missing or broken; a hub out of reach.
    """
    module = dataset_module(dataset)
    splits = tuple(module.LAYOUTS[0].files)
    if split not in splits:
        raise UserError(
            f"{dataset} has no split {split}, only {', '.join(splits)}; set dataset.train_split or dataset.eval_split"
        )
    if source in ("hub", "demo") and root is not None:
        raise UserError(
            f"source.root={root}: source={source} reads no folder; leave source.root out, or use source=files"
        )
    if source == "files":
        return _from_files(module, dataset, split, _folder(dataset, root))
    if source == "hub":
        return _from_hub(module, dataset, split)
    if source == "demo":
        from caref.data.demo import generate

        return Loaded(generate(dataset, split), "demo", "the demo data")
    if source == "auto":
        return _from_anywhere(module, dataset, split, root)
    raise UserError(f"source={source}: no such source; choose auto, files, hub or demo")


def _from_anywhere(module: DatasetModule, dataset: str, split: str, root: str | None) -> Loaded:
    """The files where the folder has any split of the release, so that one job never mixes two sources."""
    try:
        folder = _folder(dataset, root)
        if all(_absent(layout, side, folder) for layout in module.LAYOUTS for side in layout.files):
            raise UserError(f"{folder} has no split of {dataset}; {fetching(dataset, folder.parent)}")
    except UserError as missing:
        try:
            return _from_hub(module, dataset, split)
        except UserError as unreachable:
            raise UserError(f"source=auto: {missing}; and {unreachable}") from None
    return _from_files(module, dataset, split, folder)


def _from_files(module: DatasetModule, dataset: str, split: str, folder: Path) -> Loaded:
    for layout in module.LAYOUTS:
        if not _absent(layout, split, folder):
            paths = [stored(_file(folder, file)) for file in layout.files[split]]
            return _collected(layout.read(*paths), "files", f"{folder} ({split})")
    likeliest = max(module.LAYOUTS, key=lambda layout: sum(_present(layout, side, folder) for side in layout.files))
    raise UserError(
        f"{folder}: {dataset}'s {split} split needs {', '.join(_absent(likeliest, split, folder))}; "
        f"{fetching(dataset, folder.parent)}"
    )


def _present(layout: Layout, split: str, folder: Path) -> int:
    return len(layout.files[split]) - len(_absent(layout, split, folder))


def _absent(layout: Layout, split: str, folder: Path) -> tuple[str, ...]:
    return tuple(file for file in layout.files[split] if not stored(_file(folder, file)).is_file())


def _file(folder: Path, file: str) -> Path:
    """Where a layout's file is; one of another dataset's folder is named by `../`, whatever the folder is a link to."""
    return Path(os.path.normpath(folder / file))


def _folder(dataset: str, root: str | None) -> Path:
    if root is None:
        raise UserError("source.root is not given: name the folder of the releases, or use source=hub or source=demo")
    if not Path(root).is_dir():
        raise UserError(f"source.root={root}: no such folder; {fetching(dataset, root)}")
    folder = Path(root) / dataset
    if not folder.is_dir():
        raise UserError(f"source.root={root}: it has no folder {dataset}; {fetching(dataset, root)}")
    return folder


def _from_hub(module: DatasetModule, dataset: str, split: str) -> Loaded:
    if module.HUB is None:
        raise UserError(
            f"source=hub: the hub has no copy of {dataset}; {fetching(dataset, 'DIR')}, "
            "then use source=files source.root=DIR"
        )
    from caref.data.hub import rows

    return _collected(module.read_hub(rows(module.HUB, split)), "hub", f"{module.HUB.id} ({split})")


def _collected(items: Iterable[Record], source: str, place: str) -> Loaded:
    collecting = gc.isenabled()
    gc.disable()  # nothing here is garbage: looking for some among half a million rows takes as long as reading them
    try:
        loaded = Loaded(tuple(items), source, place)
    finally:
        if collecting:
            gc.enable()
    if sum(loaded.dropped.values()) == len(loaded.rows):
        reasons = ", ".join(f"{count} dropped for {reason}" for reason, count in Counter(loaded.dropped).most_common())
        raise UserError(f"{place}: no example can be used: {reasons or 'it holds none'}")
    return loaded
