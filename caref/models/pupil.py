"""A student of a trained model: the model as it was before, which may be taught to foresee it, and leaves no trace."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caref.errors import UserError
from caref.models.asking import Beside, audible, listening
from caref.models.backbones import Backbone
from caref.objectives.explainers import InterpretableAttention

if TYPE_CHECKING:
    from caref.config.schema import Peft


@dataclass(frozen=True)
class Pupil:
    """A student of K splits' models, as they were before their training.

    Attributes:
        beside: what it explains by, IvRA's module as it starts.
        parameters: of the model, those that are trained; a student's weights stand in their places for a while.
        start: of each, what it was.
    """

    beside: Beside
    parameters: Sequence[nn.Parameter]
    start: Sequence[Tensor]

    @contextmanager
    def untaught(self) -> Iterator[list[nn.Parameter]]:
        """In the block the model is what it was, and may learn; then it is what it is, bit for bit.

        Yields:
            All weights that the student learns.
        """
        module = self.beside.explainer
        learns = [*self.parameters, *module.learned.values()]
        begin = [*self.start, *(weight.detach().clone() for weight in module.learned.values())]
        own = [weight.detach().clone() for weight in learns]
        try:
            with torch.no_grad():
                for weight, at_first in zip(learns, begin, strict=True):
                    weight.copy_(at_first)
            yield learns
        finally:
            with torch.no_grad():
                for weight, now in zip(learns, own, strict=True):
                    weight.copy_(now)


def of_pupils(backbone: Backbone, peft: "Peft", splits: int) -> Beside:
    """What students of a model explain by.

    Args:
        backbone: bare, nothing trained on it.

    Raises:
        UserError: the model has no attention that could be heard, or the variant hides it.
    """
    try:
        layers = audible(backbone, peft, None)
    except UserError as error:
        told = "its student explains by attention, which this model or its variant keeps to itself; leave it out"
        raise UserError(f"evidence.measures=simulatability: {told} ({error})") from None
    return listening(backbone, layers, lambda shapes: InterpretableAttention(shapes, splits))


def pupil(beside: Beside | None, parameters: Sequence[nn.Parameter]) -> Pupil | None:
    """The student of a model that stands at its start; None where no one is to be taught."""
    return beside and Pupil(beside, parameters, [parameter.detach().clone() for parameter in parameters])
