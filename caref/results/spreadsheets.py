"""The report's numbers as CSV, unrounded: table1.csv, tests.csv and cells.csv."""

import csv
import io
from collections.abc import Iterable

from caref.results import floor, paper
from caref.results.findings import Findings
from caref.results.measures import MEASURES, TABLE1, shown
from caref.results.table1 import AVERAGE, COLUMNS


def files(findings: Findings) -> dict[str, str]:
    """The content of each file by its name."""
    return {
        "table1.csv": _written(_TABLE1, _table1(findings)),
        "tests.csv": _written(_TESTS, _tests(findings)),
        "cells.csv": _written(_CELLS, _cells(findings)),
    }


def _written(head: list[str], body: Iterable[list[object]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(["" if value is None else value for value in line] for line in body)
    return file.getvalue()


_TABLE1 = [
    "table",
    "demo",
    "section",
    "row",
    "trainable_percent",
    "metric",
    "dataset",
    "mean",
    "std",
    "n",
    "paper_mean",
    "paper_std",
    "difference",
    "signature",
    "note",
]


def _table1(findings: Findings) -> Iterable[list[object]]:
    for setup in findings.setups:
        table = setup.table
        for row in paper.rows():
            for metric in shown(TABLE1):
                for column in COLUMNS:
                    ours = table.summary(row.name, metric, column)
                    printed = (None, None) if table.not_comparable else _printed(row.name, metric, column)
                    cell = table.cells.get((row.name, column))
                    yield [
                        *(table.title, int(table.demo), row.section, row.name, table.trainable_percent(row.name)),
                        *(metric, column),
                        *((ours.mean, None if column == AVERAGE else ours.std, ours.n) if ours else (None,) * 3),
                        *printed,
                        ours.mean - printed[0] if ours and printed[0] is not None else None,
                        cell.signature if cell else None,
                        table.refused.get((row.name, column)),
                    ]


def _printed(row: str, metric: str, column: str) -> tuple[float | None, float | None]:
    if metric == "similarity":
        return paper.similarity(row, column), None
    return paper.printed(row, metric, column) if metric in paper.METRICS else (None, None)


_TESTS = [
    "table",
    "family",
    "left",
    "right",
    "metric",
    "dataset",
    "n",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "rank_biserial",
    "equal_splits",
]


def _tests(findings: Findings) -> Iterable[list[object]]:
    asked = [(setup.table.title, setup.comparisons) for setup in findings.setups]
    asked += [("", list(pair.comparisons.values())) for pair in findings.beside]
    for title, comparisons in asked:
        for one in comparisons:
            found = one.difference
            yield [
                *(title, one.family, one.left, one.right, one.metric, one.column),
                *(found.n, found.mean, found.low, found.high, found.p, found.p_holm, found.effect, found.equal),
            ]


_CELLS = [
    *[
        "signature",
        "model",
        "dataset",
        "peft",
        "reg",
        "settings",
        "source",
        "trainable_percent",
        "n",
        "failed",
        "refused",
        "explains_nothing",
        "samples",
        "why_not_febs_own",
        "rows",
    ],
    *(f"{metric}_{figure}" for metric in MEASURES for figure in ("mean", "std")),
]


def _cells(findings: Findings) -> Iterable[list[object]]:
    for line in findings.lines:
        found = [line.summaries.get(metric) for metric in MEASURES]
        yield [
            *(line.cell.signature, line.model, line.dataset, line.peft, line.reg, line.settings, line.source),
            *(line.trainable_percent, line.n, len(set(line.cell.failed) - set(line.cell.records)), line.refused),
            *(int(floor.marked(line)), line.samples.label, line.samples.why, line.samples.rows),
            *(figure for summary in found for figure in ((summary.mean, summary.std) if summary else (None, None))),
        ]
