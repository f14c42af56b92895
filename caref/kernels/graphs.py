"""What of ours is no part of a graph that `torch.compile` makes of somebody's model or training step."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P, R = ParamSpec("P"), TypeVar("R")


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, at which a graph ends and after which another begins.

    Left to itself torch.compile breaks at each look at the numbers and at each call of compiled code, and warns of it.
    """

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():  # not asked for sooner: it loads torch's compiler, which takes seconds
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return called
