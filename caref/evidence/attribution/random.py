"""Words in random order: what any other order has to be better than."""

import numpy as np


def attribute(reading, labels):
    """Word scores by split and question, uniform in [0, 1) from the question's own seed; see `Reading.word_scores`."""
    return [[np.random.default_rng(one.seed).random(len(one.words)) for one in split] for split in reading.splits]
