"""The report as one self-contained HTML page: no network, light and dark, on a desk and on a phone.

Tables, claims and figures are plain HTML and read without scripts; a script opens what is behind a cell and
sorts and filters the list of all cells.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from caref.analysis import beside_published, choosing, floor, paper, power
from caref.analysis.claims import AGREES, CONTRADICTS, NOT_ENOUGH, SUPPORTED, UNCLEAR, Verdict, sentence
from caref.analysis.grid import titled
from caref.analysis.significance import LEAST_SPLITS
from caref.analysis.with_without import caution, headline
from caref.report.findings import DEMO_BANNER, Findings
from caref.report.html import cells, evidence, figures, pairs, people, tables
from caref.report.html.data import behind, of_a_cell

_WEB = Path(__file__).with_name("web")
_SECTIONS = {
    "pairs": "With against without the regulariser",
    "evidence": "Evidence",
    "chosen": "Chosen numbers",
    "table1": "Table 1",
    "claims": "Claims",
    "figures": "Figures",
    "floor": "The floor of nBERT",
    "tests": "Tests",
    "published": beside_published.TITLE,
    "people": "Human judgement",
    "cells": "Every cell",
    "method": "Method",
}

# Shorter, where every section stands in one line.
_LINKS = {"pairs": "With and without", "floor": "Floor", "published": "Published"}


def document(findings: Findings, results_dir: Path) -> str:
    """The whole page.

    Args:
        findings: what to show.
        results_dir: where predictions are read from; its name does not get into the page.
    """
    sections = {
        "pairs": pairs.section(findings),
        "evidence": evidence.section(findings) if findings.evidence.questions else "",
        "chosen": titled(choosing.grid_of(findings.choices)) if findings.choices else "",
        "table1": tables.table1(findings),
        "claims": _claims(findings),
        "figures": _figures(findings),
        "floor": _list(floor.explained(findings.lines)),
        "tests": tables.tests(findings),
        "published": _list(beside_published.explained(findings.lines)) + tables.published(findings),
        "people": people.section(findings.judgement) if findings.judgement else "",
        "cells": cells.section(findings),
        "method": _method(findings),
    }
    held = {"published": findings.published, "people": findings.judgement, "evidence": findings.evidence.questions}
    held["chosen"] = findings.choices
    absent = {name for name, there in held.items() if not there}
    order = [name for name in _SECTIONS if name not in absent]
    if not findings.table1_first:  # the cells that are there before the places that are empty
        order.remove("cells")
        order.insert(order.index("table1"), "cells")
    body = "\n".join(f'<section id="{name}"><h2>{_SECTIONS[name]}</h2>\n{sections[name]}\n</section>' for name in order)
    links = "".join(f'<a href="#{name}">{_LINKS.get(name, _SECTIONS[name])}</a>' for name in order)
    data = behind(findings.lines, results_dir, findings.evidence)
    kind = ' class="demo"' if findings.only_demo else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>CAREF report</title>\n'
        f"<style>\n{_asset('style.css')}</style>\n</head>\n<body{kind}>\n{_header(findings)}\n<nav>{links}</nav>\n"
        f"<main>\n{body}\n</main>\n{_DIALOG}\n"
        f'<script type="application/json" id="behind">{data}</script>\n'
        f"<script>\n{_asset('script.js')}</script>\n</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return (_WEB / name).read_text(encoding="utf-8")


_DIALOG = (
    '<dialog id="cell" aria-labelledby="cell-title"><form method="dialog"><button aria-label="Close">×</button></form>'
    '<h2 id="cell-title"></h2><div id="cell-body"></div></dialog>'
)


def _header(findings: Findings) -> str:
    lines = findings.ours or findings.lines
    models = sorted({line.model for line in lines})
    datasets = list(dict.fromkeys(line.dataset for line in lines))
    facts = {
        "cells": f"{len(findings.ours):,}",
        "finished splits": f"{findings.records:,}",
        "datasets" if len(datasets) > 1 else "dataset": escape(", ".join(datasets)),
        "models" if len(models) > 1 else "model": escape(", ".join(models[:3]) + (" …" if len(models) > 3 else "")),
    }
    if findings.published:
        facts["published cells, not ours"] = f"{len(findings.published):,}"
    if findings.setups:
        table = findings.setups[0].table
        places = len({row.name for row in paper.rows()}) * len(paper.DATASETS)
        facts["of Table 1 filled"] = f"{table.filled()} / {places}"
    shown = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in facts.items())
    banner = f'<p class="banner">{escape(findings.banner)}</p>' if findings.banner else ""
    lead = f'<p class="lead">{escape(told)}</p>' if (told := caution(findings.pairs)) else ""
    return (
        f'<header><p class="eyebrow">CAREF report</p><h1>{escape(headline(findings.pairs))}</h1>{lead}{banner}'
        f"<dl>{shown}</dl></header>"
    )


def _claims(findings: Findings) -> str:
    blocks = []
    for setup in findings.setups:
        cards = "".join(_claim(one, text) for one, text in zip(setup.verdicts, findings.printed, strict=True))
        demo = f'<p class="banner">{escape(DEMO_BANNER)}</p>' if setup.table.demo and not findings.only_demo else ""
        blocks.append(f'<h3>{escape(setup.table.title)}</h3>{demo}<div class="claims">{cards}</div>')
    if not blocks:
        blocks = ['<div class="claims">' + "".join(_claim(None, one) for one in findings.printed) + "</div>"]
    return "".join(blocks)


def _claim(ours: Verdict | None, printed: Verdict) -> str:
    claim = printed.claim
    kind = {AGREES: "yes", CONTRADICTS: "no"}.get(printed.verdict, "open")
    said = {AGREES: "agrees", CONTRADICTS: "contradicts the text", UNCLEAR: "leads, within the spread"}[printed.verdict]
    records = ""
    if ours:
        colour = {SUPPORTED: "yes", NOT_ENOUGH: "open"}.get(ours.verdict, "no")
        records = f'<p class="verdict {colour}">{ours.verdict}</p>{_unfolds(f"On the records: {ours.tally()}", ours)}'
    return (
        f'<article><p class="eyebrow">{claim.question}</p><h4>{escape(claim.text)}</h4>{records}'
        + _unfolds(f"The paper's own table: <b class={kind}>{said}</b>", printed)
        + "</article>"
    )


def _unfolds(summary: str, verdict: Verdict) -> str:
    """A fold-out with every part of a verdict; `summary` is HTML."""
    parts = "".join(f'<li class="{part.outcome}">{escape(sentence(part))}</li>' for part in verdict.parts)
    return f"<details><summary>{summary}</summary><ul>{parts}</ul></details>"


def _figures(findings: Findings) -> str:
    elsewhere = [*findings.drawn_pairs, *findings.drawn_evidence]
    drawn = "".join(figures.drawn(figure) for figure in findings.figures() if figure not in elsewhere)
    lacking = "".join(f"<li>{escape(line)}.</li>" for line in findings.not_drawn())
    missing = f'<p>Not drawn:</p><ul class="lacking">{lacking}</ul>' if lacking else ""
    return f'<div class="figures">{drawn}</div>{missing}'


def _method(findings: Findings) -> str:
    held = of_a_cell(len(findings.lines))
    items = (
        "A cell is one configuration; its scores are the mean over FEB splits with the population standard deviation "
        "(ddof 0). The average column is there only where all four datasets are.",
        "A row is told by what a configuration does (which parameters are trained, which regulariser with which "
        "parameters), never by the name it was given. An empty place has no records.",
        "Tests are paired over splits with the same seed: two-sided Wilcoxon signed-rank, equal splits by Pratt's "
        "rule; 95% BCa bootstrap interval of the mean difference; Holm's correction within each question (both "
        "metrics, all columns); r is the matched-pairs rank-biserial correlation.",
        "With against without the regulariser: cells that differ in nothing else, over the splits that both have; each "
        "measure is tested the same way, with Holm's correction over the pairs. Better is less where less is better.",
        f"Fewer than {LEAST_SPLITS} common splits are not tested. A claim is supported when each of its parts is "
        "(Holm's p below 5% over its parts).",
        power.METHOD,
        "The paper's own table is read from its printed means and deviations: each difference against the 95% interval "
        "of a difference of independent samples of 60 splits.",
        f"Behind each cell this page holds every split's scores and the first {held} predictions of its first finished "
        "split, in that split's order; all predictions are in predictions/NNN.jsonl.gz of the cell's folder.",
    )
    return _list(items)


def _list(items: Iterable[str]) -> str:
    return '<ul class="prose">' + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
