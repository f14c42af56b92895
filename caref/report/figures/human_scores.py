"""Figure 1c: what people said of the explanations, by dataset and system."""

from caref.analysis import paper
from caref.report.figures import drawing
from caref.report.figures.drawing import INK, SERIES, Figure
from caref.report.judgement import Judgement

# The paper's printed means, of its own system and its own raters (RQ4).
PRINTED = {"ECQA": 0.69, "e-SNLI": 0.58, "ComVE": 0.53, "CoS-E": 0.47}


def figure(judgement: Judgement) -> Figure | str:
    """Mean rating ± standard error of each system on each dataset; people's own explanations as a hollow mark."""
    if not judgement.scores:
        return "Figure 1c: nothing is rated"
    order = list(paper.DATASETS.values())
    names = sorted(
        {one.dataset for one in judgement.scores},
        key=lambda name: (order.index(name) if name in order else len(order), name),
    )
    systems = list(dict.fromkeys(one.system for one in judgement.scores if one.kind == "cell"))
    width = 0.8 / max(1, len(systems))
    with drawing.style("figure1c"):
        plot, axes = drawing.canvas(6.6, 4.2)
        for place, system in enumerate(systems):
            here = [one for one in judgement.scores if one.system == system]
            axes.bar(
                [names.index(one.dataset) + (place - (len(systems) - 1) / 2) * width for one in here],
                [one.mean for one in here],
                width * 0.9,
                yerr=[one.se or 0.0 for one in here],
                color=SERIES[place % len(SERIES)],
                label=system,
                error_kw={"ecolor": INK, "elinewidth": 1.0, "capsize": 2.5},
            )
        gold = [one for one in judgement.scores if one.kind == "gold"]
        if gold:
            axes.plot(
                [names.index(one.dataset) + 0.43 for one in gold],
                [one.mean for one in gold],
                *("D",),
                color=INK,
                fillstyle="none",
                label="gold explanations",
            )
        printed = [] if judgement.demo else [name for name in names if name in PRINTED]
        if printed:
            axes.plot(
                [names.index(name) - 0.43 for name in printed],
                [PRINTED[name] for name in printed],
                *("x",),
                color=INK,
                label="the paper's, by other raters",
            )
        axes.set_xticks(range(len(names)), names)
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 1 / 3, 2 / 3, 1], ["no", "weak no", "weak yes", "yes"])
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("does the explanation justify the answer?")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, fontsize=8)
        if judgement.demo:
            drawing.watermark(plot)
        n = drawing.counted(one.n for one in judgement.scores)
        data = "Demo data, not the paper's datasets. " if judgement.demo else ""
        unexplained = sum(one.unexplained for one in judgement.scores)
        missing = f" No explanation, counted as no: {unexplained} items." if unexplained else ""
        caption = f"{data}{judgement.raters} raters, n = {n} items a bar. Bars: ±1 standard error over items.{missing}"
        return drawing.finished(plot, "figure1c", "Figure 1c. What people say of the explanations", caption)
