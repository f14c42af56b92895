"""The paper's Figure 1 (a), (b) and (d) out of the records.

A figure whose data is not there is not drawn; the line that says so is returned in its place.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from caref.analysis import paper
from caref.analysis.choosing import grids_of
from caref.analysis.every_cell import Line
from caref.analysis.summary import Summary, scores
from caref.analysis.table1 import AVERAGE, Table
from caref.report.figures import drawing
from caref.report.figures.drawing import INK, SERIES, Figure

_DEEP = 8.0  # points: a row this far below the others would flatten them, and is named at the foot instead


def of_table(table: Table, suffix: str = "") -> list[Figure | str]:
    """Figures 1a and 1b of one table; a line in the place of each that has no data."""
    return [accuracy_against_budget(table, suffix), nbert_with_and_without(table, suffix)]


def accuracy_against_budget(table: Table, suffix: str = "") -> Figure | str:
    """Figure 1a: each row's average accuracy against the share of parameters that it trains (log axis)."""
    points = [
        (name, share, summary)
        for name in dict.fromkeys(row.name for row in paper.rows())
        if (summary := table.summary(name, "accuracy", AVERAGE)) and (share := table.trainable_percent(name))
    ]
    if not points:
        return f"Figure 1a of {table.title}: no row has all four datasets yet"
    name = f"figure1a{suffix}"
    with drawing.style(name):
        plot, axes = drawing.canvas(6.6, 4.2)
        floor = sorted(summary.mean for *_, summary in points)[len(points) // 2] - _DEEP
        shown = [point for point in points if point[2].mean >= floor]
        for ours, colour, marker, label in (
            (True, SERIES[0], "o", "with the regulariser"),
            (False, SERIES[1], "s", "without it"),
        ):
            kind = [point for point in shown if point[0].startswith("CAREF") == ours]
            if kind:
                axes.errorbar(
                    [_apart(shown, point) for point in kind],
                    [summary.mean for *_, summary in kind],
                    [summary.std for *_, summary in kind],
                    fmt=marker,
                    color=colour,
                    label=label,
                    **drawing.BARS,
                )
        axes.set_xscale("log")
        axes.set_xlim(min(share for _, share, _ in points) / 1.6, max(share for _, share, _ in points) * 3.2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%" if value <= 100 else "")
        axes.minorticks_off()
        axes.set_xlabel("share of the model's parameters that is trained (log scale)")
        axes.set_ylabel("accuracy, %, mean of the four datasets")
        _name_points(axes, shown)
        below = [point for point in points if point not in shown]
        for place, (row, share, summary) in enumerate(below):
            axes.annotate(
                f"↓ {row} {summary.mean:.1f}",
                (share, 0.03 + 0.06 * place),
                xycoords=("data", "axes fraction"),
                ha="center",
            )
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.12), ncols=2)
        if table.demo:
            drawing.watermark(plot)
        foot = " Rows far below the others are named at the foot." if below else ""
        caption = f"{_rests_on(table, (s for *_, s in points))} Bars: ±1 standard deviation over splits.{foot}"
        return drawing.finished(plot, name, "Figure 1a. Accuracy against the share trained", caption)


def _apart(points: Sequence[tuple[str, float, Summary]], point: tuple[str, float, Summary]) -> float:
    """Where to draw a point: beside, not upon, those that train the same share."""
    alike = [other for other in points if abs(math.log(other[1] / point[1])) < 0.03]
    return point[1] * 1.05 ** (alike.index(point) - (len(alike) - 1) / 2)


def _name_points(axes: Any, points: Sequence[tuple[str, float, Summary]]) -> None:
    """Each point's name on the side where the next point is farther, names of neighbours pushed apart."""
    low, high = axes.get_ylim()
    gap = (high - low) * 0.046
    places = sorted({math.log(share) for _, share, _ in points})
    placed: list[tuple[float, float, bool]] = []
    for name, share, summary in sorted(points, key=lambda point: -point[2].mean):
        x = math.log(share)
        room_left = min((x - other for other in places if other < x - 0.03), default=0.0)
        room_right = min((other - x for other in places if other > x + 0.03), default=9.0)
        right = room_right >= room_left
        height = summary.mean
        near = [y for other, y, side in placed if side == right and abs(other - x) < 0.9]
        while any(abs(height - y) < gap * 0.99 for y in near):
            height -= gap * 0.1
        placed.append((x, height, right))
        axes.annotate(
            name,
            (_apart(points, (name, share, summary)), summary.mean),
            xytext=(share * (1.16 if right else 1 / 1.16), height),
            ha="left" if right else "right",
            va="center",
            fontsize=8,
            bbox={"facecolor": drawing.PAPER, "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
            arrowprops={"arrowstyle": "-", "color": drawing.FAINT, "lw": 0.8, "shrinkA": 0, "shrinkB": 4},
        )


def nbert_with_and_without(table: Table, suffix: str = "") -> Figure | str:
    """Figure 1b: nBERT of BASE and AQ on each dataset, without and with the regulariser."""
    rows = {"BASE": SERIES[4], "CAREF-BASE": SERIES[0], "AQ": SERIES[5], "CAREF-AQ": SERIES[1]}
    found = {
        (row, dataset): summary
        for row in rows
        for dataset in paper.DATASETS
        if (summary := table.summary(row, "nbert", dataset))
    }
    if not found:
        return f"Figure 1b of {table.title}: neither BASE nor AQ has data yet, with or without the regulariser"
    name = f"figure1b{suffix}"
    with drawing.style(name):
        plot, axes = drawing.canvas(6.6, 4.2)
        for place, (row, colour) in enumerate(rows.items()):
            here = {x: found[row, dataset] for x, dataset in enumerate(paper.DATASETS) if (row, dataset) in found}
            axes.bar(
                [x + (place - 1.5) * 0.2 for x in here],
                [summary.mean for summary in here.values()],
                0.18,
                yerr=[summary.std for summary in here.values()],
                color=colour,
                label=row if here else None,
                error_kw={"ecolor": INK, "elinewidth": 1.0, "capsize": 2.5},
            )
        low = min(summary.mean - summary.std for summary in found.values())
        axes.set_ylim(bottom=max(0, 5 * math.floor((low - 3) / 5)))
        axes.set_xticks(range(len(paper.DATASETS)), list(paper.DATASETS.values()))
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("nBERT")
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.12), ncols=4, columnspacing=1.2, handlelength=1.2)
        if table.demo:
            drawing.watermark(plot)
        cut = " The axis does not begin at 0." if axes.get_ylim()[0] > 0 else ""
        caption = f"{_rests_on(table, found.values())} Bars: ±1 standard deviation over splits.{cut}"
        return drawing.finished(plot, name, "Figure 1b. nBERT without and with the regulariser", caption)


