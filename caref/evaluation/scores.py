"""From what a model wrote for a split's examples to the numbers of the split."""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, TypedDict

from caref.data.examples import Example
from caref.data.prompts import text
from caref.evaluation.parse import parse, same_answer


class F1(Protocol):
    """Something that compares explanations; `caref.evaluation.bertscore.Scorer` is one."""

    def f1(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        """For each candidate, the best of its F1s against its references, in [-1, 1]."""


class Prediction(TypedDict):
    """One evaluated example: a line of the predictions file."""

    id: str
    source: str  # what the model read
    choices: list[str]
    gold: str  # the right choice
    explanations: list[str]  # gold ones, as the release has them
    generation: str  # what the model wrote
    answer: str
    explanation: str
    right: bool
    broken: bool
    nbert: float  # BERTScore F1 x 100; 0 where the answer is wrong or the explanation empty


def score(
    dataset: str, examples: Sequence[Example], generations: Sequence[str], scorer: F1
) -> tuple[dict[str, float], list[Prediction]]:
    """The scores of a split and its predictions, in the order of its examples.

    Scores, over all examples (FEB: Marasovic et al. 2022):
        accuracy: % with the right answer.
        nbert: mean of F1 x 100 of the lower-cased explanation against the lower-cased gold ones, the best of
            them; 0 where the answer is wrong or the explanation empty.
        broken: % without the separator.
        explanation_length: mean words of an explanation, empty ones counted as 0.
        distinct_1, distinct_2: see `distinct`.

    Args:
        dataset: name of the dataset, whose template gives the sources.
        examples: one or more.
        generations: as many.
        scorer: sees lower-cased texts, and only those that count.

    Raises:
        ValueError: where there are none, or their numbers differ.
    """
    if not examples:
        raise ValueError("a split without examples has no scores")
    predictions = [
        _prediction(dataset, example, generation) for example, generation in zip(examples, generations, strict=True)
    ]
    counting = [line for line in predictions if line["right"] and line["explanation"]]
    similarities = scorer.f1(
        [line["explanation"].lower() for line in counting],
        [[gold.lower() for gold in line["explanations"]] for line in counting],
    )
    for line, similarity in zip(counting, similarities, strict=True):
        line["nbert"] = 100 * similarity
    explanations = [line["explanation"] for line in predictions]
    return {
        "accuracy": _mean(100 * line["right"] for line in predictions),
        "nbert": _mean(line["nbert"] for line in predictions),
        "broken": _mean(100 * line["broken"] for line in predictions),
        "explanation_length": _mean(len(explanation.split()) for explanation in explanations),
        "distinct_1": distinct(explanations, 1),
        "distinct_2": distinct(explanations, 2),
    }, predictions


def distinct(texts: Iterable[str], n: int) -> float:
    """Distinct-n: the share of different n-grams among all of the texts', in [0, 1]; low where a model repeats itself.

    Words are what white space parts, lower-cased; no n-gram spans two texts. 0 where there is no n-gram at all.
    After Li et al. 2016 (A diversity-promoting objective function for neural conversation models), who divide by
    the number of words.
    """
    words = [text.lower().split() for text in texts]
    grams = [tuple(of[start : start + n]) for of in words for start in range(len(of) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def _prediction(dataset: str, example: Example, generation: str) -> Prediction:
    parsed = parse(generation)
    return Prediction(
        id=example.id,
        source=text(dataset, example).source,
        choices=list(example.choices),
        gold=example.answer,
        explanations=list(example.explanations),
        generation=generation,
        answer=parsed.answer,
        explanation=parsed.explanation,
        right=same_answer(parsed.answer, example.answer),
        broken=parsed.broken,
        nbert=0.0,
    )


def _mean(values: Iterable[float]) -> float:
    """Exactly rounded, so that no order of summation shows."""
    values = list(values)
    return math.fsum(values) / len(values)
