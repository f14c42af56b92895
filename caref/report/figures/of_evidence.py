"""The figures of evidence: reliability, risk over coverage and what comes epoch by epoch, side by side in a pair."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from caref.analysis import risk
from caref.analysis.every_cell import titles
from caref.analysis.evidence_compared import Evidence, Held
from caref.analysis.labels import attribution_label
from caref.analysis.offered import offered
from caref.analysis.with_without import MOST_SHOWN
from caref.report.figures import drawing
from caref.report.figures.drawing import FAINT, INK, SERIES, Figure
from caref.results import evidence, store
from caref.results.evidence_scores import SCORES

BINS = 15  # of equal width, as `caref.evidence.measures.calibration` has them
_ACCURACY, _COURSES = "calibration.choice_accuracy", ("erasure.*.flips", "alignment.*.f1")
_COLOURS = {"without": SERIES[1], "untrained": SERIES[1], "with": SERIES[0], "trained": SERIES[0], "": SERIES[0]}
_TOLD = {side: f" ({side} the regulariser)" for side in ("without", "with")}
_TOLD |= {side: f" ({side} module)" for side in ("untrained", "trained")}


@dataclass(frozen=True)
class Subject:
    """What one figure shows: a pair of cells, or a cell that has none."""

    title: str
    sides: Mapping[str, Held]  # by what a pair's sides are called; by "" where there is one

    @property
    def demo(self) -> bool:
        return any("demo" in held.line.source for held in self.sides.values())


def subjects(found: Evidence, of_models: bool = False) -> list[Subject]:
    """The first few pairs; where there is none, the first few cells.

    Args:
        of_models: of what is the model's alone: no pair, and no second cell, of one model.
    """
    shifts = [one for one in found.shifts if not (of_models and one.pair.one_model)]
    if shifts:
        both = [dict(zip(one.pair.sides, (one.without, one.regularised), strict=True)) for one in shifts]
        return [Subject(one.title, sides) for one, sides in zip(shifts, both, strict=True)][:MOST_SHOWN]
    again = {id(one.regularised) for one in found.shifts}
    named = zip(titles((held.line for held in found.held), only_demo=True), found.held, strict=True)
    return [Subject(title, {"": held}) for title, held in named if id(held) not in again][:MOST_SHOWN]


def drawn(found: Evidence, results_dir: Path) -> tuple[list[Figure], list[str]]:
    """The figures of what there is, and what is amiss with the files they rest on."""
    figures, amiss = [], []
    for number, subject in enumerate(subjects(found, of_models=True), start=1):
        pooled = {side: reliability(held) for side, held in subject.sides.items()}
        if all(pooled.values()):
            figures.append(_reliability(subject, pooled, number))
        curves = {}
        for side, held in subject.sides.items():
            curves[side], told = risk_coverage(held, results_dir)
            amiss += told
        if all(map(len, curves.values())):
            figures.append(_risk_coverage(subject, curves, number))
    for number, subject in enumerate(subjects(found), start=1):
        figures += [
            _by_epoch(subject, side, courses, f"epochs-{number}{'-' * bool(side)}{side}")
            for side, held in subject.sides.items()
            if (courses := by_epoch(held))
        ]
    return figures, list(dict.fromkeys(amiss))


def reliability(held: Held) -> list[dict[str, float]]:
    """The bins of all splits together: how many examples, their mean confidence and accuracy, in [0, 1]."""
    by_bin: dict[int, list[Mapping]] = {}
    for record in held.found.records.values():
        for one in record.get("reliability", ()):
            by_bin.setdefault(one["bin"], []).append(one)
    pooled = []
    for place in sorted(by_bin):
        n = sum(one["n"] for one in by_bin[place])
        means = {key: sum(one["n"] * one[key] for one in by_bin[place]) / n for key in ("confidence", "accuracy")}
        pooled.append({"bin": place, "n": n, **means})
    return pooled


def risk_coverage(held: Held, results_dir: Path) -> tuple[Any, list[str]]:
    """Share of wrong answers among the most confident examples of each split.

    Returns:
        (splits, examples): the risk at coverages 1/n, 2/n, ..., 1; and what could not be read, a line each.
    """
    import numpy as np

    cell = results_dir / held.line.cell.signature
    curves, amiss = [], []
    for split in sorted(held.found.records):
        try:
            confidence, wrong = _answered(cell, held.found.mark, split)
        except (store.Damaged, store.Unreadable, FileNotFoundError) as error:
            amiss.append(f"left out of the risk-coverage curve: {error}")
            continue
        if len(wrong):
            curves.append(risk.over_coverage(confidence, wrong))
    longest = max(map(len, curves), default=0)
    grid = np.arange(1, longest + 1) / max(1, longest)
    return np.array([np.interp(grid, np.arange(1, len(one) + 1) / len(one), one) for one in curves]), amiss


def by_epoch(held: Held) -> dict[str, dict[str, list[tuple[int, float, float, int]]]]:
    """Flips and alignment by accuracy, epoch by epoch: by score and attribution (epoch, accuracy, score, n), means over
    the n splits that have both; nothing where evidence was taken at fewer than two epochs."""
    records = {split: record["by_epoch"] for split, record in held.found.records.items() if record.get("by_epoch")}
    epochs = sorted({int(epoch) for of_split in records.values() for epoch in of_split})
    courses: dict[str, dict[str, list[tuple[int, float, float, int]]]] = {}
    for score in _COURSES:
        for one in (one for one in held.attributions if one != "human" or score == _COURSES[0]):
            points = []
            for epoch in epochs:
                told = [of_split.get(str(epoch), {}) for of_split in records.values()]
                both = [(own.get(_ACCURACY), own.get(score.replace("*", one))) for own in told]
                both = [pair for pair in both if None not in pair]
                if both:
                    points.append((epoch, *(fmean(column) for column in zip(*both, strict=True)), len(both)))
            if len(points) > 1:
                courses.setdefault(score, {})[one] = points
    return courses


def _answered(cell: Path, mark: str, split: int) -> tuple[Any, Any]:
    """Of each example the probability of the most probable choice, and whether that one is wrong."""
    import numpy as np

    folder = cell / "evidence" / mark
    if evidence.read_split(folder, split) is None:
        raise FileNotFoundError(f"{folder / f'{split:03d}.json'}: it is gone meanwhile")
    predictions = {one.get("id"): one for one in store.read_predictions(cell, split)}
    confidence, wrong = [], []
    for row in evidence.read_rows(folder, split):
        try:
            log_p = np.array(row["log_p"], dtype=float)
            _, label = offered(row, predictions[row["id"]])
        except (KeyError, ValueError, TypeError) as error:
            raise store.Damaged(f"{folder / f'{split:03d}.jsonl.gz'}: {error!r} of its predictions") from None
        p = np.exp(log_p - np.logaddexp.reduce(log_p))
        confidence.append(float(p.max()))
        wrong.append(float(p.argmax() != label))
    return np.array(confidence), np.array(wrong)


def _reliability(subject: Subject, pooled: Mapping[str, Sequence[Mapping]], number: int) -> Figure:
    name = f"reliability-{number}"
    with drawing.style(name):
        plot, panels = drawing.canvas(3.5 * len(pooled), 3.5, panels=len(pooled), squeeze=False, sharey=True)
        for (side, bins), axes in zip(pooled.items(), panels[0], strict=True):
            axes.bar(
                [(one["bin"] + 0.5) / BINS for one in bins],
                [one["accuracy"] for one in bins],
                0.92 / BINS,
                color=_COLOURS[side],
                alpha=0.75,
                label="accuracy",
            )
            axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls="--")
            axes.plot(
                [one["confidence"] for one in bins],
                [one["confidence"] for one in bins],
                "o",
                color=INK,
                ms=3,
                clip_on=False,
            )
            for one in bins:
                place = (one["bin"] + 0.5) / BINS, one["accuracy"] + 0.015
                axes.annotate(f"{one['n']:,}", place, rotation=90, ha="center", va="bottom", fontsize=6.5)
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1.12)
            axes.set_title(side, fontsize=11)
            axes.set_xlabel("confidence")
            axes.grid(axis="x", visible=False)
        panels[0][0].set_ylabel("share right")
        if subject.demo:
            drawing.watermark(plot)
        records = (held.found.records.values() for held in subject.sides.values())
        n = _splits(sum(bool(record.get("reliability")) for record in of_side) for of_side in records)
        caption = (
            f"{subject.title}. The bars: accuracy of the most probable choice by its probability, in {BINS} bins of "
            f"equal width, splits pooled ({n}); on each how many examples. Dots: mean confidence, which "
            "the bars of a calibrated model reach. A temperature moves this."
        )
        return drawing.finished(plot, name, "Reliability", caption)


def _risk_coverage(subject: Subject, curves: Mapping[str, Any], number: int) -> Figure:
    name = f"risk_coverage-{number}"
    with drawing.style(name):
        plot, axes = drawing.canvas(4.8, 3.5)
        for side, risks in curves.items():
            coverage = [(place + 1) / risks.shape[1] for place in range(risks.shape[1])]
            mean, std = 100 * risks.mean(0), 100 * risks.std(0)
            axes.plot(coverage, mean, color=_COLOURS[side], lw=1.8, label=side)
            low, high = (mean - std).clip(0, 100), (mean + std).clip(0, 100)
            axes.fill_between(coverage, low, high, color=_COLOURS[side], alpha=0.15, lw=0)
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("coverage: share answered, the most confident first")
        axes.set_ylabel("risk: % wrong of those")
        axes.axhline(0, color=FAINT, lw=0.8)
        if len(curves) > 1:
            axes.legend(loc="lower right")
        if subject.demo:
            drawing.watermark(plot)
        caption = (
            f"{subject.title}. Mean over the splits ({_splits(map(len, curves.values()))}), the band ±1 standard "
            "deviation; the most probable choice is the answer. With more than two choices a temperature may move this "
            "a little."
        )
        return drawing.finished(plot, name, "Risk over coverage", caption)


def _by_epoch(subject: Subject, side: str, courses: Mapping[str, Mapping], name: str) -> Figure:
    with drawing.style(name):
        plot, panels = drawing.canvas(3.1 * (1 + len(courses)), 3.4, panels=1 + len(courses), squeeze=False)
        told = (point for lines in courses.values() for points in lines.values() for point in points)
        every_point = sorted(told, key=lambda point: point[3])
        accuracy = {epoch: x for epoch, x, *_ in every_point}  # of the most splits
        panels[0][0].plot(sorted(accuracy), [accuracy[epoch] for epoch in sorted(accuracy)], "o-", color=INK, ms=3)
        panels[0][0].set_title(f"{SCORES[_ACCURACY].label}, %", fontsize=10)
        shown = list(dict.fromkeys(one for lines in courses.values() for one in lines))
        for (score, lines), axes in zip(courses.items(), panels[0][1:], strict=True):
            for one, points in lines.items():
                place = shown.index(one)
                look = {"color": SERIES[place % len(SERIES)], "ls": "-" if place < len(SERIES) else "--"}
                values = [epoch for epoch, *_ in points], [value for _, _, value, _ in points]
                axes.plot(*values, marker="o", ms=3, label=attribution_label(one), **look)
            axes.set_title(SCORES[score].label + (", %" if SCORES[score].unit == "%" else ""), fontsize=10)
        for axes in panels[0]:
            axes.set_xlabel("epoch")
            axes.set_xticks(sorted(accuracy))
            axes.margins(0.08)
        drawn = {text: line for axes in panels[0] for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
        plot.legend(drawn.values(), drawn, loc="outside lower center", ncols=4, fontsize=8)
        if subject.demo:
            drawing.watermark(plot)
        n = drawing.counted(n for *_, n in every_point)
        caption = (
            f"{subject.title}{_TOLD.get(side, '')}. Means over n = {n} splits; epoch 0 is "
            "before the training. Epochs of one training are no independent observations: no p is told of these."
        )
        return drawing.finished(plot, name, "Flips and alignment beside accuracy, by epoch", caption)


def _splits(counts: Iterable[int]) -> str:
    """How many splits were drawn of each side."""
    return " and ".join(dict.fromkeys(f"{n}" for n in counts))
