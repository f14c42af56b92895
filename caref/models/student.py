"""A student that learns to foresee the model from its answers and explanations, and what it teaches the explanations.

Simulatability as SMaT and IvRA train it: an explanation is good if a student that is given it answers like the model on
other texts. The only way from the module's weights to that is through the student's own step, which is differentiated.
The order is Zhou et al.'s (2021): first the pilot, a step that is thrown away, whose outcome moves the module; then the
student's real step, with the module as it then is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from caref.objectives import faithfulness
from caref.objectives.explainers import Explainer


@dataclass
class Student:
    """What a student is between the steps of a training.

    Attributes:
        weights: its own, by name: of what is trained of the model, and of the module; those of the start at first.
        last: the batch before this one, as questions, on which it will step.
        piloted: the batch of the last pilot, on which its real step is still to be taken.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    last: "Lesson | None" = None
    piloted: "Lesson | None" = None


def falls_short(
    log_p: Tensor, scores: Tensor, choice: Tensor, r: Tensor, ranked: Tensor, norm: str, weight: float
) -> Tensor:
    """(B,): a student's loss, its cross-entropy to the model's choice and how far its explanation is from the given.

    Args:
        log_p: (B, C), the student's.
        scores: (B, T), of which the student's explanation is the norm.
        choice: (B,), the model's.
        r: (B, T), the explanation that is given; all 0 where none is.
        ranked: (B, T) bool.
        norm: of the student's explanation.
        weight: of the distance of explanations.
    """
    apart = faithfulness.explained_apart(norm, scores, r, ranked)
    return faithfulness.cross_entropy(log_p, choice) + weight * apart


@dataclass(frozen=True)
class Lesson:
    """A batch that a student may learn from.

    Attributes:
        taught: (B,) the model's choices and (B, T) the module's distributions, as they now are.
        answer: of a choice of each example, (B, C) log-probabilities and (B, T) scores of tokens, by the weights that
            the model and the module then hold.
        ranked: (B, T) bool.
    """

    taught: Callable[[], tuple[Tensor, Tensor]]
    answer: Callable[[Tensor], tuple[Tensor, Tensor]]
    ranked: Tensor


class _Answering(nn.Module):
    """Model and module in one, so that a student's weights can stand in their places for a call."""

    def __init__(self, model: nn.Module, module: nn.Module):
        super().__init__()
        self.model, self.module = model, module

    def forward(self, lesson: Lesson, choice: Tensor) -> tuple[Tensor, Tensor]:
        return lesson.answer(choice)


def simulated(
    student: Student,
    model: nn.Module,
    module: Explainer,
    trained: Sequence[nn.Parameter],
    lesson: Lesson,
    norm: str,
    rate: float,
    weight: float,
) -> Tensor:
    """(B,): CE of the student on this batch after a pilot step on the batch before; 0 at the first.

    Args:
        student: is changed: it takes the step of the pilot before, with the module as it now is.
        trained: of the model; no gradient reaches them.
        lesson: this batch; the model's choices are all that is told of it.
        norm: of the module's distribution.
        rate: of the student's SGD.
        weight: of the distance of explanations in its loss.
    """
    both = _Answering(model, module)
    if not student.weights:
        held = set(map(id, (*trained, *module.learned.values())))
        student.weights = {
            name: parameter.detach().clone().requires_grad_()
            for name, parameter in both.named_parameters()
            if id(parameter) in held
        }

    def loss(weights: dict[str, Tensor], of: Lesson, choice: Tensor, r: Tensor) -> Tensor:
        log_p, scores = functional_call(both, weights, (of, choice))
        return falls_short(log_p, scores, choice, r, of.ranked, norm, weight).mean()

    with sdpa_kernel(SDPBackend.MATH):
        if student.piloted is not None:
            choice, r = student.piloted.taught()
            stepped = loss(student.weights, student.piloted, choice, r.detach())
            after = faithfulness.piloted(student.weights, stepped, rate, create_graph=False)
            student.weights = {name: own.detach().requires_grad_() for name, own in after.items()}
        student.piloted, student.last = student.last, lesson
        if student.piloted is None:
            return torch.zeros(len(lesson.ranked), device=lesson.ranked.device)
        choice, r = student.piloted.taught()
        pilot = faithfulness.piloted(student.weights, loss(student.weights, student.piloted, choice, r), rate)
        asked, _ = lesson.taught()
        log_p, _ = functional_call(both, pilot, (lesson, asked))
        return faithfulness.cross_entropy(log_p, asked)
