"""The words that people marked."""

import numpy as np


def attribute(reading, labels):
    """Word scores by split and question: 1 where marked, else 0; see `Reading.word_scores`."""
    return [[np.array([float(word.marked) for word in one.words]) for one in split] for split in reading.splits]
