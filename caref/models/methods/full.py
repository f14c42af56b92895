"""BASE."""

from dataclasses import dataclass

from caref.models.method import Sparse


@dataclass
class Full(Sparse):
    """Every parameter (BASE)."""

    method: str = "full"

    def why_alone(self) -> str:
        return "every weight would be held once a split"

    def parameters(self, model) -> list[str]:
        return [name for name, _ in model.named_parameters()]
