"""What the paper's text claims, each as a hypothesis: read off its printed table, and tested on records.

A claim is a conjunction: it is supported when every part of it holds. On records, a part holds when its
difference is positive, in the mean and by ranks, and Holm's p over the claim's parts is below 5%. On the
printed table there are no pairs, only means and deviations over 60 splits: the difference of the means is set
against its 95% interval for independent samples, which says whether it stands out from the spread.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from caref.analysis import paper, power
from caref.analysis.significance import LEAST_SPLITS, Comparison, Difference, corrected, paired
from caref.analysis.summary import common_means
from caref.analysis.table1 import AVERAGE, Table

SUPPORTED, NOT_SUPPORTED, NOT_ENOUGH = "supported", "not supported", "not enough splits"
# What the printed table says to the text: it agrees, some part of it says the opposite, or every part leads, but
# some by less than the spread of the splits can tell.
AGREES, CONTRADICTS, UNCLEAR = "agrees", "contradicts", "leads within the spread"


@dataclass(frozen=True)
class Claim:
    """`text` in our words; every (left, right, metric, column) says that row left scores above row right."""

    question: str
    text: str
    parts: tuple[tuple[str, str, str, str], ...]


def _leads(row: str, others: tuple[str, ...], metric: str) -> tuple[tuple[str, str, str, str], ...]:
    return tuple((row, other, metric, AVERAGE) for other in others)


_MODULES = ("CAREF-BASE", "CAREF-DEC", "CAREF-AQKV", "CAREF-LAQ")
_BASELINES = ("AdaLoRA", "LoRA-R128", "LoRA-R4")

CLAIMS = (
    Claim(
        "RQ1",
        "CAREF-AQ has the best average accuracy of the modules",
        _leads("CAREF-AQ", _MODULES, "accuracy"),
    ),
    Claim("RQ1", "CAREF-AQ has the best average nBERT of the modules", _leads("CAREF-AQ", _MODULES, "nbert")),
    Claim(
        "RQ2",
        "The regulariser improves nBERT on every dataset, for BASE and for AQ",
        tuple((f"CAREF-{row}", row, "nbert", dataset) for row in ("BASE", "AQ") for dataset in paper.DATASETS),
    ),
    Claim(
        "RQ3",
        "CAREF-AQ outperforms LoRA and AdaLoRA in average accuracy",
        _leads("CAREF-AQ", _BASELINES, "accuracy"),
    ),
    Claim(
        "RQ3",
        "CAREF-AQ outperforms LoRA and AdaLoRA in average nBERT",
        _leads("CAREF-AQ", _BASELINES, "nbert"),
    ),
)


@dataclass(frozen=True)
class Part:
    """One part of a claim with its evidence: "holds", "fails", "undecided" or "untested", and the numbers.

    Means are over the splits that both rows have.
    """

    left: str
    right: str
    metric: str
    column: str
    outcome: str
    left_mean: float | None
    right_mean: float | None
    difference: Difference | None  # None on the printed table
    margin: float | None = None  # printed table: half the 95% interval of the difference


@dataclass(frozen=True)
class Verdict:
    claim: Claim
    verdict: str
    parts: tuple[Part, ...]

    def tally(self) -> str:
        """ "7 of 8 parts hold"."""
        return f"{sum(part.outcome == 'holds' for part in self.parts)} of {len(self.parts)} parts hold"


def tested(table: Table) -> list[Verdict]:
    """Every claim on the records of one table."""
    return [_tested(claim, table) for claim in CLAIMS]


def _tested(claim: Claim, table: Table) -> Verdict:
    sides = [[table.scores(row, metric, column) for row in rows] for *rows, metric, column in claim.parts]
    asked = [Comparison(claim.text, *part, paired(*both)) for part, both in zip(claim.parts, sides, strict=True)]
    parts = tuple(_part(one, *both) for one, both in zip(corrected(asked), sides, strict=True))
    return Verdict(claim, verdict({part.outcome for part in parts}), parts)


def outcome(difference: Difference) -> str:
    """Of a part that says that a difference is above 0: "holds", "fails", "undecided" or "untested"."""
    if difference.p_holm is None:
        return "untested"
    return {1: "holds", 0: "undecided", -1: "fails"}[difference.clear]


def verdict(outcomes: set[str]) -> str:
    """Of a claim, from the outcomes of its parts."""
    if outcomes & {"fails", "undecided"}:
        return NOT_SUPPORTED
    return NOT_ENOUGH if "untested" in outcomes else SUPPORTED


def _part(one: Comparison, left: Mapping[int, float], right: Mapping[int, float]) -> Part:
    named = one.left, one.right, one.metric, one.column
    return Part(*named, outcome(one.difference), *common_means(left, right), one.difference)


def printed() -> list[Verdict]:
    """Every claim on the table that the paper prints: does the text say what the table says?"""
    verdicts = []
    for claim in CLAIMS:
        parts = tuple(_printed(*part) for part in claim.parts)
        outcomes = {part.outcome for part in parts}
        verdict = CONTRADICTS if "fails" in outcomes else UNCLEAR if "undecided" in outcomes else AGREES
        verdicts.append(Verdict(claim, verdict, parts))
    return verdicts


def _printed(left: str, right: str, metric: str, column: str) -> Part:
    means = [paper.printed(row, metric, column)[0] for row in (left, right)]
    margin = 1.96 * math.sqrt(_error(left, metric, column) ** 2 + _error(right, metric, column) ** 2)
    lead = means[0] - means[1]
    outcome = "fails" if lead <= 0 else "undecided" if lead <= margin else "holds"
    return Part(left, right, metric, column, outcome, *means, None, margin)


def _error(row: str, metric: str, column: str) -> float:
    """Standard error of a printed mean over 60 splits; the average's from four independent datasets."""
    datasets = paper.DATASETS if column == AVERAGE else (column,)
    variances = [paper.printed(row, metric, dataset)[1] ** 2 / (paper.SPLITS - 1) for dataset in datasets]
    return math.sqrt(math.fsum(variances)) / len(variances)


def sentence(part: Part) -> str:
    """ "ECQA nBERT: CAREF-BASE 77.51, BASE 80.16, difference -2.65 ..., fails" in one line."""
    column = paper.DATASETS.get(part.column, part.column)
    where = f"{column} {paper.METRICS[part.metric].rstrip('.').replace('Acc', 'accuracy')}"
    if part.left_mean is None or part.right_mean is None or (part.difference and not part.difference.n):
        return f"{where}: {part.left} against {part.right}: no common splits"
    means = f"{part.left} {part.left_mean:.2f}, {part.right} {part.right_mean:.2f}"
    if part.difference is None:
        lead = f"{part.left_mean - part.right_mean:+.2f} ± {part.margin:.2f}"
        reading = {"fails": "the other way", "undecided": "within the spread of the splits", "holds": "holds"}
        return f"{where}: {means}, difference {lead}: {reading[part.outcome]}"
    difference = part.difference
    can_show = power.told(difference, "{:.2f}".format)
    if difference.p_holm is None:
        return f"{where}: {means}, difference {difference.mean:+.2f}; n {difference.n}, {LEAST_SPLITS} needed{can_show}"
    reading = {"fails": "the other way", "undecided": difference.undecided, "holds": "holds"}
    figures = f"[{difference.low:+.2f}, {difference.high:+.2f}], p {p_value(difference.p_holm)}, n {difference.n}"
    return f"{where}: {means}, difference {difference.mean:+.2f} {figures}: {reading[part.outcome]}{can_show}"


def p_value(p: float) -> str:
    """A p value as one prints it: 0.031, <0.001."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"
