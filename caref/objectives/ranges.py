"""Ranges of an objective's parameters."""

import math


def at_least(bound: float, **parameters: float) -> None:
    """Raise ValueError, naming the parameter, unless each is a finite number of at least `bound`."""
    for name, value in parameters.items():
        if not (math.isfinite(value) and value >= bound):
            raise ValueError(f"{name}={value}: must be at least {bound}")
