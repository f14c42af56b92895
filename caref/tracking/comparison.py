"""A W&B report that compares signatures, as code: what the summary runs say, how the splits trained, what they wrote.

It shows the runs that are on W&B's server at the time somebody looks at it; saving it needs the network and a login.
"""

from typing import TYPE_CHECKING

from caref.errors import UserError

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report

_BESIDE = [f"summary:{metric}/mean" for metric in ("nbert_strict", "similarity", "broken")]
_TERMS = ("loss", "ce", "sced", "kl")


def comparison(project: str, entity: str) -> "Report":
    """The report, not saved yet.

    Args:
        project: where the runs are, tracker.project.
        entity: the team or user whose project it is.
    """
    from wandb_workspaces.reports import v2 as wr

    # Run sets without a project of their own take the report's.
    summaries = wr.Runset(
        name="signatures",
        filters="Config('kind') = 'summary'",
        order=[wr.OrderBy(wr.SummaryMetric("nbert/mean"), ascending=False)],
        pinned_columns=[
            "run:displayName",
            *_columns("nbert"),
            *_columns("accuracy"),
            *_BESIDE,
            "summary:trainable_percent",
        ],
    )
    return wr.Report(
        project=project,
        entity=entity,
        title="CAREF: signatures compared",
        description="Mean and population standard deviation over the splits; one colour a signature.",
        width="fluid",
        blocks=[
            wr.H2("Signatures"),
            wr.PanelGrid(
                runsets=[summaries],
                panels=[
                    wr.BarPlot(title="nBERT, mean over splits", metrics=["nbert/mean"], layout=_place(0, 0)),
                    wr.BarPlot(title="Accuracy, mean over splits", metrics=["accuracy/mean"], layout=_place(1, 0)),
                    wr.ScatterPlot(
                        title="What training more parameters buys",
                        x=wr.SummaryMetric("trainable_percent"),
                        y=wr.SummaryMetric("nbert/mean"),
                        log_x=True,
                        layout=_place(2, 0),
                    ),
                    wr.LinePlot(title="Mean as splits come in", x="splits", y=["nbert/mean"], layout=_place(0, 1)),
                    wr.LinePlot(title="Deviation as splits come in", x="splits", y=["nbert/std"], layout=_place(1, 1)),
                    wr.RunComparer(diff_only="split", layout=_place(2, 1)),
                ],
            ),
            wr.H2("Splits"),
            wr.PanelGrid(
                runsets=[_splits()],
                panels=[
                    wr.LinePlot(
                        title=f"{term} while training",
                        y=[f"train/{term}"],
                        groupby=wr.Config("signature"),
                        groupby_aggfunc="mean",
                        groupby_rangefunc="stddev",
                        layout=_place(place % 2, place // 2, width=12),
                    )
                    for place, term in enumerate(_TERMS)
                ],
            ),
            wr.H2("Predictions"),
            wr.PanelGrid(
                runsets=[_splits()],
                panels=[
                    wr.WeavePanelSummaryTable(table_name="predictions", layout=wr.Layout(x=0, y=0, w=24, h=16)),
                ],
            ),
        ],
    )


def save(project: str, entity: str) -> str:
    """Save the report to W&B's server; its address.

    Raises:
        UserError: where the server cannot be reached, or refuses.
    """
    try:
        return comparison(project, entity).save().url
    except Exception as error:  # whatever lies between here and the server
        told = " ".join(f"{error}".split())
        raise UserError(f"--entity {entity} --project {project}: the report is not saved ({told})") from None


def _splits():
    from wandb_workspaces.reports import v2 as wr

    return wr.Runset(name="splits", filters="Config('kind') = 'split'", groupby=["config.signature"])


def _columns(metric: str) -> list[str]:
    return [f"summary:{metric}/{figure}" for figure in ("mean", "std", "n")]


def _place(column: int, row: int, width: int = 8):
    from wandb_workspaces.reports import v2 as wr

    return wr.Layout(x=column * width, y=row * 8, w=width, h=8)
