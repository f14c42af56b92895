"""What attributions and measures read: the trained models of some splits, their questions, and what they answered.

Whatever is asked of the models is kept, so that several measures may ask for the same.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from caref.data.batches import Encoded, for_backbone, mask_token
from caref.data.examples import Example
from caref.data.prompts import normalised, offered_once, text
from caref.evidence import attribution as attributions
from caref.evidence.choices import DEFINITIONS, Asked, by_token, log_probabilities
from caref.evidence.words import Word, without, words_of
from caref.models.asking import Beside
from caref.models.backbones import Backbone
from caref.models.continuations import told_by
from caref.models.pupil import Pupil

PREDICTED, TRUE = "predicted", "true"  # which choice an attribution explains
_ORDERS = 1  # the last of a stream's seeds, which makes it another than whatever else is drawn by a question's own


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
    dataset: str,
    example: Example,
    backbone: Backbone,
    answer: str = "",
    explanation: str = "",
    seed: int = 0,
    answers_only: bool = False,
) -> Question:
    """An example as a question to a backbone; what it offers twice is one choice."""
    encoded = for_backbone(example, text(dataset, example), backbone)
    words = words_of(dataset, example, encoded.prompt, backbone.tokenizer)
    if not backbone.classifier:  # whose choices are its classes
        example = _offering_once(example)
    told = _told(example, encoded, backbone.tokenizer, answers_only)
    return Question(example, Asked(encoded.prompt, told), words, answer, explanation, seed)


def askable(dataset: str, example: Example, encoded: Encoded, tokenizer, answers_only: bool = False) -> Encoded:
    """An example in tokens with those of its rankable words and of its choices."""
    words = (word.tokens for word in words_of(dataset, example, encoded.prompt, tokenizer))
    return replace(encoded, words=tuple(filter(None, words)), choices=_told(example, encoded, tokenizer, answers_only))


def _told(example: Example, encoded: Encoded, tokenizer, answers_only: bool) -> tuple[tuple[int, ...], ...]:
    if encoded.classes:
        return tuple((place,) for place in range(len(encoded.classes)))
    return tuple(told_by(choice, tokenizer, answers_only) for choice in offered_once(example.choices).values())


def _offering_once(example: Example) -> Example:
    choices = offered_once(example.choices)
    label = list(choices).index(normalised(example.answer))
    return replace(example, choices=tuple(choices.values()), label=label)


def drawn_order(questions: Sequence[Question], nth: int = 0) -> np.ndarray:
    """Places of questions in an order that follows from their own seeds, whatever lies in a pack beside them.

    FEB's samples lie right answer by right answer: the first of them are no sample.
    """
    keys = [np.random.default_rng((one.seed, nth, _ORDERS)).random() for one in questions]
    return np.argsort(keys, kind="stable")


@dataclass
class Reading:
    """The models of K splits and the questions of each.

    Args:
        model: the trained models in one, as `caref.models.packed` makes it.
        splits: K lists of questions.
        batch_size: questions of a split at a time.
        removal: `delete` a word's tokens, or `mask` them by one token.
        choices: what the probability of a choice is, `tree` or `sequence` of `caref.evidence.choices`.
        attributions: which ones measures are to look at.
        dataset: its name, for measures that ask of other texts.
        max_new_tokens: where a generation is cut, for measures that let the models write.
        beside: the module that explains the models, where their objective trained one.
        untrained: in its block the model as it was before the training, see `caref.models.packed.PackedPart`.
        pupil: a student that may be taught to foresee them.
        student_lr: the rate at which it learns, for `student_steps` steps.
    """

    model: object
    backbone: Backbone
    splits: Sequence[Sequence[Question]]
    batch_size: int = 32
    removal: str = "delete"
    choices: str = "tree"
    attributions: Sequence[str] = ()
    dataset: str = ""
    max_new_tokens: int = 99
    beside: Beside | None = None
    untrained: Callable[[], AbstractContextManager] | None = None
    pupil: Pupil | None = None
    student_lr: float = 5e-3
    student_steps: int = 100

    def __post_init__(self):
        if self.model is not None:
            self.model.eval()
        self.by_example: dict[str, list[list[float | None]]] = {}  # what measures leave of each question of each split
        self._kept: dict[tuple[str, str], list[list[np.ndarray]]] = {}  # what attributions found
        # Of every split, by question and words removed, log p of the choices by each definition.
        self._log_p: list[dict[tuple[int, frozenset[int]], dict[str, np.ndarray]]] = [{} for _ in self.splits]

    def log_p(self) -> list[np.ndarray]:
        """(questions, choices) of each split: log p of every choice, -inf where an example has fewer than another."""
        whole = self.log_p_without([[[()] for _ in questions] for questions in self.splits])
        return [_table([rows[0] for rows in of_split]) for of_split in whole]

    def summed_log_p(self) -> list[np.ndarray]:
        """The same, of all tokens of a choice, whatever the reading's definition."""
        whole = self._told([[[()] for _ in questions] for questions in self.splits], "sequence")
        return [_table([rows[0] for rows in of_split]) for of_split in whole]

    def log_p_without(self, removed: Sequence[Sequence[Sequence[Collection[int]]]]) -> list[list[np.ndarray]]:
        """By split and question, (variants, choices): log p of every choice without some of the words.

        What was asked before is not computed again.

        Args:
            removed: by split, question and variant the places of the words.
        """
        return self._told(removed, self.choices)

    def _told(self, removed: Sequence[Sequence[Sequence[Collection[int]]]], by: str) -> list[list[np.ndarray]]:
        wanted = [
            {(place, frozenset(gone)) for place, variants in enumerate(each) for gone in variants} - known.keys()
            for each, known in zip(removed, self._log_p, strict=True)
        ]
        if any(wanted):
            # A pack has rows of every split: one with nothing left to ask is asked its first question again.
            orders = [sorted(missing or {(0, frozenset())}, key=lambda key: (key[0], *key[1])) for missing in wanted]
            mask = self._mask() if self.removal == "mask" else None
            asked = [
                [self._changed(questions[place], gone, mask) for place, gone in order]
                for questions, order in zip(self.splits, orders, strict=True)
            ]
            found = by_token(self.model, self.backbone, asked, self.batch_size)
            for known, *of_split in zip(self._log_p, orders, asked, found, strict=True):
                for key, one, tokens in zip(*of_split, strict=True):
                    known[key] = {name: np.array(told(one, tokens)) for name, told in DEFINITIONS.items()}
        return [
            [np.array([known[place, frozenset(gone)][by] for gone in variants]) for place, variants in enumerate(each)]
            for each, known in zip(removed, self._log_p, strict=True)
        ]

    def _mask(self) -> int:
        return mask_token(self.backbone.tokenizer, "evidence.removal=mask", "use evidence.removal=delete")

    def log_p_of(self, asked: Sequence[Sequence[Asked]]) -> list[list[list[float]]]:
        """log p of every choice of other questions than the reading's own, by split, question and choice."""
        return log_probabilities(self.model, self.backbone, asked, self.batch_size, self.choices)

    @staticmethod
    def _changed(question: Question, gone: Collection[int], mask: int | None) -> Asked:
        return Asked(without(question.asked.prompt, question.words, gone, mask), question.asked.continuations)

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
        return [
            [own[: len(one.words)] for one, own in zip(*pair, strict=True)]
            for pair in zip(self.splits, self._found(attribution, target), strict=True)
        ]

    def lacking(self, attribution: str, target: str = PREDICTED) -> list[list[int]]:
        """By split and question, how many words an attribution names that the question lacks.

        An attribution that can name such words returns one more score for each, behind those of the words.
        """
        return [
            [len(own) - len(one.words) for one, own in zip(*pair, strict=True)]
            for pair in zip(self.splits, self._found(attribution, target), strict=True)
        ]

    def _found(self, attribution: str, target: str) -> list[list[np.ndarray]]:
        key = attribution, target
        if key not in self._kept:
            self._kept[key] = attributions.of(attribution).attribute(self, self.explained(target))
        return self._kept[key]


def encoded(question: Question) -> Encoded:
    """A question as generation takes it: its prompt."""
    return Encoded(question.asked.prompt, (), 0)


def asking(question: Question) -> Encoded:
    """A question as `caref.models.asking` takes it: with its words and its choices."""
    words = tuple(word.tokens for word in question.words)
    return Encoded(question.asked.prompt, (), 0, words, question.asked.continuations)


def _table(rows: Sequence[Sequence[float]]) -> np.ndarray:
    if not rows:
        return np.zeros((0, 0))
    width = max(map(len, rows))
    return np.array([[*row, *[-np.inf] * (width - len(row))] for row in rows])


def summed_by_word(question: Question, token_scores: np.ndarray) -> np.ndarray:
    """(words,): every word's score, the sum of its tokens' (ERASER's rule, IvRA's appendix H).

    Args:
        token_scores: (tokens of the prompt,).
    """
    return np.array([token_scores[list(word.tokens)].sum() for word in question.words])
