"""What a regulariser's numbers are worth when they are chosen: by one half of the splits, scored on the other.

The best mean of a grid is a maximum over noise: a grid whose cells do not differ has one too, above what any of its
cells scores. Here the splits are halved at random; the best cell of one half is scored on the other half, and the other
way round, so that no split has a say in the choice that it scores (cross-validation, Stone 1974). That is repeated, and
the figure is the mean over the halvings. Over new splits the figure is unbiased for a choice by half of them.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from caref.analysis.every_cell import Line
from caref.analysis.grid import Grid
from caref.analysis.labels import distinguishing, settings
from caref.analysis.summary import Summary, scores, summarise
from caref.analysis.with_without import is_without, model_is_plain, rest
from caref.results.measures import MEASURES

REPEATS = 1000  # halvings; the figure of 60 splits moves by less than 0.01 of their deviation between two seeds
LEAST_SPLITS = 4  # of two a half: one split to choose by is no mean
_ROUNDING = 9  # decimals in which means are equal
_MOST_NAMED = 5  # chosen cells of a grid


@dataclass(frozen=True)
class Choice:
    """What came of choosing among the cells of one grid, over the splits that all of them have.

    Attributes:
        metric: what it is chosen by and scored in.
        cells: the grid, in the order of its lines; `names` say in which numbers each differs.
        maximum: of the cell `best`, which has the best mean of all.
        honest: of the chosen cells on the splits that had no say; its deviation is over the splits of one halving, as
            the maximum's is over splits.
        halving: deviation of the honest figure over the halvings.
        shares: how often each cell was chosen, from 0 to 1; cells with equal means share.
        without: of the cell that differs from these in having no regulariser, over the same splits; None without one.
    """

    metric: str
    cells: tuple[Line, ...]
    names: tuple[str, ...]
    best: int
    maximum: Summary
    honest: Summary
    halving: float
    shares: tuple[float, ...]
    without: Summary | None

    @property
    def title(self) -> str:
        """ "Flan-T5-large · e-SNLI · AQ · SCED"."""
        return called(self.cells[0])

    def chosen(self) -> str:
        """ "alpha=1.5 beta=0 61%, alpha=2 beta=0 20%, 3 others 19%"."""
        order = sorted(range(len(self.cells)), key=lambda place: (-self.shares[place], place))
        often = [place for place in order if self.shares[place] > 0]
        told = [f"{self.names[place]} {self.shares[place]:.0%}" for place in often[:_MOST_NAMED]]
        if others := often[_MOST_NAMED:]:
            share = sum(self.shares[place] for place in others)
            told.append(f"{len(others)} other{'s' * (len(others) > 1)} {share:.0%}")
        return ", ".join(told)


def grids_of(lines: Iterable[Line]) -> list[list[Line]]:
    """Cells that differ in the numbers of one regulariser and in nothing else, in the order of the lines; one or more.

    Cells whose model has no regulariser, of unknown configuration, refused and published ones are of none.
    """
    found: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.known and not line.refused and not line.published and not model_is_plain(line):
            found.setdefault((rest(line), line.cell.config["reg"]["term"]), []).append(line)
    return list(found.values())


def called(line: Line) -> str:
    """What a cell's grid is called: everything about the cell but the numbers of its regulariser."""
    term = line.cell.config["reg"]["term"]
    kind = "SCED" if term == "sced" else term.replace("_", " ")
    demo = "demo data" if line.demo else ""
    return " · ".join(filter(None, [line.model, line.dataset, demo, line.peft, kind, line.settings]))


def choices(lines: Sequence[Line], metric: str, repeats: int = REPEATS, seed: int = 0) -> list[Choice]:
    """What came of choosing in each grid of two cells or more that has splits enough.

    Args:
        lines: every cell of a results folder.
        metric: one of `MEASURES`, of which more or less is better.
        repeats: how often the splits are halved.
        seed: of the halvings: the same gives the same figures.
    """
    plain = {rest(line): line for line in lines if is_without(line) and not line.refused}
    chosen = [
        _chosen(grid, plain.get(rest(grid[0])), metric, repeats, seed) for grid in grids_of(lines) if len(grid) > 1
    ]
    return [one for one in chosen if one]


def remarks(lines: Iterable[Line], metric: str) -> list[str]:
    """What is not chosen from, or on fewer splits than cells have, and why; a line each."""
    told, alone = [], 0
    for grid in grids_of(lines):
        held = [scores(line.cell.records, metric).keys() for line in grid]
        splits, counts = set.intersection(*map(set, held)), list(map(len, held))
        least = grid[counts.index(min(counts))]
        limit = f"{called(grid[0])}: {len(grid)} cells have {len(splits)} of up to {max(counts)} splits in common"
        if len(grid) == 1:
            alone += 1
        elif not any(counts):
            told.append(f"{called(grid[0])}: its {len(grid)} cells have no {MEASURES[metric].label}")
        elif len(splits) < LEAST_SPLITS:
            told.append(f"{limit}, too few to halve ({LEAST_SPLITS}); the fewest has {least.cell.signature}")
        elif len(splits) < max(counts):
            told.append(f"{limit}; the fewest has {least.cell.signature}")
    if alone:
        told.append(f"{alone} cell{'s' * (alone > 1)} with a regulariser stand{'s' * (alone == 1)} in no grid")
    return told


