"""The page's section on evidence: calibration and faithfulness, pair by pair and cell by cell."""

from html import escape

from caref.analysis import beside_ivra, every_cell, relative_gain
from caref.analysis.evidence_compared import Question
from caref.analysis.grid import Grid, table, titled
from caref.report import evidence_grids
from caref.report.findings import Findings
from caref.report.html.figures import drawn

_OPEN = 2  # pairs of a heading whose table is open when the page is
_PAIRS = {"With against without the regulariser": False, "Trained against untrained module": True}  # are of modules


def section(findings: Findings) -> str:
    """Text, then each question: pairs, attributions and cells."""
    told = "".join(f"<li>{escape(line)}</li>" for line in evidence_grids.TOLD)
    terms = "".join(f"<li>{escape(line)}</li>" for line in evidence_grids.glossary(findings.evidence))
    figures = "".join(map(drawn, findings.drawn_evidence))
    blocks = [_question(one, findings) for one in findings.evidence.questions]
    beside = beside_ivra.grid(findings.evidence, findings.only_demo)
    blocks += map(titled, filter(None, [*relative_gain.grids(findings.evidence), beside]))
    return (
        f'<ul class="prose">{told}</ul><div class="figures">{figures}</div>{"".join(blocks)}'
        f"<details><summary>What each score is</summary><ul class='prose'>{terms}</ul></details>"
    )


def _question(question: Question, findings: Findings) -> str:
    titles = every_cell.titles((held.line for held in question.held), findings.only_demo)
    cells_named = zip(question.held, titles, strict=True)
    by_cell = [evidence_grids.attributions(*one, findings.first_words) for one in cells_named]
    named = [_folds(grid, False) for grid in by_cell if grid]
    claims = [_folds(grid, False) for grid in evidence_grids.claims(question, titles)]
    folded = {head: _pairs(question, of_module) for head, of_module in _PAIRS.items()}
    folded |= {evidence_grids.CLAIMS: claims, "Attributions": named}
    blocks = [f"<h4>{head}</h4>{''.join(own)}" for head, own in folded.items() if own]
    cells = "".join(map(titled, evidence_grids.cells(question, titles)))
    return f"<h3>{escape(question.title).capitalize()}</h3>{''.join(blocks)}{cells}"


def _pairs(question: Question, of_module: bool) -> list[str]:
    shifts = [one for one in question.shifts if one.pair.of_module == of_module]
    return [_folds(evidence_grids.shift(one), at < _OPEN) for at, one in enumerate(shifts)]


def _folds(grid: Grid, opened: bool) -> str:
    note = f'<p class="legend">{escape(grid.note)}</p>' if grid.note else ""
    return f"<details{' open' * opened}><summary>{escape(grid.title)}</summary>{note}{table(grid)}</details>"
