"""A job's splits by its `dataset.sampling`: FEB's own samples, or the project's balanced ones."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from caref.data import sources, splits
from caref.data.examples import Example, fingerprint_of_sides
from caref.data.feb import FOREIGN, Rule, Side
from caref.data.releases import Unusable, dataset_module, explained
from caref.data.sources import Loaded
from caref.data.splits import SEEDS, Protocol, Split
from caref.errors import UserError

_FEB = {"train_split": "train", "eval_split": "validation", "train_size": 48, "eval_size": 350}


@dataclass(frozen=True)
class Pool:
    """What a job's splits are drawn from.

    Attributes:
        split: draws the split of an index, 0 to 59.
        source: files, hub or demo; what `auto` came to.
        rows: of each side (train, evaluation) which split of the release it is, how many rows that has, and how many
            of them cannot be used, by the reason.
        fingerprint: of everything that is drawn, or drawn from.
        classes: how many choices an example has.
    """

    split: Callable[[int], Split]
    source: str
    rows: Mapping[str, Mapping]
    fingerprint: str
    classes: int

    def record(self, index: int) -> dict:
        """What a split's record holds of its data."""
        protocol = self.split(index).protocol.record()
        return {"source": self.source, "fingerprint": self.fingerprint, "rows": self.rows, "protocol": protocol}


def pool(dataset: Mapping, source: str, root: str | None) -> Pool:
    """Read a dataset and settle how its splits are drawn.

    Args:
        dataset: that part of a job's configuration: name, sampling, train_size, eval_size, train_split, eval_split,
            and target, where the examples are for training.
        source: auto, files, hub or demo.
        root: the folder of the releases, for auto and files.

    Raises:
        UserError: the data cannot be had, or is too little; FEB would draw both sides from one; nobody explained
            what is to be explained.
    """
    if not explained(dataset["name"]):
        if dataset.get("target", "answer") != "answer":
            told = f"nobody explained {dataset['name']}'s examples in words"
            raise UserError(f"dataset.target={dataset['target']}: {told}; use dataset.target=answer")
        if dataset["sampling"] == "feb":
            told = f"FEB has no samples of {dataset['name']}"
            raise UserError(f"dataset.sampling=feb: {told}; use dataset.sampling=balanced")
    if dataset["sampling"] == "feb" and dataset["train_split"] == dataset["eval_split"]:
        told = "feb takes nothing out: the model would be evaluated on what it was trained on"
        raise UserError(
            f"dataset.train_split={dataset['train_split']}: {told}; use dataset.sampling=balanced or another split"
        )
    return _pool(tuple(sorted((key, value) for key, value in dataset.items() if key != "target")), source, root)


@cache  # the cells of a sweep share their datasets
def _pool(items: tuple[tuple[str, Any], ...], source: str, root: str | None) -> Pool:
    dataset = dict(items)
    sides = {"train": dataset["train_split"], "evaluation": dataset["eval_split"]}
    train, evaluation = (sources.load(dataset["name"], split, source, root) for split in sides.values())
    rows = {
        side: {"split": split, "rows": len(loaded.rows), "dropped": dict(loaded.dropped)}
        for (side, split), loaded in zip(sides.items(), (train, evaluation), strict=True)
    }
    split = sampler(dataset, train, evaluation)
    if dataset["sampling"] == "feb":
        # all of them: half a million rows need not be kept for the few thousand that are ever drawn
        drawn = [split(index) for index in range(len(SEEDS))]
        chosen = ((example for one in drawn for example in getattr(one, side)) for side in sides)
        mark = fingerprint_of_sides(*chosen, ordered=True)
        return Pool(drawn.__getitem__, train.source, rows, mark, train.classes)
    split(0)  # every split is as large as the first: too little data shows now
    mark = fingerprint_of_sides(train.examples, evaluation.examples, ordered=False)
    return Pool(split, train.source, rows, mark, train.classes)


