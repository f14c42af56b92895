"""What training minimises: an objective by name, and the paper's as a loss of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from caref.config.kinds import kinds, made
from caref.config.schema import Reg
from caref.kernels.graphs import uncompiled
from caref.objectives import terms as known
from caref.objectives.definition import Asking, Definition, Predicted
from caref.objectives.per_token import class_indices
from caref.objectives.reduction import Terms, Totals, reduce
from caref.objectives.terms.sced import Sced


@dataclass(frozen=True)
class Objective:
    """A definition and the way its terms become one loss."""

    definition: Definition
    ignore_index: int = -100

    @property
    def by_position(self) -> bool:
        """Whether logits are needed only where there are labels."""
        return self.definition.by_position

    @property
    def asks(self) -> bool:
        """Whether it is to be given the batch's questions, and a module is to be trained beside the model."""
        return self.definition.asks

    @uncompiled
    def __call__(
        self,
        output: Any,
        labels: Tensor,
        answer_labels: Tensor | None = None,
        groups: int | None = None,
        labelled: Tensor | None = None,
        questions: Asking | None = None,
        whole: Totals | None = None,
    ) -> Terms:
        """The loss of one batch and its named terms.

        Args:
            output: the model's output; `output.logits` (B, T, V) is aligned with the labels, or with `labelled`.
            labels: (B, T) int64, `ignore_index` where nothing is to be predicted.
            answer_labels: (B, T), the same with the explanation ignored too: cross-entropy is then counted on
                the answer only, regularisers still on all of `labels`.
            groups: splits packed side by side in the batch; loss and terms are then (groups,), one a split.
            labelled: (N,) places of labels.flatten() that are not ignored: `output.logits`, (..., V), is of these
                alone, in their order. For a definition `by_position` only.
            questions: the batch as questions to the model, for a definition that `asks`.
            whole: what the means are over, where the batch is a part of a larger one; the parts' losses, and their
                gradients, then add up to the larger one's.

        Raises:
            ValueError: the definition asks and is given no questions; no target token in the batch or in one of its
                groups; shapes that do not fit; a label outside the vocabulary.
        """
        labels = class_indices(labels)
        if labelled is None:
            terms = self.definition.terms(Predicted(output, labels, self.ignore_index))
        else:
            at = SimpleNamespace(logits=output.logits.flatten(end_dim=-2))
            terms = {
                name: replace(term, values=_spread(term.values, labelled, labels.shape))
                for name, term in self.definition.terms(
                    Predicted(at, labels.flatten()[labelled], self.ignore_index)
                ).items()
            }
        if self.asks:
            if questions is None:
                raise ValueError("this objective asks the model more than its logits say, and is given nothing else")
            terms = {**terms, **self.definition.asked(questions)}
        return reduce(terms, labels, answer_labels, ignore_index=self.ignore_index, groups=groups, count=whole)


def _spread(values: Tensor, places: Tensor, shape: Sequence[int]) -> Tensor:
    """(N,) -> `shape`, 0 elsewhere."""
    return values.new_zeros(shape).flatten().index_copy(0, places, values).view(shape)


def build(reg: Mapping[str, Any]) -> Objective:
    """The objective that a configuration names.

    Args:
        reg: `term` names a file of `caref.objectives.terms`, `name` is for tables, every other key is its parameter.

    Raises:
        UserError: there is no such objective, or a parameter is out of its range.
    """
    return Objective(made(kinds(known, Reg), "reg.term", reg))


class CarefTerms(Terms):
    """The terms of the paper's objective: `loss` to call backward() on; `ce`, `sced`, `kl` to look at."""

    @property
    def ce(self) -> Tensor:
        return self.named["ce"]

    @property
    def sced(self) -> Tensor:
        return self.named["sced"]

    @property
    def kl(self) -> Tensor:
        return self.named["kl"]


