"""Where a model computes the queries and keys of its attention, and what they are for a batch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from caref.errors import UserError
from caref.models import reach
from caref.models.modules import PROJECTIONS, classifies, encoder_name, is_cross, is_fused
from caref.objectives.explainers import Attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SITES = ("cross", "encoder", "both", "self")
# What families call the width of a head.
_WIDTHS = ("head_dim", "key_value_proj_dim", "attention_head_size")


@dataclass(frozen=True)
class Layer:
    """One attention.

    Attributes:
        query, key: the names of the modules that project its queries and keys, the same where they are fused.
        scale: its logits are this times their inner products, but for positions; None where that is not known.
    """

    query: str
    key: str
    heads: int
    key_heads: int
    width: int
    scale: float | None


def sites(model: "PreTrainedModel", site: str | None) -> dict[str, list[Layer]]:
    """The layers of each site, in the model's order.

    Args:
        model: bare, nothing trained on it; it may lie on the meta device.
        site: `cross`, from decoder to encoder, `encoder` or `both` of an encoder-decoder; `self` of a decoder-only
            model; `encoder` or `self` of a classifier, the same layers; None for the first of these.

    Raises:
        UserError: the model has no such site, or its queries and keys cannot be told apart by name.
    """
    family, pair = model.config.model_type, model.config.is_encoder_decoder
    has = ("cross", "encoder", "both") if pair else ("encoder", "self") if classifies(model) else ("self",)
    site = site or has[0]
    if site not in has:
        told = " or ".join(filter(None, (", ".join(has[:-1]), has[-1])))
        raise UserError(f"reg.site={site}: {family} has no such attention to explain by; choose {told}")
    encoder = f"{encoder_name(model)}." if pair else ""
    called = reach.called(model)
    wanted = ("cross", "encoder") if site == "both" else (site,)
    found: dict[str, list[Layer]] = {one: [] for one in wanted}
    for name, module in model.named_modules():
        where = "cross" if is_cross(name) else site if not pair else "encoder" if name.startswith(encoder) else None
        if where in found and name in called and (layer := _layer(model, name, module)) is not None:
            if called[name] > 1:
                raise UserError(f"reg: {family} computes {called[name]} layers by one ({name}), which cannot be told "
                                "apart; choose another model")  # fmt: skip
            found[where].append(layer)
    for one, layers in found.items():
        if not layers:
            raise UserError(f"reg.site={one}: no query and key projections of {family} are known by their names")
        if len({(layer.heads, layer.key_heads, layer.width, layer.scale) for layer in layers}) > 1:
            raise UserError(f"reg.site={one}: layers of {family} differ in their heads; one module explains them all")
    return found


def attention(layers: Sequence[Layer]) -> Attention:
    """The shape of a site."""
    one = layers[0]
    return Attention(len(layers), one.heads, one.key_heads, one.width, one.scale)


def _layer(model: "PreTrainedModel", name: str, module: nn.Module) -> Layer | None:
    path, _, leaf = name.rpartition(".")
    fused = isinstance(module, Conv1D) and is_fused(name)
    if not fused and is_fused(name):
        raise UserError(f"reg: {model.config.model_type} fuses queries, keys and values in one matrix ({name}), whose "
                        "order is not known here; choose another model")  # fmt: skip
    if not fused and leaf not in PROJECTIONS["q"]:
        return None
    parent = model.get_submodule(path)
    width = next((getattr(parent, key) for key in _WIDTHS if hasattr(parent, key)), None)
    key = name if fused else next((f"{path}.{one}" for one in PROJECTIONS["k"] if hasattr(parent, one)), None)
    if width is None or key is None:
        return None
    # (in, out) of a Conv1D, whose thirds are q, k and v; (out, in) of a linear layer
    of_queries = module.weight.shape[1] // 3 if fused else module.weight.shape[0]
    of_keys = of_queries if fused else model.get_submodule(key).weight.shape[0]
    return Layer(name, key, of_queries // width, of_keys // width, width, _scale(parent))


def _scale(attention: nn.Module) -> float | None:
    """None where the module does not tell it, and where it norms queries or keys (Qwen3, OLMo 2) or bounds logits."""
    normed = any("norm" in name for name, _ in attention.named_children())
    bounded = getattr(attention, "attn_logit_softcapping", None) is not None
    return None if normed or bounded else getattr(attention, "scaling", None)


class Projected:
    """What the projections of some layers gave at each of their calls, as long as `listening`."""

    def __init__(self, model: nn.Module, layers: Sequence[Layer]):
        self._model, self._layers = model, layers
        self._given: dict[str, list[Tensor]] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """In the block the model's calls are listened to, whatever is trained in the places of its modules."""
        self._given = {name: [] for layer in self._layers for name in (layer.query, layer.key)}
        hooks = [
            self._model.get_submodule(name).register_forward_hook(
                lambda _, inputs, output, given=given: given.append(output)
            )
            for name, given in self._given.items()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def queries(self) -> list[Tensor]:
        """(rows, T', heads, width) of each layer, at the first call."""
        return [self._part(layer, layer.query, 0).unflatten(-1, (layer.heads, -1)) for layer in self._layers]

    def keys(self) -> list[Tensor]:
        """(rows, T, key heads, width) of each layer, at the first call."""
        return [self._part(layer, layer.key, 1).unflatten(-1, (layer.key_heads, -1)) for layer in self._layers]

    def _part(self, layer: Layer, name: str, third: int) -> Tensor:
        given = self._given[name][0]
        return given.chunk(3, -1)[third] if layer.query == layer.key else given
