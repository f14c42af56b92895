"""What is trained of a model: one file of `caref.models.methods`, a dataclass of parameters derived from one of two.

`Sparse` methods train some of the model's own parameters, `Adapter` methods what PEFT puts beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from omegaconf import OmegaConf

from caref.config.kinds import kinds, made
from caref.config.schema import Peft
from caref.models import methods, options

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel


# Options of PEFT's that change what a split starts from, how large it is or a factor: packed layers keep to them.
_SIDE_BY_SIDE = {"use_rslora", "init_lora_weights", "rank_pattern", "alpha_pattern", "exclude_modules", "lora_bias"}


@dataclass
class Method(Peft):
    def why_alone(self) -> str | None:
        """Why the splits of this method have to be trained one by one; None where they can lie side by side."""
        return None


@dataclass
class Sparse(Method):
    """Trains some of the model's own parameters, everything else frozen."""

    def parameters(self, model: "PreTrainedModel") -> list[str]:
        """Names of the parameters that are trained, some of those of `model.named_parameters()`.

        Raises:
            UserError: if the model has no such parameters: no decoder of its own, fused projections, none at all.
        """
        raise NotImplementedError


@dataclass
class Adapter(Method):
    """Trains an adapter of PEFT's beside the model's own parameters.

    Attributes:
        options: further fields of PEFT's configuration, such as use_rslora: true.
        tuner: PEFT's folder of it; None where it is called as the method is.
        taken: which of the method's keys sets a field of PEFT's, by the field's name.
        later: fields of PEFT's that show after some steps alone, not in what is trained or its first gradients.
    """

    options: dict[str, Any] = field(default_factory=dict)
    tuner: ClassVar[str | None] = None
    taken: ClassVar[Mapping[str, str]] = {}
    later: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        if OmegaConf.is_config(self.options):
            self.options = OmegaConf.to_container(self.options, resolve=True)
        options.check(self.tuner or self.method, self.options, self.taken)

    def why_alone(self) -> str | None:
        strange = sorted(self.options.keys() - _SIDE_BY_SIDE)
        return f"it has not been tried side by side: peft.options.{strange[0]}" if strange else None

    def left_out(self, model: "PreTrainedModel") -> str | None:
        """One line of what of the model this cannot adapt though it would be expected to; None where it is nothing."""
        from caref.models import modules

        if not (experts := modules.experts(model)):
            return None
        return f"not adapted: the matrices of experts, which are no linear layers, such as {experts[0]}"

    def configuration(self, model: "PreTrainedModel", total_steps: int) -> "PeftConfig":
        """What PEFT is to put on the model.

        Args:
            total_steps: optimiser steps of the run.

        Raises:
            UserError: if the model lacks what this adapts, or the run is too short for it.
        """
        raise NotImplementedError

    def after_step(self, adapted: "PeftModel", step: int) -> None:
        """Whatever is to be done after step number `step` (from 1) and before gradients are set to zero."""

    def extra_loss(self, adapted: "PeftModel") -> "Tensor | None":
        """A scalar that the method itself adds to the objective, or None."""
        return None


def build(peft: Peft | Mapping[str, Any]) -> Method:
    """The method that a configuration names; one that is built already is handed back.

    Raises:
        UserError: there is no such method, or a parameter is out of its range.
    """
    if isinstance(peft, Method):
        return peft
    return made(kinds(methods, Peft), "peft.method", vars(peft) if isinstance(peft, Peft) else peft)