class CarefLoss(nn.Module):
    """Cross-entropy + lambda_sced * SCED + lambda_kl * KL to uniform: the paper's objective.

    Sums run over the vocabulary, means over every position of the batch whose label is not ignored. Under
    `torch.compile` it is one break of the graph, so that `fullgraph=True` refuses it.

    Args:
        alpha: exponent of |p log(p / U)|, >= 1.
        beta: exponent of (1 - p), >= 0.
        lambda_sced, lambda_kl: weights, >= 0.
        ignore_index: the label of positions that do not count.

    Raises:
        ValueError: a parameter out of its range, by its name.

    Example:
        >>> import torch
        >>> from caref import CarefLoss
        >>> logits = torch.randn(2, 5, 100, requires_grad=True)
        >>> labels = torch.randint(100, (2, 5))
        >>> terms = CarefLoss(alpha=2.0, beta=1.0)(logits, labels)
        >>> terms.loss.backward()
        >>> sorted(terms.named)
        ['ce', 'kl', 'sced']
    """

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 1.0,
        lambda_sced: float = 0.1,
        lambda_kl: float = 0.1,
        ignore_index: int = -100,
    ):
        super().__init__()
        self.definition = Sced(alpha=alpha, beta=beta, lambda_sced=lambda_sced, lambda_kl=lambda_kl)
        self.ignore_index = ignore_index

    def extra_repr(self) -> str:
        own = self.definition
        return (
            f"alpha={own.alpha}, beta={own.beta}, lambda_sced={own.lambda_sced}, lambda_kl={own.lambda_kl}, "
            f"ignore_index={self.ignore_index}"
        )

    @uncompiled
    def forward(self, logits: Tensor, labels: Tensor, count: Tensor | int | None = None) -> CarefTerms:
        """The loss of one batch.

        Args:
            logits: (..., V), float64, float32 or narrower (computed in float32), aligned with the labels.
            labels: (...) int64, or narrower whole numbers.
            count: how many target positions the means are over, where the batch is part of a larger one
                (gradient accumulation); by default those of the batch. A part without a target then adds 0.

        Raises:
            ValueError: the batch has no target token; `count` is not above 0; shapes that do not fit; a label
                outside the vocabulary.
            TypeError: logits that are no floating numbers, labels that are no whole ones, two devices.
        """
        labels = class_indices(labels)
        terms = self.definition.terms(Predicted(SimpleNamespace(logits=logits), labels, self.ignore_index))
        reduced = reduce(terms, labels, ignore_index=self.ignore_index, count=count)
        return CarefTerms(reduced.loss, reduced.named)

    def for_trainer(self, model: nn.Module) -> Callable[..., Tensor]:
        """This loss as the `compute_loss_func` of a `transformers.Trainer` that trains `model`.

        An encoder-decoder's logits are aligned with its labels; a decoder-only model's logits at one position
        predict the label of the next, and are shifted here. With gradient accumulation the mean is over the
        target tokens of all accumulated batches, as the Trainer counts them.

        Raises:
            ValueError: this loss ignores another label than the Trainer, which counts all but -100.

        The Trainer keeps the labels from the model, so an encoder-decoder needs its decoder_input_ids from
        the collator: `DataCollatorForSeq2Seq(tokenizer, model=model)`.

        Example:
            Trainer(model, args, ..., compute_loss_func=CarefLoss().for_trainer(model))
        """
        if self.ignore_index != -100:
            raise ValueError(f"ignore_index={self.ignore_index}: a Trainer counts every label but -100; mark with -100")
        shifts = not model.config.is_encoder_decoder

        def compute_loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
            logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
            if shifts:
                # The labels move, not the logits: a slice of those would be copied.
                labels = nn.functional.pad(labels[..., 1:], (0, 1), value=self.ignore_index)
            if torch.is_tensor(num_items_in_batch):  # of several GPUs in one process, each one's share
                num_items_in_batch = num_items_in_batch.sum()
            return self(logits, labels.to(logits.device), count=num_items_in_batch).loss

        return compute_loss
