"""Selective prediction: how many answers are wrong, if only those are given that a model is surest of."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import ndarray


def over_coverage(confidence: "ndarray", wrong: "ndarray") -> "ndarray":
    """(n,): the share of wrong answers among the k most confident, k = 1..n (Geifman and El-Yaniv 2017).

    Equally confident answers share their risk: it is the mean over all orders of them.

    Args:
        confidence: (n,).
        wrong: (n,), 1 or True where an answer is.
    """
    import numpy as np

    order = np.argsort(-confidence, kind="stable")
    _, tie, sizes = np.unique(-confidence[order], return_inverse=True, return_counts=True)
    shared = (np.bincount(tie, weights=wrong[order]) / sizes)[tie]
    return shared.cumsum() / np.arange(1, len(wrong) + 1)
