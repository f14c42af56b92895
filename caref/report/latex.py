"""Table 1 in LaTeX, with booktabs, and what stands beside its nBERT: two table* a setup, to be \\input into a paper."""

import re
from collections.abc import Iterable, Mapping

from caref.analysis import paper
from caref.analysis.summary import NEAR, Summary
from caref.analysis.table1 import AVERAGE, COLUMNS, Table
from caref.report.findings import Findings, standing
from caref.report.markdown import difference
from caref.results.measures import TABLE1, Measure, shown

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"$\times$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return re.sub(r"[\\~^&%$#_{}×]", lambda found: _SPECIAL[found.group()], text)


def document(findings: Findings) -> str:
    """Every Table 1 of the findings; needs \\usepackage{booktabs}."""
    tables = [
        text
        for number, setup in enumerate(findings.setups, start=1)
        for text in (_table(setup.table, number), *_explanations(setup.table, number))
    ]
    return "\n".join(["% needs \\usepackage{booktabs}", *tables]) + "\n"


def _table(table: Table, number: int) -> str:
    heads = " & ".join([*paper.DATASETS.values(), "Average"])
    body = [line for section in paper.SECTIONS for line in _section(table, section)]
    banner = [rf"\textbf{{{escaped(standing(table))}}}\par\smallskip"] if table.not_comparable else []
    caption = (
        f"{table.title}: mean and population standard deviation, in parentheses the number of splits. "
        "Bold: the highest mean of a section's column, where all are of the same splits. "
        f"{'' if table.not_comparable else standing(table)}"
    )
    return "\n".join(
        [
            r"\begin{table*}[t]",
            r"\centering\small",
            *banner,
            r"\begin{tabular}{lrl" + "r" * len(COLUMNS) + "}",
            r"\toprule",
            rf" & \% trained & & {heads} \\",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escaped(caption)}}}",
            rf"\label{{tab:caref{'' if number == 1 else f'-{number}'}}}",
            r"\end{table*}",
        ]
    )


def _explanations(table: Table, number: int) -> Iterable[str]:
    """What stands beside nBERT, as a small table of its own: one place holds all of a cell's."""
    beside = {name: measure for name, measure in shown(TABLE1).items() if name not in paper.METRICS}
    names = [name for name in dict.fromkeys(row.name for row in paper.rows()) if table.has(name)]
    rows = [_line(name, *(_beside(table, name, dataset, beside) for dataset in paper.DATASETS)) for name in names]
    if not any("/" in row for row in rows):
        return
    caption = (
        f"{table.title}: {', '.join(one.named for one in beside.values())}. A dagger marks a similarity within {NEAR} "
        'of what the text "unk" scores: as far as nBERT can tell, such a cell explains nothing.'
    )
    yield "\n".join(
        [
            r"\begin{table*}[t]",
            r"\centering\small",
            *([rf"\textbf{{{escaped(standing(table))}}}\par\smallskip"] if table.not_comparable else []),
            r"\begin{tabular}{l" + "r" * len(paper.DATASETS) + "}",
            r"\toprule",
            rf" & {' & '.join(paper.DATASETS.values())} \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escaped(caption)}}}",
            rf"\label{{tab:caref-explanations{'' if number == 1 else f'-{number}'}}}",
            r"\end{table*}",
        ]
    )


def _beside(table: Table, row: str, dataset: str, measures: Mapping[str, Measure]) -> str:
    found = {name: table.beside_nbert(row, name, dataset) for name in measures}
    if not any(one for one, _ in found.values()):
        return "--" if (row, dataset) in table.cells else ""
    texts = [measures[name].text(one.mean) + of if one else "--" for name, (one, of) in found.items()]
    return " / ".join(texts) + (r"\rlap{$^\dagger$}" if table.on_floor(row, dataset) else "")


def _section(table: Table, section: str) -> Iterable[str]:
    yield r"\midrule"
    yield rf"\multicolumn{{{3 + len(COLUMNS)}}}{{l}}{{\emph{{{section}: {escaped(paper.SECTIONS[section])}}}}} \\"
    for row in paper.rows():
        if row.section == section:
            yield from _row(table, row)


def _row(table: Table, row: paper.Row) -> Iterable[str]:
    share = table.trainable_percent(row.name)
    for metric, label in paper.METRICS.items():
        first = metric == next(iter(paper.METRICS))
        ours = [table.summary(row.name, metric, column) for column in COLUMNS]
        figures = [
            "refused"
            if (row.name, column) in table.refused
            else _figure(found, table.best(section, metric, column), column)
            for section, column, found in zip([row.section] * len(COLUMNS), COLUMNS, ours, strict=True)
        ]
        yield _line(row.name if first else "", f"{share:.2f}" if first and share is not None else "", label, *figures)
        if table.not_comparable:
            continue
        printed = [paper.printed(row.name, metric, column)[0] for column in COLUMNS]
        beside = [
            f"{number:.2f}" + (f" ({difference(found.mean, number)})" if found else "")
            for found, number in zip(ours, printed, strict=True)
        ]
        yield _line(
            "",
            rf"\textit{{{row.trainable_percent:.2f}}}" if first else "",
            r"\textit{paper}",
            *(rf"\textit{{{text.replace('-', '$-$')}}}" for text in beside),
        )


def _line(*texts: str) -> str:
    return " & ".join(texts) + r" \\"


def _figure(summary: Summary | None, best: float | None, column: str) -> str:
    if summary is None:
        return ""
    mean = rf"\textbf{{{summary.mean:.2f}}}" if summary.mean == best else f"{summary.mean:.2f}"
    std = "" if column == AVERAGE else rf" $\pm$ {summary.std:.2f}"
    return f"{mean}{std} ({summary.n})"
