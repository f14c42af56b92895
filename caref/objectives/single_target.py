"""The objective as a function of one probability: SCED's value and slope, where it turns, where training comes to rest.

A word's share of SCED is g(p) = |p log(pV)| ** alpha * (1 - p) ** beta. An objective's value for a position whose
target has probability p is taken with the rest of the probability spread evenly over the other V - 1 words; p is then
given by its logit t = log(p / (1 - p)), so that a p next to 1 keeps its digits. NumPy, float64, natural logarithms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, log_expit

_LOGITS = np.linspace(-30.0, 400.0, 43_001)  # where resting places are looked for


def logit(p: ArrayLike) -> NDArray:
    """t = log(p / (1 - p))."""
    p = np.asarray(p, float)
    return np.log(p) - np.log1p(-p)


def value(p: ArrayLike, alpha: float, beta: float, words: int) -> NDArray:
    """g(p), one word's share of SCED, for p in (0, 1)."""
    p = np.asarray(p, float)
    return np.abs(p * np.log(p * words)) ** alpha * (1 - p) ** beta


def slope(p: ArrayLike, alpha: float, beta: float, words: int) -> NDArray:
    """g'(p): above 0, to minimise SCED lowers this p; below 0, it raises it."""
    p = np.asarray(p, float)
    over = np.log(p * words)
    surprise = np.abs(p * over)
    rising = alpha * surprise ** (alpha - 1) * np.sign(over) * (over + 1) * (1 - p) ** beta
    return rising - beta * surprise**alpha * (1 - p) ** (beta - 1)


def turning_point(alpha: float, beta: float, words: int) -> float:
    """The p above 1/V at which g is largest: beyond it SCED rewards confidence. 1 for beta = 0, where it never does.

    g' = 0 where log(pV) * ((alpha + beta) * p - alpha) = alpha * (1 - p). Its left side grows from p = alpha / (alpha +
    beta) on, its right side falls: one solution, above alpha / (alpha + beta), to which it tends for large V.
    """
    if beta == 0:
        return 1.0
    lowest = max(alpha / (alpha + beta), 1 / words)
    return float(
        brentq(lambda p: np.log(p * words) * ((alpha + beta) * p - alpha) - alpha * (1 - p), lowest, 1.0, xtol=1e-15)
    )


@dataclass(frozen=True)
class Rest:
    """A place where the slope of an objective over the target's logit is 0.

    p: the target's probability there.
    doubt: 1 - p, with all its digits.
    stable: whether it is a minimum; if not, it parts the starts that end below it from those that end above.
    """

    p: float
    doubt: float
    value: float
    stable: bool


@dataclass(frozen=True)
class SingleTarget:
    """CE + lambda_sced * SCED + lambda_kl * KL of a position, over the logit t of its target's probability."""

    alpha: float = 2.0
    beta: float = 1.0
    lambda_sced: float = 0.1
    lambda_kl: float = 0.1
    words: int = 32_128

    def value(self, t: ArrayLike) -> NDArray:
        log_p, log_doubt, log_other = self._logs(t)
        log_words = np.log(self.words)
        kl = np.exp(log_p) * (log_p + log_words) + np.exp(log_doubt) * (log_other + log_words)
        return -log_p + self.lambda_sced * self.sced(t) + self.lambda_kl * kl

    def sced(self, t: ArrayLike) -> NDArray:
        """SCED, summed over the vocabulary."""
        log_p, log_doubt, log_other = self._logs(t)
        return self._share(log_p, log_doubt) + (self.words - 1) * self._share(log_other, np.log1p(-np.exp(log_other)))

    def slope(self, t: ArrayLike) -> NDArray:
        """d value / d t, which is the gradient that the target's logit gets."""
        log_p, log_doubt, log_other = self._logs(t)
        doubt, weight = np.exp(log_doubt), np.exp(log_p + log_doubt)
        # slope() times p (1 - p), in logarithms: at beta < 1 the slope itself is infinite for p = 1
        over = log_p + np.log(self.words)
        surprise = np.abs(np.exp(log_p) * over)
        rising = self.alpha * surprise ** (self.alpha - 1) * np.sign(over) * (over + 1) * weight * doubt**self.beta
        target = rising - self.beta * surprise**self.alpha * np.exp(log_p) * doubt**self.beta
        others = weight * slope(np.exp(log_other), self.alpha, self.beta, self.words)
        return -doubt + self.lambda_sced * (target - others) + self.lambda_kl * weight * (log_p - log_other)

    def rests(self) -> list[Rest]:
        """Where the objective's slope is 0, from the least confident to the most.

        A last one beyond p = 1 - e ** -400, where no floating number is left, is told as p = 1, doubt 0.
        """
        slopes = self.slope(_LOGITS) / np.exp(self._logs(_LOGITS)[1])  # far out slopes shrink as 1 - p does
        found = []
        for place in np.flatnonzero(np.sign(slopes[:-1]) != np.sign(slopes[1:])):
            t = brentq(self.slope, _LOGITS[place], _LOGITS[place + 1])
            found.append(Rest(float(expit(t)), float(expit(-t)), float(self.value(t)), slopes[place] < 0))
        if slopes[-1] < 0:
            found.append(Rest(1.0, 0.0, float(self.value(_LOGITS[-1])), True))
        return found

    def _logs(self, t: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
        """log p, log(1 - p), and the logarithm of each other word's probability."""
        t = np.asarray(t, float)
        return log_expit(t), log_expit(-t), log_expit(-t) - np.log(self.words - 1)

    def _share(self, log_p: NDArray, log_doubt: NDArray) -> NDArray:
        return np.abs(np.exp(log_p) * (log_p + np.log(self.words))) ** self.alpha * np.exp(self.beta * log_doubt)
