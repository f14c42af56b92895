"""Everything a report says about a results folder, worked out once; Markdown, LaTeX, CSV and HTML only set it down."""

from dataclasses import dataclass, field
from pathlib import Path

from caref.analysis import beside_published, choosing, claims, evidence_compared, paper, significance, with_without
from caref.analysis.beside_published import Beside
from caref.analysis.choosing import Choice
from caref.analysis.claims import Verdict
from caref.analysis.every_cell import Line, lines
from caref.analysis.evidence_compared import Evidence
from caref.analysis.first_words import FirstWord, first_words
from caref.analysis.significance import Comparison
from caref.analysis.table1 import Table, tables
from caref.analysis.with_without import MOST_SHOWN, Pair
from caref.report.figures import figure1, human_scores, of_evidence, paired, published, side_by_side
from caref.report.figures.drawing import Figure
from caref.report.judgement import Judgement
from caref.results.store import Cell

DEMO_BANNER = "Demo data: made by the project itself. These numbers say nothing about the paper's datasets."
_DEMO_AMONG = (
    "{} of {} cells hold demo data, made by the project itself; theirs say nothing about the paper's datasets."
)


@dataclass(frozen=True)
class Setup:
    """One Table 1 with what was asked of it."""

    table: Table
    comparisons: list[Comparison]
    verdicts: list[Verdict]
    figures: list[Figure]
    not_drawn: list[str]


@dataclass(frozen=True)
class Findings:
    setups: list[Setup]
    printed: list[Verdict]  # the claims, read off the paper's own table
    across: list[Figure | str]  # Figure 1d and the cells side by side, or why there is none
    lines: list[Line]  # every cell
    pairs: list[Pair]  # with against without the regulariser
    drawn_pairs: list[Figure | None]  # of the first of them; None of one that has no score
    beside: list[Beside]  # ours and what others have published
    choices: list[Choice]  # among the numbers of a regulariser, by nBERT
    judgement: Judgement | None = None  # what people said, where they were asked
    evidence: Evidence = field(default_factory=Evidence)
    drawn_evidence: list[Figure] = field(default_factory=list)
    first_words: list[FirstWord] = field(default_factory=list)
    unread_evidence: list[str] = field(default_factory=list)  # what these two rest on and could not be read

    @property
    def ours(self) -> list[Line]:
        return [line for line in self.lines if not line.published]

    @property
    def published(self) -> list[Line]:
        return [line for line in self.lines if line.published]

    @property
    def records(self) -> int:
        """Finished splits of our own."""
        return sum(line.n for line in self.ours)

    @property
    def banner(self) -> str:
        """What must stand above numbers of demo data; empty where there are none."""
        demo = sum(line.demo for line in self.lines)
        if not demo:
            return ""
        return DEMO_BANNER if self.only_demo else _DEMO_AMONG.format(demo, len(self.lines))

    @property
    def only_demo(self) -> bool:
        """Whether one word on the data is enough for all of it."""
        return all(line.source == "demo" for line in self.lines)

    @property
    def table1_first(self) -> bool:
        """Whether Table 1 says more than the list of all cells: half of its places are filled."""
        places = len({row.name for row in paper.rows()}) * len(paper.DATASETS)
        return bool(self.setups) and 2 * self.setups[0].table.filled() >= places

    def figures(self) -> list[Figure]:
        drawn = [figure for setup in self.setups for figure in setup.figures]
        drawn += self.drawn_evidence
        return [*filter(None, self.drawn_pairs), *drawn, *(one for one in self.across if isinstance(one, Figure))]

    def not_drawn(self) -> list[str]:
        lacking = [line for setup in self.setups for line in setup.not_drawn]
        return [*lacking, *(one for one in self.across if isinstance(one, str))]

    def notes(self) -> list[str]:
        """Refusals and warnings of all cells, each with the cell it is about."""
        by_cell = [
            f"{line.cell.signature} ({line.model}, {line.dataset}, {line.peft}, {line.reg}): {note}"
            for line in self.lines
            for note in [
                *([f"refused, {line.refused}"] if line.refused else []),
                *line.warnings,
                *self.evidence.notes.get(line.cell.signature, []),
            ]
        ]
        return [*by_cell, *self.unread_evidence]


def gather(cells: list[Cell], judgement: Judgement | None = None, results_dir: Path | None = None) -> Findings:
    """Tables, tests, claims and figures of a results folder's cells, and what people judged of them.

    Args:
        results_dir: where the cells' evidence is read from; None: none is.
    """
    setups = []
    for number, table in enumerate(tables(cells), start=1):
        drawn = figure1.of_table(table, suffix="" if number == 1 else f"-{number}")
        setups.append(
            Setup(
                table,
                significance.families(table),
                claims.tested(table),
                [one for one in drawn if isinstance(one, Figure)],
                [one for one in drawn if isinstance(one, str)],
            )
        )
    found = lines(cells)
    across = [figure1.nbert_over_alpha_and_beta(found), side_by_side.figure(found)]
    pairs = with_without.pairs(found)
    drawn_pairs = [paired.with_against_without(pair, n) for n, pair in enumerate(pairs[:MOST_SHOWN], start=1)]
    beside = beside_published.beside(found)
    across += published.drawn(beside)
    choices = choosing.choices(found, "nbert")
    if judgement:
        across.insert(0, human_scores.figure(judgement))
    evidence = evidence_compared.gather(found, pairs, results_dir) if results_dir else Evidence()
    evidence_drawn, undrawn = of_evidence.drawn(evidence, results_dir) if results_dir else ([], [])
    first, unread = first_words(evidence, results_dir) if results_dir else ([], [])
    return Findings(
        setups,
        claims.printed(),
        across,
        found,
        pairs,
        drawn_pairs,
        beside,
        choices,
        judgement,
        evidence,
        evidence_drawn,
        first,
        [*undrawn, *unread],
    )


def standing(table: Table) -> str:
    """Whether the paper's numbers stand beside a table, and what departs from its protocol, in one sentence or two."""
    if table.demo:
        return DEMO_BANNER
    if table.not_comparable:
        return f"The paper's numbers are not set beside: {table.not_comparable}."
    if table.departures:
        return f"The paper's numbers stand beside, but the protocol departs from it: {'; '.join(table.departures)}."
    return "The paper's numbers stand beside: the model, the datasets and the protocol are its own."
