"""What `agree` prints, keeps and tells W&B."""

from pathlib import Path

from caref.ratings import sheets
from caref.ratings.answers import Answers, score
from caref.report import judgement as judgements
from caref.report import tables
from caref.report.figures import human_scores
from caref.report.figures.drawing import Figure
from caref.report.judgement import Judgement
from caref.results.writing import check_writable


def text(judgement: Judgement) -> str:
    """Tables and notes for a terminal."""
    blocks = ["Demo data: made by the project, not the paper's datasets."] if judgement.demo else []
    blocks += [f"{one.title}\n{tables.aligned([one.head, *one.body])}" for one in judgements.grids(judgement)]
    if judgement.notes:
        blocks.append("\n".join(judgement.notes))
    return "\n\n".join(blocks)


def files(judgement: Judgement, answers: Answers) -> dict[str, bytes]:
    """judgement.json, which the report reads; ratings.csv, a row a rating; figure 1c."""
    head = ["dataset", "system", "cell", "kind", "input", "item", "rater", "answer", "score"]
    rows = [
        [one.dataset, one.system, one.cell, one.kind, sheets.safe(one.input), one.item, rater, answer, score(answer)]
        for one in answers.judged
        if one.item
        for rater, answer in answers.given[one.item].items()
    ]
    found = {"judgement.json": judgements.to_json(judgement), "ratings.csv": sheets.written([head, *rows])}
    figure = human_scores.figure(judgement)
    if isinstance(figure, Figure):
        found |= {f"{figure.name}.png": figure.png, f"{figure.name}.pdf": figure.pdf}
    return found


def track(judgement: Judgement, folder: Path, mode: str, project: str, entity: str | None) -> None:
    """One W&B run with every score, agreement and difference by its name; told again, it takes its own place.

    It lies in `folder`/wandb; `python -m caref.tracking sync` uploads it.

    Raises:
        UserError: where mode is online and there is no login.
    """
    import hashlib

    from caref.tracking.writing import Run, Writer, say

    check_writable(folder)
    of = {f"{one.dataset}/{one.system}/{figure}": getattr(one, figure) for one in judgement.scores for figure in _SCORE}
    of |= {f"agreement/{one.panel}/{name}": getattr(one, name) for one in judgement.agreement for name in _AGREEMENT}
    of |= {
        f"{one.dataset}/{one.left} - {one.right}/{name}": getattr(one, name)
        for one in judgement.contrasts
        for name in _CONTRAST
    }
    of |= {f"{one.dataset}/{one.measure}/rho": one.rho for one in judgement.correlations}
    summary = {key: value for key, value in of.items() if value is not None}
    cells = sorted({one.cell for one in judgement.scores if one.cell})
    name = hashlib.sha256("\n".join(sorted({one.system for one in judgement.scores} | set(cells))).encode())
    run = Run(
        id=f"ratings-{name.hexdigest()[:12]}",
        name="human judgement",
        kind="ratings",
        group="ratings",
        tags=["ratings", *["demo"] * judgement.demo],
        config={"kind": "ratings", "cells": cells, "raters": judgement.raters, "notes": judgement.notes},
        summary=summary,
    )
    told, place = Writer(folder, mode, project, entity).write(run)
    say(f"{told}: {len(summary)} figures in {place}")


_SCORE = ("mean", "se", "n")
_AGREEMENT = ("alpha", "fleiss", "items")
_CONTRAST = ("mean", "p_holm", "mixed_p")
