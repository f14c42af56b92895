"""Skewness: does an attribution rest on few words or on many? (Fisher-Pearson, as Fayyaz et al. report it.)

It is bounded by (n - 2) / sqrt(n - 1) for n words, so n is told beside it.
"""

import numpy as np
from scipy.stats import skew

from caref.evidence.attribution import SETS
from caref.evidence.reading import Reading


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """Of each split: `words`, the mean number of words; of each attribution A that ranks them `A.skewness`, the mean
    over the `A.n` examples with at least three words that do not all score alike; None where there is none."""
    found = []
    for split, questions in enumerate(reading.splits):
        scores: dict[str, float | None] = {"words": float(np.mean([len(one.rankable) for one in questions]))}
        for name in (name for name in reading.attributions if name not in SETS):
            own = [
                values[one.rankable]
                for one, values in zip(questions, reading.word_scores(name)[split], strict=True)
                if len(one.rankable) > 2
            ]
            found_here = [float(skew(values)) for values in own if np.ptp(values) > 0]
            scores[f"{name}.skewness"] = float(np.mean(found_here)) if found_here else None
            scores[f"{name}.n"] = float(len(found_here))
        found.append(scores)
    return found
