"""Simulatability: does an explanation help a student to foresee the model on other texts? (Pruthi et al. 2022; SMaT.)

A student is the model as it was before its training. By plain SGD it learns the model's choices, never labels, on a
fifth of the examples, and to explain them, by IvRA's module, as the attribution does; then it is asked the other
examples without any explanation. Protocol: Xie et al. (2024), B.1; weight of explanations, and rate unless another is
asked for: SMaT's.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from caref.evidence.reading import Question, Reading, asking, drawn_order
from caref.models.asking import Asking
from caref.models.student import falls_short

TEACHES = True  # what students start from is kept for it
SHARE = 0.2  # of the examples, that students are taught on
BATCH = 8
WEIGHT = 5.0  # of the distance of explanations


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split, in % of the examples that students were not taught on; None where there are none.

    Returns:
        n: how many these are; taught: on how many others. untaught: of how many the student foresees the model before
        it is taught; most_frequent: whoever always says what the model chose most often where students were taught;
        untold: the student that is taught the model's choices alone. Of each attribution A: `A.sim`, the student that
        is told A's explanations too, |score| / sum |score| of the words, each word's over its tokens; `A.over_untold`,
        less untold.

    Raises:
        ValueError: a student's steps are so long that its answers are no numbers; of what it then says first nothing
            is known.
    """
    labels = reading.predicted()
    sides = [_sides(questions) for questions in reading.splits]
    shares = {name: _shares(reading, name) for name in reading.attributions}
    foreseen = {
        "untaught": _foreseen(reading, sides, labels, None, taught_for=0),
        "untold": _foreseen(reading, sides, labels, None),
        **{name: _foreseen(reading, sides, labels, of) for name, of in shares.items()},
    }
    found = []
    for split, (taught, others) in enumerate(sides):
        own = labels[split]
        right = {name: 100 * float(np.mean(of[split] == own[others])) for name, of in foreseen.items() if len(others)}
        scores = {"n": float(len(others)), "taught": float(len(taught))}
        scores |= {name: right.get(name) for name in ("untaught", "untold")}
        usual = np.bincount(own[taught]).argmax() if len(taught) else -1
        scores["most_frequent"] = 100 * float(np.mean(own[others] == usual)) if len(others) else None
        for name in shares:
            scores[f"{name}.sim"] = right.get(name)
            scores[f"{name}.over_untold"] = right[name] - right["untold"] if right else None
        found.append(scores)
    return found


def _sides(questions: Sequence[Question]) -> tuple[np.ndarray, np.ndarray]:
    """Places of the questions that students are taught on, at least one, and of the others."""
    order = drawn_order(questions)
    count = max(1, round(SHARE * len(questions)))
    return np.sort(order[:count]), np.sort(order[count:])


def _shares(reading: Reading, name: str) -> list[list[np.ndarray]]:
    """By split and question, (words,) with sum 1; all 0 where no word counts."""
    return [[abs(scores) / (abs(scores).sum() or 1.0) for scores in of_split] for of_split in reading.word_scores(name)]


def _foreseen(
    reading: Reading,
    sides: Sequence[tuple[np.ndarray, np.ndarray]],
    labels: Sequence[np.ndarray],
    shares: Sequence[Sequence[np.ndarray]] | None,
    taught_for: int | None = None,
) -> list[np.ndarray]:
    """Of each split, what its student chooses where it was not taught.

    Args:
        shares: the explanations that it is told; None for none.
        taught_for: steps; None for as many as are asked for.
    """
    steps = reading.student_steps if taught_for is None else taught_for
    streams = [
        _stream([of[place] for place in taught], taught) for of, (taught, _) in zip(reading.splits, sides, strict=True)
    ]
    asked = [[of[place].asked for place in others] for of, (_, others) in zip(reading.splits, sides, strict=True)]
    if not any(asked):  # nobody to ask: whether a student can be taught at all is all there is to find out
        steps = min(steps, 1)
    with reading.pupil.untaught() as weights:
        for _ in range(steps):
            drawn = [(split, next(stream)) for split, stream in enumerate(streams) for _ in range(BATCH)]
            loss = _loss(reading, drawn, labels, shares)
            gradients = torch.autograd.grad(loss, list(weights), allow_unused=True)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    if gradient is not None:
                        weight.sub_(gradient, alpha=reading.student_lr)
        if not any(asked):
            return [np.array([], dtype=int) for _ in asked]
        told = reading.log_p_of(asked)
    if any(np.isnan(row).any() for rows in told for row in rows):
        raise ValueError(f"evidence.student_lr={reading.student_lr}: a student came to answers that are no numbers; "
                         "take less")  # fmt: skip
    return [np.array([int(np.argmax(row)) for row in rows], dtype=int) for rows in told]


def _stream(questions: Sequence[Question], places: np.ndarray) -> Iterator[int]:
    """Places without end, all of them in a new order again and again."""
    nth = 0
    while True:
        nth += 1
        yield from places[drawn_order(questions, nth)].tolist()


def _loss(
    reading: Reading,
    drawn: Sequence[tuple[int, int]],
    labels: Sequence[np.ndarray],
    shares: Sequence[Sequence[np.ndarray]] | None,
) -> torch.Tensor:
    """The sum over splits of a student's mean loss: each split's weights see its own alone."""
    module, device = reading.pupil.beside, reading.backbone.device
    questions = [asking(reading.splits[split][place]) for split, place in drawn]
    asked = Asking(reading.model, reading.backbone, module, questions, len(reading.splits))
    choice = torch.tensor([int(labels[split][place]) for split, place in drawn], device=device)
    log_p, scores = asked.answer(choice)
    given = torch.zeros(asked.words.shape, dtype=scores.dtype, device=device)
    for row, (split, place) in enumerate(drawn if shares else ()):
        own = torch.from_numpy(shares[split][place])
        given[row, : len(own)] = own.to(given)
    r = asked.over_tokens(given)
    return falls_short(log_p, scores, choice, r, asked.ranked, "softmax", WEIGHT).sum() / BATCH
