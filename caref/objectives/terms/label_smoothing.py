"""Cross-entropy against smoothed labels (Szegedy et al. 2016)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from caref.objectives.per_token import per_token
from caref.objectives.ranges import at_least
from caref.objectives.reduction import Term


@dataclass(frozen=True)
class LabelSmoothing:
    """Cross-entropy against (1 - smoothing) * one-hot + smoothing * uniform.

    Logged as its two parts: `ce`, against the label, and `uniform`, against the uniform distribution. When
    only the answer is supervised, the second still counts on all target positions, like every regulariser.
    """

    smoothing: float  # in [0, 1)
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self):
        at_least(0, smoothing=self.smoothing)
        if self.smoothing >= 1:
            raise ValueError(f"smoothing={self.smoothing}: must be below 1")

    def __call__(self, output: Any, labels: Tensor, ignore_index: int) -> dict[str, Term]:
        at = per_token(output.logits, labels, ignore_index=ignore_index)
        return {
            "ce": Term(at.ce, 1 - self.smoothing, supervised=True),
            "uniform": Term(at.uniform, self.smoothing),
        }
