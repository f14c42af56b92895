"""Asking a model itself which words decide, as Fayyaz et al. do: a list of words, separated by `|`.

A model that was trained to answer and explain mostly writes no list any more; it can be asked as it was before. A text
that is no list names no word, and measures count it as such. A word of a list that the input lacks is a word named in
vain: it counts in precision and removes nothing.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np

from caref.data.batches import Encoded, encode
from caref.data.prompts import SEPARATOR, text
from caref.errors import UserError
from caref.evaluation.generate import side_by_side
from caref.evidence.reading import Question, Reading


def named(
    reading: Reading,
    labels: Sequence[Sequence[int]],
    request: Callable[[Question, str], str],
    count: Callable[[Question], int | None],
) -> list[list[np.ndarray]]:
    """By split and question, what the model lists, as `told` reads it.

    Args:
        labels: by split and question, the choice that is explained.
        request: what a question with an answer is followed by.
        count: how many words of a question are asked for; None for as many as the model likes.

    Raises:
        UserError: the model is a classifier, which lists nothing.
    """
    if reading.backbone.classifier:
        raise UserError(
            "evidence.attributions: a classifier chooses and lists no words; leave out what begins with prompting"
        )
    asked = [
        [_asked(reading, one, request(one, one.example.choices[label])) for one, label in zip(*pair, strict=True)]
        for pair in zip(reading.splits, labels, strict=True)
    ]
    most = max(map(len, asked))
    filled = [own + own[-1:] * (most - len(own)) for own in asked]
    texts = side_by_side(reading.model, reading.backbone, filled, reading.batch_size, reading.max_new_tokens)
    return [
        [told(one, written, count(one)) for one, written in zip(questions, own, strict=False)]
        for questions, own in zip(reading.splits, texts, strict=True)
    ]


def by_untrained(reading: Reading, labels: Sequence[Sequence[int]], asking: ModuleType) -> list[list[np.ndarray]]:
    """What an attribution finds where the model is asked as it was before its training, for the trained one's choice.

    Args:
        asking: the attribution that is asked.
    """
    with reading.untrained() as model:
        return asking.attribute(replace(reading, model=model), labels)


def prompts(reading: Reading, request: Callable[[Question, str], str]) -> list[Encoded]:
    """Each question with its request, of every choice that may be explained."""
    return [
        _asked(reading, one, request(one, choice))
        for questions in reading.splits
        for one in questions
        for choice in one.example.choices
    ]


def told(question: Question, written: str, count: int | None) -> np.ndarray:
    """(words + m,): 1.0 for the words of a question that a text lists, else 0; then 1.0 for each of m that it lacks.

    Words are compared without case and the punctuation around them. Each that is listed stands for all its places, in
    their order. With `count` places the list is at its end.
    """
    own = [_bare(word.text) for word in question.words]
    found, lacking = np.zeros(len(own)), 0
    for one in dict.fromkeys(filter(None, map(_bare, _listed(written, count)))):
        room = None if count is None else count - int(found.sum())
        if room == 0:
            break
        found[[place for place in question.rankable if own[place] == one][:room]] = 1.0
        lacking += one not in own
    return np.append(found, np.ones(lacking))


def _listed(written: str, count: int | None) -> list[str]:
    """The words of a list; none where the text is no list.

    Without a `|` it is one item, or as many words as were asked for; not an answer with its explanation.
    """
    words = written.replace("|", " ").split()
    prose = SEPARATOR in " ".join(words) or len(words) > (count or 1)
    return [] if prose and "|" not in written else words


def _bare(word: str) -> str:
    return re.sub(r"^\W+|\W+$", "", word.casefold())


def _asked(reading: Reading, question: Question, request: str) -> Encoded:
    own = text(reading.dataset, question.example)
    asked = replace(own, source=f"{own.source} {request}")
    return encode(asked, reading.backbone.tokenizer, reading.backbone.encoder_decoder)
