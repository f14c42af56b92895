"""From what a model wrote for a split's examples to the numbers of the split."""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, TypedDict

from caref.data.examples import Example
from caref.data.prompts import text
from caref.evaluation.parse import MISSING, Parsed, parse, same_answer


class F1(Protocol):
    """Something that compares explanations; `caref.evaluation.bertscore.Scorer` is one."""

    def f1(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        """For each candidate, the best of its F1s against its references, in [-1, 1]."""


class Answer(TypedDict):
    """One evaluated example: a line of the predictions file of a model that answers only."""

    id: str
    source: str  # what the model read
    choices: list[str]
    gold: str  # the right choice
    generation: str  # what the model wrote
    answer: str
    right: bool


class Prediction(Answer):
    """The same of a model that explains its answers."""

    explanations: list[str]  # gold ones, as the release has them
    explanation: str
    broken: bool
    nbert: float  # BERTScore F1 x 100, of `UNK` where it is broken; 0 where the answer is wrong


def score(
    dataset: str, examples: Sequence[Example], generations: Sequence[str], scorer: F1 | None
) -> tuple[dict[str, float | None], list[Prediction] | list[Answer]]:
    """The scores of a split and its predictions, in the order of its examples.

    Scores, over all examples (FEB: Marasovic et al. 2022; its code, allenai/feb @ 9af926f2):
        accuracy: % with the right answer.
        nbert: FEB's bertscore_correct_normalized: the mean of F1 x 100 of the lower-cased explanation against the
            lower-cased gold ones, the best of them; 0 where the answer is wrong. A missing explanation counts as
            `UNK`, so a right answer that explains nothing scores what "unk" does, not 0. An explanation that is
            there and empty scores 0, as bert_score has it.
        nbert_strict: the same with 0 for a missing explanation.
        similarity: nbert over accuracy, in [0, 1]: the mean F1 of right answers' explanations. None where no answer
            is right.
        floor: what similarity would be if every answer were right and none explained: the mean over all examples
            of the best F1 of "unk" against their gold explanations.
        broken: % without the separator.
        explanation_length: mean words of an explanation, missing ones counted as 0.
        distinct_1, distinct_2: see `distinct`.

    Args:
        dataset: name of the dataset, whose template gives the sources.
        examples: one or more.
        generations: as many.
        scorer: sees lower-cased texts: the explanations of right answers, and "unk" for every example. None for a model
            that answers only: accuracy is then the one score, and the others are not there.

    Raises:
        ValueError: where there are none, or their numbers differ.
    """
    if not examples:
        raise ValueError("a split without examples has no scores")
    pairs = list(zip(examples, generations, strict=True))
    if scorer is None:
        answers = [_answer(dataset, *pair, parse(pair[1], answer_only=True)) for pair in pairs]
        return {"accuracy": _mean(100 * line["right"] for line in answers)}, answers
    predictions = [_prediction(dataset, *pair) for pair in pairs]
    missing = _f1(scorer, [(MISSING, line) for line in predictions])
    explained = [line for line in predictions if line["right"] and not line["broken"]]
    f1s = iter(_f1(scorer, [(line["explanation"], line) for line in explained]))
    for line, of_missing in zip(predictions, missing, strict=True):
        if line["right"]:
            line["nbert"] = 100 * (of_missing if line["broken"] else next(f1s))
    explanations = [line["explanation"] for line in predictions]
    accuracy = _mean(100 * line["right"] for line in predictions)
    nbert = _mean(line["nbert"] for line in predictions)
    return {
        "accuracy": accuracy,
        "nbert": nbert,
        "nbert_strict": _mean(0.0 if line["broken"] else line["nbert"] for line in predictions),
        "similarity": nbert / accuracy if accuracy else None,
        "floor": _mean(missing),
        "broken": _mean(100 * line["broken"] for line in predictions),
        "explanation_length": _mean(len(explanation.split()) for explanation in explanations),
        "distinct_1": distinct(explanations, 1),
        "distinct_2": distinct(explanations, 2),
    }, predictions


def _f1(scorer: F1, asked: Sequence[tuple[str, Prediction]]) -> list[float]:
    """Of each explanation the best F1 against the golds of its prediction, all lower-cased."""
    return scorer.f1(
        [explanation.lower() for explanation, _ in asked],
        [[gold.lower() for gold in line["explanations"]] for _, line in asked],
    )


def distinct(texts: Iterable[str], n: int) -> float:
    """Distinct-n: the share of different n-grams among all of the texts', in [0, 1]; low where a model repeats itself.

    Words are what white space parts, lower-cased; no n-gram spans two texts. 0 where there is no n-gram at all.
    After Li et al. 2016 (A diversity-promoting objective function for neural conversation models), who divide by
    the number of words.
    """
    words = [text.lower().split() for text in texts]
    grams = [tuple(of[start : start + n]) for of in words for start in range(len(of) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def _answer(dataset: str, example: Example, generation: str, parsed: Parsed) -> Answer:
    return Answer(
        id=example.id,
        source=text(dataset, example).source,
        choices=list(example.choices),
        gold=example.answer,
        generation=generation,
        answer=parsed.answer,
        right=same_answer(parsed.answer, example.answer),
    )


def _prediction(dataset: str, example: Example, generation: str) -> Prediction:
    parsed = parse(generation)
    return Prediction(
        **_answer(dataset, example, generation, parsed),
        explanations=list(example.explanations),
        explanation=parsed.explanation,
        broken=parsed.broken,
        nbert=0.0,
    )


def _mean(values: Iterable[float]) -> float:
    """Exactly rounded, so that no order of summation shows."""
    values = list(values)
    return math.fsum(values) / len(values)
