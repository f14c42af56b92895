"""Plain cross-entropy."""

from dataclasses import dataclass

from caref.objectives.definition import Definition, Predicted, Term


@dataclass
class CrossEntropy(Definition):
    """Cross-entropy against the label."""

    term: str = "cross_entropy"

    def terms(self, predicted: Predicted) -> dict[str, Term]:
        return {"ce": Term(predicted.per_token().ce, 1.0, supervised=True)}
