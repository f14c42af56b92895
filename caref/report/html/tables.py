"""The tables of the HTML page: Table 1 and the tests."""

from html import escape

from caref.analysis import floor, paper
from caref.analysis.significance import Comparison
from caref.analysis.summary import Summary
from caref.analysis.table1 import AVERAGE, COLUMNS, Table
from caref.report import comparisons
from caref.report.findings import Findings, Setup, standing
from caref.report.markdown import difference
from caref.results.measures import TABLE1, Measure, shown


def table1(findings: Findings) -> str:
    """Every Table 1, figures as buttons that open what is behind them."""
    if not findings.setups:
        return "<p>No cell fits a row of the paper's Table 1. All are listed under <a href='#cells'>Every cell</a>.</p>"
    comparable = any(setup.table.not_comparable is None for setup in findings.setups)
    beside = " Below it the paper's mean and our difference from it." if comparable else ""
    legend = (
        '<p class="legend">Mean <span class="std">± population standard deviation</span> over splits. '
        f"<b>Bold</b>: the highest mean of a section's column, where all are of the same splits.{beside} "
        f'<span class="few">12/60</span>: a cell on fewer than {paper.SPLITS} splits. '
        "Choose a figure to see its splits and predictions.</p>"
    )
    return legend + "\n".join(_table(setup, findings.only_demo) for setup in findings.setups)


def _table(setup: Setup, only_demo: bool) -> str:
    table = setup.table
    kind = "banner" if table.not_comparable else "standing"
    stands = "" if only_demo else f'<p class="{kind}">{escape(standing(table))}</p>\n'
    heads = "".join(f'<th scope="col">{name}</th>' for name in [*paper.DATASETS.values(), "Average"])
    body = "\n".join(
        f'<tr class="rq"><th colspan="8" scope="rowgroup"><b>{section}</b> {escape(question)}</th></tr>\n'
        + "\n".join(_row(table, row) for row in paper.rows() if row.section == section)
        for section, question in paper.SECTIONS.items()
    )
    return (
        f"<h3>{escape(table.title)}</h3>\n{stands}"
        f'<div class="scroll"><table class="table1"><thead><tr><th></th><th scope="col">% trained</th><th></th>{heads}'
        f"</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(table: Table, row: paper.Row) -> str:
    share = table.trainable_percent(row.name)
    budget = f"{share:.2f}" if share is not None else ""
    if not table.not_comparable:
        budget += f'<small class="paper">paper {row.trainable_percent:.2f}</small>'
    blank = table.not_comparable is not None and not any(
        (row.name, name) in table.cells or (row.name, name) in table.refused for name in paper.DATASETS
    )
    lines = []
    beside = {} if not table.has(row.name) else {m: one for m, one in shown(TABLE1).items() if m not in paper.METRICS}
    rows = len(paper.METRICS) + len(beside)
    for metric, label in paper.METRICS.items():
        first = metric == next(iter(paper.METRICS))
        head = (
            f'<th scope="row" rowspan="{rows}">{row.name}</th><td class="share" rowspan="{rows}">{budget}</td>'
            if first
            else ""
        )
        figures = "".join(_place(table, row, metric, column) for column in COLUMNS)
        kind = f"{metric} empty" if blank else metric
        lines.append(f'<tr class="{kind}">{head}<td class="metric">{label}</td>{figures}</tr>')
    for metric, measure in beside.items():
        figures = "".join(_beside(table, row, metric, measure, column) for column in COLUMNS)
        lines.append(f'<tr class="beside"><td class="metric">{measure.label}</td>{figures}</tr>')
    return "\n".join(lines)


def _beside(table: Table, row: paper.Row, metric: str, measure: Measure, column: str) -> str:
    """A figure that stands below nBERT, and the paper's where its two numbers give it."""
    name = paper.DATASETS.get(column, "Average")
    found, of = table.beside_nbert(row.name, metric, column)
    text = '<span class="none">–</span>' if found is None else measure.text(found.mean)
    if found and measure.unit == "%":
        text += "%"
    if of:
        text += f'<span class="few">{of}</span>'
    if metric == "similarity":
        if not table.not_comparable:
            text += f" <small>{measure.text(paper.similarity(row.name, column))}</small>"
        if column != AVERAGE and table.on_floor(row.name, column):
            text += f'<br><span class="nothing" title="within {floor.NEAR} of the floor">explains nothing</span>'
    return f'<td data-label="{name}">{text}</td>'


def _place(table: Table, row: paper.Row, metric: str, column: str) -> str:
    name = paper.DATASETS.get(column, "Average")
    cell, found = table.cells.get((row.name, column)), table.summary(row.name, metric, column)
    content = '<span class="none">–</span>' if found is None else _figure(found, column, table, row, metric)
    if (row.name, column) in table.refused:
        content = f'<span class="refused" title="{escape(table.refused[row.name, column])}">refused</span>'
    if not table.not_comparable:
        printed = paper.printed(row.name, metric, column)[0]
        apart = f" <i>{difference(found.mean, printed).replace('-', '−')}</i>" if found else ""
        content += f'<small class="paper">{printed:.2f}{apart}</small>'
    if cell:
        content = f'<button data-cell="{escape(cell.signature)}">{content}</button>'
    return f'<td data-label="{name}">{content}</td>'


def _figure(found: Summary, column: str, table: Table, row: paper.Row, metric: str) -> str:
    tag = "b" if found.mean == table.best(row.section, metric, column) else "span"
    std = "" if column == AVERAGE else f'<span class="std">±{found.std:.2f}</span> '
    full = found.n >= paper.SPLITS
    n = f'<span class="n">n={found.n}</span>' if full else f'<span class="few">{found.n}/{paper.SPLITS}</span>'
    return f'<{tag} class="mean">{found.mean:.2f}</{tag}> <span class="rest">{std}{n}</span>'


def tests(findings: Findings) -> str:
    """The paired tests, one fold-out a question."""
    blocks = []
    for setup in findings.setups:
        for family, question in paper.SECTIONS.items():
            asked = [one for one in setup.comparisons if one.family == family]
            if asked:
                title = f"<b>{family}</b> {escape(question)}, {escape(setup.table.title)}"
                blocks.append(_folded(title, asked))
    return "".join(blocks) or "<p>No two rows have a split in common yet.</p>"


def published(findings: Findings) -> str:
    """Ours against what others have published, a fold-out a dataset."""
    by_dataset: dict[str, list[Comparison]] = {}
    for pair in findings.beside:
        by_dataset.setdefault(pair.ours.dataset, []).extend(pair.comparisons.values())
    return "".join(_folded(f"<b>{escape(dataset)}</b>", asked) for dataset, asked in by_dataset.items())


def _folded(title: str, asked: list[Comparison]) -> str:
    """A fold-out with a table of comparisons; `title` is HTML."""
    head = "".join(f'<th scope="col">{name}</th>' for name in comparisons.HEAD)
    found = sum(one.difference.significant for one in asked)
    return (
        f"<details><summary>{title}: {found} of {len(asked)} differences significant</summary>"
        f'<div class="scroll"><table class="list"><thead><tr>{head}</tr></thead><tbody>'
        + "".join(map(_comparison, asked))
        + "</tbody></table></div></details>"
    )


def _comparison(one: Comparison) -> str:
    kind = {1: " class=up", 0: "", -1: " class=down"}[one.difference.clear]
    return f"<tr{kind}>" + "".join(f"<td>{escape(text)}</td>" for text in comparisons.texts(one)) + "</tr>"
