"""A W&B report that compares signatures, as code: what the summary runs say, how the splits trained, what they wrote.

It shows the runs that are on W&B's server at the time somebody looks at it; saving it needs the network and a login.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from caref.analysis.evidence_compared import Question
from caref.errors import UserError
from caref.results import evidence, store
from caref.results.evidence_names import Name, named
from caref.tracking.writing import say

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report

_BESIDE = [f"summary:{metric}/mean" for metric in ("nbert_strict", "similarity", "broken")]
_TERMS = ("loss", "ce", "sced", "kl")


def comparison(project: str, entity: str, questions: Iterable[tuple[Question, Sequence[Name]]] = ()) -> "Report":
    """The report, not saved yet.

    Args:
        project: where the runs are, tracker.project.
        entity: the team or user whose project it is.
        questions: of evidence, with the scores of each that are shown, as `questions_of` finds them.
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
            *(block for question, names in questions for block in _evidence(question, names)),
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


def questions_of(results_dir: Path) -> list[tuple[Question, list[Name]]]:
    """The questions that the evidence of a results folder answers, with those scores that a report tests.

    W&B's runs carry a score under the mark of its question, which a results folder alone can tell.

    Raises:
        UserError: there is no such folder, or no evidence in it.
    """
    asked: dict[str, Mapping] = {}
    scores: dict[str, set[str]] = {}
    for cell in store.cells(results_dir):
        for found in evidence.of_cell(results_dir / cell.signature):
            for line in (*found.damaged, *found.unread):
                say(line)
            if found.records:
                asked[found.mark] = asked.get(found.mark) or found.asked
                scores.setdefault(found.mark, set()).update(*(one["scores"] for one in found.records.values()))
    if not scores:
        raise UserError(f"{results_dir}: holds no evidence; run.py evidence=quick adds it, or leave the folder out")
    questions = []
    for mark in sorted(scores):
        names = [named(raw, asked[mark].get("attributions") or ()) for raw in sorted(scores[mark])]
        tested = sorted((name for name in names if name.tested), key=lambda name: name.order)
        questions.append((Question(mark, asked[mark], [], []), tested))
    return questions


def save(project: str, entity: str, results_dir: Path | None = None) -> str:
    """Save the report to W&B's server; its address.

    Args:
        results_dir: whose evidence is shown, as far as W&B's runs hold it; None for none.

    Raises:
        UserError: where the server cannot be reached, or refuses; as `questions_of` does.
    """
    report = comparison(project, entity, questions_of(results_dir) if results_dir else ())
    try:
        return report.save().url
    except Exception as error:  # whatever lies between here and the server
        told = " ".join(f"{error}".split())
        raise UserError(f"--entity {entity} --project {project}: the report is not saved ({told})") from None


def _evidence(question: Question, names: Sequence[Name]) -> list:
    """Of one question: a plot a score, a bar an attribution, and a table of the same means."""
    from wandb_workspaces.reports import v2 as wr

    means: dict[str, list[str]] = {}
    for name in names:
        means.setdefault(name.key, []).append(f"evidence/{question.mark}/{name.raw}/mean")
    heads = {name.key: name.score.head for name in names}
    table = wr.Runset(
        name="evidence",
        filters="Config('kind') = 'summary'",
        pinned_columns=["run:displayName", *(f"summary:{mean}" for own in means.values() for mean in own)],
    )
    plots = [
        wr.BarPlot(
            title=f"{heads[key]}, mean over splits",
            metrics=own,
            layout=_place(place % 3, place // 3),
        )
        for place, (key, own) in enumerate(means.items())
    ]
    return [wr.H2(f"Evidence: {question.title}"), wr.PanelGrid(runsets=[table], panels=plots)]


def _splits():
    from wandb_workspaces.reports import v2 as wr

    return wr.Runset(name="splits", filters="Config('kind') = 'split'", groupby=["config.signature"])


def _columns(metric: str) -> list[str]:
    return [f"summary:{metric}/{figure}" for figure in ("mean", "std", "n")]


def _place(column: int, row: int, width: int = 8):
    from wandb_workspaces.reports import v2 as wr

    return wr.Layout(x=column * width, y=row * 8, w=width, h=8)
