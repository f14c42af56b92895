"""The figure of ours against what others have published: every seed that both have is a point."""

from collections.abc import Iterable

from caref.analysis import paper
from caref.analysis.beside_published import Beside, label
from caref.report.figures import drawing
from caref.report.figures.drawing import FAINT, INK, SERIES, Figure
from caref.results.measures import MEASURES

MOST = 4  # of our cells


def drawn(found: Iterable[Beside]) -> list[Figure]:
    """Of the first of our cells, each against the published one that has the highest mean nBERT on its dataset."""
    strongest: dict[str, Beside] = {}
    for pair in found:
        other = strongest.setdefault(pair.ours.cell.signature, pair)
        if _nbert(pair) > _nbert(other):
            strongest[pair.ours.cell.signature] = pair
    return [ours_against_theirs(pair, number) for number, pair in enumerate([*strongest.values()][:MOST], start=1)]


def _nbert(pair: Beside) -> float:
    summary = pair.theirs.summaries.get("nbert")
    return summary.mean if summary else float("-inf")


def ours_against_theirs(pair: Beside, number: int = 1) -> Figure:
    """A point a seed, theirs across and ours up; on the line both are equal."""
    name = f"published-{number}"
    metrics = [metric for metric in paper.METRICS if metric in pair.comparisons]
    with drawing.style(name):
        plot, panels = drawing.canvas(3.1 * len(metrics), 3.4, panels=len(metrics), squeeze=False)
        for metric, axes in zip(metrics, panels[0], strict=True):
            points, measure = pair.splits(metric), MEASURES[metric]
            low, high = min(map(min, points)), max(map(max, points))
            room = 0.08 * (high - low) or 1.0
            bounds = (low - room, high + room)
            axes.plot(bounds, bounds, color=FAINT, lw=1.2)
            axes.plot(*zip(*points, strict=True), "o", color=SERIES[0], ms=3.5, alpha=0.6)
            axes.set(xlim=bounds, ylim=bounds, xlabel=f"theirs (published), {measure.label}")
            axes.set_box_aspect(1)
            change = measure.change(pair.comparisons[metric].difference.mean)
            axes.set_title(f"{measure.label}  {change}", fontsize=11, color=INK)
        panels[0][0].set_ylabel("ours")
        caption = (
            f"{pair.ours.dataset}: ours, {label(pair.ours)}, against {label(pair.theirs)}, whose mean nBERT is the "
            "highest of the published cells. A point is a seed that both have; above the line ours is higher. The "
            "axes do not begin at 0."
        )
        return drawing.finished(plot, name, "Ours against published results", caption)
