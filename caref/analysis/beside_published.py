"""Ours beside what others have published, split by split: the same seeds, paired tests, never an average of both."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from caref.analysis import paper
from caref.analysis.every_cell import Line
from caref.analysis.significance import Comparison, corrected, paired
from caref.analysis.summary import scores
from caref.results.published import SOURCE
from caref.results.store import Cell

TITLE = "Published results beside ours"


@dataclass(frozen=True)
class Beside:
    """Ours against theirs on one dataset, over the seeds that both have; `left` is ours."""

    ours: Line
    theirs: Line
    comparisons: Mapping[str, Comparison]  # by measure; Holm's p over the pairs of a report, measure by measure

    def splits(self, metric: str) -> list[tuple[float, float]]:
        """Theirs and ours of every seed that both have."""
        ours, theirs = _own_by_seed(self.ours.cell, metric), _by_seed(self.theirs.cell, metric)
        return [(theirs[seed], ours[seed]) for seed in ours if seed in theirs]


def beside(lines: Iterable[Line]) -> list[Beside]:
    """Every cell of ours beside every published one of its dataset and target, where they share seeds.

    The same seed is the same examples only where our split is FEB's own; other splits are not compared. Neither is
    nBERT by another BERTScore model than theirs.
    """
    lines = list(lines)
    pairs = [
        (ours, theirs)
        for ours in lines
        if not ours.published and not ours.refused
        for theirs in lines
        if theirs.published and theirs.dataset == ours.dataset
    ]
    found: list[dict[str, Comparison]] = [{} for _ in pairs]
    for metric in paper.METRICS:
        asked = [(place, _comparison(metric, *pair)) for place, pair in enumerate(pairs)]
        asked = [(place, one) for place, one in asked if one.difference.n]
        for (place, _), tested in zip(asked, corrected([one for _, one in asked]), strict=True):
            found[place][metric] = tested
    return [Beside(*pair, of) for pair, of in zip(pairs, found, strict=True) if of]


def explained(lines: Iterable[Line]) -> list[str]:
    """What a reader must know of the published cells, and which cells of ours do not stand beside them, and why."""
    lines = list(lines)
    by = sorted({str(line.cell.config.get("published", {}).get("by")) for line in lines if line.published})
    datasets = {line.dataset for line in lines if line.published}
    told = [
        f"{sum(line.published for line in lines)} cells are published results of {', '.join(by)}, read by "
        "python -m caref.published. They are not ours: nothing is averaged or mixed with them, they fill no place of "
        'Table 1, and everywhere a model is called "(published)" the numbers are theirs. What they did not publish has '
        "a dash; what was trained they tell by a folder's name alone.",
        "Split by split stand those splits of ours that are FEB's own: there the same seed is the same examples.",
    ]
    apart: dict[str, list[str]] = {}
    for line in lines:
        if not line.published and line.dataset in datasets and (why := _apart(line)):
            apart.setdefault(why, []).append(f"{line.dataset}, {label(line)}")
    return [*told, *(f"{why}: {'; '.join(names)}." for why, names in apart.items())]


def _apart(ours: Line) -> str | None:
    """Why a cell of ours, or its nBERT, does not stand beside published ones; None where it does."""
    if ours.refused:
        return "Not compared, since refused"
    if not _own_by_seed(ours.cell, "accuracy"):
        return "Not compared, since no split is FEB's own"
    if other := paper.other_scorer(ours.cell.config):
        return f"nBERT not compared, since by {other}; theirs is by roberta-large, layer 17"
    return None


def label(line: Line) -> str:
    """A cell in one line, but for its dataset."""
    return " · ".join(filter(None, [line.model, line.peft, line.reg.strip("–"), line.settings]))


def _comparison(metric: str, ours: Line, theirs: Line) -> Comparison:
    same = metric == "accuracy" or not paper.other_scorer(ours.cell.config)
    difference = paired(_own_by_seed(ours.cell, metric) if same else {}, _by_seed(theirs.cell, metric))
    return Comparison(SOURCE, label(ours), label(theirs), metric, ours.cell.config["dataset"]["name"], difference)


def _by_seed(cell: Cell, metric: str) -> dict[int, float]:
    return {cell.records[split].get("seed"): score for split, score in scores(cell.records, metric).items()}


def _own_by_seed(cell: Cell, metric: str) -> dict[int, float]:
    own = {split: record for split, record in cell.records.items() if _is_own(record)}
    return _by_seed(Cell(cell.signature, cell.config, own), metric)


def _is_own(record: Mapping) -> bool:
    protocol = record.get("protocol")
    return isinstance(protocol, Mapping) and protocol.get("own") is True and record.get("source") != "demo"
