"""What attributions and measures read: the trained models of some splits, their questions, and what they answered.

Whatever is asked of the models is kept, so that several measures may ask for the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np

from caref.data.batches import encode
from caref.data.examples import Example
from caref.data.prompts import text
from caref.evidence import choices
from caref.evidence.choices import Asked
from caref.evidence.words import Word, mask_token, without, words_of
from caref.models.backbones import Backbone

PREDICTED, TRUE = "predicted", "true"  # which choice an attribution explains


@dataclass(frozen=True)
class Question:
    """One evaluated example, as a model is asked it.

    Attributes:
        asked: its prompt and its choices, in tokens.
        words: of its fields.
        answer: what the model wrote before the separator.
        explanation: what it wrote after; empty where there is none.
        seed: of whatever is drawn for this example; the split's and the example's own.
    """

    example: Example
    asked: Asked
    words: tuple[Word, ...]
    answer: str = ""
    explanation: str = ""
    seed: int = 0

    @property
    def rankable(self) -> list[int]:
        """Places of the words that can be ranked and removed."""
        return [place for place, word in enumerate(self.words) if word.tokens]


def question(
    dataset: str, example: Example, backbone: Backbone, answer: str = "", explanation: str = "", seed: int = 0
) -> Question:
    """An example as a question to a backbone."""
    prompt = encode(text(dataset, example), backbone.tokenizer, backbone.encoder_decoder).prompt
    told = tuple(choices.told_by(choice, backbone.tokenizer) for choice in example.choices)
    words = words_of(dataset, example, prompt, backbone.tokenizer)
    return Question(example, Asked(prompt, told), words, answer, explanation, seed)


@dataclass
class Reading:
    """The models of K splits and the questions of each.

    Args:
        model: the trained models in one, as `caref.models.packed` makes it.
        splits: K lists of questions.
        batch_size: questions of a split at a time.
        removal: `delete` a word's tokens, or `mask` them by one token.
    """

    model: object
    backbone: Backbone
    splits: Sequence[Sequence[Question]]
    batch_size: int = 32
    removal: str = "delete"
    _kept: dict = field(default_factory=dict, repr=False)

    def log_p(self) -> list[np.ndarray]:
        """(questions, choices) of each split: log p of every choice, -inf where an example has fewer than another."""
        if "log_p" not in self._kept:
            whole = [[question.asked for question in questions] for questions in self.splits]
            self._kept["log_p"] = [_table(rows) for rows in self._log_p(whole)]
        return self._kept["log_p"]

    def log_p_without(self, removed: Sequence[Sequence[Sequence[int]]]) -> list[np.ndarray]:
        """`log_p` with other words removed of each question: by split and question the places of those words."""
        mask = mask_token(self.backbone.tokenizer) if self.removal == "mask" else None
        changed = [
            [
                Asked(without(one.asked.prompt, one.words, places, mask), one.asked.continuations)
                for one, places in zip(questions, each, strict=True)
            ]
            for questions, each in zip(self.splits, removed, strict=True)
        ]
        return [_table(rows) for rows in self._log_p(changed)]

    def log_p_of_variants(self, removed: Sequence[Sequence[Sequence[Sequence[int]]]]) -> list[list[np.ndarray]]:
        """By split and question, (variants, choices): `log_p` with several sets of words removed, one after the other.

        Args:
            removed: by split, question and variant the places of the words.
        """
        mask = mask_token(self.backbone.tokenizer) if self.removal == "mask" else None
        flat = [
            [
                Asked(without(one.asked.prompt, one.words, places, mask), one.asked.continuations)
                for one, variants in zip(questions, each, strict=True)
                for places in variants
            ]
            for questions, each in zip(self.splits, removed, strict=True)
        ]
        found = []
        for rows, each in zip(self._log_p(flat), removed, strict=True):
            rest = iter(rows)
            found.append([np.array([next(rest) for _ in variants]) for variants in each])
        return found

    def predicted(self) -> list[np.ndarray]:
        """(questions,) of each split: the most probable choice."""
        return [table.argmax(-1) for table in self.log_p()]

    def explained(self, target: str) -> list[list[int]]:
        """By split and question, which choice is explained: the predicted one or the true one."""
        if target == PREDICTED:
            return [labels.tolist() for labels in self.predicted()]
        return [[question.example.label for question in questions] for questions in self.splits]

    def word_scores(self, attribution: str, target: str = PREDICTED) -> list[list[np.ndarray]]:
        """By split and question, (words,): how much each word counts for the choice, by an attribution.

        Args:
            attribution: a module of `caref.evidence.attribution`.
            target: `predicted` or `true`; where the two coincide the scores do.
        """
        key = attribution, target
        if key not in self._kept:
            attribute = import_module(f"caref.evidence.attribution.{attribution}").attribute
            self._kept[key] = attribute(self, self.explained(target))
        return self._kept[key]

    def _log_p(self, splits: Sequence[Sequence[Asked]]) -> list[list[list[float]]]:
        return choices.log_probabilities(self.model, self.backbone, splits, self.batch_size)


def _table(rows: Sequence[Sequence[float]]) -> np.ndarray:
    width = max(map(len, rows), default=0)
    return np.array([[*row, *[-np.inf] * (width - len(row))] for row in rows])


def summed_by_word(question: Question, token_scores: np.ndarray) -> np.ndarray:
    """(words,): every word's score, the sum of its tokens' (ERASER's rule, IvRA's appendix H).

    Args:
        token_scores: (tokens of the prompt,).
    """
    return np.array([token_scores[list(word.tokens)].sum() for word in question.words])
