"""The tables that a run prints when it ends: of one job, of a sweep's cells. Plain text, fit for a log."""

from collections.abc import Mapping, Sequence

from caref.analysis.every_cell import Line, lines, standings
from caref.analysis.summary import Summary, of_fewer, scores, summarise
from caref.results.measures import MEASURES, SWEEP, shown
from caref.results.store import Cell

_NOTHING = "–"
_SPREAD = ("accuracy", "nbert")  # with their deviation; a line has no room for more


def job_table(records: Mapping[int, Mapping]) -> str:
    """Mean, population standard deviation and number of splits of each score of one job.

    Args:
        records: by split index, as in `Cell.records`.

    Returns:
        Several lines without a final newline; one line that says so where no split is finished.
    """
    if not records:
        return "no split is finished"
    body = []
    for metric, measure in MEASURES.items():
        if summary := summarise(scores(records, metric).values()):
            body.append([measure.named, measure.text(summary.mean), f"± {measure.text(summary.std)}", str(summary.n)])
        elif measure.where:
            body.append([measure.named, _NOTHING, _NOTHING, "0"])
    return aligned([["", "mean", "std", "splits"], *body])


def sweep_table(cells: Sequence[Cell], wanted: Mapping[str, int] | int = 60) -> str:
    """One line a cell: what it is, how many of its splits are done, accuracy, nBERT and what stands beside them.

    Args:
        cells: of any models and datasets.
        wanted: how many splits each cell is to have, for all or by signature.

    Returns:
        Several lines without a final newline; cells with failed splits or warnings have them below the table.
    """
    found = lines(cells)
    if not found:
        return "no cell holds a record"
    models = {line.model for line in found}
    head = ["dataset", "peft", "reg", "splits", *(measure.label for measure in shown(SWEEP).values()), "signature"]
    only_demo = all(line.demo for line in found)
    body = [[line.dataset if only_demo else line.data, *_sweep_line(line, wanted)] for line in found]
    if len(models) > 1:
        head, body = ["model", *head], [[line.model, *one] for line, one in zip(found, body, strict=True)]
    if any(line.settings for line in found):
        head, body = (
            [*head, "settings"],
            [[*one, line.settings] for line, one in zip(found, body, strict=True)],
        )
    notes = [
        f"{line.cell.signature}: {note}"
        for line in found
        for note in ([f"refused, {line.refused}"] if line.refused else []) + line.warnings
    ]
    demo = ["Demo data: made by the project, not the paper's datasets."] if any(line.demo for line in found) else []
    return "\n".join([aligned([head, *body]), *notes, *standings(found), *demo])


def _sweep_line(line: Line, wanted: Mapping[str, int] | int) -> list[str]:
    of = wanted if isinstance(wanted, int) else wanted.get(line.cell.signature, line.n)
    figures = [
        spread(line.summaries.get(metric), line.n) if metric in _SPREAD else _mean(line, metric)
        for metric in shown(SWEEP)
    ]
    return [line.peft, line.reg, f"{line.n} of {of}", *figures, line.cell.signature]


def _mean(line: Line, metric: str) -> str:
    found = line.summaries.get(metric)
    return MEASURES[metric].text(found.mean) + of_fewer(found, line.n) if found else _NOTHING


def spread(summary: Summary | None, n: int) -> str:
    """ "81.97 ± 1.80", with its own n where that is not n; a dash where there is nothing."""
    return f"{summary.mean:.2f} ± {summary.std:.2f}{of_fewer(summary, n)}" if summary else _NOTHING


def aligned(rows: list[list[str]]) -> str:
    """Rows in columns, a rule under the head; columns of figures to the right, words to the left."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    figures = [all(_is_figure(text) for text in column[1:]) for column in columns]
    rows = [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, figures, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([rows[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *rows[1:]])


def _is_figure(text: str) -> bool:
    return text == _NOTHING or (bool(text) and set(text) <= set("0123456789.±-+% of(n=)"))
