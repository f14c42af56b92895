"""Any few cells side by side, whatever row of the paper's table they are."""

from collections.abc import Sequence
from textwrap import fill

from caref.analysis.every_cell import Line
from caref.report.figures import drawing
from caref.report.figures.drawing import SERIES, Figure
from caref.results.measures import MEASURES

_FEW = 24  # cells that one figure shows well
_WIDTH = 46  # characters of a cell's name in a line: more leave no room for what is drawn


def figure(lines: Sequence[Line]) -> Figure | str:
    """Accuracy and nBERT of each cell side by side, mean ± standard deviation; only of as many as a page shows well."""
    shown = [line for line in lines if "accuracy" in line.summaries]
    ours = [line for line in shown if not line.published]
    if ours and len(shown) > _FEW:  # published cells are many, and must not keep ours from being drawn
        shown = ours
    if not 0 < len(shown) <= _FEW:
        return f"Cells side by side: drawn for 1 to {_FEW} cells with accuracy, here are {len(shown)}"
    several = len({line.model for line in shown}) > 1 or any(line.published for line in shown)
    only_demo = all(line.demo for line in shown)
    data = [line.dataset if only_demo else line.data for line in shown]
    names = [
        fill(
            " · ".join(
                filter(None, [line.model if several else "", of, line.peft, line.reg.strip("–"), line.settings])
            ),
            _WIDTH,
            break_on_hyphens=False,
        )
        for line, of in zip(shown, data, strict=True)
    ]
    row = max(0.42, *(0.18 * len(name.splitlines()) for name in names))
    datasets = list(dict.fromkeys(data))
    metrics = [metric for metric in ("accuracy", "nbert") if any(metric in line.summaries for line in shown)]
    with drawing.style("comparison"):
        plot, panels = drawing.canvas(9, 1.5 + row * len(shown), panels=len(metrics), sharey=True, squeeze=False)
        panels = panels[0]
        for metric, axes in zip(metrics, panels, strict=True):
            for y, (line, of) in enumerate(zip(shown, data, strict=True)):
                if metric not in line.summaries:  # of a model that answers only
                    continue
                summary, colour = line.summaries[metric], SERIES[datasets.index(of) % len(SERIES)]
                axes.errorbar(summary.mean, y, xerr=summary.std, fmt="o", color=colour, **drawing.BARS)
                axes.annotate(
                    f"{summary.mean:.1f}",
                    (summary.mean, y),
                    (0, 7),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
            axes.set_xlabel(f"{MEASURES[metric].label}, {MEASURES[metric].unit.replace('×100', '0 to 100')}")
            axes.grid(axis="y", visible=False)
            axes.margins(x=0.12)
        panels[0].set_yticks(range(len(shown)), names)
        panels[0].set_ylim(len(shown) - 0.4, -0.7)
        n = drawing.counted(line.summaries[one].n for line in shown for one in metrics if one in line.summaries)
        models = ", ".join(sorted({line.model for line in shown}))
        if any(line.demo for line in shown):
            drawing.watermark(plot)
        caption = f"{models}; mean ± standard deviation over n = {n} splits."
        return drawing.finished(plot, "cells", "Cells side by side", caption)
