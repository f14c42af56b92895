"""Where examples come from: the files of a release, the Hugging Face hub, or the project's own demo."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from caref.data.examples import Example
from caref.data.releases import DatasetModule, Layout, Unusable, dataset_module
from caref.errors import UserError


@dataclass(frozen=True)
class Loaded:
    """What a source gave: the usable examples, and how many others were dropped for which reason."""

    examples: tuple[Example, ...]
    dropped: Mapping[str, int]
    source: str  # files, hub or demo


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

        return Loaded(tuple(generate(dataset, split)), {}, "demo")
    if source == "auto":
        return _from_anywhere(module, dataset, split, root)
    raise UserError(f"source={source}: no such source; choose auto, files, hub or demo")


def _from_anywhere(module: DatasetModule, dataset: str, split: str, root: str | None) -> Loaded:
    """The files where the folder has any split of the release, so that one job never mixes two sources."""
    try:
        folder = _folder(dataset, root)
        if all(_absent(layout, side, folder) for layout in module.LAYOUTS for side in layout.files):
            raise UserError(f"{folder} has no split of {dataset}; {_fetch(dataset, folder.parent)}")
    except UserError as missing:
        try:
            return _from_hub(module, dataset, split)
        except UserError as unreachable:
            raise UserError(f"source=auto: {missing}; and {unreachable}") from None
    return _from_files(module, dataset, split, folder)


def _from_files(module: DatasetModule, dataset: str, split: str, folder: Path) -> Loaded:
    for layout in module.LAYOUTS:
        if not _absent(layout, split, folder):
            paths = [folder / file for file in layout.files[split]]
            return _collected(layout.read(*paths), "files", f"{folder} ({split})")
    likeliest = max(module.LAYOUTS, key=lambda layout: sum(_present(layout, side, folder) for side in layout.files))
    raise UserError(
        f"{folder}: {dataset}'s {split} split needs {', '.join(_absent(likeliest, split, folder))}; "
        f"{_fetch(dataset, folder.parent)}"
    )


def _present(layout: Layout, split: str, folder: Path) -> int:
    return len(layout.files[split]) - len(_absent(layout, split, folder))


def _absent(layout: Layout, split: str, folder: Path) -> tuple[str, ...]:
    return tuple(file for file in layout.files[split] if not (folder / file).is_file())


def _folder(dataset: str, root: str | None) -> Path:
    if root is None:
        raise UserError("source.root is not given: name the folder of the releases, or use source=hub or source=demo")
    if not Path(root).is_dir():
        raise UserError(f"source.root={root}: no such folder; {_fetch(dataset, root)}")
    folder = Path(root) / dataset
    if not folder.is_dir():
        raise UserError(f"source.root={root}: it has no folder {dataset}; {_fetch(dataset, root)}")
    return folder


def _fetch(dataset: str, root: str | Path) -> str:
    return f"python -m caref.download {dataset} --root {root} fetches the release"


def _from_hub(module: DatasetModule, dataset: str, split: str) -> Loaded:
    if module.HUB is None:
        raise UserError(
            f"source=hub: the hub has no copy of {dataset}; {_fetch(dataset, 'DIR')}, "
            "then use source=files source.root=DIR"
        )
    from caref.data.hub import rows

    return _collected(module.read_hub(rows(module.HUB, split)), "hub", f"{module.HUB.id} ({split})")


def _collected(items: Iterable[Example | Unusable], source: str, place: str) -> Loaded:
    examples: list[Example] = []
    dropped: Counter[str] = Counter()
    for item in items:
        if isinstance(item, Unusable):
            dropped[item.reason] += 1
        else:
            examples.append(item)
    if not examples:
        reasons = (
            ", ".join(f"{count} dropped for {reason}" for reason, count in dropped.most_common()) or "it holds none"
        )
        raise UserError(f"{place}: no example can be used: {reasons}")
    return Loaded(tuple(examples), dict(dropped), source)
