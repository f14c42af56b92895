"""The report's numbers as CSV, unrounded: pairs.csv, chosen.csv, table1.csv, tests.csv, cells.csv; where there is
evidence, also evidence.csv, evidence_tests.csv and evidence_words.csv; where attention was trained, evidence_gains.csv;
of ELECTRA, evidence_paper.csv.
"""

import csv
import io
from collections.abc import Iterable

from caref.analysis import beside_ivra, floor, paper, power, relative_gain
from caref.analysis.evidence_compared import Evidence
from caref.analysis.significance import Difference
from caref.analysis.table1 import AVERAGE, COLUMNS
from caref.report.findings import Findings
from caref.results.evidence_names import Name
from caref.results.measures import MEASURES, TABLE1, shown


def files(findings: Findings) -> dict[str, str]:
    """The content of each file by its name."""
    found = {
        "pairs.csv": _written(_PAIRS, _pairs(findings)),
        "chosen.csv": _written(_CHOSEN, _chosen(findings)),
        "table1.csv": _written(_TABLE1, _table1(findings)),
        "tests.csv": _written(_TESTS, _tests(findings)),
        "cells.csv": _written(_CELLS, _cells(findings)),
    }
    if findings.evidence.questions:
        found["evidence.csv"] = _written(_EVIDENCE, _evidence(findings.evidence))
        found["evidence_tests.csv"] = _written(_EVIDENCE_TESTS, _evidence_tests(findings.evidence))
        found["evidence_words.csv"] = _written(_EVIDENCE_WORDS, _evidence_words(findings))
        beyond = {"evidence_gains.csv": (_GAINS, _gains), "evidence_paper.csv": (_EVIDENCE_PAPER, _evidence_paper)}
        for name, (head, of) in beyond.items():
            if body := list(of(findings.evidence)):
                found[name] = _written(head, body)
    return found


