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


def reduce(
    terms: Mapping[str, Term],
    labels: Tensor,
    answer_labels: Tensor | None = None,
    *,
    ignore_index: int = -100,
    groups: int | None = None,
    count: Tensor | int | None = None,
) -> Terms:
    """Mean of each term over its counted positions of the whole batch, and their weighted sum.

    Args:
        labels: (...) int64; positions equal to `ignore_index` are not counted.
        answer_labels: the same with all but the answer ignored; given when only the answer is supervised.
        groups: the batch is this many equal groups of examples, one after the other, each with means of its
            own; loss and named values are then (groups,) instead of scalars.
        count: divide by this count instead, for batches that are parts of a larger one; a part may be empty.

    Raises:
        ValueError: nothing to predict in the batch (or in one of its groups), where a mean would be NaN; a count that
            is not above 0.
    """
    counted = labels != ignore_index
    answered = counted if answer_labels is None else answer_labels != ignore_index
    totals = {True: _total(answered, groups), False: _total(counted, groups)}
    if count is not None:
        if not count > 0:
            raise ValueError(f"count={count}: must be above 0, the target tokens of the whole batch")
    elif not torch.stack([totals[True], totals[False]]).all():
        raise ValueError("the batch has no target token: every label is ignored, so no mean exists")

    loss, named = 0.0, {}
    for name, term in terms.items():
        if term.values.shape == labels.shape:
            where = answered if term.supervised else counted
            total = totals[term.supervised] if count is None else count
            values = torch.where(where, term.values, 0.0)
        else:
            values = term.values
            total = values.numel() // (groups or 1)
        mean = _sum(values, groups) / total
        named[name] = mean.detach()
        if term.weight:
            loss = loss + term.weight * mean
    return Terms(loss, named)


def _sum(values: Tensor, groups: int | None) -> Tensor:
    return values.sum() if groups is None else values.reshape(groups, -1).sum(-1)


def _total(counted: Tensor, groups: int | None) -> Tensor:
    return _sum(counted, groups)
