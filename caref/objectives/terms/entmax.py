"""The alpha-entmax loss (Peters, Niculae and Martins 2019), computed by the authors' `entmax` library."""

from dataclasses import dataclass
from typing import ClassVar

from caref.config.ranges import at_least
from caref.objectives.definition import Definition, Predicted, Term

# How many of a row's largest logits are sorted at first; more are only where the support is wider.
_SORTED = 512


@dataclass
class Entmax(Definition):
    """The alpha-entmax loss in the place of cross-entropy, which is logged beside it.

    alpha: above 1, where it tends to cross-entropy; 2 is sparsemax's loss. 1.5 and 2 are solved exactly, any
        other value by bisection. Below 1.001 it loses too many digits of float32, and it is refused.
    """

    by_position: ClassVar[bool] = True
    term: str = "entmax"
    alpha: float = 1.5  # >= 1.001; alpha 1 is the softmax, which is reg=none

    def __post_init__(self):
        at_least(1.001, alpha=self.alpha)

    def terms(self, predicted: Predicted) -> dict[str, Term]:
        import torch

        from caref.kernels.once import differentiated_once

        labels = predicted.labels
        with torch.no_grad():
            at = predicted.per_token()
        counted = labels != predicted.ignore_index
        rows = differentiated_once(predicted.logits[counted])  # the library loses the second order without a word
        losses = self._loss(rows if rows.dtype == torch.float64 else rows.float(), labels[counted])
        return {
            "entmax": Term(losses.new_zeros(labels.shape).masked_scatter(counted, losses), 1.0, supervised=True),
            "ce": Term(at.ce, 0.0, supervised=True),
        }

    def _loss(self, logits, labels):
        from entmax import entmax15_loss, entmax_bisect_loss, sparsemax_loss

        sorted_first = min(_SORTED, logits.shape[-1])
        if self.alpha == 1.5:
            return entmax15_loss(logits, labels, sorted_first)
        if self.alpha == 2:
            return sparsemax_loss(logits, labels, sorted_first)
        return entmax_bisect_loss(logits, labels, self.alpha)
