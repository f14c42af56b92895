"""Which matrices of a model are one, as an output head often is its input embedding: what the checkpoint holds.

transformers ties what a family ties, T5's kin whatever their configuration says, and unties what a checkpoint holds
twice with other numbers. So does this, before anything is loaded: it reads names, and of two matrices the rows up to
the first that differ.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caref.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_ROWS = 4096  # compared at once
Kept = dict[str, Callable[[], Tensor]]  # a checkpoint's tensors by name, each read when it is asked for


def folder(config: "PreTrainedConfig") -> Path | None:
    """Where the files lie that a configuration was read from, the hub's in its cache; None where it was not read."""
    from huggingface_hub import try_to_load_from_cache

    path = config._name_or_path
    if path and Path(path).is_dir():
        return Path(path)
    kept = try_to_load_from_cache(path, "config.json", revision=getattr(config, "_commit_hash", None)) if path else None
    return Path(kept).parent if isinstance(kept, str) else None


def kept(folder: Path) -> Kept:
    """The tensors of the checkpoint in a folder, in transformers' order of preference; none where it has no weights.

    Raises:
        UserError: the files cannot be read.
    """
    from safetensors import SafetensorError

    try:
        for name, opened in (("model.safetensors", _safetensors), ("pytorch_model.bin", _bin)):
            index = folder / f"{name}.index.json"
            if (folder / name).is_file():
                return opened(folder / name)
            if index.is_file():
                shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
                return {key: read for shard in shards for key, read in opened(folder / shard).items()}
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder}: its weights cannot be read: {error}") from None
    return {}


def untie(network: "PreTrainedModel", kept: Kept) -> None:
    """Untie what a checkpoint holds apart.

    Args:
        network: as transformers builds it from the checkpoint's configuration; it may lie on the meta device.
    """
    for name, shared in list(network.all_tied_weights_keys.items()):
        if name in kept and shared in kept and not _equal(kept[name](), kept[shared]()):
            part_with(network, name)


def part_with(network: "PreTrainedModel", name: str) -> None:
    """Give a tied parameter a matrix of its own, of the same shape; what is in it is yet to be set."""
    path, _, leaf = name.rpartition(".")
    holder = network.get_submodule(path)
    setattr(holder, leaf, nn.Parameter(torch.empty_like(getattr(holder, leaf))))
    network.all_tied_weights_keys.pop(name, None)


def _safetensors(file: Path) -> Kept:
    from safetensors import safe_open

    opened = safe_open(file, "pt")
    return {name: partial(opened.get_tensor, name) for name in opened.keys()}  # noqa: SIM118


def _bin(file: Path) -> Kept:
    tensors = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    return {name: partial(tensors.get, name) for name in tensors}


def _equal(one: Tensor, other: Tensor) -> bool:
    rows = zip(one.split(_ROWS), other.split(_ROWS), strict=False)
    return one.shape == other.shape and all(torch.equal(*both) for both in rows)
