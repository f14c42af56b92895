"""The report in Markdown: tables, claims, tests and figures, to be read in a repository or an editor."""

from collections.abc import Iterable, Mapping
from itertools import zip_longest

from caref.analysis import beside_ivra, beside_published, choosing, every_cell, floor, paper, power, relative_gain
from caref.analysis.claims import Verdict, sentence
from caref.analysis.every_cell import Line, standings
from caref.analysis.grid import Grid
from caref.analysis.significance import LEAST_SPLITS
from caref.analysis.summary import Summary, of_fewer
from caref.analysis.table1 import AVERAGE, COLUMNS, Table
from caref.analysis.with_without import caution, headline
from caref.report import comparisons, evidence_grids
from caref.report.figures.drawing import Figure
from caref.report.findings import DEMO_BANNER, Findings, standing
from caref.report.judgement import Judgement, grids
from caref.results.measures import MEASURES, TABLE1, Measure, held, shown

_HEADS = [*paper.DATASETS.values(), "Average"]
_NONE, _UNKNOWN = "", "–"  # no cell; a cell whose records lack it


def document(findings: Findings) -> str:
    """The whole report; figures are linked by the names they are saved under, in the same folder."""
    blocks = ["# Report"]
    if findings.banner:
        blocks.append(f"> **{findings.banner}**")
    beside = f" Beside them {len(findings.published):,} published cells, not ours." if findings.published else ""
    blocks.append(f"{len(findings.ours):,} cells, {findings.records:,} finished splits.{beside}")
    blocks += ["## With against without the regulariser", *_pairs(findings)]
    if findings.evidence.questions:
        blocks += [f"## {evidence_grids.TITLE}", *_evidence(findings)]
    cells = ["## Every cell", *_every_cell(findings.lines, findings.only_demo)]
    if told := standings(findings.lines):
        cells += ["### Samples", _bullets(told)]
    if findings.choices:
        blocks += ["## Chosen numbers", *_stood(choosing.grid_of(findings.choices))]
    if not findings.table1_first:
        blocks += cells
    for number, setup in enumerate(findings.setups, start=1):
        blocks += [
            f"## Table 1{_ordinal(number, findings)}: {setup.table.title}",
            *_table(setup.table, findings.only_demo),
        ]
    if not findings.setups:
        blocks.append("No cell fits a row of the paper's Table 1; all are listed under Every cell.")
    blocks += ["## The floor of nBERT", _bullets(floor.explained(findings.lines))]
    blocks += ["## Claims of the paper", *_claims(findings)]
    blocks += ["## Tests", *_tests(findings)]
    if findings.published:
        blocks += [f"## {beside_published.TITLE}", *_published(findings)]
    blocks += ["## Figures", *_figures(findings)]
    if findings.judgement:
        blocks += ["## Human judgement", *_judgement(findings.judgement)]
    if findings.table1_first:
        blocks += cells
    if notes := findings.notes():
        blocks += ["## Warnings", _bullets(notes)]
    return "\n\n".join(blocks) + "\n"


def _ordinal(number: int, findings: Findings) -> str:
    return f" ({number} of {len(findings.setups)})" if len(findings.setups) > 1 else ""


