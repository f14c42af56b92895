"""An independent definition of every term: mpmath for small vocabularies, 80-bit numpy for large ones.

Nothing here is shared with caref: plain sums of the paper's formulas, with enough digits that cancellation
does not matter.
"""

import mpmath
import numpy as np

TERMS = ("ce", "uniform", "entropy", "kl", "sced")
mpmath.mp.dps = 60


def small(logits, label, alpha, beta):
    """The terms of one position, as mpmath numbers, by name; `logits` is a sequence, -inf allowed in it."""
    z = [mpmath.mpf(x) for x in logits]
    size = len(z)
    weights = [mpmath.exp(x - max(z)) for x in z]
    total = mpmath.fsum(weights)
    out = {"uniform": mpmath.mpf(0), "kl": mpmath.mpf(0), "sced": mpmath.mpf(0)}
    for v, weight in enumerate(weights):
        p = weight / total
        if p == 0:
            continue
        rest = mpmath.fsum(w for u, w in enumerate(weights) if u != v) / total
        t = p * mpmath.log(p * size)
        out["kl"] += t
        out["uniform"] -= mpmath.log(p) / size
        out["sced"] += abs(t) ** mpmath.mpf(alpha) * (rest ** mpmath.mpf(beta) if beta else 1)
    out["entropy"] = mpmath.log(size) - out["kl"]
    out["ce"] = -mpmath.log(weights[label] / total)
    return out


def small_slopes(logits, label, alpha, beta):
    """Central differences of `small` with 60 digits: name -> list of d term / d logit."""
    step = mpmath.mpf(10) ** -15
    slopes = {name: [] for name in TERMS}
    for j, x in enumerate(logits):
        if x == -np.inf:
            for name in TERMS:
                slopes[name].append(0.0)
            continue
        up = small([*logits[:j], mpmath.mpf(x) + step, *logits[j + 1 :]], label, alpha, beta)
        down = small([*logits[:j], mpmath.mpf(x) - step, *logits[j + 1 :]], label, alpha, beta)
        for name in TERMS:
            slopes[name].append(float((up[name] - down[name]) / (2 * step)))
    return slopes


def large(logits, label, alpha, beta):
    """The terms of one position in 80-bit floats, by name; `logits` is a longdouble array (V,)."""
    size = np.longdouble(len(logits))
    top = int(np.argmax(logits))
    below = logits - logits[top]
    weights = np.exp(below)
    others = np.delete(weights, top).sum()
    total = others + 1
    p = weights / total
    rest = 1 - p
    rest[top] = others / total
    log_p = below - np.log1p(others)
    t = p * (log_p + np.log(size))
    return {
        "ce": -log_p[label],
        "uniform": -log_p.sum() / size,
        "entropy": -(p * log_p).sum(),
        "kl": t.sum(),
        "sced": (np.abs(t) ** np.longdouble(alpha) * rest ** np.longdouble(beta)).sum(),
    }


def large_slope(logits, j, label, alpha, beta):
    """Central difference of `large` along logit j, by name.

    Of fourth order, so that the step can be wide enough for 80 bits; not wider, because for alpha < 2 some
    p of a large vocabulary crosses U, where the slope or its derivative jumps, within any wide step.
    """
    step = np.longdouble(2) ** -18

    def at(offset):
        moved = logits.copy()
        moved[j] += offset * step
        return large(moved, label, alpha, beta)

    near, far = (at(1), at(-1)), (at(2), at(-2))
    return {name: (8 * (near[0][name] - near[1][name]) - (far[0][name] - far[1][name])) / (12 * step) for name in TERMS}
