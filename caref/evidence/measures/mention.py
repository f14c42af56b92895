"""Mention: when a word put into the input moves the answer, does the explanation say so?

The counterfactual test (Atanasova et al. 2023) and the correlational one (Siegel et al. 2024), by one rule: a word is
mentioned where the new explanation holds it as a whole word, whatever the case. The model answers first and explains
afterwards, so an explanation cannot act on the answer; but it can tell what did.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import softmax
from scipy.stats import pearsonr

from caref.data.batches import Encoded, for_backbone
from caref.data.prompts import text
from caref.evaluation.generate import side_by_side
from caref.evaluation.parse import parse
from caref.evidence.attribution.explanation_words import content_words
from caref.evidence.insertions import Inserted, inserted
from caref.evidence.reading import Question, Reading, encoded, question

OF_EXPLANATIONS = True  # where nothing is explained there is none of it


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split; None where they do not exist: of a model that no insertion moves, or that explains
    nothing.

    Returns:
        insertions: how many. explained: % of them after which the model writes an explanation; what is missing mentions
        nothing.
        flip_rate: % of insertions that change the most probable choice. unmentioned: CT, % of examples with a flip in
        which a word that flipped is not mentioned. cct: Pearson's r of the change of the choices' probabilities (total
        variation) with mention; phi: of flip with mention; both over all insertions, in [-1, 1]. mention_rate: % of
        insertions; explanation_length: mean words. Controls: mention_rate_before, by the explanation of the text
        without the word, which must be about 0; mention_rate_copied, by an explanation that copies the input, which is
        100 and tells nothing of a model: its phi does not exist.
    """
    changed = [[inserted(one.example, one.seed) for one in questions] for questions in reading.splits]
    asked = [
        [
            question(reading.dataset, one.example, reading.backbone, seed=own.seed)
            for own, each in zip(questions, insertions, strict=True)
            for one in each
        ]
        or [questions[0]]  # a pack has rows of every split
        for questions, insertions in zip(reading.splits, changed, strict=True)
    ]
    tables = reading.log_p_of([[one.asked for one in own] for own in asked])
    written = _written(reading, asked)
    return [
        scores(questions, insertions, before, table, texts)
        for questions, insertions, before, table, texts in zip(
            reading.splits, changed, reading.log_p(), tables, written, strict=True
        )
    ]


def prompts(reading: Reading) -> list[Encoded]:
    """What it asks, see `caref.evidence.probe.prompts`."""
    return [
        for_backbone(one.example, text(reading.dataset, one.example), reading.backbone)
        for questions in reading.splits
        for own in questions
        for one in inserted(own.example, own.seed)
    ]


def _written(reading: Reading, asked: Sequence[Sequence[Question]]) -> list[list[str]]:
    """The explanations that the model of each split writes."""
    most = max(map(len, asked))
    filled = [[encoded(one) for one in own] + [encoded(own[-1])] * (most - len(own)) for own in asked]
    texts = side_by_side(reading.model, reading.backbone, filled, reading.batch_size, reading.max_new_tokens)
    return [[parse(text).explanation for text in own[: len(each)]] for own, each in zip(texts, asked, strict=True)]


def scores(
    questions: Sequence[Question],
    insertions: Sequence[Sequence[Inserted]],
    before: np.ndarray,
    after: Sequence[Sequence[float]],
    explanations: Sequence[str],
) -> dict[str, float | None]:
    """The scores of one split.

    Args:
        questions: without the words.
        insertions: of each question.
        before: (questions, choices) log-probabilities.
        after: of every insertion, one question after the other.
        explanations: as many.
    """
    rows: list[Mapping] = []
    rest = zip(after, explanations, strict=True) if any(insertions) else iter(())
    for place, (own, each) in enumerate(zip(questions, insertions, strict=True)):
        for one in each:
            log_p, explanation = next(rest)
            p, q = softmax(before[place][: len(log_p)]), softmax(np.array(log_p))
            rows.append(
                {
                    "example": place,
                    "flip": p.argmax() != q.argmax(),
                    "change": abs(p - q).sum() / 2,
                    "mention": one.word in content_words(explanation),
                    "before": one.word in content_words(own.explanation),
                    "copied": any(one.word in content_words(text) for text in one.example.fields.values()),
                    "length": len(explanation.split()),
                    "explained": bool(explanation.strip()),
                }
            )
    of_explanations = ("unmentioned", "cct", "phi", "mention_rate", "explanation_length", "mention_rate_before")
    found: dict[str, float | None] = {"insertions": float(len(rows))}
    if not rows:
        return found | dict.fromkeys(("explained", "flip_rate", "mention_rate_copied", *of_explanations))
    column = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    flipped = set(column["example"][column["flip"]])
    silent = set(column["example"][column["flip"] & ~column["mention"]])
    found["explained"] = 100 * float(column["explained"].mean())
    found["flip_rate"] = 100 * float(column["flip"].mean())
    found["mention_rate_copied"] = 100 * float(column["copied"].mean())
    if not column["explained"].any():
        return found | dict.fromkeys(of_explanations)
    return found | {
        "unmentioned": 100 * len(silent) / len(flipped) if flipped else None,
        "cct": _correlation(column["change"], column["mention"]),
        "phi": _correlation(column["flip"], column["mention"]),
        "mention_rate": 100 * float(column["mention"].mean()),
        "explanation_length": float(column["length"].mean()),
        "mention_rate_before": 100 * float(column["before"].mean()),
    }


def _correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Pearson's r; of two columns of 0 and 1 it is phi. None where one of them never changes."""
    if len(one) < 2 or np.ptp(one.astype(float)) == 0 or np.ptp(other.astype(float)) == 0:
        return None
    return float(pearsonr(one.astype(float), other.astype(float)).statistic)
