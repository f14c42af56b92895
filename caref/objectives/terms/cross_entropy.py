"""Plain cross-entropy."""

from dataclasses import dataclass
from typing import ClassVar

from caref.objectives.definition import Definition, Predicted, Term


@dataclass
class CrossEntropy(Definition):
    """Cross-entropy against the label."""

    by_position: ClassVar[bool] = True
    term: str = "cross_entropy"

    def terms(self, predicted: Predicted) -> dict[str, Term]:
        return {"ce": Term(predicted.per_token().ce, 1.0, supervised=True)}
