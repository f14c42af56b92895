"""The figure of one pair of cells: with against without the regulariser, every split a line."""

from caref.analysis.with_without import Change, Pair
from caref.report.figures import drawing
from caref.report.figures.drawing import INK, SERIES, Figure
from caref.results.measures import MEASURES

_MOST = 2  # measures side by side


def _shown(pair: Pair) -> list[Change]:
    """nBERT and accuracy; of a pair that has neither, the first of what it has."""
    leading = [pair.changes[metric] for metric in ("nbert", "accuracy") if metric in pair.changes]
    return leading or list(pair.changes.values())[:_MOST]


def legend(pair: Pair) -> str:
    """How to read the figure."""
    count = drawing.counted(change.difference.n for change in _shown(pair))
    return (
        f"A thin line is one split of {count}: green where the regulariser gains, orange where it loses. The thick "
        "line is their mean. The axes do not begin at 0."
    )


def with_against_without(pair: Pair, number: int = 1) -> Figure | None:
    """Every split of a pair of cells as a line from its score without the regulariser to its score with it.

    None of a pair that has no score on a common split.
    """
    name = f"with_without-{number}"
    shown = _shown(pair)
    if not shown:
        return None
    with drawing.style(name):
        plot, panels = drawing.canvas(4.8, 2.9, panels=len(shown), squeeze=False)
        for change, axes in zip(shown, panels[0], strict=True):
            measure = MEASURES[change.metric]
            many = len(change.splits) > 12
            look = {"lw": 0.9, "ms": 2.2, "alpha": 0.45} if many else {"lw": 1.4, "ms": 3.5, "alpha": 0.75}
            for _, before, after in change.splits:
                gain = (after - before) * (1 if measure.up else -1)
                colour = SERIES[2] if gain > 0 else SERIES[1] if gain < 0 else drawing.FAINT
                axes.plot([0, 1], [before, after], "o-", color=colour, **look)
            axes.plot([0, 1], [change.without, change.regularised], "o-", color=INK, lw=2.6, ms=6)
            for x, mean in enumerate((change.without, change.regularised)):
                axes.annotate(
                    measure.text(mean),
                    (x, mean),
                    (-9 if x == 0 else 9, 0),
                    textcoords="offset points",
                    ha="right" if x == 0 else "left",
                    va="center",
                    fontweight="bold",
                )
            axes.set_xticks([0, 1], ["without", "with"])
            axes.set_xlim(-0.75, 1.75)
            axes.margins(y=0.12)
            axes.set_title(f"{measure.label}  {measure.change(change.difference.mean)}", fontsize=11)
            axes.grid(axis="x", visible=False)
            axes.tick_params(axis="both", length=0)
        if "demo" in pair.regularised.source:
            drawing.watermark(plot)
        caption = f"{pair.title}, {pair.regularised.reg}. {legend(pair)}"
        return drawing.finished(plot, name, "With against without the regulariser", caption)
