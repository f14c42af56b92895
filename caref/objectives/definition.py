"""What an objective is defined by: one file of `caref.objectives.terms`, from what a model predicted to named terms.

Imports no torch, so that a command line is read without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from caref.config.schema import Reg

if TYPE_CHECKING:
    from torch import Tensor

    from caref.objectives.per_token import PerToken


@dataclass(frozen=True)
class Term:
    """One term of an objective, before its mean.

    values: (B, T), one a target position, or (B,), one an example.
    weight: its factor in the loss; 0 for what is only logged.
    supervised: whether it is the part that teaches the label. Training on the answer alone counts these terms
        on the answer's positions only, and every other term on all target positions.
    """

    values: "Tensor"
    weight: float
    supervised: bool = False


@dataclass(frozen=True)
class Predicted:
    """What a model predicted for a batch, beside what it should have.

    output: the model's output, with all that the definition `needs`.
    labels: (B, T) int64, `ignore_index` where nothing is to be predicted; (N,), all of them labels, of a definition
        `by_position`.
    """

    output: Any
    labels: "Tensor"
    ignore_index: int

    @property
    def logits(self) -> "Tensor":
        """(B, T, V) or (N, V), aligned with the labels."""
        return self.output.logits

    def per_token(self, alpha: float | None = None, beta: float | None = None) -> "PerToken":
        """Cross-entropy, KL to uniform, entropy and, given its exponents, SCED at each position: `per_token`, fused."""
        from caref.objectives.per_token import per_token

        return per_token(self.logits, self.labels, alpha=alpha, beta=beta, ignore_index=self.ignore_index)


@dataclass
class Definition(Reg):
    """One file of `caref.objectives.terms`: a dataclass of parameters that yields its terms.

    needs: what the model's output must hold beside logits, by the names transformers gives them
        ("attentions", "hidden_states", ...).
    by_position: whether a position's values depend on nothing but its logits and its label. Then a training computes
        logits only where there is a label, and the terms are asked for these: logits (N, V), labels (N,).
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    by_position: ClassVar[bool] = False

    def terms(self, predicted: Predicted) -> Mapping[str, Term]:
        """The named terms of one batch; the loss is the sum of their weighted means."""
        raise NotImplementedError
