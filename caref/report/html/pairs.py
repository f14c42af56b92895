"""What the page opens with: with against without the regulariser, a card for each pair of cells."""

from html import escape

from caref.analysis.significance import LEAST_SPLITS
from caref.analysis.with_without import MOST_SHOWN, Change, Pair
from caref.report.figures.drawing import Figure
from caref.report.figures.paired import legend
from caref.report.findings import Findings
from caref.results.measures import MEASURES

_PILLS = {
    "better": ("yes", "a clear gain"),
    "worse": ("no", "a clear loss"),
    "undecided": ("open", "no clear difference"),
    "untested": ("open", f"too few splits to tell: {{n}} of {LEAST_SPLITS}"),
}


def section(findings: Findings) -> str:
    """The cards; beyond the first few pairs without their figure, and folded away."""
    if not findings.pairs:
        return (
            "<p>No two cells differ in the regulariser alone, so none can be compared with and without it. "
            "A line such as <code>python run.py -m reg=none,sced</code> makes a pair.</p>"
        )
    drawn = [_card(pair, figure) for pair, figure in zip(findings.pairs, findings.drawn_pairs, strict=False)]
    cards = f'<div class="pairs">{"".join(drawn)}</div>'
    more = findings.pairs[MOST_SHOWN:]
    if more:
        folded = "".join(_card(pair, None) for pair in more)
        cards += f'<details><summary>{len(more)} more pairs</summary><div class="pairs">{folded}</div></details>'
    return cards


def _card(pair: Pair, figure: Figure | None) -> str:
    leading = pair.leading or next(iter(pair.changes.values()), None)
    if leading is None:
        return ""
    measure = MEASURES[leading.metric]
    kind, told = _PILLS[leading.outcome]
    pill = f'<p class="verdict {kind}">{told.format(n=leading.difference.n)}</p>'
    said = f"<p>{escape(leading.said)}.</p>" if leading.outcome != "untested" else ""
    drawn = f'<div class="drawn">{figure.svg}<p>{escape(legend(pair))}</p></div>' if figure else ""
    rows = "".join(_row(change) for change in pair.changes.values())
    cells = (
        f'<button data-cell="{escape(pair.without.cell.signature)}">without</button>',
        f'<button data-cell="{escape(pair.regularised.cell.signature)}">with</button>',
    )
    return (
        f'<article class="pair"><div class="told"><p class="eyebrow">{escape(pair.title)}</p>'
        f"<h3><b>{measure.change(leading.difference.mean)}</b> {measure.label} with {escape(pair.regularised.reg)}</h3>"
        f"{pill}{said}"
        f'<table class="changes"><thead><tr><th></th><th scope="col">{cells[0]}</th><th scope="col">{cells[1]}</th>'
        f'<th scope="col">change</th><th scope="col">better on</th></tr></thead><tbody>{rows}</tbody></table></div>'
        f"{drawn}</article>"
    )


def _row(change: Change) -> str:
    measure, found = MEASURES[change.metric], change.difference
    unit = " <small>%</small>" if measure.unit == "%" else ""
    return (
        f'<tr class="{change.outcome}" title="{escape(change.said)}"><th scope="row">{measure.label}{unit}</th>'
        f"<td>{measure.text(change.without)}</td><td>{measure.text(change.regularised)}</td>"
        f"<td>{measure.change(found.mean)}</td><td>{change.better} of {found.n}</td></tr>"
    )
