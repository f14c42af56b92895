"""Adapters beside a model's own parameters, by PEFT: LoRA, DoRA, AdaLoRA, (IA)^3 and prefix tuning."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from caref.errors import UserError
from caref.models import variants

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

    from caref.config.schema import Peft


def wrapped(model: "PreTrainedModel", peft: "Peft", seed: int, total_steps: int) -> "PeftModel":
    """The model with an adapter on it, initialised from `seed` alone; the global random state is left as it was.

    Args:
        total_steps: optimiser steps of the run, which AdaLoRA's schedule is laid out over.

    Raises:
        UserError: if PEFT cannot do this method on this family, or the method's options contradict each other.
    """
    from peft import get_peft_model

    if peft.method not in _CONFIGURATIONS:
        raise UserError(f"peft.method={peft.method}: must be one of {', '.join((*variants.METHODS, *_CONFIGURATIONS))}")
    with torch.random.fork_rng(devices=[]), _peft_quiet():
        torch.default_generator.manual_seed(seed)
        try:
            adapted = get_peft_model(model, _CONFIGURATIONS[peft.method](model, peft, total_steps))
        except ValueError as error:
            raise UserError(f"peft ({peft.name}): PEFT refuses {model.config.model_type}: {error}") from None
    for name, parameter in adapted.named_parameters():
        if ".ranknum." in name:  # a constant of AdaLoRA's, which PEFT leaves trainable on a bfloat16 model
            parameter.requires_grad_(False)
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

    with torch.random.fork_rng(devices=[]), _peft_quiet():
        try:
            adapted = PeftModel.from_pretrained(model, str(folder))
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
            raise UserError(f"{folder}: its adapter does not fit {model.config.model_type}: {error}") from None
    # PEFT rounds AdaLoRA's matrices, cut to their ranks, to the model's own type.
    saved = load_file(folder / SAFETENSORS_WEIGHTS_NAME)
    for name, parameter in adapted.named_parameters():
        if (tensor := saved.get(name.replace(f".{adapted.active_adapter}", ""))) is not None:
            parameter.data = tensor.to(parameter.device)
        elif ".ranknum." in name:
            parameter.data = parameter.data.float()
    return _with_room_for_cross_attention(adapted)


def save(adapted: "PeftModel", folder: Path | str) -> None:
    """Write the adapter in PEFT's own format."""
    with _peft_quiet():
        # No method here touches the embeddings, and to have PEFT look would have it ask the hub.
        adapted.save_pretrained(str(folder), save_embedding_layers=False)


def orthogonality(adapted: "PeftModel") -> torch.Tensor:
    """AdaLoRA's regulariser: the mean over all its A and B of ||A A' - I||_F and ||B' B - I||_F, times its weight.

    PEFT adds it only to a loss that the model computes itself. Zhang et al. 2023, equation 4, with the mean over the
    matrices (and no square) as PEFT has it.
    """
    weight = adapted.active_peft_config.orth_reg_weight
    deviations = []
    with torch.autocast(adapted.device.type, enabled=False):
        for name, parameter in adapted.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                gram = parameter @ parameter.T if "lora_A" in name else parameter.T @ parameter
                deviations.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
        return weight * torch.stack(deviations).mean()


def _lora(model: "PreTrainedModel", peft: "Peft", total_steps: int) -> "PeftConfig":
    from peft import LoraConfig

    return LoraConfig(**_on_linears(model, peft), r=peft.r, use_dora=peft.dora)


def _adalora(model: "PreTrainedModel", peft: "Peft", total_steps: int) -> "PeftConfig":
    from peft import AdaLoraConfig

    if peft.target_r >= peft.init_r:
        raise UserError(
            f"peft.target_r={peft.target_r}: must be below peft.init_r={peft.init_r}, from which ranks fall"
        )
    if peft.warmup + peft.settle >= 1:
        raise UserError(
            f"peft.warmup={peft.warmup}: with peft.settle={peft.settle} it leaves no step for ranks to fall"
        )
    settle = int(peft.settle * total_steps)
    if total_steps - settle < 2:  # importance has to be measured on a step before the last fall
        raise UserError(
            f"peft ({peft.name}): a run of {total_steps} steps is too short for ranks to fall before "
            f"peft.settle={peft.settle} of it; raise train.epochs"
        )
    return AdaLoraConfig(
        **_on_linears(model, peft),
        init_r=peft.init_r,
        target_r=peft.target_r,
        total_step=total_steps,
        tinit=int(peft.warmup * total_steps),  # rounded down, as `settle` is, so that the two leave a step between them
        tfinal=settle,
        deltaT=peft.interval,
        orth_reg_weight=peft.orthogonality,
    )


def _ia3(model: "PreTrainedModel", peft: "Peft", total_steps: int) -> "PeftConfig":
    from peft import IA3Config
    from peft.utils import (
        TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
        TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
    )

    family = model.config.model_type
    if family not in TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING:
        raise UserError(f"peft ({peft.name}): PEFT does not know which modules of {family} to rescale")
    return IA3Config(
        task_type=_task(model),
        target_modules=TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING[family],
        feedforward_modules=TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING[family],
        fan_in_fan_out=_has_conv1d(model),
    )


def _prefix(model: "PreTrainedModel", peft: "Peft", total_steps: int) -> "PeftConfig":
    from peft import PrefixTuningConfig

    config = model.config
    shape = {}
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise UserError(f"peft ({peft.name}): {config.model_type} keeps no keys and values for a prefix to precede")
    if config.is_encoder_decoder:
        # PEFT would size the prefix by the encoder, and by d_model where T5 has num_heads * d_kv.
        try:
            layers = _first(config, "decoder_layers", "num_decoder_layers")
            heads = _first(config, "decoder_attention_heads", "num_decoder_attention_heads", "num_heads")
        except AttributeError:
            raise UserError(f"peft ({peft.name}): the decoder of {config.model_type} does not say its shape") from None
        width = heads * config.d_kv if hasattr(config, "d_kv") else config.d_model
        shape = {"num_layers": layers, "num_attention_heads": heads, "token_dim": width}
    return PrefixTuningConfig(
        task_type=_task(model), num_virtual_tokens=peft.tokens, num_transformer_submodules=1, **shape
    )


_CONFIGURATIONS: dict[str, Callable[["PreTrainedModel", "Peft", int], "PeftConfig"]] = {
    "lora": _lora,
    "adalora": _adalora,
    "ia3": _ia3,
    "prefix": _prefix,
}


def _on_linears(model: "PreTrainedModel", peft: "Peft") -> dict:
    return {
        "task_type": _task(model),
        "target_modules": variants.linears(model),
        "lora_alpha": peft.alpha,
        "lora_dropout": peft.dropout,
        "fan_in_fan_out": _has_conv1d(model),
    }


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
def _peft_quiet() -> Iterator[None]:
    """Without the warnings that PEFT gives about itself, or about the modules AdaLoRA has rightly left no rank."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing. is deprecated")
        warnings.filterwarnings("ignore", message=".*LoRA tensor.* have invalid shape")
        warnings.filterwarnings("ignore", message="The following rank_pattern keys did not match")
        yield


def _task(model: "PreTrainedModel") -> str:
    return "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"


def _has_conv1d(model: "PreTrainedModel") -> bool:
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in model.modules())


def _first(config, *names: str) -> int:
    """The first of these that the configuration holds."""
    for name in names:
        if hasattr(config, name):
            return getattr(config, name)
    raise AttributeError(names)
