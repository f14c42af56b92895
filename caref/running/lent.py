"""Modules lent by another cell: `evidence.module`, split i's explaining the model of split i here.

No weight of a module belongs to a label or a word, so what was trained on one dataset explains a model of another where
both began as the same model (Xie et al. 2024, appendix E, from IMDb to SST-2 and from SNLI to MNLI).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from caref.analysis.summary import ranges
from caref.config.kinds import kinds
from caref.config.schema import Reg
from caref.config.signature import signature
from caref.errors import UserError
from caref.objectives import terms
from caref.results.records import Unreadable, read

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from caref.models.asking import Beside
    from caref.models.backbones import Backbone

_WEIGHTS = "explainer.safetensors"


def lender(folder: str, description: Mapping, indices: Sequence[int]) -> str:
    """The signature of the cell that lends, which says what its modules are wherever it lies. Loads no torch.

    Args:
        folder: RESULTS/<signature> of that cell.
        description: what config.yaml of the cell at hand holds.
        indices: splits of which a module is needed.

    Raises:
        UserError: it is no cell that trained modules beside the same model, or has not kept those of all these splits.
    """
    lent = _described(folder)
    known, term = kinds(terms, Reg), lent["reg"].get("term")
    if term not in known or not known[term].asks:
        raise _refusal(folder, f"trained no module, its reg.term is {term}; name a cell of reg=ivra or reg=smat")
    if _model(lent) != _model(description):
        other, own = (one["model"].get("name") for one in (lent, description))
        raise _refusal(
            folder, f"its modules listened to another model ({other}, not {own}); name one of the same model"
        )
    if lacking := [index for index in indices if not _weights(folder, index).is_file()]:
        told = f"has kept no module of splits {ranges(lacking)}"
        raise _refusal(folder, f"{told}; run its line with train.save=true, or ask for fewer splits")
    return signature(lent)


def modules(folder: str, backbone: "Backbone", peft: "DictConfig", splits: Sequence[int]) -> "Beside":
    """The modules of some splits as one that stands beside their models.

    Args:
        backbone: bare, nothing trained on it.

    Raises:
        UserError: the model has no attention that they could hear, or weights are of other shapes.
    """
    from caref.models.asking import audible, listening
    from caref.objectives import objective

    definition = objective.build(_described(folder)["reg"]).definition
    layers = audible(backbone, peft, definition.site)
    module = listening(backbone, layers, lambda shapes: definition.explainer(shapes, len(splits)))
    for place, split in enumerate(splits):
        if not module.load(_weights(folder, split), place):
            raise _refusal(folder, f"the weights of its split {split} are of attention of other shapes")
    return module


def digest(folder: str, split: int) -> str:
    """A mark of the weights that explained a split, which its evidence keeps."""
    return hashlib.sha256(_weights(folder, split).read_bytes()).hexdigest()[:16]


def _model(description: Mapping) -> object:
    """What it is before its training: a mark of its files, the shape of random weights."""
    return description["content"].get("model") or description["model"].get("config")


def _weights(folder: str, split: int) -> Path:
    return Path(folder) / "trained" / f"{split:03d}" / _WEIGHTS


def _described(folder: str) -> dict:
    try:
        found = yaml.safe_load(read(Path(folder) / "config.yaml"))
    except (FileNotFoundError, Unreadable, yaml.YAMLError, ValueError, RecursionError):
        found = None
    parts = ("content", "model", "peft", "dataset", "reg", "train", "evaluation")
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in parts):
        raise _refusal(folder, "has no config.yaml that says what it is; name RESULTS/SIGNATURE of a finished cell")
    return found


def _refusal(folder: str, told: str) -> UserError:
    return UserError(f"evidence.module={folder}: {told}")
