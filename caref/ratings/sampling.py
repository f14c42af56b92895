"""Which examples people are to judge: inputs that every compared cell answers correctly.

How they are drawn over the splits, whose evaluated examples differ: the splits that all cells have finished take
turns, in an order that the seed decides, and each gives one input that no split gave before, until there are
enough. So a split weighs what it weighs in the table's means (as in FEB, which takes six of each), an input comes
once, and every cell is judged on the same inputs of the same splits. Ranks are SHA-256 of the seed and the
input's text: neither names of cells nor a version of Python or of a library has a part in it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from caref.analysis import paper
from caref.analysis.every_cell import Line, lines
from caref.analysis.labels import answers_only
from caref.analysis.summary import fingerprints, refusal
from caref.errors import UserError
from caref.results import store

MOST_CELLS = 4  # of a dataset, unless they are named: every one more is another 30 screens a rater


@dataclass(frozen=True)
class Drawn:
    """An input with what each cell wrote about it."""

    dataset: str
    split: int
    source: str
    predictions: Mapping[str, Mapping]  # by signature

    @property
    def any(self) -> Mapping:
        """One of the predictions, for what they share: input, choices, gold answer and explanations."""
        return self.predictions[min(self.predictions)]


def rank(*parts: object) -> bytes:
    """A place in an order that the parts decide, evenly distributed and the same everywhere."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()


def chosen(results_dir: Path, datasets: Sequence[str], signatures: Sequence[str]) -> dict[str, list[Line]]:
    """The cells to compare by dataset, in the paper's order; all finished ones where none is named.

    Raises:
        UserError: an unknown signature or dataset, cells on different data, too many cells.
    """
    done = [line for line in lines(store.cells(results_dir)) if line.cell.records]
    found = {line.cell.signature: line for line in done if not _nothing_to_judge(line)}
    for line in done:
        if line.cell.signature in signatures and (why := _nothing_to_judge(line)):
            raise UserError(f"--cells {line.cell.signature}: {why}; leave it out")
    if not found:
        raise UserError(
            f"{results_dir}: no cell has a finished split with explanations; run.py makes some with "
            f"results_dir={results_dir}"
        )
    for signature in signatures:
        if signature not in found:
            raise UserError(f"--cells {signature}: no such cell with a finished split; there are: {_listed(found)}")
    named = [found[one] for one in dict.fromkeys(signatures)] or list(found.values())
    held = sorted({line.cell.config["dataset"]["name"] for line in named}, key=_place)
    for dataset in datasets:
        if dataset not in held:
            raise UserError(f"--dataset {dataset}: no cell of it; there are: {', '.join(held)}")
    cells = {
        name: [line for line in named if line.cell.config["dataset"]["name"] == name]
        for name in held
        if not datasets or name in datasets
    }
    if signatures and (lost := set(signatures) - {line.cell.signature for group in cells.values() for line in group}):
        raise UserError(f"--cells {', '.join(sorted(lost))}: not of --dataset {','.join(datasets)}; leave one of both")
    for dataset, group in cells.items():
        _check(dataset, group, bool(signatures))
    # labels as a person tells the cells of one dataset apart
    return {dataset: lines([line.cell for line in group]) for dataset, group in cells.items()}


def _nothing_to_judge(line: Line) -> str | None:
    """Why a cell's explanations cannot be judged; None where they can."""
    if answers_only(line.cell.config["dataset"]):
        return "its model only answers (dataset.target=answer), so there is nothing to judge"
    if line.published:
        return "it holds published scores without the texts that they are of"
    return None if line.known else "its config.yaml does not say what it is; a run of the same line mends that"


def _check(dataset: str, group: Sequence[Line], named: bool) -> None:
    if len(group) > MOST_CELLS and not named:
        listed = _listed({line.cell.signature: line for line in group})
        raise UserError(f"--cells: {len(group)} cells of {dataset} are many to rate; name some: {listed}")
    for line in group:
        if why := refusal(line.cell):
            raise UserError(f"{line.cell.signature}: {why}; run its splits again on one kind of data")
    data = {line.cell.signature: " and ".join(one[:8] for one in fingerprints(line.cell)) for line in group}
    if len(set(data.values())) > 1:
        told = ", ".join(f"{signature} {of}" for signature, of in data.items())
        raise UserError(f"--cells: the cells of {dataset} rest on different data ({told}); compare cells of one")


def _place(dataset: str) -> tuple[int, str]:
    order = list(paper.DATASETS)
    return (order.index(dataset) if dataset in order else len(order)), dataset


def _listed(found: Mapping[str, Line]) -> str:
    return "; ".join(f"{signature} ({label(line)}, {line.dataset})" for signature, line in found.items())


def label(line: Line) -> str:
    """What a cell is called: model, peft, regulariser, and what else tells it from the others."""
    return " · ".join(filter(None, [line.model, line.peft, line.reg.strip("–"), line.settings]))


def told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """What each cell of a dataset is called, by signature, with the signature where others are called the same."""
    held = list(names.values())
    return {cell: f"{name} ({cell})" if held.count(name) > 1 else name for cell, name in names.items()}


def labels(group: Sequence[Line]) -> dict[str, str]:
    """What each of a dataset's cells is called, by signature; no two are called the same."""
    return told_apart({line.cell.signature: label(line) for line in group})


def draw(results_dir: Path, dataset: str, cells: Sequence[Line], each: int, seed: int) -> list[Drawn]:
    """`each` inputs of a dataset that every cell answered correctly, in the order they were drawn.

    Raises:
        UserError: where there are too few, with their number; where a record is damaged.
    """
    splits = set.intersection(*(set(line.cell.records) for line in cells))
    signatures = [line.cell.signature for line in cells]
    waiting = []
    for split in sorted(splits, key=lambda split: rank(seed, dataset, split)):
        right = _right_in_all(results_dir, split, signatures)
        waiting.append((split, sorted(right.items(), key=lambda one: rank(seed, dataset, one[0]))))
    drawn: dict[str, Drawn] = {}
    while waiting and len(drawn) < each:
        for split, left in waiting:
            while left and left[0][0] in drawn:
                left.pop(0)
            if left and len(drawn) < each:
                source, predictions = left.pop(0)
                drawn[source] = Drawn(dataset, split, source, predictions)
        waiting = [(split, left) for split, left in waiting if left]
    if len(drawn) < each:
        raise UserError(
            f"--each {each}: {len(cells)} cells of {dataset} are all right on {len(drawn)} different inputs of the "
            f"{len(splits)} splits that all have finished; ask for fewer, name fewer cells, or finish more splits"
        )
    return list(drawn.values())


def _right_in_all(results_dir: Path, split: int, signatures: Sequence[str]) -> dict[str, dict[str, Mapping]]:
    """By input, what each cell wrote about it, of the inputs that all answered correctly."""
    by_cell = {}
    for signature in signatures:
        folder = results_dir / signature
        try:
            if store.read_record(folder, split) is None:
                return {}
        except store.Damaged as damage:
            raise UserError(f"{damage}; run the split again, the same line of run.py does") from None
        by_cell[signature] = {}
        for line in store.read_predictions(folder, split):
            by_cell[signature].setdefault(line["source"], line)
    return {
        source: {signature: of[source] for signature, of in by_cell.items()}
        for source in set.intersection(*(set(of) for of in by_cell.values()))
        if all(of[source]["right"] for of in by_cell.values())
    }
