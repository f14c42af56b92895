"""The smallest difference between two cells that a number of splits can show.

The test is the paired Wilcoxon's of `significance`. On normal differences n splits do for it what 3/π n do for the
paired t test (Hodges and Lehmann 1956), whose power is the noncentral t distribution's. Simulated power is within
0.03 of the asked for from 20 splits on; of 12 splits, where p comes in coarse steps, it is 0.70 to 0.78 instead of 0.8.
"""

import math
from collections.abc import Callable
from functools import cache

from caref.analysis import paper
from caref.analysis.significance import LEAST_SPLITS, Difference

POWER = 0.8
LEAST_SPREAD = 6  # splits; the deviation of fewer may be off by more than 2.5 times


def detectable(difference: Difference, n: int) -> float | None:
    """The true difference that `n` splits find with 80% power, by the spread seen, at the level that it must pass.

    Args:
        difference: of `significance.paired`; its level is the first that Holm asks for, 5% over the family's size.
        n: splits, LEAST_SPLITS or more.

    Returns:
        In the measure's unit, above 0, and infinite where a difference on all `n` splits would not pass that level;
        None where there are too few splits to be tested or to tell a spread, or no spread at all.
    """
    if n < LEAST_SPLITS or difference.n < LEAST_SPREAD or not difference.std:
        return None
    if 2 / 2**n > difference.level:
        return math.inf
    return difference.std * standardised(n, difference.level)


@cache
def standardised(n: int, level: float) -> float:
    """The same in standard deviations of the paired differences."""
    from scipy.optimize import brentq
    from scipy.stats import nct, norm, t

    splits = n * 3 / math.pi
    bound = t.isf(level / 2, splits - 1)
    near = (norm.isf(level / 2) + norm.ppf(POWER)) / math.sqrt(splits)  # a normal test's, which is less
    return float(brentq(lambda d: nct.sf(bound, splits - 1, d * math.sqrt(splits)) - POWER, 0.9 * near, 4 * near))


def told(difference: Difference, text: Callable[[float], str]) -> str:
    """ "; detectable: 1.90 on 24 splits, 1.20 on 60", to stand behind what is said of a difference; "" of nothing.

    Args:
        text: how a difference without its sign is printed.
    """
    found = dict(zip((difference.n, paper.SPLITS), shown(difference, text), strict=True))
    parts = [f"{value} on {n} splits" for n, value in found.items() if value]
    return f"; detectable: {', '.join(parts)}" if parts else ""


HEAD = ("detectable", f"on {paper.SPLITS}")


def shown(difference: Difference, text: Callable[[float], str]) -> list[str]:
    """What today's splits and all 60 can show, for the columns of HEAD; "" where that cannot be told."""
    smallest = [detectable(difference, n) for n in (difference.n, paper.SPLITS)]
    return ["" if value is None else text(value) if math.isfinite(value) else "none" for value in smallest]


METHOD = (
    f"Detectable is the smallest true difference that the test finds with {POWER:.0%} power on so many splits, by the "
    "spread of the paired differences seen, at 5% over the number of comparisons in the family (Holm's first step): "
    "noncentral t on 3/π of the splits, the signed-rank test's efficiency. It is told from "
    f"{LEAST_SPREAD} splits on. On fewer than 20 splits, where p comes in coarse steps, the power is up to 0.1 less. "
    "Where it says none, so many comparisons are made that not even a difference on every split would pass."
)