def sampler(dataset: Mapping, train: Loaded, evaluation: Loaded) -> Callable[[int], Split]:
    """A function from a split's index (0 to 59) to the split.

    Args:
        dataset: that part of a job's configuration: name, sampling, train_size, eval_size, train_split, eval_split.
        train: what `sources.load` gave of its train_split.
        evaluation: of its eval_split.

    Raises:
        UserError: on calling the function, where there is too little data.
    """
    if dataset["sampling"] == "balanced":
        return splits.sampler(train.examples, evaluation.examples, dataset["train_size"], dataset["eval_size"])
    return _feb_sampler(dataset, train, evaluation)


def _feb_sampler(dataset: Mapping, train: Loaded, evaluation: Loaded) -> Callable[[int], Split]:
    """FEB's samples, by the rule of the dataset's module.

    A drawn row that cannot be used is replaced by the next one down the file (after the last comes the first) that can
    and has its right choice in the same place, whatever else is drawn. The other rows of the split stay as they are.
    """
    rule = getattr(dataset_module(dataset["name"]), "FEB", FOREIGN)
    rows = {"train": _Rows(train, rule.explanations), "evaluation": _Rows(evaluation, 1)}
    sides = [
        Side(rows["train"].labels, train.classes, dataset["train_size"], "dataset.train_size"),
        Side(rows["evaluation"].labels, evaluation.classes, dataset["eval_size"], "dataset.eval_size"),
    ]
    reasons = tuple(_departures(dataset, rule, train, evaluation))

    def split(index: int) -> Split:
        chosen, replaced = {}, {}
        for name, places in zip(rows, rule.draw(SEEDS[index], sides), strict=True):
            unusable = Counter(filter(None, map(rows[name].flaw, places)))
            if unusable:
                replaced[name] = dict(unusable)
            chosen[name] = tuple(rows[name].example(rows[name].usable(place)) for place in places)
        return Split(index, SEEDS[index], **chosen, protocol=Protocol("feb", reasons, replaced))

    return split


def _departures(dataset: Mapping, rule: Rule, train: Loaded, evaluation: Loaded) -> Iterator[str]:
    """Why no split of a job can be FEB's own."""
    if train.source == "demo":
        yield "the data is the project's own demo data"
    if rule.instead:
        yield f"FEB's samples are of {rule.instead}"
    for key, value in _FEB.items():
        if dataset[key] != value:
            yield f"dataset.{key}={dataset[key]} (FEB: {value})"
    for split, loaded in ((dataset["train_split"], train), (dataset["eval_split"], evaluation)):
        whole = rule.rows.get(split, len(loaded.rows))
        if len(loaded.rows) != whole and loaded.source != "demo":
            yield f"{split} has {len(loaded.rows):,} of the release's {whole:,} rows"


class _Rows:
    """The rows of one side as FEB counts them, each made an example once, so that splits share it.

    Args:
        loaded: the release's rows.
        explanations: how often each stands in FEB's list, with one of its explanations alone; 1 for once, with all.
    """

    def __init__(self, loaded: Loaded, explanations: int):
        self._loaded, self._explanations = loaded, explanations
        self._examples: dict[int, Example] = {}
        self.labels = np.repeat(np.array(loaded.labels, np.int8), explanations)

    def flaw(self, place: int) -> str | None:
        """Why the row cannot be used; None where it can."""
        row = self._loaded.rows[place // self._explanations]
        if isinstance(row, Unusable):
            return row.reason
        if self._explanations > 1 and place % self._explanations >= len(row.explanations):
            return "no explanation"
        return None

    def usable(self, place: int) -> int:
        """The place itself, or of the row that replaces it."""
        if self.flaw(place) is None:
            return place
        label = self.labels[place]
        for ahead in range(1, len(self.labels)):
            other = (place + ahead) % len(self.labels)
            if (label < 0 or self.labels[other] == label) and self.flaw(other) is None:
                return other
        raise UserError(f"{self._loaded.place}: no row whose right choice is number {label + 1} can be used")

    def example(self, place: int) -> Example:
        """The example of a row that can be used."""
        if place not in self._examples:
            example = self._loaded.example(place // self._explanations)
            if self._explanations > 1:
                example = replace(example, explanations=(example.explanations[place % self._explanations],))
            self._examples[place] = example
        return self._examples[place]
