"""What the parameters of a part may be: each check raises ValueError, naming the parameter, its value and the range."""

import math
from collections.abc import Sequence


def at_least(bound: float, **parameters: float) -> None:
    """Each is a finite number of at least `bound`."""
    _check(f"at least {bound}", lambda value: value >= bound, parameters)


def above(bound: float, **parameters: float) -> None:
    """Each is a finite number above `bound`."""
    _check(f"above {bound}", lambda value: value > bound, parameters)


def below(bound: float, **parameters: float) -> None:
    """Each is a finite number below `bound`."""
    _check(f"below {bound}", lambda value: value < bound, parameters)


def once(**parameters: Sequence[str]) -> None:
    """Each is a list that names nothing twice."""
    for name, values in parameters.items():
        if twice := repeated(values):
            raise ValueError(f"{name}={list(values)}: names {twice} twice; once is enough")


def repeated(values: Sequence[str]) -> str | None:
    """The first of some values that comes again."""
    return next((value for place, value in enumerate(values) if value in values[:place]), None)


def _check(range_: str, holds, parameters: dict[str, float]) -> None:
    for name, value in parameters.items():
        if not (math.isfinite(value) and holds(value)):
            raise ValueError(f"{name}={value}: must be {range_}")
