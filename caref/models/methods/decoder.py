"""DEC."""

from dataclasses import dataclass

from caref.errors import UserError
from caref.models import modules
from caref.models.method import Sparse


@dataclass
class Decoder(Sparse):
    """Every decoder parameter but the shared embedding and the output head (DEC)."""

    method: str = "decoder"

    def why_alone(self) -> str:
        return "every weight of the decoder would be held once a split"

    def parameters(self, model) -> list[str]:
        if not model.config.is_encoder_decoder:
            what = "an encoder" if modules.classifies(model) else "a decoder"
            raise UserError(
                f"peft ({self.name}): {model.config.model_type} is {what} only; to train all of it take peft=base"
            )
        shared = (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
        inside = f"{modules.decoder_name(model)}."
        return [
            name
            for name, parameter in model.named_parameters()
            if name.startswith(inside) and not any(parameter is one for one in shared)
        ]
