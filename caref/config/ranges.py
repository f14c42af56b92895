"""What the parameters of a part may be: each check raises ValueError, naming the parameter, its value and the range."""

import math


def at_least(bound: float, **parameters: float) -> None:
    """Each is a finite number of at least `bound`."""
    _check(f"at least {bound}", lambda value: value >= bound, parameters)


def above(bound: float, **parameters: float) -> None:
    """Each is a finite number above `bound`."""
    _check(f"above {bound}", lambda value: value > bound, parameters)


def below(bound: float, **parameters: float) -> None:
    """Each is a finite number below `bound`."""
    _check(f"below {bound}", lambda value: value < bound, parameters)


def _check(range_: str, holds, parameters: dict[str, float]) -> None:
    for name, value in parameters.items():
        if not (math.isfinite(value) and holds(value)):
            raise ValueError(f"{name}={value}: must be {range_}")
