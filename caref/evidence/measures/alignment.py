"""Alignment: are the words that an attribution names for the true choice those that people marked?

By ERASER's definitions (DeYoung et al. 2020), over words, on the examples of which people marked a word. Words of all
fields are ranked, also where only one could be marked, as FEVER's document: ERASER ranks that alone. e-SNLI's
annotators mark nothing in the premise of neutral pairs, so F1 is told for each right answer as well.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from caref.evidence.attribution import SETS
from caref.evidence.measures.erasure import top
from caref.evidence.reading import TRUE, Question, Reading

OVERLAP = 0.5  # IOU from which a span counts as found


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split, by attribution; None where nobody marked a word.

    Returns:
        `marked`: % of examples with marks; `n`, how many. Of each attribution A: `A.f1`, of its top words, as many as
        people marked, against those, mean over examples; `A.f1.ANSWER`, of the examples with that right answer, where
        all examples have the same choices; `A.iou_f1`; and where A ranks the words `A.auprc` and `A.auc`, else
        `A.named`, the % of these examples of which it names any word: where it names none F1 is 0, as ERASER has it,
        but None if it never does. Words that it names and the example lacks are among its words, and wrong.
        `chance.f1`: what random words come to in expectation, the mean share of words that is marked.
    """
    found = []
    for split, questions in enumerate(reading.splits):
        places = [place for place, one in enumerate(questions) if any(word.marked for word in one.words)]
        marked = [questions[place] for place in places]
        scores: dict[str, float | None] = {"marked": 100 * len(marked) / len(questions), "n": float(len(marked))}
        scores["chance.f1"] = _mean([marks(one)[one.rankable].mean() for one in marked if one.rankable])
        answers = _shared_choices(questions)
        for name in (name for name in reading.attributions if name != "human"):
            ranked = [reading.word_scores(name, TRUE)[split][place] for place in places]
            named = [words_named(name, *pair) for pair in zip(marked, ranked, strict=True)]
            lacking = [reading.lacking(name, TRUE)[split][place] for place in places]
            if name in SETS:
                scores[f"{name}.named"] = _mean([100.0 * bool(words) for words in named])
            rows = list(zip(named, map(np.flatnonzero, map(marks, marked)), lacking, strict=True)) if any(named) else []
            f1s = [f1(*row) for row in rows]
            scores[f"{name}.f1"] = _mean(f1s)
            for answer in answers:
                of_answer = [value for value, one in zip(f1s, marked, strict=False) if one.example.answer == answer]
                scores[f"{name}.f1.{answer}"] = _mean(of_answer)
            by_span = [
                (at[[*ours]] if ours else [], at[theirs], more)
                for at, (ours, theirs, more) in zip(map(apart, marked), rows, strict=False)
            ]
            scores[f"{name}.iou_f1"] = iou_f1(*zip(*by_span, strict=True)) if rows else None
            if name not in SETS:
                for measured, value in _ranking(marked, ranked).items():
                    scores[f"{name}.{measured}"] = value
        found.append(scores)
    return found


def marks(question: Question) -> np.ndarray:
    """(words,) bool: which people marked."""
    return np.array([word.marked for word in question.words], dtype=bool)


def apart(question: Question) -> np.ndarray:
    """(words,): their places with a gap where another field begins: no span reaches from one field into the next."""
    begins = [one.field != before.field for before, one in pairwise(question.words)]
    return np.arange(len(question.words)) + np.cumsum([0, *begins])[: len(question.words)]


def words_named(attribution: str, question: Question, scores: np.ndarray) -> tuple[int, ...]:
    """The words an attribution names: its set, or as many of its top words as people marked."""
    told = scores if attribution in SETS else marks(question)
    return top(question.rankable, scores, int(told[question.rankable].sum()))


def f1(named: Sequence[int], marked: Sequence[int], lacking: int = 0) -> float:
    """Of two sets of words; 0 where none is named.

    Args:
        lacking: how many more words are named, which are not there to be marked.
    """
    both = len({*named} & {*marked})
    return 2 * both / (len(named) + lacking + len(marked)) if both else 0.0


def spans(words: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of neighbouring words, [begin, end)."""
    found: list[tuple[int, int]] = []
    for word in sorted(words):
        if found and found[-1][1] == word:
            found[-1] = found[-1][0], word + 1
        else:
            found.append((word, word + 1))
    return found


def iou_f1(
    named: Sequence[Sequence[int]], marked: Sequence[Sequence[int]], lacking: Sequence[int] | None = None
) -> float | None:
    """ERASER's: a named span is found where its best IOU with a marked one is at least 0.5.

    F1 of two means over examples: found / named spans, where any is named, and found / marked spans, at most 1 each.

    Args:
        lacking: of each example how many more words are named, which are not there: each is a span that is not found.
    """
    if not marked:
        return None
    precisions, recalls = [], []
    for *pair, more in zip(named, marked, lacking or [0] * len(marked), strict=True):
        ours, theirs = map(spans, pair)
        found = sum(any(_iou(one, other) >= OVERLAP for other in theirs) for one in ours)
        if ours or more:
            precisions.append(found / (len(ours) + more))
        recalls.append(min(1.0, found / len(theirs)))
    precision, recall = (float(np.mean(values)) if values else 0.0 for values in (precisions, recalls))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _iou(one: tuple[int, int], other: tuple[int, int]) -> float:
    both = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return both / (one[1] - one[0] + other[1] - other[0] - both)


def auprc(marked: np.ndarray, scores: np.ndarray) -> float:
    """Area under precision over recall by trapezoids, as ERASER takes it, not average precision."""
    from sklearn.metrics import auc, precision_recall_curve

    precision, recall, _ = precision_recall_curve(marked, scores)
    return float(auc(recall, precision))


def _ranking(questions: Sequence[Question], ranked: Sequence[np.ndarray]) -> dict[str, float | None]:
    from sklearn.metrics import roc_auc_score

    pairs = [(marks(one)[one.rankable], own[one.rankable]) for one, own in zip(questions, ranked, strict=True)]
    return {
        "auprc": _mean([auprc(*pair) for pair in pairs if pair[0].any()]),
        "auc": _mean([float(roc_auc_score(*pair)) for pair in pairs if pair[0].any() and not pair[0].all()]),
    }


def _shared_choices(questions: Sequence[Question]) -> tuple[str, ...]:
    choices = [one.example.choices for one in questions]
    return choices[0] if choices and all(one == other for one, other in pairwise(choices)) else ()


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
