"""Input x gradient without a sign: the L2 norm over the hidden dimension, as inseq and Fayyaz et al. have it."""

from caref.evidence.gradients import by_word


def attribute(reading, labels):
    """Word scores by split and question, at least 0; see `Reading.word_scores`."""
    return by_word(reading, labels, lambda embeddings, gradients: (embeddings * gradients).norm(dim=-1))
