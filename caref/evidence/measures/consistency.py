"""Consistency: are texts that a model treats alike explained alike?

Two quantities go by that name, both Spearman's rank correlations of distances between a model's hidden states (mean
over its layers) with distances between scores, r_j = phi_j / sum |phi_j| over the words of the fields, for the
predicted choice:

- by words (Xie et al. 2024, IvRA): of two texts' words, every one of the first with every one of the second,
  ||H_a - H_b|| with |r_a - r_b|; a mean over pairs of texts. It depends on which texts are compared: here each with the
  others of its group of 8, drawn.
- by examples (Atanasova et al. 2020): of all pairs of texts, ||mean H - mean H'|| with the sum over word types of
  |r - r'|; one correlation.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from string import punctuation

import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.stats import spearmanr

from caref.evidence import hidden
from caref.evidence.attribution import SETS
from caref.evidence.reading import Question, Reading, drawn_order

GROUP = 8  # examples whose pairs are compared word by word


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split.

    Returns:
        Of each attribution A that ranks words: `A.by_words`, mean over pairs; `A.pairs`, of how many pairs, those with
        a rank correlation; `A.by_examples`; `A.examples`, of how many, those with a score that is not 0. None where
        there is no correlation: fewer than three distances, or all alike.
    """
    states = hidden.by_word(reading)
    return [
        {
            f"{name}.{key}": value
            for name in reading.attributions
            if name not in SETS
            for key, value in scores(questions, reading.word_scores(name)[split], states[split]).items()
        }
        for split, questions in enumerate(reading.splits)
    ]


def scores(
    questions: Sequence[Question], ranked: Sequence[np.ndarray], states: Sequence[np.ndarray]
) -> dict[str, float | None]:
    """The scores of one attribution in one split.

    Args:
        ranked: of each question, (words,).
        states: of each question, (words, D).
    """
    places = [place for place, one in enumerate(questions) if ranked[place][one.rankable].any()]
    shares = {place: share(ranked[place][questions[place].rankable]) for place in places}
    own = {place: states[place][questions[place].rankable] for place in places}
    by_words = [
        correlation(cdist(own[one], own[other]).ravel(), abs(np.subtract.outer(shares[one], shares[other])).ravel())
        for one, other in pairs(drawn_order(questions).tolist())
        if one in shares and other in shares
    ]
    by_words = [value for value in by_words if value is not None]
    types = by_type([questions[place] for place in places], [shares[place] for place in places])
    means = np.array([own[place].mean(0) for place in places])
    by_examples = correlation(pdist(means), pdist(types, "cityblock")) if len(places) > 1 else None
    return {
        "by_words": float(np.mean(by_words)) if by_words else None,
        "pairs": float(len(by_words)),
        "by_examples": by_examples,
        "examples": float(len(places)),
    }


def share(scores: np.ndarray) -> np.ndarray:
    """Scores by their sum without signs."""
    return scores / abs(scores).sum()


def pairs(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Those within each group of places that follow each other."""
    for begin in range(0, len(places), GROUP):
        yield from combinations(places[begin : begin + GROUP], 2)


def by_type(questions: Sequence[Question], shares: Sequence[np.ndarray]) -> np.ndarray:
    """(questions, word types): scores summed by word, whatever its case and the punctuation around it."""
    called = [[one.words[word].text.casefold().strip(punctuation) for word in one.rankable] for one in questions]
    column = {name: place for place, name in enumerate(sorted({name for names in called for name in names}))}
    found = np.zeros((len(questions), len(column)))
    for row, names, own in zip(found, called, shares, strict=True):
        np.add.at(row, [column[name] for name in names], own)
    return found


def correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's; None of fewer than three, or where one of the two never changes."""
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)
