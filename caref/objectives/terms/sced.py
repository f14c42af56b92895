"""The paper's objective: cross-entropy, SCED and KL to uniform."""

from dataclasses import dataclass
from typing import ClassVar

from caref.config.ranges import at_least
from caref.objectives.definition import Definition, Predicted, Term


@dataclass
class Sced(Definition):
    """Cross-entropy + lambda_sced * SCED(alpha, beta) + lambda_kl * KL(P || U)."""

    by_position: ClassVar[bool] = True
    term: str = "sced"
    alpha: float = 2.0  # >= 1, where SCED's gradient is bounded
    beta: float = 1.0  # >= 0
    lambda_sced: float = 0.1
    lambda_kl: float = 0.1

    def __post_init__(self):
        at_least(1, alpha=self.alpha)
        at_least(0, beta=self.beta, lambda_sced=self.lambda_sced, lambda_kl=self.lambda_kl)
        for name in ("alpha", "beta"):
            if not self.lambda_sced and getattr(self, name) != getattr(Sced, name):
                raise ValueError(f"{name}={getattr(self, name)}: lambda_sced=0 gives SCED no weight; leave it out")

    def terms(self, predicted: Predicted) -> dict[str, Term]:
        at = predicted.per_token(self.alpha, self.beta)
        return {
            "ce": Term(at.ce, 1.0, supervised=True),
            "sced": Term(at.sced, self.lambda_sced),
            "kl": Term(at.kl, self.lambda_kl),
        }