def _chosen(grid: Sequence[Line], without: Line | None, metric: str, repeats: int, seed: int) -> Choice | None:
    """The choice among two cells or more over their common splits; None of fewer than LEAST_SPLITS."""
    import numpy as np

    table = [scores(line.cell.records, metric) for line in grid]
    splits = sorted(set.intersection(*map(set, table)))
    if len(splits) < LEAST_SPLITS:
        return None
    scored = np.array([[own[split] for own in table] for split in splits])
    up = bool(MEASURES[metric].up)
    held_out, shares = halved(scored, up, repeats, seed)
    means = scored.mean(axis=0) if up else -scored.mean(axis=0)
    best = int(means.round(_ROUNDING).argmax())
    plain = scores(without.cell.records, metric) if without else {}
    return Choice(
        metric,
        tuple(grid),
        tuple(" ".join(part.removeprefix("reg.") for part in name) for name in _apart(grid)),
        best,
        summarise(scored[:, best].tolist()),
        Summary(float(held_out.mean()), math.sqrt(held_out.var(axis=1).mean()), len(splits)),
        float(held_out.mean(axis=1).std()),
        tuple(shares.tolist()),
        summarise(plain[split] for split in splits) if plain.keys() >= set(splits) else None,
    )


def halved(scored, up: bool, repeats: int, seed: int):
    """Each split's score by the choice of the half that it is not in.

    Args:
        scored: (splits, cells).
        up: whether more is better.
        repeats: how often the splits are halved.

    Returns:
        (repeats, splits) scores, and (cells,) how often each was chosen, of 1; cells with equal means share a choice.
    """
    import numpy as np

    splits, cells = scored.shape
    first = _first_halves(splits, repeats, seed)
    held_out, shares = np.zeros((repeats, splits)), np.zeros(cells)
    for half in (first, ~first):
        means = (half @ scored / half.sum(axis=1, keepdims=True)).round(_ROUNDING)
        chosen = means == (means.max(axis=1, keepdims=True) if up else means.min(axis=1, keepdims=True))
        weights = chosen / chosen.sum(axis=1, keepdims=True)
        held_out += np.where(half, 0.0, weights @ scored.T)
        shares += weights.sum(axis=0) / (2 * repeats)
    return held_out, shares


@cache
def _first_halves(splits: int, repeats: int, seed: int):
    """(repeats, splits) bool: half of the splits, drawn at random each time."""
    import numpy as np

    order = np.random.default_rng(seed).permuted(np.tile(np.arange(splits), (repeats, 1)), axis=1)
    half = np.zeros((repeats, splits), dtype=bool)
    np.put_along_axis(half, order[:, : splits // 2], True, axis=1)
    return half


def _apart(grid: Sequence[Line]) -> list[list[str]]:
    return distinguishing(settings({"reg": line.cell.config["reg"]}) for line in grid)


NOTE = (
    "The grid's maximum is the best mean of all its cells on all their splits, a maximum over noise. Honest: chosen on "
    "one half of the splits and scored on the other, crosswise, over {repeats:,} random halvings; mean ± standard "
    "deviation over splits, and the figure's own deviation over halvings. Without: the same cell with no regulariser "
    "on the same splits. The honest scores of two splits rest on nearly the same choices, so no p is told of them."
)


def grid_of(found: Sequence[Choice], repeats: int = REPEATS) -> Grid:
    """Grid maximum and honest figure side by side, a line a grid, as a table in words."""
    head = ["chosen by", "", "cells", "splits", "grid maximum", "honest", "halvings", "without", "chosen"]
    return Grid("Grid maximum and honest figure", NOTE.format(repeats=repeats), head, list(map(_told, found)), 2)


def _told(choice: Choice) -> list[str]:
    measure = MEASURES[choice.metric]

    def spread(summary: Summary | None) -> str:
        return f"{measure.text(summary.mean)} ± {measure.text(summary.std)}" if summary else "–"

    return [
        *(measure.label, choice.title, str(len(choice.cells)), str(choice.honest.n)),
        f"{spread(choice.maximum)} ({choice.names[choice.best]})",
        *(spread(choice.honest), f"± {measure.text(choice.halving)}", spread(choice.without), choice.chosen()),
    ]
