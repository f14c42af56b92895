"""Normalised AOPC (Edin et al. 2024): how good an order of words is between the worst and the best that a model has.

The AOPC of an order of L words is the mean over n = 1..L of p(x) - p(x without its first n words), for the predicted
choice. How high or low it can come differs from model to model and from text to text; brought to
(AOPC - worst) / (best - worst) it lies in [0, 1]. Worst and best are exact, over all orders: every set of words is
read once, and the best way to remove a set is its best last word after the best way to remove the others.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax

from caref.evidence.attribution import SETS
from caref.evidence.measures.erasure import matching_temperature
from caref.evidence.reading import Question, Reading, drawn_order

WORDS = 12  # of a text, at most: it is read 2^L times
INPUTS = 2**13  # that a split's model reads for it, at most


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split; None where no example has few enough words.

    Returns:
        n: how many examples, drawn of those that have 2 to 12 words, as many as 8,192 sets of words allow; without
        those that all orders are alike to. words: their mean number of words. Of each attribution A that ranks words
        `A.comprehensiveness`, of the order from the highest score down, the higher the better; `A.sufficiency`, from
        the lowest up, the lower the better; and `_matched`, both at the temperature that gives the model a mean
        confidence half-way between chance and certainty, which no temperature moves.
    """
    places = [few(questions) for questions in reading.splits]
    removed = [
        [subsets(one.rankable) if place in own else [] for place, one in enumerate(questions)]
        for questions, own in zip(reading.splits, places, strict=True)
    ]
    found = []
    for split, (own, tables) in enumerate(zip(places, reading.log_p_without(removed), strict=True)):
        questions = reading.splits[split]
        labels = reading.predicted()[split]
        scores: dict[str, float | None] = {}
        for suffix, t in (("", 1.0), ("_matched", matching_temperature(reading.log_p()[split]))):
            drops = {place: drops_of(tables[place], labels[place], t) for place in own if t is not None}
            limits = {place: bounds(each) for place, each in drops.items()}
            told = [place for place in drops if limits[place][1] > limits[place][0]]
            if not suffix:
                scores["n"] = float(len(told))
                scores["words"] = _mean([len(questions[place].rankable) for place in told])
            for name in (name for name in reading.attributions if name not in SETS):
                ranked = reading.word_scores(name)[split]
                orders = {place: order(questions[place], ranked[place]) for place in told}
                for key, way in (("comprehensiveness", 1), ("sufficiency", -1)):
                    scores[f"{name}.{key}{suffix}"] = _mean(
                        [normalised(aopc(drops[place], orders[place][::way]), *limits[place]) for place in told]
                    )
        found.append(scores)
    return found


def few(questions: Sequence[Question]) -> list[int]:
    """Places of the questions that are asked."""
    found, left = [], INPUTS
    for place in drawn_order(questions).tolist():
        one = questions[place]
        inputs = 2 ** len(one.rankable)
        if 1 < len(one.rankable) <= WORDS and inputs <= left:
            found.append(place)
            left -= inputs
    return found


def subsets(words: Sequence[int]) -> list[tuple[int, ...]]:
    """All 2^L sets of some words: the bits of a set's place say which of them are in it."""
    return [tuple(word for bit, word in enumerate(words) if one >> bit & 1) for one in range(2 ** len(words))]


def drops_of(log_p: np.ndarray, label: int, t: float = 1.0) -> np.ndarray:
    """(sets,): p(label) of the whole text less that without each set.

    Args:
        log_p: (sets, choices), the empty set first.
        t: a temperature.
    """
    p = np.exp(log_softmax(log_p / t, axis=-1)[:, label])
    return p[0] - p


def bounds(drops: np.ndarray) -> tuple[float, float]:
    """The least and the greatest AOPC over all orders.

    Args:
        drops: (2^L,), by set as `subsets` has them.
    """
    words = len(drops).bit_length() - 1
    least, most = np.zeros(len(drops)), np.zeros(len(drops))
    for gone in range(1, len(drops)):
        before = [gone ^ 1 << word for word in range(words) if gone >> word & 1]
        least[gone] = drops[gone] + least[before].min()
        most[gone] = drops[gone] + most[before].max()
    return float(least[-1] / words), float(most[-1] / words)


def order(question: Question, scores: np.ndarray) -> list[int]:
    """The words from the highest score down, ties by position, as bits of `subsets`."""
    return sorted(range(len(question.rankable)), key=lambda bit: -scores[question.rankable[bit]])


def aopc(drops: np.ndarray, bits: Sequence[int]) -> float:
    """Of one order of the words."""
    return float(np.mean(drops[np.cumsum([1 << bit for bit in bits])]))


def normalised(value: float, least: float, most: float) -> float:
    """Where a value lies between two bounds, in [0, 1]."""
    return (value - least) / (most - least)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
