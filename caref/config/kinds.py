"""The kinds of a part of a job, peft's or reg's: one file of a package is one kind, found by listing the package.

Its file holds everything there is to a kind: a dataclass of its parameters, their defaults and ranges (`__post_init__`
raises ValueError) and what it does. Finding it is done for every command line, so the file imports torch, transformers
and PEFT where it uses them, not at its top.
"""

import pkgutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from caref.errors import UserError


@cache
def kinds(package: ModuleType, base: type) -> dict[str, type]:
    """Each kind's dataclass by the name of its file, in alphabetical order.

    Args:
        package: holds one module a kind.
        base: what their dataclasses are derived from.

    Raises:
        TypeError: naming the module that does not define exactly one such dataclass.
    """
    found = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        module = import_module(f"{package.__name__}.{name}")
        own = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
        candidates = [one for one in own if issubclass(one, base) and is_dataclass(one)]
        if len(candidates) != 1:
            raise TypeError(
                f"{module.__file__}: defines {len(candidates)} dataclasses of {base.__name__}; one is a kind"
            )
        found[name] = candidates[0]
    return found


def made(known: Mapping[str, type], key: str, values: Mapping[str, Any]) -> Any:
    """The part that a configuration describes.

    Args:
        known: what `kinds` found.
        key: where the kind's name is: "reg.term" or "peft.method".
        values: the part's own configuration, that name in it.

    Raises:
        UserError: there is no such kind, or a parameter is unknown to it or out of its range.
    """
    part, _, named = key.partition(".")
    if values[named] not in known:
        raise UserError(f"{key}={values[named]}: there is no such choice; choose one of {', '.join(known)}")
    return checked(known[values[named]], part, values)


def checked(kind: type, part: str, values: Mapping[str, Any]) -> Any:
    """An instance of a part's dataclass with these values.

    Raises:
        UserError: a parameter is unknown to it or out of its range.
    """
    if unknown := sorted(values.keys() - {one.name for one in fields(kind)}):
        raise UserError(f"{part}.{unknown[0]}: {kind.__name__} has no such parameter")
    try:
        return kind(**values)
    except ValueError as error:
        raise UserError(f"{part}.{error}") from None
