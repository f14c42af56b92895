"""Cross-entropy with the confidence penalty of Pereyra et al. (2017)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from caref.objectives.per_token import per_token
from caref.objectives.ranges import at_least
from caref.objectives.reduction import Term


@dataclass(frozen=True)
class Entropy:
    """Cross-entropy - lambda_entropy * entropy(P): a confident, low-entropy prediction costs more."""

    lambda_entropy: float
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self):
        at_least(0, lambda_entropy=self.lambda_entropy)

    def __call__(self, output: Any, labels: Tensor, ignore_index: int) -> dict[str, Term]:
        at = per_token(output.logits, labels, ignore_index=ignore_index)
        return {"ce": Term(at.ce, 1.0, supervised=True), "entropy": Term(at.entropy, -self.lambda_entropy)}
