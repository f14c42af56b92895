"""How far a choice is ahead of the others."""

import numpy as np


def lead(log_p: np.ndarray, label: int) -> np.ndarray:
    """(...,): log p of a choice less that of the best other one; what temperature scales and never turns.

    Args:
        log_p: (..., choices), at least two choices.
    """
    others = np.delete(log_p, label, axis=-1)
    return log_p[..., label] - others.max(-1)
