from importlib import import_module
from types import ModuleType

# Those that name words instead of ranking them.
SETS = (
    *("human", "explanation_words", "prompting", "prompting_top"),
    *("prompting_untrained", "prompting_top_untrained"),
)


def of(name: str) -> ModuleType:
    """The file of an attribution: `attribute` and, where there are words that it never names, `nameable`."""
    return import_module(f"{__name__}.{name}")
