"""How far raters agree, by libraries: krippendorff, statsmodels, scikit-learn, SciPy."""

import itertools
import math
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence

from caref.ratings.question import JUSTIFIES
from caref.report.judgement import Agreement

RESAMPLES = 2000


def panel(name: str, given: Sequence[Mapping[str, str]]) -> Agreement:
    """The agreement of some items' raters.

    Args:
        given: for each item, every rater's answer.
    """
    import numpy as np

    raters = sorted({rater for item in given for rater in item})
    level = {answer: place for place, answer in enumerate(reversed(JUSTIFIES.answers))}
    # (raters, items): 0 no to 3 yes, NaN where a rater gave none
    ratings = np.array([[level[item[rater]] if rater in item else math.nan for item in given] for rater in raters])
    counted = np.array([[sum(level[a] == one for a in item.values()) for one in range(len(level))] for item in given])
    counted = counted.reshape(len(given), len(level))
    pairable = counted[counted.sum(axis=1) > 1]
    complete = counted[counted.sum(axis=1) == len(raters)] if len(raters) > 1 else counted[:0]
    low, high = interval(alpha, range(len(pairable)), lambda rows: pairable[rows])
    return Agreement(
        panel=name,
        raters=len(raters),
        items=len(pairable),
        ratings=int(counted.sum()),
        alpha=alpha(pairable),
        low=low,
        high=high,
        fleiss=fleiss(complete),
        complete=len(complete),
        pairs=[
            (raters[one], raters[other], int(both.sum()), weighted(ratings[one][both], ratings[other][both]))
            for one, other in itertools.combinations(range(len(raters)), 2)
            for both in [~np.isnan(ratings[[one, other]]).any(axis=0)]
        ],
    )


def alpha(counted) -> float | None:
    """Krippendorff's alpha for ordinal data; None where it is not defined.

    Args:
        counted: (items, answers): how many raters gave each answer, in the order of the scale.
    """
    import krippendorff

    if len(counted) == 0 or (counted.sum(axis=0) > 0).sum() < 2:
        return None  # nothing to pair, or everybody always said the same: no disagreement could be expected
    return float(krippendorff.alpha(value_counts=counted, level_of_measurement="ordinal"))


def fleiss(counted) -> float | None:
    """Fleiss' kappa; `counted` as of `alpha`, every item with as many raters. None where it is not defined."""
    from statsmodels.stats.inter_rater import fleiss_kappa

    if len(counted) == 0 or (counted.sum(axis=0) > 0).sum() < 2:
        return None
    return float(fleiss_kappa(counted, method="fleiss"))


def weighted(one, other) -> float | None:
    """Cohen's kappa with quadratic weights of two raters' levels, 0 to 3; None where it is not defined."""
    from sklearn.metrics import cohen_kappa_score

    if len(one) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # undefined is told as None
        found = cohen_kappa_score(one, other, weights="quadratic", labels=list(range(len(JUSTIFIES.answers))))
    return float(found) if math.isfinite(found) else None


def interval(
    statistic: Callable, blocks: Sequence[Hashable], rows: Callable[[Sequence], object]
) -> tuple[float | None, float | None]:
    """95% percentile bootstrap interval of a statistic, drawing whole blocks; the same data, the same interval.

    Args:
        statistic: of what `rows` gives; None where it is not defined.
        blocks: what is drawn with replacement.
        rows: the data of some drawn blocks.
    """
    import numpy as np

    if len(blocks) < 2:
        return None, None
    generator = np.random.default_rng(0)
    found = [
        value
        for _ in range(RESAMPLES)
        if (value := statistic(rows(generator.integers(len(blocks), size=len(blocks))))) is not None
    ]
    if len(found) < RESAMPLES / 2:
        return None, None
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def correlation(automatic, rated) -> float | None:
    """Spearman's rho; None where one side does not vary.

    Means of thirds are rounded first: yes, no, no and three times weak no are one rank, whatever binary makes of
    their sums.
    """
    from scipy.stats import spearmanr

    automatic, rated = ([round(value, 9) for value in side] for side in (automatic, rated))
    if len(set(automatic)) < 2 or len(set(rated)) < 2:
        return None
    return float(spearmanr(automatic, rated).statistic)