def _grid(head: list[str], body: Iterable[list[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns to the left, the others to the right."""
    rule = [":--" if place < left else "--:" for place in range(len(head))]
    return "\n".join("| " + " | ".join(_cell(text) for text in row) + " |" for row in [head, rule, *body])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _pairs(findings: Findings) -> list[str]:
    if not findings.pairs:
        return ["No two cells differ in the regulariser alone."]
    head = ["", "without", "with", "change", "better on"]
    blocks = [f"**{headline(findings.pairs)}.** {caution(findings.pairs)}"]
    for pair, figure in zip_longest(findings.pairs, findings.drawn_pairs):
        body = [
            [
                MEASURES[change.metric].named,
                MEASURES[change.metric].text(change.without),
                MEASURES[change.metric].text(change.regularised),
                MEASURES[change.metric].change(change.difference.mean),
                f"{change.better} of {change.difference.n} splits",
            ]
            for change in pair.changes.values()
        ]
        blocks += [f"### {pair.title}: {pair.regularised.reg}", _grid(head, body)]
        if pair.leading:
            blocks.append(f"{MEASURES[pair.leading.metric].label}: {pair.leading.said}.")
        if figure:
            blocks.append(_drawn(figure))
    return blocks


def _evidence(findings: Findings) -> list[str]:
    blocks = [*evidence_grids.TOLD, *map(_drawn, findings.drawn_evidence)]
    for question in findings.evidence.questions:
        titles = every_cell.titles((held.line for held in question.held), findings.only_demo)
        grids = map(evidence_grids.shift, question.shifts)
        named = zip(question.held, titles, strict=True)
        by_cell = (evidence_grids.attributions(*one, findings.first_words) for one in named)
        blocks.append(f"### {question.title.capitalize()}")
        claims = evidence_grids.claims(question, titles)
        for grid in (*grids, *claims, *evidence_grids.cells(question, titles), *filter(None, by_cell)):
            blocks += [f"#### {grid.title}", *filter(None, [grid.note]), _grid(grid.head, grid.body, grid.left)]
    beside = beside_ivra.grid(findings.evidence, findings.only_demo)
    for grid in filter(None, [*relative_gain.grids(findings.evidence), beside]):
        blocks += _stood(grid)
    return [*blocks, _bullets(evidence_grids.glossary(findings.evidence))]


def _table(table: Table, only_demo: bool) -> list[str]:
    blocks = [] if only_demo else [f"> **{standing(table)}**" if table.not_comparable else standing(table)]
    blocks.append(
        "Mean ± population standard deviation (n splits); bold: the highest mean of a section's column, where all are "
        "of the same splits."
    )
    for section, question in paper.SECTIONS.items():
        body = [line for row in paper.rows() if row.section == section for line in _row(table, row)]
        blocks += [f"### {section}: {question}", _grid(["", "% trained", "", *_HEADS], body, left=1)]
    if table.refused:
        blocks.append(_bullets(f"{row}, {paper.DATASETS[name]}: {why}" for (row, name), why in table.refused.items()))
    return blocks


def _row(table: Table, row: paper.Row) -> Iterable[list[str]]:
    share = table.trainable_percent(row.name)
    for metric, label in paper.METRICS.items():
        first = metric == next(iter(paper.METRICS))
        ours = {column: table.summary(row.name, metric, column) for column in COLUMNS}
        figures = [_figure(ours[column], table.best(row.section, metric, column), column) for column in COLUMNS]
        refused = [
            ("refused" if (row.name, column) in table.refused else figures[i]) for i, column in enumerate(COLUMNS)
        ]
        yield [row.name if first else "", f"{share:.2f}" if first and share is not None else "", label, *refused]
        if table.not_comparable:
            continue
        printed = {column: paper.printed(row.name, metric, column) for column in COLUMNS}
        yield ["", f"*{row.trainable_percent:.2f}*" if first else "", "*paper*", *(_paper(printed[c]) for c in COLUMNS)]
        yield ["", "", "*difference*", *(_difference(ours[c], printed[c][0]) for c in COLUMNS)]
    if table.has(row.name):
        for metric, measure in shown(TABLE1).items():
            if metric not in paper.METRICS:
                yield ["", "", measure.named, *(_beside(table, row.name, metric, measure, c) for c in COLUMNS)]


def _beside(table: Table, row: str, metric: str, measure: Measure, column: str) -> str:
    found, of = table.beside_nbert(row, metric, column)
    if found is None:
        return _UNKNOWN
    mark = metric == "similarity" and column != AVERAGE and table.on_floor(row, column)
    return measure.text(found.mean) + of + (" **explains nothing**" if mark else "")


def _figure(summary: Summary | None, best: float | None, column: str) -> str:
    if summary is None:
        return _NONE
    mean = f"**{summary.mean:.2f}**" if summary.mean == best else f"{summary.mean:.2f}"
    return f"{mean} ({summary.n})" if column == AVERAGE else f"{mean} ± {summary.std:.2f} ({summary.n})"


def _paper(printed: tuple[float, float | None]) -> str:
    mean, std = printed
    return f"*{mean:.2f}*" if std is None else f"*{mean:.2f} ± {std:.2f}*"


def _difference(summary: Summary | None, printed: float) -> str:
    return f"{difference(summary.mean, printed)}" if summary else _NONE


def difference(ours: float, printed: float) -> str:
    """Ours less the paper's, both as printed, so that what one reads adds up; never "-0.00"."""
    return f"{round(round(ours, 2) - printed, 2) + 0.0:+.2f}"


def _claims(findings: Findings) -> list[str]:
    blocks = [
        "Every claim is a conjunction: it is supported when each of its parts is (Holm's p below 5% over its parts)."
    ]
    for setup in findings.setups:
        blocks += [f"### On the records: {setup.table.title}", "\n".join(map(_claim, setup.verdicts))]
    return [*blocks, "### The paper's text against its own table", _AGREEMENT, "\n".join(map(_claim, findings.printed))]


_AGREEMENT = (
    "From the printed means and deviations alone: each difference with its 95% interval for "
    "independent samples of 60 splits."
)


def _claim(verdict: Verdict) -> str:
    outcome = f"**{verdict.verdict}** ({verdict.tally()})"
    parts = "\n".join(f"  - {sentence(part)}" for part in verdict.parts)
    return f"- {verdict.claim.question}: {verdict.claim.text}: {outcome}\n{parts}"


def _tests(findings: Findings) -> list[str]:
    blocks = [
        "Paired over splits with the same seed: mean difference with its 95% BCa bootstrap interval; two-sided "
        "Wilcoxon signed-rank p (Pratt's rule for equal splits), corrected by Holm within each question; r is the "
        f"matched-pairs rank-biserial correlation. Fewer than {LEAST_SPLITS} common splits are not tested. "
        + power.METHOD
    ]
    for setup in findings.setups:
        for family, question in paper.SECTIONS.items():
            asked = [one for one in setup.comparisons if one.family == family]
            if asked:
                title = f"### {family}, {question}: {setup.table.title}"
                blocks += [title, _grid(comparisons.HEAD, map(comparisons.texts, asked), left=4)]
    return blocks if len(blocks) > 1 else [*blocks, "No two rows have a split in common yet."]


def _published(findings: Findings) -> list[str]:
    told = _bullets(beside_published.explained(findings.lines))
    asked = [one for pair in findings.beside for one in pair.comparisons.values()]
    return [told, _grid(comparisons.HEAD, map(comparisons.texts, asked), left=4)] if asked else [told]


def _figures(findings: Findings) -> list[str]:
    elsewhere = [*findings.drawn_pairs, *findings.drawn_evidence]
    drawn = [_drawn(one) for one in findings.figures() if one not in elsewhere]
    lacking = findings.not_drawn()
    return [*drawn, _bullets(f"Not drawn. {line}." for line in lacking)] if lacking else drawn


def _drawn(figure: Figure) -> str:
    return f"![{figure.title}]({figure.name}.png)\n\n*{figure.title}.* {figure.caption}"


def _judgement(judgement: Judgement) -> list[str]:
    blocks = [f"> **{DEMO_BANNER}**"] if judgement.demo else []
    blocks += [block for grid in grids(judgement) for block in _stood(grid)]
    return [*blocks, _bullets(judgement.notes)] if judgement.notes else blocks


def _stood(grid: Grid) -> list[str]:
    return [f"### {grid.title}", grid.note, _grid(grid.head, grid.body, grid.left)]


def _every_cell(lines: list[Line], only_demo: bool) -> list[str]:
    blocks = []
    measures = held(line.summaries for line in lines)
    names = (one.named for one in measures.values())
    head = ["dataset", "peft", "reg", "settings", "% trained", "n", *names, "signature"]
    for model in dict.fromkeys(line.model for line in lines):
        body = [_cell_line(line, measures, only_demo) for line in lines if line.model == model]
        blocks += [f"### {model}", _grid(head, body, left=4)]
    return blocks


def _cell_line(line: Line, measures: Mapping[str, Measure], only_demo: bool) -> list[str]:
    figures = [
        f"{measure.text(found.mean)} ± {measure.text(found.std)}{of_fewer(found, line.n)}"
        if (found := line.summaries.get(metric))
        else _UNKNOWN
        for metric, measure in measures.items()
    ]
    if floor.marked(line):
        figures[list(measures).index("similarity")] += " **explains nothing**"
    if line.refused:
        figures[0] = "refused"
    name = line.dataset if only_demo else line.data
    share = f"{line.trainable_percent:.2f}" if line.trainable_percent is not None else _UNKNOWN
    return [name, line.peft, line.reg, line.settings, share, str(line.n), *figures, f"`{line.cell.signature}`"]
