"""Plain cross-entropy."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from caref.objectives.per_token import per_token
from caref.objectives.reduction import Term


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy against the label."""

    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, output: Any, labels: Tensor, ignore_index: int) -> dict[str, Term]:
        at = per_token(output.logits, labels, ignore_index=ignore_index)
        return {"ce": Term(at.ce, 1.0, supervised=True)}
