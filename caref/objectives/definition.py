"""What an objective is defined by: one file of `caref.objectives.terms`, from what a model predicted to named terms.

Imports no torch, so that a command line is read without it.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from caref.config.schema import Reg

if TYPE_CHECKING:
    from torch import Tensor

    from caref.objectives.explainers import Attention, Explainer
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
class Answered:
    """What a model answered to B questions, before anything was erased.

    log_p: (B, C) of the choices, normalised; -1e9 or less where an example has fewer than another.
    states: (B, D), hidden states, mean over layers and the tokens of the prompt; None unless asked for.
    heard: what its attention's projections gave, for `Asking.explained`.
    """

    log_p: "Tensor"
    states: "Tensor | None"
    heard: Any


class Asking(Protocol):
    """A batch as questions to the model that is trained, for objectives that look at more than its output.

    Nothing is dropped out in what is asked. Rows of K splits lie one after the other, B in all.

    Attributes:
        splits: K.
        words: (B, W) bool, which words an example has; of its fields, never of the template.
    """

    splits: int
    words: "Tensor"

    def frozen(self, frozen: bool) -> AbstractContextManager[None]:
        """In the block, where it is `frozen`, no gradient reaches the model, only the module beside it."""

    def read(self, states: bool = False) -> Answered:
        """What the model says of the choices."""

    def explained(self, answered: Answered, choice: "Tensor") -> "Tensor":
        """(B, T): r, the module's distribution over the tokens of words, for a choice of each example, (B,)."""

    def by_word(self, r: "Tensor") -> "Tensor":
        """(B, W): sums over each word's tokens."""

    def by_type(self, r: "Tensor") -> "Tensor":
        """(B, N): sums over all words of the same tokens, of the N that the examples of a split have among them."""

    def simulated(self, norm: str, rate: float, weight: float) -> "Tensor":
        """(B,): how badly a student foresees the model's choices, after a step on the batch before that is thrown away.

        Differentiable by the module's weights through that step, see `caref.models.student.simulated`.
        """

    def log_p(self, kept: "Tensor", erased: str) -> "Tensor":
        """(B, V, C): log-probabilities of the choices where words are erased. Differentiable by `kept`.

        Args:
            kept: (B, V, W), 1 where a word stays and 0 where it is erased.
            erased: `mask`, an erased word's tokens have the mask token's embedding; `zero`, an embedding of zeros.
        """


@dataclass(frozen=True)
class Predicted:
    """What a model predicted for a batch, beside what it should have.

    output: the model's output.
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

    by_position: whether a position's values depend on nothing but its logits and its label. Then a training computes
        logits only where there is a label, and the terms are asked for these: logits (N, V), labels (N,).
    asks: whether it has terms of the batch's questions, too. It then has a `site`, which attention it hears, a
        `module_lr`, a `module_decay`, and an `explainer`.
    """

    by_position: ClassVar[bool] = False
    asks: ClassVar[bool] = False

    def explainer(self, sites: "Mapping[str, Attention]", splits: int) -> "Explainer":
        """The module that is trained beside the model, for K splits, where the definition `asks`."""
        raise NotImplementedError

    def erases(self) -> str | None:
        """How words are erased of the texts that it asks about, `mask` or `zero`; None where it erases none."""
        return None

    def differentiates_twice(self) -> bool:
        """Whether what it asks takes second derivatives through the model."""
        return False

    def why_alone(self) -> str | None:
        """Why the splits that it trains have to be trained one by one; None where they can lie side by side."""
        return None

    def asked(self, questions: Asking) -> "Mapping[str, Term]":
        """The named terms of what the model is asked, where the definition `asks`: an example or a split each."""
        raise NotImplementedError

    def terms(self, predicted: Predicted) -> Mapping[str, Term]:
        """The named terms of one batch; the loss is the sum of their weighted means."""
        raise NotImplementedError
