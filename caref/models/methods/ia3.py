"""(IA)^3 (Liu et al. 2022), by PEFT."""

from dataclasses import dataclass

from caref.errors import UserError
from caref.models import modules
from caref.models.method import Adapter


@dataclass
class Ia3(Adapter):
    """Learnt scales of keys (BART: queries), values and feed-forward activations."""

    method: str = "ia3"

    def configuration(self, model, total_steps):
        from peft import IA3Config
        from peft.utils import (
            TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
            TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
        )

        family = model.config.model_type
        if family not in TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING:
            raise UserError(f"peft ({self.name}): PEFT does not know which modules of {family} to rescale")
        return IA3Config(
            task_type=modules.task(model),
            target_modules=TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING[family],
            feedforward_modules=TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING[family],
            exclude_modules=modules.unreached(model) or None,
            fan_in_fan_out=modules.has_conv1d(model),
        )
