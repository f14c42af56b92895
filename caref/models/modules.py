"""Which modules of a model are what: attention's projections, norms, linear layers, the decoder.

Each is a function from a model to module names, for whatever treats those modules otherwise. Importing this loads
neither torch nor transformers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from caref.errors import UserError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

SCOPES = ("self", "decoder")

# What families call an attention's projections, its fused q-k-v matrix, and the attention over the encoder's output.
PROJECTIONS = {
    "q": ("q", "q_proj", "query"),
    "k": ("k", "k_proj", "key"),
    "v": ("v", "v_proj", "value"),
    "o": ("o", "o_proj", "out_proj"),
}
_FUSED = ("c_attn", "query_key_value", "qkv_proj", "Wqkv", "qkv")
_CROSS = ("EncDecAttention", "encoder_attn", "cross_attn", "crossattention", "encoder_attention")


def projections(
    model: "PreTrainedModel", which: Sequence[str], scope: str = "self", subject: str = "peft"
) -> list[str]:
    """Names of the attention projections, in the model's order.

    Args:
        which: of PROJECTIONS.
        scope: `self`, all self-attention, in encoder and decoder; `decoder`, the decoder's self- and cross-attention.
        subject: what an error names first.

    Raises:
        UserError: if one of `which` is fused with others or not there, or the model has no such scope.
    """
    if scope == "decoder" and not model.config.is_encoder_decoder:
        raise UserError(
            f"{subject}: peft.scope=decoder: {model.config.model_type} has no decoder apart from the model; "
            "all its attention is scope=self"
        )
    found = []
    for letter in which:
        modules = [name for name, module in _named_linears(model) if _leaf(name) in PROJECTIONS[letter]]
        if not modules:
            raise UserError(f"{subject}: {_why_missing(model, letter)}")
        found += modules
    decoder = f"{decoder_name(model)}." if scope == "decoder" else ""
    chosen = {name for name in found if name.startswith(decoder) and (scope == "decoder" or not is_cross(name))}
    return [name for name, _ in model.named_modules() if name in chosen]


def classifies(model: "PreTrainedModel") -> bool:
    """Whether a model is an encoder with a head of one output a class."""
    return type(model).__name__.endswith("ForSequenceClassification")


def head(model: "PreTrainedModel") -> list[str]:
    """Names of the modules that a classifier has beside its encoder; none of another model.

    They come with no checkpoint, so that they are trained whatever else is.
    """
    if not classifies(model):
        return []
    parts = model.named_children()
    return [name for name, part in parts if name != model.base_model_prefix and any(True for _ in part.parameters())]


def norms(model: "PreTrainedModel") -> list[str]:
    """Names of all layer norms (LayerNorm, RMSNorm and their kin), in the model's order."""
    kinds = ("LayerNorm", "RMSNorm")
    return [name for name, module in model.named_modules() if any(kind in type(module).__name__ for kind in kinds)]


def linears(model: "PreTrainedModel") -> list[str]:
    """Names of all linear layers that a text is passed through but the output head, in the model's order."""
    from caref.models import reach

    called = reach.called(model)
    of_head = {name for part in head(model) for name in _inside(model, part)}
    own = [(name, module) for name, module in _named_linears(model) if module is not model.get_output_embeddings()]
    return [name for name, _ in own if name in called and name not in of_head]


def _inside(model: "PreTrainedModel", part: str) -> list[str]:
    return [name for name, _ in model.named_modules() if f"{name}.".startswith(f"{part}.")]


def unreached(model: "PreTrainedModel") -> list[str]:
    """Names of the modules that hold parameters, but none that a text reaches."""
    from caref.models import reach

    lost = reach.unreached(model)
    held = {path: [f"{path}.{name}" for name, _ in module.named_parameters()] for path, module in model.named_modules()}
    return [path for path, names in held.items() if names and lost.issuperset(names)]


def experts(model: "PreTrainedModel") -> list[str]:
    """Names of the parameters that hold the matrices of all experts of a layer in one, which are no linear layers."""
    return [name for name, parameter in model.named_parameters() if parameter.dim() == 3 and ".experts." in name]


def decoder_name(model: "PreTrainedModel") -> str:
    """Name of an encoder-decoder's decoder."""
    return _name_of(model, model.get_decoder())


def encoder_name(model: "PreTrainedModel") -> str:
    """Name of an encoder-decoder's encoder."""
    return _name_of(model, model.get_encoder())


def _name_of(model: "PreTrainedModel", part: "nn.Module") -> str:
    return next(name for name, module in model.named_modules() if module is part)


def task(model: "PreTrainedModel") -> str:
    """What PEFT calls the model's task."""
    if classifies(model):
        return "SEQ_CLS"
    return "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"


def has_conv1d(model: "PreTrainedModel") -> bool:
    """Whether linear layers keep their weights (in, out), as GPT-2's do."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in model.modules())


def _named_linears(model: "PreTrainedModel") -> "list[tuple[str, nn.Module]]":
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def is_cross(name: str) -> bool:
    """Whether a module's name says that it lies in attention over an encoder's output."""
    return any(part in _CROSS for part in name.split("."))


def is_fused(name: str) -> bool:
    """Whether a module's name says that it projects queries, keys and values at once."""
    return _leaf(name) in _FUSED


def _why_missing(model: "PreTrainedModel", letter: str) -> str:
    family = model.config.model_type
    fused = next((name for name, _ in _named_linears(model) if is_fused(name)), None)
    if fused and letter in "qkv":
        return f"{family} fuses q, k and v in one matrix ({fused}); {letter} cannot be trained apart from the others"
    return f"{family} has no {letter} projection under a name that is known here"
