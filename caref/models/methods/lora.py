"""LoRA (Hu et al. 2021) and DoRA (Liu et al. 2024), by PEFT."""

from dataclasses import dataclass
from typing import ClassVar

from caref.config.ranges import above, at_least, below
from caref.models import modules
from caref.models.method import Adapter

# How PEFT may draw what a split starts from; it knows more, which it computes from the model's weights or from data.
_DRAWN = (True, False, "gaussian", "orthogonal", "mica")


@dataclass
class Lora(Adapter):
    """A low-rank update of every linear layer but the output head, and of experts' matrices."""

    method: str = "lora"
    r: int = 4
    alpha: float = 8.0  # the update is scaled by alpha / r
    dropout: float = 0.0
    dora: bool = False  # decompose into magnitude and direction (DoRA)

    taken: ClassVar = {"r": "r", "lora_alpha": "alpha", "lora_dropout": "dropout", "use_dora": "dora"}

    def __post_init__(self):
        super().__post_init__()
        drawn = self.options.get("init_lora_weights", True)
        if drawn not in _DRAWN:
            told = "it rewrites the model's own weights, which the next split needs as they were; choose one of"
            raise ValueError(f"options.init_lora_weights={drawn}: {told} {', '.join(map(str, _DRAWN)).lower()}")
        at_least(1, r=self.r)
        above(0, alpha=self.alpha)
        at_least(0, dropout=self.dropout)
        below(1, dropout=self.dropout)

    def why_alone(self) -> str | None:
        if self.dora:
            return "a magnitude is taken over the base weight and the update together"
        return super().why_alone()

    def left_out(self, model) -> str | None:
        return super().left_out(model) if self.dora or self.dropout else None

    def configuration(self, model, total_steps):
        from peft import LoraConfig

        # Of experts PEFT adapts the weights, not what goes through them: with neither dropout nor magnitude.
        experts = None if self.dora or self.dropout else modules.experts(model) or None
        return LoraConfig(
            task_type=modules.task(model),
            target_modules=modules.linears(model),
            target_parameters=experts,
            fan_in_fan_out=modules.has_conv1d(model),
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            use_dora=self.dora,
        )