def _written(head: list[str], body: Iterable[list[object]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(["" if value is None else value for value in line] for line in body)
    return file.getvalue()


_POWER = ["level", "detectable", f"detectable_on_{paper.SPLITS}"]


def _power(found: Difference) -> list[float | None]:
    """What a difference must pass, and what can be detected: inf where none would."""
    return [found.level, power.detectable(found, found.n), power.detectable(found, paper.SPLITS)]


_PAIRS = [
    *["dataset", "peft", "model", "reg", "settings", "source", "without", "with", "measure", "unit", "better", "n"],
    *["mean_without", "mean_with", "difference", "low", "high", "p", "p_holm", "rank_biserial", "better_on"],
    *["equal_splits", *_POWER],
]


def _pairs(findings: Findings) -> Iterable[list[object]]:
    for pair in findings.pairs:
        line = pair.regularised
        for name, change in pair.changes.items():
            found, measure = change.difference, change.measure
            yield [
                *(line.dataset, line.peft, line.model, line.reg, line.settings, line.source),
                *(pair.without.cell.signature, line.cell.signature, name, measure.unit, _better(measure.up), found.n),
                *(change.without, change.regularised, found.mean, *(change.bounds or (None, None))),
                *(found.p, found.p_holm, found.effect, change.better, found.equal),
                *_power(found),
            ]


_CHOSEN = [
    *["dataset", "peft", "model", "term", "settings", "source", "measure", "splits", "cells", "maximum_mean"],
    *["maximum_std", "honest_mean", "honest_std", "honest_std_over_halvings", "without_mean", "without_std"],
    *["signature", "numbers", "share", "is_maximum"],
]


def _chosen(findings: Findings) -> Iterable[list[object]]:
    """A line a cell of each grid: how often it was chosen, beside the figures of the grid."""
    for choice in findings.choices:
        without = choice.without
        for place, (line, numbers, share) in enumerate(zip(choice.cells, choice.names, choice.shares, strict=True)):
            yield [
                *(line.dataset, line.peft, line.model, line.cell.config["reg"]["term"], line.settings, line.source),
                *(choice.metric, choice.honest.n, len(choice.cells), choice.maximum.mean, choice.maximum.std),
                *(choice.honest.mean, choice.honest.std, choice.halving),
                *((without.mean, without.std) if without else (None, None)),
                *(line.cell.signature, numbers, share, int(place == choice.best)),
            ]


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
    *_POWER,
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
                *_power(found),
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
    *(f"{metric}_{figure}" for metric in MEASURES for figure in ("mean", "std", "n")),
]


def _cells(findings: Findings) -> Iterable[list[object]]:
    for line in findings.lines:
        found = [line.summaries.get(metric) for metric in MEASURES]
        yield [
            *(line.cell.signature, line.model, line.dataset, line.peft, line.reg, line.settings, line.source),
            *(line.trainable_percent, line.n, len(set(line.cell.failed) - set(line.cell.records)), line.refused),
            *(int(floor.marked(line)), line.samples.label, line.samples.why, line.samples.rows),
            *(figure for one in found for figure in ((one.mean, one.std, one.n) if one else (None,) * 3)),
        ]


_SCORE = ["score", "measure", "attribution", "answer", "label", "unit", "better", "temperature_moves"]
_EVIDENCE = [
    *["signature", "model", "dataset", "peft", "reg", "settings", "source", "question", "edition", "examples"],
    *["removal", "choices", *_SCORE, "mean", "std", "n", "splits"],
]


def _evidence(evidence: Evidence) -> Iterable[list[object]]:
    for question in evidence.questions:
        told = [question.mark, *(question.asked.get(key) for key in ("edition", "examples", "removal"))]
        told.append(question.asked.get("choices", "sequence"))
        for held in question.held:
            line = held.line
            for name in held.names:
                found = held.summary(name.raw)
                yield [
                    *(line.cell.signature, line.model, line.dataset, line.peft, line.reg, line.settings, line.source),
                    *told,
                    *_score(name),
                    *((found.mean, found.std, found.n) if found else (None, None, 0)),
                    held.n,
                ]


def _score(name: Name) -> list[object]:
    score = name.score
    moved = None if score.moved is None else int(score.moved)
    return [name.raw, name.measure, name.attribution, name.answer, score.label, score.unit, _better(score.up), moved]


def _better(up: bool | None) -> str | None:
    return {True: "higher", False: "lower", None: None}[up]


_EVIDENCE_TESTS = [
    *["question", "model", "dataset", "peft", "reg", "settings", "source", "compared", "without", "with", *_SCORE, "n"],
    *["mean_without", "mean_with", "difference", "low", "high", "p", "p_holm", "rank_biserial", "equal_splits"],
    *_POWER,
]


def _evidence_tests(evidence: Evidence) -> Iterable[list[object]]:
    for question in evidence.questions:
        for shift in question.shifts:
            line = shift.regularised.line
            for name, change in shift.changes.items():
                found = change.difference
                yield [
                    *(question.mark, line.model, line.dataset, line.peft, line.reg, line.settings, line.source),
                    "module" if shift.pair.of_module else "regulariser",
                    *(shift.without.line.cell.signature, line.cell.signature, *_score(name), found.n),
                    *((change.without, change.regularised) if change.splits else (None, None)),
                    *(found.mean, *(change.bounds or (None, None)), found.p, found.p_holm, found.effect, found.equal),
                    *_power(found),
                ]


_EVIDENCE_WORDS = ["signature", "model", "dataset", "peft", "reg", "source", "question", "attribution", "word"]
_EVIDENCE_WORDS += ["first", "texts", "share"]


def _evidence_words(findings: Findings) -> Iterable[list[object]]:
    for one in findings.first_words:
        line = one.held.line
        cell = [line.cell.signature, line.model, line.dataset, line.peft, line.reg, line.source]
        yield [*cell, one.mark, one.attribution, one.word, one.first, one.texts, one.share]


_GAINS = ["question", "configuration", "score", "dataset", "n", "attention", "ivra", "relative", "average", "datasets"]


def _gains(evidence: Evidence) -> Iterable[list[object]]:
    for question in evidence.questions:
        for row in relative_gain.rows(question):
            parts = sum(one.relative is not None for one in row.gains)
            for one in row.gains:
                own = [one.dataset, one.n, one.old, one.new, one.relative]
                yield [question.mark, row.title, row.key, *own, row.average, parts]


_EVIDENCE_PAPER = ["question", "signature", "model", "dataset", "reg", *_SCORE, "mean", "std", "n", "paper_mean"]


def _evidence_paper(evidence: Evidence) -> Iterable[list[object]]:
    for one in beside_ivra.beside(evidence):
        line, found = one.held.line, one.held.summary(one.name.raw)
        ours = (found.mean, found.std, found.n) if found else (None, None, 0)
        cell = (line.cell.signature, line.model, line.dataset, line.reg)
        yield [one.question.mark, *cell, *_score(one.name), *ours, one.printed]
