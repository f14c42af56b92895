"""AdaLoRA (Zhang et al. 2023), by PEFT."""

from dataclasses import dataclass
from typing import ClassVar

from caref.config.ranges import above, at_least, below
from caref.errors import UserError
from caref.models import modules
from caref.models.method import Adapter


@dataclass
class AdaLora(Adapter):
    """LoRA on every linear layer but the output head, whose ranks fall during training where they matter least."""

    method: str = "adalora"
    init_r: int = 32
    target_r: int = 8
    alpha: float = 32.0
    dropout: float = 0.0
    warmup: float = 0.1  # share of the steps before ranks begin to fall (PEFT's tinit)
    settle: float = 0.3  # share of the steps after the last fall (PEFT's tfinal)
    interval: int = 10  # steps between two allocations (PEFT's deltaT)
    orthogonality: float = 0.5  # weight of the orthogonality term

    taken: ClassVar = {
        "init_r": "init_r",
        "target_r": "target_r",
        "lora_alpha": "alpha",
        "lora_dropout": "dropout",
        "tinit": "warmup",
        "tfinal": "settle",
        "deltaT": "interval",
        "orth_reg_weight": "orthogonality",
        "r": "init_r",
    }
    later: ClassVar = ("beta1", "beta2")

    def __post_init__(self):
        super().__post_init__()
        at_least(1, init_r=self.init_r, target_r=self.target_r, interval=self.interval)
        above(0, alpha=self.alpha)
        at_least(0, dropout=self.dropout, warmup=self.warmup, settle=self.settle, orthogonality=self.orthogonality)
        below(1, dropout=self.dropout)
        if self.target_r >= self.init_r:
            raise ValueError(
                f"target_r={self.target_r}: must be below peft.init_r={self.init_r}, from which ranks fall"
            )
        for name in self.later:
            if name in self.options and not 0 < self.options[name] < 1:
                raise ValueError(f"options.{name}={self.options[name]}: must be above 0 and below 1")
        if not self.warmup + self.settle < 1:
            raise ValueError(
                f"warmup={self.warmup}: with peft.settle={self.settle} it leaves no step for ranks to fall"
            )

    def why_alone(self) -> str:
        return "each split allocates its ranks by itself"

    def configuration(self, model, total_steps):
        from peft import AdaLoraConfig

        settle = int(self.settle * total_steps)
        if total_steps - settle < 2:  # importance has to be measured on a step before the last fall
            raise UserError(
                f"peft ({self.name}): a run of {total_steps} steps is too short for ranks to fall before "
                f"peft.settle={self.settle} of it; raise train.epochs"
            )
        return AdaLoraConfig(
            task_type=modules.task(model),
            target_modules=modules.linears(model),
            fan_in_fan_out=modules.has_conv1d(model),
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            init_r=self.init_r,
            target_r=self.target_r,
            total_step=total_steps,
            tinit=int(self.warmup * total_steps),  # rounded down, as `settle` is, so that a step is between them
            tfinal=settle,
            deltaT=self.interval,
            orth_reg_weight=self.orthogonality,
        )

    def after_step(self, adapted, step: int) -> None:
        import torch

        for parameter in adapted.parameters():
            if parameter.requires_grad and parameter.grad is None:  # an expert that no token of the batch went to
                parameter.grad = torch.zeros_like(parameter)
        adapted.base_model.update_and_allocate(step)

    def extra_loss(self, adapted):
        """AdaLoRA's regulariser: the mean over all its A and B of ||A A' - I||_F and ||B' B - I||_F, times its weight.

        PEFT adds it only to a loss that the model computes itself. Zhang et al. 2023, equation 4, with the mean over
        the matrices (and no square) as PEFT has it.
        """
        import torch

        deviations = []
        with torch.autocast(adapted.device.type, enabled=False):
            for name, parameter in adapted.named_parameters():
                if "lora_A" in name or "lora_B" in name:
                    gram = parameter @ parameter.T if "lora_A" in name else parameter.T @ parameter
                    deviations.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
            return self.orthogonality * torch.stack(deviations).mean()
