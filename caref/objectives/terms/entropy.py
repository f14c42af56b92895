"""Cross-entropy with the confidence penalty of Pereyra et al. (2017)."""

from dataclasses import dataclass
from typing import ClassVar

from caref.config.ranges import at_least
from caref.objectives.definition import Definition, Predicted, Term


@dataclass
class Entropy(Definition):
    """Cross-entropy - lambda_entropy * entropy(P): a confident, low-entropy prediction costs more."""

    by_position: ClassVar[bool] = True
    term: str = "entropy"
    lambda_entropy: float = 0.1

    def __post_init__(self):
        at_least(0, lambda_entropy=self.lambda_entropy)

    def terms(self, predicted: Predicted) -> dict[str, Term]:
        at = predicted.per_token()
        return {"ce": Term(at.ce, 1.0, supervised=True), "entropy": Term(at.entropy, -self.lambda_entropy)}
