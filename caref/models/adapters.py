"""Adapters beside a model's own parameters, by PEFT: put on, saved, read back."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from caref.errors import UserError
from caref.models import modules
from caref.models.places import precise

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from caref.models.method import Adapter


def wrapped(model: "PreTrainedModel", method: "Adapter", seed: int, total_steps: int) -> "PeftModel":
    """The model with an adapter on it, initialised from `seed` alone; the global random state is left as it was.

    Args:
        total_steps: optimiser steps of the run, which AdaLoRA's schedule is laid out over.

    Raises:
        UserError: if PEFT cannot do this method on this family.
    """
    from peft import get_peft_model

    own = {id(parameter) for parameter in model.parameters()}
    with torch.random.fork_rng(devices=[]), _peft_quiet(), _as_before_on_error(model):
        torch.default_generator.manual_seed(seed)
        try:
            wanted = replace(method.configuration(model, total_steps), **method.options)
            if head := modules.head(model):
                wanted.modules_to_save = head
            adapted = get_peft_model(model, wanted)
            for name, parameter in adapted.named_parameters():
                if parameter.requires_grad and id(parameter) in own:
                    raise ValueError(f"it would train {name}, the model's own, too; leave out what asks for that")
        except (ValueError, TypeError, NotImplementedError) as error:
            raise UserError(f"peft ({method.name}): PEFT refuses {model.config.model_type}: {error}") from None
    for name, parameter in adapted.named_parameters():
        if ".ranknum." in name:  # a constant of AdaLoRA's, which PEFT leaves trainable on a bfloat16 model
            parameter.requires_grad_(False)
        elif parameter.requires_grad:  # of a classifier's head PEFT makes a copy in the model's own type
            parameter.data = precise(parameter)
    return _with_room_for_cross_attention(adapted)


def restored(model: "PreTrainedModel", folder: Path) -> "PeftModel":
    """The model with a saved adapter on it, for generation.

    Raises:
        UserError: if the adapter was made for another model, or its files are damaged.
    """
    from peft import PeftModel
    from peft.utils import SAFETENSORS_WEIGHTS_NAME
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with torch.random.fork_rng(devices=[]), _peft_quiet(), _as_before_on_error(model):
        try:
            adapted = PeftModel.from_pretrained(model, str(folder))
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
            raise UserError(f"{folder}: its adapter does not fit {model.config.model_type}: {error}") from None
    # PEFT rounds AdaLoRA's matrices, cut to their ranks, and a classifier's head to the model's own type.
    saved = load_file(folder / SAFETENSORS_WEIGHTS_NAME)
    for name, parameter in adapted.named_parameters():
        kept = name.replace(f".{adapted.active_adapter}", "").replace(".modules_to_save", "")
        if "original_module" not in name and (tensor := saved.get(kept)) is not None:
            parameter.data = tensor.to(parameter.device)
        elif ".ranknum." in name:
            parameter.data = parameter.data.float()
    return _with_room_for_cross_attention(adapted)


def save(adapted: "PeftModel", folder: Path | str) -> None:
    """Write the adapter in PEFT's own format."""
    with _peft_quiet():
        # No method here touches the embeddings, and to have PEFT look would have it ask the hub.
        adapted.save_pretrained(str(folder), save_embedding_layers=False)
    # The same from run to run and on every machine: PEFT writes sets in any order, and where the writer keeps the base
    # model, into the configuration and into a README of its own.
    described = Path(folder) / "adapter_config.json"
    values = json.loads(described.read_text(encoding="utf-8"))
    for key, value in vars(adapted.active_peft_config).items():
        if isinstance(value, set):
            values[key] = sorted(value)
    if Path(values["base_model_name_or_path"] or "").exists():
        values["base_model_name_or_path"] = None
    described.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (Path(folder) / "README.md").write_text(_readme(adapted), encoding="utf-8")


def _readme(adapted: "PeftModel") -> str:
    family, method = adapted.config.model_type, adapted.peft_type.value
    how = "`PeftModel.from_pretrained(model, folder)` of PEFT, or `caref.models.trained.load_trained`, puts it on."
    if adapted.active_peft_config.is_prompt_learning and adapted.config.is_encoder_decoder:
        how = (
            "Only `caref.models.trained.load_trained` puts it on. Plain PEFT cannot: it sizes an encoder-decoder's "
            "prefix by the encoder and gives half to cross-attention; this one is for the decoder's self-attention."
        )
    return f"A {method} adapter of a {family} model, trained by CAREF.\n\n{how}\n"


def _with_room_for_cross_attention(adapted: "PeftModel") -> "PeftModel":
    # PEFT 0.21 makes an encoder-decoder's prefix by repeating it for two submodules, then drops the half that falls to
    # cross-attention: of an even number of layers half the prefix is never used, and layers share the rest. Made for
    # one submodule (the decoder's self-attention) the prefix is right; only the cache's other half is to be added.
    from peft import PeftType
    from transformers import DynamicCache, EncoderDecoderCache

    if adapted.peft_type == PeftType.PREFIX_TUNING and adapted.config.is_encoder_decoder:
        prefix = adapted.get_prompt
        adapted.get_prompt = lambda *args, **kwargs: EncoderDecoderCache(prefix(*args, **kwargs), DynamicCache())
    return adapted


@contextmanager
def _as_before_on_error(model: "PreTrainedModel") -> Iterator[None]:
    """Where the block fails, what it has put on the model by then is taken off."""
    children = [(module, dict(module._modules)) for module in model.modules()]
    try:
        yield
    except BaseException:
        for module, before in children:
            module._modules.clear()
            module._modules.update(before)
        raise


@contextmanager
def _peft_quiet() -> Iterator[None]:
    """Without the warnings that PEFT gives about itself, or about the modules AdaLoRA has rightly left no rank."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing. is deprecated")
        warnings.filterwarnings("ignore", message=".*LoRA tensor.* have invalid shape")
        warnings.filterwarnings("ignore", message="The following rank_pattern keys did not match")
        yield
