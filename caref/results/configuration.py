"""What config.yaml says of a cell, as far as it goes: of whatever version, broken or missing."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from caref.results import records

_PARTS = ("model", "peft", "dataset", "reg", "bertscore", "train", "evaluation")
_NAMING = (("model", "name"), ("peft", "method"), ("dataset", "name"), ("reg", "term"))  # what tables call a cell by
_UNKNOWN = "unknown"


def known(config: Mapping) -> bool:
    """Whether it says which model, choice of parameters, dataset and regulariser the cell is of."""
    return not any(config[part].get(key) == _UNKNOWN for part, key in _NAMING)


def read(cell: Path) -> tuple[dict, str | None]:
    """The configuration of a cell, and in one line what is amiss with its file; None where nothing is.

    Each part of it is a mapping, whatever the file says or lacks, and what tables call a cell by is a text: "unknown"
    where nothing is said.

    Args:
        cell: RESULTS/<signature>.
    """
    path, amiss, said = cell / "config.yaml", None, {}
    try:
        said = yaml.load(records.read(path), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        amiss = "missing"
    except records.Unreadable as error:
        amiss = str(error).removeprefix(f"{path}: ")
    except (yaml.YAMLError, ValueError, RecursionError):
        amiss = "broken"
    if not isinstance(said, dict):
        amiss, said = "empty" if said is None else "broken", {}
    parts = (*_PARTS, "content") if "content" in said else _PARTS  # which the first versions do not tell
    found = {**said, **{part: dict(said[part]) if isinstance(said.get(part), dict) else {} for part in parts}}
    lacking = [(part, key) for part, key in _NAMING if not isinstance(found[part].get(key), str)]
    for part, key in lacking:
        found[part][key] = _UNKNOWN
    if lacking and amiss is None:
        amiss = f"it does not say {', '.join(f'{part}.{key}' for part, key in lacking)}"
    return found, amiss and f"{path}: {amiss}; a run of the same line mends it"
