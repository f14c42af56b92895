"""Cross-entropy against smoothed labels (Szegedy et al. 2016)."""

from dataclasses import dataclass
from typing import ClassVar

from caref.config.ranges import at_least, below
from caref.objectives.definition import Definition, Predicted, Term


@dataclass
class LabelSmoothing(Definition):
    """Cross-entropy against (1 - smoothing) * one-hot + smoothing * uniform.

    Logged as its two parts: `ce`, against the label, and `uniform`, against the uniform distribution. When
    only the answer is supervised, the second still counts on all target positions, like every regulariser.
    """

    by_position: ClassVar[bool] = True
    term: str = "label_smoothing"
    smoothing: float = 0.1  # in [0, 1)

    def __post_init__(self):
        at_least(0, smoothing=self.smoothing)
        below(1, smoothing=self.smoothing)

    def terms(self, predicted: Predicted) -> dict[str, Term]:
        at = predicted.per_token()
        return {
            "ce": Term(at.ce, 1 - self.smoothing, supervised=True),
            "uniform": Term(at.uniform, self.smoothing),
        }