def _rests_on(table: Table, summaries: Iterable[Summary]) -> str:
    return f"{table.title}; n = {drawing.counted(summary.n for summary in summaries)} splits a cell."


def nbert_over_alpha_and_beta(found: Sequence[Line]) -> Figure | str:
    """Figure 1d: mean nBERT on e-SNLI for each alpha and beta of SCED.

    Of the cells on e-SNLI that differ in alpha and beta alone, the largest grid is drawn; AQ's of equally large.
    """
    grids: dict[tuple[int, str], dict[tuple[float, float], Line]] = {}
    for number, line in ((number, line) for number, grid in enumerate(grids_of(found)) for line in grid):
        reg = line.cell.config["reg"]
        sced = reg["term"] == "sced" and all(
            isinstance(reg.get(key), (int, float)) for key in ("alpha", "beta", "lambda_sced", "lambda_kl")
        )
        if line.cell.config["dataset"]["name"] == "esnli" and sced and "nbert" in line.summaries:
            others = sorted((key, str(value)) for key, value in reg.items() if key not in ("name", "alpha", "beta"))
            grids.setdefault((number, str(others)), {})[reg["alpha"], reg["beta"]] = line
    wide = [grid for grid in grids.values() if all(len(set(axis)) > 1 for axis in zip(*grid, strict=True))]
    if not wide:
        return "Figure 1d: no cells on e-SNLI that differ in both alpha and beta of SCED"
    grid = min(wide, key=_precedence)
    one, *_ = grid.values()
    demo, reg = "demo" in one.source, one.cell.config["reg"]
    with drawing.style("figure1d"):
        plot, axes = drawing.canvas(5.6, 4.2)
        means = {point: line.summaries["nbert"] for point, line in grid.items()}
        same = len({tuple(scores(line.cell.records, "nbert")) for line in grid.values()}) == 1
        _heat_map(plot, axes, means, max(means, key=lambda point: means[point].mean) if same else None)
        if demo:
            drawing.watermark(plot)
        data = [one.model, "demo data" if demo else "real data", one.peft, *filter(None, [one.settings])]
        framed = (
            "Framed: the highest mean, a maximum over noise" if same else "None is framed: not all have the same splits"
        )
        more = f" Of {len(wide)} such grids, on other data or set otherwise, one is drawn." if len(wide) > 1 else ""
        caption = (
            f"{', '.join(data)}, λ = {reg['lambda_sced']:g} and {reg['lambda_kl']:g}; "
            f"n = {drawing.counted(summary.n for summary in means.values())} splits a cell. "
            f"{framed}; small: the standard deviation over splits.{more}"
        )
        return drawing.finished(plot, "figure1d", "Figure 1d. nBERT on e-SNLI over α and β", caption)


def _precedence(grid: Mapping[tuple[float, float], Line]) -> tuple:
    """Real data first, the largest grid, AQ's."""
    line = next(iter(grid.values()))
    return "demo" in line.source, -len(grid), line.peft != "AQ", line.model, line.peft, line.cell.signature


def _heat_map(
    plot: Any, axes: Any, means: Mapping[tuple[float, float], Summary], best: tuple[float, float] | None
) -> None:
    alphas, betas = (sorted(set(axis)) for axis in zip(*means, strict=True))
    values = [[means[a, b].mean if (a, b) in means else math.nan for b in betas] for a in alphas]
    mesh = axes.pcolormesh(values, cmap="cividis", edgecolors="white", linewidth=1.5)
    for (alpha, beta), summary in means.items():
        x, y = betas.index(beta), alphas.index(alpha)
        light = mesh.norm(summary.mean) > 0.55
        ink = "#111111" if light else "#ffffff"
        axes.text(x + 0.5, y + 0.58, f"{summary.mean:.2f}", ha="center", va="center", color=ink)
        axes.text(x + 0.5, y + 0.32, f"±{summary.std:.2f}", ha="center", va="center", color=ink, fontsize=7.5)
        if (alpha, beta) == best:
            frame = {"fill": False, "edgecolor": ink, "linewidth": 2}
            axes.add_patch(_rectangle((x + 0.05, y + 0.05), 0.9, 0.9, **frame))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks([x + 0.5 for x in range(len(betas))], [f"{beta:g}" for beta in betas])
    axes.set_yticks([y + 0.5 for y in range(len(alphas))], [f"{alpha:g}" for alpha in alphas])
    axes.set_xlabel("β")
    axes.set_ylabel("α", rotation=0, labelpad=10)
    bar = plot.colorbar(mesh, ax=axes, label="nBERT", pad=0.03)
    bar.outline.set_visible(False)


def _rectangle(*place: Any, **look: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(*place, **look)
