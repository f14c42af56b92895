"""Saliency: how long the gradient of log p(choice) by a token's embedding is (Simonyan et al. 2014; L2 as inseq's)."""

from caref.evidence.gradients import by_word


def attribute(reading, labels):
    """Word scores by split and question, at least 0; see `Reading.word_scores`."""
    return by_word(reading, labels, lambda embeddings, gradients: gradients.norm(dim=-1))
