"""From per-position terms to the one number that is trained on, and the means that are logged."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from caref.objectives.definition import Term


@dataclass(frozen=True)
class Terms:
    """What an objective returns: the loss to call backward() on, and its parts, detached, by name."""

    loss: Tensor
    named: Mapping[str, Tensor]


@dataclass(frozen=True)
class Totals:
    """What means are over: target positions, those of answers, and examples; scalars, or (groups,) each."""

    positions: Tensor | int
    answered: Tensor | int
    examples: Tensor | int


def totals(
    labels: Tensor, answer_labels: Tensor | None = None, *, ignore_index: int = -100, groups: int | None = None
) -> Totals:
    """What the means of a batch are over; the arguments are those of `reduce`."""
    counted = labels != ignore_index
    answered = counted if answer_labels is None else answer_labels != ignore_index
    return Totals(
        _sum(counted, groups), _sum(answered, groups), (labels.shape[0] if labels.dim() else 1) // (groups or 1)
    )


def reduce(
    terms: Mapping[str, Term],
    labels: Tensor,
    answer_labels: Tensor | None = None,
    *,
    ignore_index: int = -100,
    groups: int | None = None,
    count: Totals | Tensor | int | None = None,
) -> Terms:
    """Mean of each term over its counted positions of the whole batch, and their weighted sum.

    Args:
        labels: (...) int64; positions equal to `ignore_index` are not counted.
        answer_labels: the same with all but the answer ignored; given when only the answer is supervised.
        groups: the batch is this many equal groups of examples, one after the other, each with means of its
            own; loss and named values are then (groups,) instead of scalars.
        count: divide by these counts instead, for batches that are parts of a larger one; a part may be empty.

    Raises:
        ValueError: nothing to predict in the batch (or in one of its groups), where a mean would be NaN; a count that
            is not one number above 0.
    """
    counted = labels != ignore_index
    answered = counted if answer_labels is None else answer_labels != ignore_index
    over = count
    if not isinstance(count, Totals):
        over = totals(labels, answer_labels, ignore_index=ignore_index, groups=groups)
        if count is None and not torch.stack([over.positions, over.answered]).all():
            raise ValueError("the batch has no target token: every label is ignored, so no mean exists")
        if count is not None:
            if torch.is_tensor(count) and count.numel() != 1:
                raise ValueError(f"count of shape {tuple(count.shape)}: must be one number")
            if not count > 0:
                raise ValueError(f"count={count}: must be above 0, the target tokens of the whole batch")
            over = Totals(count, count, over.examples)

    loss, named = 0.0, {}
    for name, term in terms.items():
        if term.values.shape == labels.shape:
            values = torch.where(answered if term.supervised else counted, term.values, 0.0)
            total = over.answered if term.supervised else over.positions
        else:
            values, total = term.values, over.examples
        mean = _sum(values, groups) / total
        named[name] = mean.detach()
        if term.weight:
            loss = loss + term.weight * mean
    return Terms(loss, named)


def _sum(values: Tensor, groups: int | None) -> Tensor:
    return values.sum() if groups is None else values.reshape(groups, -1).sum(-1)
