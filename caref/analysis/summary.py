"""What the records of one cell say: scores by split, mean and deviation, and whether they belong together."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from caref.results.store import Cell

NEAR = 0.01  # of similarity to its floor


@dataclass(frozen=True)
class Summary:
    """Mean and population standard deviation (ddof 0, as the paper's) over `n` splits."""

    mean: float
    std: float
    n: int


def summarise(values: Iterable[float]) -> Summary | None:
    """The summary of some splits' scores, exact to the last digit whatever their order; None of none."""
    values = list(values)
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return Summary(mean, std, len(values))


def common_means(left: Mapping[int, float], right: Mapping[int, float]) -> tuple[float | None, float | None]:
    """The means of two cells' scores over the splits that both have; None where there are none."""
    both = left.keys() & right.keys()
    found = [summarise(side[split] for split in both) for side in (left, right)]
    return found[0] and found[0].mean, found[1] and found[1].mean


def fingerprints(cell: Cell) -> list[str]:
    """Of the data that its records rest on."""
    return sorted({str(record.get("fingerprint")) for record in cell.records.values()})


def of_fewer(found: Summary, n: int | None) -> str:
    """ " (n = 1)", to stand behind a score that is of other splits than the n told beside it; "" of as many."""
    return "" if found.n == n else f" (n = {found.n})"


def on_floor(similarity: Summary | None, floor: Summary | None) -> bool:
    """Whether a cell's right answers explain nothing, as far as nBERT can tell: similarity within 0.01 of its floor."""
    return bool(similarity and floor) and abs(similarity.mean - floor.mean) <= NEAR


def scores(records: Mapping[int, Mapping], metric: str) -> dict[int, float]:
    """A metric by split, in order; splits whose record lacks it, or holds no finite number, are left out."""
    found = {}
    for split in sorted(records):
        value = records[split].get("scores", {}).get(metric)
        if isinstance(value, (int, float)) and math.isfinite(value):
            found[split] = float(value)
    return found


def trainable_percent(cell: Cell) -> float | None:
    """Share of the model's parameters (adapters included) that was trained, in percent."""
    told = (record.get("counts", {}) for record in cell.records.values())
    shares = {_share(counts) for counts in told if counts.get("trainable") and counts.get("parameters")}
    return statistics.median(shares) if shares else None


def _share(counts: Mapping) -> float:
    return 100 * counts["trainable"] / counts["parameters"]


def source(cell: Cell) -> str:
    """Where a cell's examples came from: hub, files, demo, several joined by " + "; "" without a record."""
    return " + ".join(sorted({_source(record) for record in cell.records.values()}))


def refusal(cell: Cell) -> str | None:
    """Why a cell's records may not be averaged: they rest on different data. None where they may.

    The line names the splits on each side. Files and hub that gave the very same examples (one fingerprint)
    are one source told twice: that is a warning, not a refusal.
    """
    fingerprints = _groups(cell, lambda record: str(record.get("fingerprint"))[:12])
    if len(fingerprints) > 1:
        return f"mixed data: {_listed(fingerprints)}"
    sources = _groups(cell, _source)
    if len(sources) > 1 and "demo" in sources:
        return f"mixed sources: {_listed(sources)}"
    return None


def _source(record: Mapping) -> str:
    return str(record.get("source"))


def warnings(cell: Cell) -> list[str]:
    """What a reader must know of a cell: mixed sources, versions or precision, failed and damaged splits."""
    lines = []
    sources = _groups(cell, _source)
    if len(sources) > 1:
        lines.append(f"mixed sources: {_listed(sources)}")
    versions = _groups(cell, lambda record: tuple(sorted(record.get("run", {}).get("versions", {}).items())))
    if len(versions) > 1:
        same = set.intersection(*(set(version) for version in versions))
        differing: dict[str, list[int]] = {}
        for version, splits in versions.items():
            named = (f"{name} {number}" for name, number in version if (name, number) not in same)
            differing[", ".join(named) or "unknown"] = splits
        lines.append(f"mixed library versions: {_listed(differing)}")
    rules = _groups(cell, lambda record: "nbert_strict" in record.get("scores", {}))
    if len(rules) > 1:
        named = {"FEB's": rules[True], "an older one, 0 for a missing explanation": rules[False]}
        lines.append(f"mixed rules of nBERT: {_listed(named)}")
    precisions = _groups(cell, lambda record: str(record.get("run", {}).get("precision")))
    if len(precisions) > 1:
        lines.append(f"mixed precision: {_listed(precisions)}")
    unfinished = sorted(set(cell.failed) - set(cell.records))
    if unfinished:
        reason = cell.failed[unfinished[0]].get("error", "no reason kept")
        lines.append(f"failed: splits {ranges(unfinished)} ({reason})")
    lines.extend(f"damaged and left out: {line}" for line in cell.damaged)
    lines.extend(cell.unread)
    return lines


def _groups(cell: Cell, key) -> dict:
    groups: dict = {}
    for split in sorted(cell.records):
        groups.setdefault(key(cell.records[split]), []).append(split)
    return groups


def _listed(groups: Mapping[str, list[int]]) -> str:
    return "; ".join(f"{value} (splits {ranges(splits)})" for value, splits in groups.items())


def ranges(splits: Iterable[int]) -> str:
    """Splits in few words: "0-29, 31, 40-59"."""
    runs: list[list[int]] = []
    for split in sorted(splits):
        if runs and split == runs[-1][-1] + 1:
            runs[-1][1:] = [split]
        else:
            runs.append([split])
    return ", ".join("-".join(map(str, run)) for run in runs)
