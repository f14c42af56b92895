"""Agreement: do an answer and its explanation rest on the same words of the input? (CC-IxG)

Of the answer y that a model wrote and the explanation e after it: signed input x gradient of log p(y | x) and of
log p(e | x, y) by the words of the fields, each brought to r_j = phi_j / sum |phi_j|, and the cosine of the two, in
[-1, 1]. It is CC-SHAP (Parcalabescu and Frank 2024) with gradients where that has Shapley values, and with a text's
joint log-probability where that takes the mean over its tokens. A temperature of the choices' probabilities has no
part in it; one of the vocabulary's logits would move it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from caref.evidence.attribution import input_x_gradient
from caref.evidence.choices import Asked
from caref.evidence.measures.coupling import answered, explained
from caref.evidence.reading import Question, Reading

OF_EXPLANATIONS = True  # where nothing is explained there is none of it


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split; None where no example has an explanation of one of its choices.

    Returns:
        cosine: mean over examples. over_chance: mean of the cosine less what it is in expectation where the
        explanation's scores are dealt to the words at random. n: how many examples have an answer that is a choice, an
        explanation, and two words or more.
    """
    tokenizer = reading.backbone.tokenizer
    places = [[place for place, one in enumerate(split) if _tells(one)] for split in reading.splits]
    asked = [
        [_parts(split[place], tokenizer) for place in own] or [split[0]]  # a pack has rows of every split
        for split, own in zip(reading.splits, places, strict=True)
    ]
    parts = Reading(reading.model, reading.backbone, asked, batch_size=reading.batch_size)
    answers, wholes = (input_x_gradient.attribute(parts, [[part] * len(own) for own in asked]) for part in (0, 1))
    found = []
    for answer, whole, own, few in zip(answers, wholes, asked, places, strict=True):
        rows = zip(answer, whole, own, strict=True) if few else ()
        found.append(scores([(one[asks.rankable], (both - one)[asks.rankable]) for one, both, asks in rows]))
    return found


def scores(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float | None]:
    """The scores of one split.

    Args:
        pairs: of each example, (words,) of its answer and of its explanation.
    """
    pairs = [pair for pair in pairs if all(one.any() for one in pair)]
    found = {"cosine": None, "over_chance": None, "n": float(len(pairs))}
    if pairs:
        cosines = np.array([cosine(*pair) for pair in pairs])
        found["cosine"] = float(cosines.mean())
        found["over_chance"] = float((cosines - [chance(*pair) for pair in pairs]).mean())
    return found


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Of two vectors that are not 0; what r_j = phi_j / sum |phi_j| divides them by has no part in it."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def chance(one: np.ndarray, other: np.ndarray) -> float:
    """The mean of their cosine over all orders of the words of one of the two."""
    return float(one.sum() * other.mean() / (np.linalg.norm(one) * np.linalg.norm(other)))


def _tells(question: Question) -> bool:
    return answered(question) is not None and len(question.rankable) > 1


def _parts(question: Question, tokenizer) -> Question:
    """Going on with its answer, or with its answer and explanation."""
    answer = answered(question)
    both = question.asked.continuations[answer], explained(question, tokenizer).continuations[answer]
    return replace(question, asked=Asked(question.asked.prompt, both))
