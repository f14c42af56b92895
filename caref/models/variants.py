"""The sparse variants BASE, DEC, AQKV, LAQ and AQ: which of a model's own parameters are trained.

The selections are functions from a model to module names, for whatever treats those modules otherwise.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from caref.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from caref.config.schema import Peft

METHODS = ("full", "decoder", "projections")

# What families call an attention's projections, its fused q-k-v matrix, and the attention over the encoder's output.
_PROJECTIONS = {
    "q": ("q", "q_proj", "query"),
    "k": ("k", "k_proj", "key"),
    "v": ("v", "v_proj", "value"),
    "o": ("o", "o_proj", "out_proj"),
}
_FUSED = ("c_attn", "query_key_value", "qkv_proj", "Wqkv", "qkv")
_CROSS = ("EncDecAttention", "encoder_attn", "cross_attn", "crossattention", "encoder_attention")


def parameters(model: "PreTrainedModel", peft: "Peft") -> list[str]:
    """Names of the parameters that a sparse variant trains, in the order of `model.named_parameters()`.

    Raises:
        UserError: if the model has no such parameters: no decoder of its own, fused projections, none at all.
    """
    named = [name for name, _ in model.named_parameters()]
    if peft.method == "full":
        return named
    if peft.method == "decoder":
        chosen = set(_decoder_parameters(model, peft))
    else:
        modules = projections(model, peft.projections, peft.scope, f"peft ({peft.name})")
        chosen = {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}
        if peft.norms:
            chosen |= {f"{module}.weight" for module in norms(model)}
    return [name for name in named if name in chosen]


def projections(
    model: "PreTrainedModel", which: Sequence[str], scope: str = "self", subject: str = "peft"
) -> list[str]:
    """Names of the attention projections, in the model's order.

    Args:
        which: of q, k, v, o.
        scope: `self`, all self-attention, in encoder and decoder; `decoder`, the decoder's self- and cross-attention.
        subject: what an error names first.

    Raises:
        UserError: if one of `which` is unknown, fused with others, or not there, or the scope is.
    """
    unknown = [letter for letter in which if letter not in _PROJECTIONS]
    if unknown or not which:
        raise UserError(f"peft.projections={list(which)}: must be some of q, k, v, o")
    if scope not in ("self", "decoder"):
        raise UserError(f"peft.scope={scope}: must be self or decoder")
    if scope == "decoder" and not model.config.is_encoder_decoder:
        raise UserError(
            f"{subject}: peft.scope=decoder: {model.config.model_type} has no decoder apart from the model; "
            "all its attention is scope=self"
        )
    found = []
    for letter in which:
        modules = [name for name, module in _named_linears(model) if _leaf(name) in _PROJECTIONS[letter]]
        if not modules:
            raise UserError(f"{subject}: {_why_missing(model, letter)}")
        found += modules
    decoder = f"{decoder_name(model)}." if scope == "decoder" else ""
    chosen = {name for name in found if name.startswith(decoder) and (scope == "decoder" or not _is_cross(name))}
    return [name for name, _ in model.named_modules() if name in chosen]


def norms(model: "PreTrainedModel") -> list[str]:
    """Names of all layer norms (LayerNorm, RMSNorm and their kin), in the model's order."""
    kinds = ("LayerNorm", "RMSNorm")
    return [name for name, module in model.named_modules() if any(kind in type(module).__name__ for kind in kinds)]


def linears(model: "PreTrainedModel") -> list[str]:
    """Names of all linear layers but the output head, in the model's order."""
    head = model.get_output_embeddings()
    return [name for name, module in _named_linears(model) if module is not head]


def decoder_name(model: "PreTrainedModel") -> str:
    """Name of an encoder-decoder's decoder."""
    decoder = model.get_decoder()
    return next(name for name, module in model.named_modules() if module is decoder)


def _decoder_parameters(model: "PreTrainedModel", peft: "Peft") -> list[str]:
    if not model.config.is_encoder_decoder:
        raise UserError(
            f"peft ({peft.name}): {model.config.model_type} is a decoder only; to train all of it take peft=base"
        )
    shared = (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
    inside = f"{decoder_name(model)}."
    return [
        name
        for name, parameter in model.named_parameters()
        if name.startswith(inside) and not any(parameter is one for one in shared)
    ]


def _named_linears(model: "PreTrainedModel") -> list[tuple[str, nn.Module]]:
    from transformers.pytorch_utils import Conv1D

    return [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _is_cross(name: str) -> bool:
    return any(part in _CROSS for part in name.split("."))


def _why_missing(model: "PreTrainedModel", letter: str) -> str:
    family = model.config.model_type
    fused = next((name for name, _ in _named_linears(model) if _leaf(name) in _FUSED), None)
    if fused and letter in "qkv":
        return f"{family} fuses q, k and v in one matrix ({fused}); {letter} cannot be trained apart from the others"
    return f"{family} has no {letter} projection under a name that is known here"
