"""Is one cell better than another? Paired over splits, corrected for how often the question is asked.

Two cells drew the same examples for the same seed, so their scores are compared split by split. The p value is
the two-sided Wilcoxon signed-rank test's; splits without a difference are ranked but take no side (Pratt's
rule), and are counted. The interval of the mean difference is a BCa bootstrap over the pairs (Efron 1987). The
effect size is the matched-pairs rank-biserial correlation (Kerby 2014): the share of ranks in favour less the
share against, from -1 to 1. Holm's step-down rule (1979) holds the chance of any false alarm in a family at 5%.
The test is of ranks and what is told is a mean, so a difference is clear only where both lie on one side: a few
collapsed splits can outweigh many small gains.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from caref.analysis import paper
from caref.analysis.table1 import COLUMNS, Table

LEVEL = 0.05
# With 12 pairs the smallest two-sided p is 2 / 2^12 = 0.0005, which outlives Holm in a family of a hundred;
# with fewer, the largest effect could pass for none.
LEAST_SPLITS = 12
RESAMPLES = 4999
MOST_EXACT = 200
_ROUNDING = 9  # decimals: 91.4 - 90.0 and 90.4 - 89.0 are one difference, whatever binary makes of them


@dataclass(frozen=True)
class Difference:
    """`left` less `right` over the splits both have; test figures are None below LEAST_SPLITS."""

    n: int
    mean: float | None  # percentage points
    low: float | None = None  # 95% interval of the mean
    high: float | None = None
    p: float | None = None  # two-sided, uncorrected
    effect: float | None = None  # matched-pairs rank-biserial, -1 to 1
    equal: int = 0  # splits without a difference
    p_holm: float | None = None  # corrected over the family
    std: float | None = None  # sample deviation (ddof 1) of the paired differences; None of fewer than two
    level: float = LEVEL  # which p must pass where nothing else of the family does

    @property
    def significant(self) -> bool:
        return self.p_holm is not None and self.p_holm < LEVEL

    @property
    def clear(self) -> int:
        """1 or -1 where mean and ranks are significantly on one side of 0; else 0."""
        return (self.mean > 0) - (self.mean < 0) if self.significant and self.mean * self.effect > 0 else 0

    @property
    def undecided(self) -> str:
        """Why it is not clear, in words."""
        return "mean and ranks are on different sides" if self.significant else "no clear difference"


@dataclass(frozen=True)
class Comparison:
    """One question of a family: is row `left` better than row `right`?"""

    family: str
    left: str
    right: str
    metric: str
    column: str
    difference: Difference


def paired(left: Mapping[int, float], right: Mapping[int, float], bounds: bool = True, test: bool = True) -> Difference:
    """Compare two cells' scores by split.

    Args:
        left, right: score by split; only splits in both count.
        bounds: whether to work the interval out too, which takes most of the time.
        test: whether anything is asked of the difference but what it is.

    Returns:
        Without p value, interval and effect where fewer than LEAST_SPLITS pairs are there, or none is asked for;
        without deviation, too, then.
    """
    splits = sorted(left.keys() & right.keys())
    differences = [round(left[split] - right[split], _ROUNDING) for split in splits]
    mean = math.fsum(differences) / len(differences) if differences else None
    equal = differences.count(0.0)
    if not test:
        return Difference(len(differences), mean, equal=equal)
    spread = math.fsum((one - mean) ** 2 for one in differences)
    std = math.sqrt(spread / (len(differences) - 1)) if len(differences) > 1 else None
    if len(differences) < LEAST_SPLITS:
        return Difference(len(differences), mean, equal=equal, std=std)
    low, high = interval(differences) if bounds else (None, None)
    p, favour = signed_rank(differences), effect(differences)
    return Difference(len(differences), mean, low, high, p, favour, equal, std=std)


def signed_rank(differences: Sequence[float]) -> float:
    """Two-sided p of the Wilcoxon signed-rank test by Pratt's rule; 1 where no pair differs.

    Up to MOST_EXACT pairs it is exact, ties and equal pairs included: the share of all ways to give the ranks their
    signs that are as far out. scipy's is a normal approximation there, or draws signs for a second.
    """
    import numpy as np
    from scipy.stats import rankdata, wilcoxon

    if not any(differences):
        return 1.0
    if len(differences) > MOST_EXACT:
        return float(wilcoxon(differences, zero_method="pratt").pvalue)
    doubled = np.rint(2 * rankdata(np.abs(differences))).astype(int)  # halves come of ties
    ways = np.ones(1)  # the chance of each sum of the ranks above 0
    for rank in doubled[np.asarray(differences) != 0]:
        ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
    above = doubled[np.asarray(differences) > 0].sum()
    return float(min(1.0, 2 * min(ways[: above + 1].sum(), ways[above:].sum())))


def effect(differences: Sequence[float]) -> float:
    """Matched-pairs rank-biserial correlation: (ranks for - ranks against) / ranks of all that differ."""
    from scipy.stats import rankdata

    ranks = rankdata([abs(difference) for difference in differences])
    favour = sum(rank for rank, difference in zip(ranks, differences, strict=True) if difference > 0)
    against = sum(rank for rank, difference in zip(ranks, differences, strict=True) if difference < 0)
    return float((favour - against) / (favour + against)) if favour + against else 0.0


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """95% BCa bootstrap interval of the mean; the same numbers always give the same interval."""
    import numpy as np
    from scipy.stats import bootstrap

    if len(set(differences)) == 1:
        return differences[0], differences[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a nearly constant sample: the percentile interval below is the answer
        found = bootstrap((np.asarray(differences),), np.mean, n_resamples=RESAMPLES, method="BCa", rng=0)
        low, high = found.confidence_interval
        if not math.isfinite(low + high):
            low, high = np.quantile(found.bootstrap_distribution, [0.025, 0.975])
    return float(low), float(high)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's corrected p values, in the order given: the family-wise level that just rejects each."""
    corrected = [0.0] * len(ps)
    worst = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = worst
    return corrected


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with Holm's p over those of them that could be tested.

    The level of each is 5% over all that have a split, tested or not yet.
    """
    level = LEVEL / max(1, sum(one.difference.n > 0 for one in comparisons))
    comparisons = [replace(one, difference=replace(one.difference, level=level)) for one in comparisons]
    tested = [place for place, one in enumerate(comparisons) if one.difference.p is not None]
    result = list(comparisons)
    for place, p in zip(tested, holm([comparisons[place].difference.p for place in tested]), strict=True):
        result[place] = replace(result[place], difference=replace(result[place].difference, p_holm=p))
    return result


PAIRS = {
    "RQ1": [("CAREF-AQ", f"CAREF-{other}") for other in ("BASE", "DEC", "AQKV", "LAQ")],
    "RQ2": [("CAREF-BASE", "BASE"), ("CAREF-AQ", "AQ")],
    "RQ3": [("CAREF-AQ", other) for other in ("AdaLoRA", "LoRA-R128", "LoRA-R4")],
}


def families(table: Table) -> list[Comparison]:
    """The paper's three questions asked of one table; a family is one question, both metrics, all columns.

    Pairs without a common split are left out: nothing is said of data that is not there.
    """
    found: list[Comparison] = []
    for family, pairs in PAIRS.items():
        asked = [
            Comparison(family, left, right, metric, column, paired(of(left), of(right)))
            for left, right in pairs
            for metric in paper.METRICS
            for column in COLUMNS
            for of in [lambda row, metric=metric, column=column: table.scores(row, metric, column)]
        ]
        found.extend(corrected([one for one in asked if one.difference.n]))
    return found
