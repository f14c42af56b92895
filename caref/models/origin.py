"""Which model a saved part was trained on, told by a few of its own weights: names say nothing of what lies there."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import torch

from caref.errors import UserError

FILE = "model.json"
_VALUES = 8  # of each parameter


def mark(own: Iterable[torch.Tensor]) -> str:
    """16 hexadecimal digits of the shapes and first values of a model's own parameters.

    Values are taken in bfloat16, so that it does not depend on which of the two types a model is held in.
    """
    own = list(own)
    shapes = json.dumps([tuple(parameter.shape) for parameter in own])
    values = torch.cat([parameter.detach().flatten()[:_VALUES].to(torch.bfloat16) for parameter in own])
    return hashlib.sha256(shapes.encode() + values.cpu().view(torch.int16).numpy().tobytes()).hexdigest()[:16]


def note(folder: Path, name: str, own: Iterable[torch.Tensor]) -> None:
    """Write beside a saved part which model it is of.

    Args:
        name: what the model is called, for people.
        own: the parameters that it has without the part, in their order.
    """
    (folder / FILE).write_text(json.dumps({"name": name, "mark": mark(own)}, indent=2) + "\n", encoding="utf-8")


def check(folder: Path, name: str, own: Iterable[torch.Tensor]) -> None:
    """Refuse a part of another model; one that was saved before this was noted is let pass.

    Raises:
        UserError: naming both.
    """
    try:
        noted = json.loads((folder / FILE).read_text(encoding="utf-8"))
        trained_on, noted_mark = noted["name"], noted["mark"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder / FILE}: cannot be read, or is not what was written") from None
    if noted_mark != mark(own):
        raise UserError(f"{folder}: was trained on {trained_on}, whose weights or shape are not those of this {name}")
