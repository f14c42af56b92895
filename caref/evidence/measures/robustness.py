"""Robustness: do an answer and its explanation give way to the same noise? (after Wiegreffe et al. 2021)

Gaussian noise is put on the embeddings of the prompt, its variance a multiple of the text's own mean squared embedding
entry: an absolute variance means something else to every model. Wiegreffe et al. have the model write anew and ask
whether answers and explanations worsen at the same levels. Here nothing is written anew, which is what costs: it is
asked whether the predicted choice stays in front, how much less probable the explanation becomes that the model wrote
without noise, and whether the two fall together from example to example.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.stats import spearmanr

from caref.evidence.choices import DEFINITIONS, Asked, side_by_side
from caref.evidence.gradients import Batch
from caref.evidence.leads import lead
from caref.evidence.measures.coupling import answered, explained
from caref.evidence.reading import Question, Reading, drawn_order

LEVELS = (0.01, 0.03, 0.1, 0.3, 1.0)  # variances, in units of the mean squared embedding entry
EXAMPLES = 50  # of a split, drawn


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split.

    Returns:
        n: examples; explained_n: those with an explanation of an answer that is a choice. At each level V `kept.V`,
        % whose most probable choice is the one without noise; `accuracy.V`, % whose is right; `explanation.V`, by how
        much log p(explanation | source, answer) changes, in nats a token, mean; `joint.V`, Spearman's rank correlation
        over examples of that change with the change of the lead of the choice predicted without noise, None of fewer
        than three.
    """
    few = [[questions[place] for place in drawn_order(questions)[:EXAMPLES]] for questions in reading.splits]
    rows = [[row for one in questions for row in _rows(one, reading.backbone.tokenizer)] for questions in few]
    by_level = {level: noisy(reading, rows, level) for level in (0.0, *LEVELS)}
    found = []
    for split, questions in enumerate(few):
        read = {level: _by_question(questions, values[split], reading.choices) for level, values in by_level.items()}
        found.append(scores(questions, read, reading.backbone.tokenizer))
    return found


def scores(
    questions: Sequence[Question], read: Mapping[float, Sequence[np.ndarray]], tokenizer
) -> dict[str, float | None]:
    """The scores of one split.

    Args:
        read: by level, without noise at 0, of each question log p of every choice, and then, where there is one, of
            the explanation after its answer.
    """
    lengths = {
        place: len(explained(one, tokenizer).continuations[own]) - len(one.asked.continuations[own])
        for place, one in enumerate(questions)
        if (own := answered(one)) is not None
    }
    found: dict[str, float | None] = {"n": float(len(questions)), "explained_n": float(len(lengths))}
    counts = [len(one.example.choices) for one in questions]
    tables = {level: [row[:count] for row, count in zip(rows, counts, strict=True)] for level, rows in read.items()}
    predicted = [int(table.argmax()) for table in tables[0.0]]
    for level in LEVELS:
        now = [int(table.argmax()) for table in tables[level]]
        found[f"kept.{level:g}"] = _percent(np.equal(now, predicted))
        found[f"accuracy.{level:g}"] = _percent(np.equal(now, [one.example.label for one in questions]))
        explanations, leads = [], []
        for place, length in lengths.items():
            label = predicted[place]
            explanations.append((read[level][place][-1] - read[0.0][place][-1]) / length)
            leads.append(float(lead(tables[level][place], label) - lead(tables[0.0][place], label)))
        found[f"explanation.{level:g}"] = float(np.mean(explanations)) if explanations else None
        found[f"joint.{level:g}"] = correlation(explanations, leads)
    return found


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's; None of fewer than three, or where one of the two never changes."""
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)


@torch.no_grad()
def noisy(reading: Reading, splits: Sequence[Sequence[Question]], level: float) -> list[list[list[float]]]:
    """By split, question and token, log p of its only continuation where noise is on the embeddings of its prompt."""
    found = [[[]] * len(questions) for questions in splits]
    for rows in side_by_side(splits, reading.batch_size, length=lambda one: len(one.asked.prompt)):
        questions = [splits[split][place] for split, place in rows]
        batch = Batch(reading, questions, [0] * len(questions))
        values = batch.log_p_by_token(batch.embeddings + noise(batch.embeddings, questions, level))
        for (split, place), value in zip(rows, values, strict=True):
            found[split][place] = value
    return found


def noise(embeddings: torch.Tensor, questions: Sequence[Question], level: float) -> torch.Tensor:
    """(B, T, D): on the prompt of each question, drawn by its seed, the same at all levels but for its size."""
    found = torch.zeros_like(embeddings)
    for row, one in enumerate(questions):
        own = embeddings[row, : len(one.asked.prompt)]
        drawn = torch.from_numpy(np.random.default_rng((one.seed, len(own))).standard_normal(own.shape))
        found[row, : len(own)] = (drawn.to(own.device) * (level * own.double().square().mean()).sqrt()).to(own.dtype)
    return found


def _rows(question: Question, tokenizer) -> list[Question]:
    """A question for each choice, and one for its answer with the explanation."""
    told = [*question.asked.continuations]
    if (own := answered(question)) is not None:
        told.append(explained(question, tokenizer).continuations[own])
    return [replace(question, asked=Asked(question.asked.prompt, (one,))) for one in told]


def _by_question(questions: Sequence[Question], values: Sequence[Sequence[float]], choices: str) -> list[np.ndarray]:
    rest, found = iter(values), []
    for one in questions:
        tokens = [next(rest) for _ in one.asked.continuations]
        told = DEFINITIONS[choices](one.asked, tokens)
        if (own := answered(one)) is not None:
            told.append(sum(next(rest)) - sum(tokens[own]))
        found.append(np.array(told))
    return found


def _percent(values: Sequence[bool]) -> float:
    return 100 * float(np.mean(values))
