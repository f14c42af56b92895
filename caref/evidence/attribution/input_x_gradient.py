"""Input x gradient with its sign: the inner product of a token's embedding and the gradient of log p(choice) by it."""

from caref.evidence.gradients import by_word


def attribute(reading, labels):
    """Word scores by split and question: above 0 where a word speaks for the choice; see `Reading.word_scores`."""
    return by_word(reading, labels, lambda embeddings, gradients: (embeddings * gradients).sum(-1))
