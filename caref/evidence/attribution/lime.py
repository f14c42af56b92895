"""LIME (Ribeiro et al. 2016): a linear model of a choice's lead over texts without some of their words.

As in `lime_text`: how many words go is uniform in 1..n, a text's weight is sqrt(exp(-d^2 / 25^2)) with d = 100 x the
cosine distance between its words present and all of them. The linear model is fitted by least squares without a
penalty, and every word is a feature of its own, so that a lead that is linear in the words is found exactly: from 500
samples, or twice as many as there are words.
"""

import numpy as np

from caref.evidence.leads import lead

SAMPLES = 500
WIDTH = 25.0


def attribute(reading, labels):
    """Word scores by split and question: above 0 where a word speaks for the choice; see `Reading.word_scores`."""
    masks = [[drawn(len(one.rankable), one.seed) for one in questions] for questions in reading.splits]
    removed = [
        [[np.array(one.rankable)[~row] for row in mask] for one, mask in zip(questions, own, strict=True)]
        for questions, own in zip(reading.splits, masks, strict=True)
    ]
    found = []
    for split, variants in enumerate(reading.log_p_without(removed)):
        found.append([])
        for place, (question, tables) in enumerate(zip(reading.splits[split], variants, strict=True)):
            scores = np.zeros(len(question.words))
            if question.rankable:
                scores[question.rankable] = fitted(masks[split][place], lead(tables, labels[split][place]))
            found[-1].append(scores)
    return found


def drawn(words: int, seed: int, samples: int = SAMPLES) -> np.ndarray:
    """(samples, words) bool, which words are present: in the first text all of them.

    Args:
        samples: at least; of a text of more than half as many words twice as many as it has.
    """
    if words == 0:
        return np.zeros((0, 0), dtype=bool)
    samples = max(samples, 2 * words)
    generator = np.random.default_rng(seed)
    present = np.ones((samples, words), dtype=bool)
    for row in present[1:]:
        row[generator.choice(words, generator.integers(1, words + 1), replace=False)] = False
    return present


def fitted(present: np.ndarray, leads: np.ndarray) -> np.ndarray:
    """(words,): the coefficients of a weighted linear model of the leads, (samples,)."""
    from sklearn.linear_model import LinearRegression

    distance = 100 * (1 - np.sqrt(present.mean(1)))  # of 0/1 vectors to the one of all ones
    weights = np.sqrt(np.exp(-(distance**2) / WIDTH**2))
    return LinearRegression().fit(present.astype(float), leads, sample_weight=weights).coef_
