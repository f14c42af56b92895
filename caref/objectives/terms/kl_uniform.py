"""Cross-entropy and KL to uniform."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from caref.objectives.per_token import per_token
from caref.objectives.ranges import at_least
from caref.objectives.reduction import Term


@dataclass(frozen=True)
class KlUniform:
    """Cross-entropy + lambda_kl * KL(P || U)."""

    lambda_kl: float
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self):
        at_least(0, lambda_kl=self.lambda_kl)

    def __call__(self, output: Any, labels: Tensor, ignore_index: int) -> dict[str, Term]:
        at = per_token(output.logits, labels, ignore_index=ignore_index)
        return {"ce": Term(at.ce, 1.0, supervised=True), "kl": Term(at.kl, self.lambda_kl)}
