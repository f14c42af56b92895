"""Prefix tuning (Li and Liang 2021), by PEFT."""

import inspect
from dataclasses import dataclass
from typing import ClassVar

from caref.config.ranges import at_least
from caref.errors import UserError
from caref.models import modules
from caref.models.method import Adapter


@dataclass
class Prefix(Adapter):
    """Learnt keys and values before every layer's own (an encoder-decoder's: the decoder's self-attention)."""

    method: str = "prefix"
    tokens: int = 20  # virtual tokens before every layer's keys and values

    tuner = "prefix_tuning"
    taken: ClassVar = {"num_virtual_tokens": "tokens"}

    def __post_init__(self):
        super().__post_init__()
        at_least(1, tokens=self.tokens)

    def left_out(self, model) -> None:
        return None

    def why_alone(self) -> str:
        return "a prefix lies in the cache, not in a module"

    def configuration(self, model, total_steps):
        from peft import PrefixTuningConfig

        config = model.config
        shape = {}
        if "past_key_values" not in inspect.signature(model.forward).parameters:
            raise UserError(f"peft ({self.name}): {config.model_type} keeps no keys and values for a prefix to precede")
        if config.is_encoder_decoder:
            # PEFT would size the prefix by the encoder, and by d_model where T5 has num_heads * d_kv.
            try:
                layers = _first(config, "decoder_layers", "num_decoder_layers")
                heads = _first(config, "decoder_attention_heads", "num_decoder_attention_heads", "num_heads")
                width = heads * config.d_kv if hasattr(config, "d_kv") else _first(config, "d_model", "hidden_size")
            except AttributeError:
                raise UserError(
                    f"peft ({self.name}): the decoder of {config.model_type} does not say its shape"
                ) from None
            shape = {"num_layers": layers, "num_attention_heads": heads, "token_dim": width}
        return PrefixTuningConfig(
            task_type=modules.task(model), num_virtual_tokens=self.tokens, num_transformer_submodules=1, **shape
        )


def _first(config, *names: str) -> int:
    """The first of these that the configuration holds."""
    for name in names:
        if hasattr(config, name):
            return getattr(config, name)
    raise AttributeError(names)
