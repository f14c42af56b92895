"""Cross-entropy and KL to uniform."""

from dataclasses import dataclass
from typing import ClassVar

from caref.config.ranges import at_least
from caref.objectives.definition import Definition, Predicted, Term


@dataclass
class KlUniform(Definition):
    """Cross-entropy + lambda_kl * KL(P || U)."""

    by_position: ClassVar[bool] = True
    term: str = "kl_uniform"
    lambda_kl: float = 0.1

    def __post_init__(self):
        at_least(0, lambda_kl=self.lambda_kl)

    def terms(self, predicted: Predicted) -> dict[str, Term]:
        at = predicted.per_token()
        return {"ce": Term(at.ce, 1.0, supervised=True), "kl": Term(at.kl, self.lambda_kl)}
