"""Asking a model itself which words decide, as Fayyaz et al. do: a list of words, separated by `|`.

A model that was trained to answer and explain mostly writes no list any more; it can be asked as it was before. What
can be read of its text is taken for the words it names; where that is none of the input's, it names none, and measures
count it as such.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np

from caref.data.batches import Encoded, encode
from caref.data.prompts import text
from caref.errors import UserError
from caref.evaluation.generate import side_by_side
from caref.evidence.reading import Question, Reading


def named(
    reading: Reading,
    labels: Sequence[Sequence[int]],
    request: Callable[[Question, str], str],
    count: Callable[[Question], int],
) -> list[list[np.ndarray]]:
    """By split and question, (words,): 1.0 for each word that the model names, else 0.

    Args:
        labels: by split and question, the choice that is explained.
        request: what a question with an answer is followed by.
        count: how many words of a question may be named.

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


def told(question: Question, written: str, count: int) -> np.ndarray:
    """(words,): 1.0 for the words of a question that a text lists, the first `count` of them, else 0.

    Words are compared without case and the punctuation around them. Each that is listed stands for all its places, in
    their order.
    """
    found = np.zeros(len(question.words))
    places = [(_bare(question.words[place].text), place) for place in question.rankable]
    listed = dict.fromkeys(_bare(word) for item in written.split("|") for word in item.split())
    marked = [place for one in listed if one for word, place in places if word == one]
    found[marked[:count]] = 1.0
    return found


def _bare(word: str) -> str:
    return re.sub(r"^\W+|\W+$", "", word.casefold())


def _asked(reading: Reading, question: Question, request: str) -> Encoded:
    own = text(reading.dataset, question.example)
    asked = replace(own, source=f"{own.source} {request}")
    return encode(asked, reading.backbone.tokenizer, reading.backbone.encoder_decoder)
