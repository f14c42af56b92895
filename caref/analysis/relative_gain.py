"""Average relative gain of a trained explanation over mean attention of the same model.

ARG is the mean over datasets of (new - old) / old (Ye, Lin and Ren 2021, CrossFit), with the sign turned where lower is
better; Xie et al. (2024) sum their criteria up by it. It is a ratio to a baseline that may be next to nothing, or
below it: SUFF's best is 0.016 in their own paper. So a dataset whose old mean is below 0.05, or whose old mean's 95%
interval over splits (Student's t) holds 0, has a difference and no part in the average.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from caref.analysis.evidence_compared import Evidence, Held, Question
from caref.analysis.grid import Grid
from caref.analysis.labels import attribution_label, beside, differing
from caref.analysis.summary import scores
from caref.results.evidence_scores import SCORES, Score
from caref.results.records import canonical

TITLE = "Trained attention against mean attention of the same model"
LEAST = 0.05  # of a share of 1 or a correlation: an old mean below it is no measure of a gain
NEW, OLD = "ivra", "attention"
NOTE = (
    "ARG: mean over datasets of (new − old) / old, the sign turned where lower is better (Ye et al. 2021); above 0 is "
    f"better. It is told of datasets whose mean under attention is at least {LEAST} and its 95% interval over splits "
    "(Student's t) without 0; of others the difference alone, new − old. Modules that left the model alone (scope "
    "module, or another cell's). Means over the splits that have both (n). Cells of one dataset that differ in a "
    "setting are of two averages."
)
_OF = ("simulatability.*.sim", "erasure.*.comprehensiveness", "erasure.*.sufficiency", "consistency.*.by_words")
_APART = ("train_size", "sampling", "target")  # of a dataset's part of a configuration: datasets of a row share them


@dataclass(frozen=True)
class Gain:
    """Of one dataset.

    relative: as ARG averages it; None where the old mean is no measure of it.
    """

    dataset: str
    n: int
    old: float
    new: float
    relative: float | None


@dataclass(frozen=True)
class Row:
    """One score of one configuration, over its datasets."""

    title: str
    key: str
    gains: list[Gain]

    @property
    def score(self) -> Score:
        return SCORES[self.key]

    @property
    def average(self) -> float | None:
        return average(self.gains)


def gain(dataset: str, old: Sequence[float], new: Sequence[float], up: bool, least: float = LEAST) -> Gain:
    """What a dataset gains.

    Args:
        old, new: of the same splits, at least one.
        up: whether more of it is better.
        least: `LEAST`, in the unit of the numbers.
    """
    before, after = fmean(old), fmean(new)
    measures = before >= least and _low(old) > 0
    return Gain(dataset, len(old), before, after, (after - before) / before * (1 if up else -1) if measures else None)


def _low(values: Sequence[float]) -> float:
    """The lower end of the 95% interval of the mean; of one value alone, none."""
    if len(values) < 2:
        return -math.inf
    from scipy.stats import t

    return fmean(values) - float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def average(gains: Iterable[Gain]) -> float | None:
    """ARG, 0.1 for 10 %; None where no dataset has a part in it."""
    relative = [one.relative for one in gains if one.relative is not None]
    return fmean(relative) if relative else None


def rows(question: Question) -> list[Row]:
    """Of every configuration whose module and whose attention were both asked, over its datasets; demo data apart."""
    groups: dict[tuple[bool, bytes], list[Held]] = {}
    for held in question.held:
        if question.asked.get("module") or held.line.cell.config["reg"].get("scope") == "module":
            groups.setdefault((held.line.demo, _but_for_dataset(held.line.cell.config)), []).append(held)
    apart = [one for group in groups.values() for one in _once_each(group)]
    found = [(_title(own, told), key, list(_gains(own, key))) for told, own in apart for key in _OF]
    return [Row(title, key, gains) for title, key, gains in found if gains]


def _but_for_dataset(config: Mapping) -> bytes:
    parts = {part: config.get(part) for part in ("model", "peft", "reg", "train")}
    return canonical(parts | {key: config["dataset"].get(key) for key in _APART})


def _once_each(group: Sequence[Held]) -> list[tuple[tuple[str, ...], list[Held]]]:
    """The cells, set apart by the settings in which two of one dataset differ, so that none holds a dataset twice.

    Returns:
        What tells each part from the others, "key=value", and its cells.
    """
    flat = [_settings(held.line.cell.config) for held in group]
    by_dataset: dict[str, list[Mapping]] = {}
    for held, own in zip(group, flat, strict=True):
        by_dataset.setdefault(held.line.data, []).append(own)
    keys = sorted({key for same in by_dataset.values() for key in differing(same)})
    parts: dict[tuple[str, ...], list[Held]] = {}
    for held, own in zip(group, flat, strict=True):
        parts.setdefault(tuple(f"{key}={_said(own.get(key))}" for key in keys), []).append(held)
    return list(parts.items())


def _settings(config: Mapping) -> dict[str, object]:
    return {**beside(config), "fingerprint": str(config.get("fingerprint"))[:8]}


def _said(value: object) -> str:
    return "null" if value is None else f"{value}"


def _gains(group: Sequence[Held], key: str) -> Iterable[Gain]:
    score = SCORES[key]
    for held in group:
        old, new = (scores(held.found.records, key.replace("*", name)) for name in (OLD, NEW))
        if both := sorted(old.keys() & new.keys()):
            sides = ([side[split] for split in both] for side in (old, new))
            yield gain(held.line.data, *sides, bool(score.up), LEAST * (100 if score.unit == "%" else 1))


def _title(group: Sequence[Held], told: Sequence[str]) -> str:
    """What the cells have in common, and what tells them from others of the same."""
    lines = [held.line for held in group]
    shared = [one for one in lines[0].settings.split(", ") if all(one in line.settings.split(", ") for line in lines)]
    return " · ".join(filter(None, [lines[0].model, lines[0].peft, lines[0].reg, *dict.fromkeys([*shared, *told])]))


def grids(evidence: Evidence) -> list[Grid]:
    """A table a question that has any."""
    head = ["", "", f"{attribution_label(OLD)} → {attribution_label(NEW)} (n)", "ARG", "datasets"]
    by_question = [(question, rows(question)) for question in evidence.questions]
    return [
        Grid(f"{TITLE} ({question.mark})", NOTE, head, [_line(row) for row in found], 3)
        for question, found in by_question
        if found
    ]


def _line(row: Row) -> list[str]:
    told = "; ".join(_told(row.score, one) for one in row.gains)
    parts = sum(one.relative is not None for one in row.gains)
    arg = "–" if row.average is None else f"{100 * row.average:+.1f} %"
    return [row.title, row.score.head, told, arg, f"{parts} of {len(row.gains)}"]


def _told(score: Score, one: Gain) -> str:
    absolute = f"{score.change(one.new - one.old)}, no ratio"
    by = absolute if one.relative is None else f"{100 * one.relative:+.1f} %"
    return f"{one.dataset} {score.text(one.old)} → {score.text(one.new)} ({one.n}): {by}"
