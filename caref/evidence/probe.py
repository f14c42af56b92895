"""The evidence of a pack of splits: what is asked of their models after they wrote, before their weights go."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType

import numpy as np

from caref.data.batches import Encoded
from caref.data.splits import Split
from caref.errors import UserError
from caref.evaluation.parse import Parsed
from caref.evidence.measures import calibration
from caref.evidence.reading import PREDICTED, Question, Reading, question
from caref.models.asking import Beside
from caref.models.backbones import Backbone
from caref.models.pupil import Pupil


@dataclass(frozen=True)
class Evidence:
    """What one split came to.

    Attributes:
        scores: by measure and score, `calibration.ece`; None where a score does not exist.
        reliability: bins of confidence, see `calibration.reliability`.
        rows: one an example: id, log-probabilities of the choices, the words and each attribution's scores of them.
        run: on what it was computed, and how long that took.
        by_epoch: the scores at the epochs of the training that were asked for, "0" before it.
    """

    scores: dict[str, float | None]
    reliability: list[Mapping]
    rows: list[Mapping]
    run: Mapping = field(default_factory=dict)
    by_epoch: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    def record(self, split: int, seed: int) -> dict:
        """What the results folder keeps of it beside the rows."""
        scores = {"scores": self.scores, "reliability": self.reliability}
        if self.by_epoch:
            scores["by_epoch"] = dict(self.by_epoch)
        return {"split": split, "seed": seed, "examples": len(self.rows), "run": dict(self.run), **scores}


def chosen(split: Split, examples: int | None) -> list[int]:
    """Places of the evaluated examples that evidence is taken of, ascending: all, or as many drawn by the seed."""
    count = len(split.evaluation)
    if examples is None or examples >= count:
        return list(range(count))
    return sorted(np.random.default_rng(split.seed).permutation(count)[:examples].tolist())


def probe(
    model,
    backbone: Backbone,
    dataset: str,
    splits: Sequence[Split],
    written: Sequence[Mapping[int, Parsed]],
    asked: Mapping,
    batch_size: int,
    max_new_tokens: int,
    answers_only: bool = False,
    beside: Beside | None = None,
    untrained: Callable[[], AbstractContextManager] | None = None,
    pupil: Pupil | None = None,
) -> list[Evidence]:
    """Ask the models of K splits for evidence.

    Args:
        model: the trained models in one, as `caref.models.packed` makes it.
        written: what each split's model wrote for its `chosen` examples, by their places.
        asked: `examples`, `attributions`, `measures`, `removal`, `choices`, `student_lr` and `student_steps`, as
            `caref.config.schema.Evidence` has them.
        batch_size: questions of a split at a time.
        max_new_tokens: where a generation is cut.
        answers_only: the models learnt to explain nothing: what asks for explanations is then left out.
        beside: the module that explains the models, where their objective trained one.
        untrained: as `Reading` takes it.
        pupil: a student of the models, where a measure `teaches`.

    Raises:
        UserError: nothing that is asked can be had of them, or of this model.
    """
    vain = of_explanations(asked) if answers_only else []
    measures = [name for name in asked["measures"] if name not in vain]
    if not measures:
        told = "each asks for explanations, and dataset.target=answer has none"
        raise UserError(f"evidence.measures={list(asked['measures'])}: {told}; ask for calibration, say")
    questions = _questions(backbone, dataset, splits, written, asked, answers_only)
    reading = Reading(
        model,
        backbone,
        questions,
        batch_size=batch_size,
        removal=asked["removal"],
        choices=asked["choices"],
        attributions=tuple(name for name in asked["attributions"] if name not in vain),
        dataset=dataset,
        max_new_tokens=max_new_tokens,
        beside=beside,
        untrained=untrained,
        pupil=pupil,
        student_lr=asked["student_lr"],
        student_steps=asked["student_steps"],
    )
    scores: list[dict[str, float | None]] = [{} for _ in splits]
    for name in measures:
        measured = import_module(f"caref.evidence.measures.{name}").measure(reading)
        for own, more in zip(scores, measured, strict=True):
            own.update({f"{name}.{key}": value for key, value in more.items()})
    return [
        Evidence(scores[place], _reliability(reading, place), _rows(reading, place)) for place in range(len(splits))
    ]


def prompts(
    backbone: Backbone, dataset: str, splits: Sequence[Split], asked: Mapping, answers_only: bool = False
) -> dict[tuple[str, str], list[Encoded]]:
    """What models are let write after beside the questions themselves: by key of evidence and what is asked there.

    A measure or an attribution that asks such prompts has a function `prompts`, from a reading to all of them.
    """
    vain = of_explanations(asked) if answers_only else []
    asking = {
        (f"evidence.{key}", name): module.prompts
        for (key, name), module in _modules(asked).items()
        if hasattr(module, "prompts") and name not in vain
    }
    if backbone.classifier or not asking or not asked["measures"]:
        return {}
    unwritten = [[Parsed("", "", broken=False)] * len(split.evaluation) for split in splits]
    questions = _questions(backbone, dataset, splits, unwritten, asked, answers_only)
    reading = Reading(None, backbone, questions, dataset=dataset)
    return {key: of(reading) for key, of in asking.items()}


def of_explanations(asked: Mapping) -> list[str]:
    """What is asked, measures and attributions, that looks at free-text explanations."""
    return [name for (_, name), module in _modules(asked).items() if getattr(module, "OF_EXPLANATIONS", False)]


def _modules(asked: Mapping) -> dict[tuple[str, str], ModuleType]:
    """Measures and attributions, by the key of evidence they are asked under and their names."""
    packages = {"measures": "measures", "attributions": "attribution"}
    return {
        (key, name): import_module(f"caref.evidence.{package}.{name}")
        for key, package in packages.items()
        for name in asked[key]
    }


def teaches(measures: Sequence[str]) -> bool:
    """Whether one of these measures teaches students, who start where the models did."""
    return any(getattr(import_module(f"caref.evidence.measures.{name}"), "TEACHES", False) for name in measures)


def _questions(
    backbone: Backbone,
    dataset: str,
    splits: Sequence[Split],
    written: Sequence[Mapping[int, Parsed] | Sequence[Parsed]],
    asked: Mapping,
    answers_only: bool,
) -> list[list[Question]]:
    return [
        [
            _question(dataset, split, place, backbone, own[place], answers_only)
            for place in chosen(split, asked["examples"])
        ]
        for split, own in zip(splits, written, strict=True)
    ]


def _question(
    dataset: str, split: Split, place: int, backbone: Backbone, written: Parsed, answers_only: bool
) -> Question:
    # What is drawn for an example depends on the split and on nothing else, as everything drawn for a split does.
    seed = split.seed * len(split.evaluation) + place
    example = split.evaluation[place]
    return question(dataset, example, backbone, written.answer, written.explanation, seed, answers_only)


def _reliability(reading: Reading, split: int) -> list[Mapping]:
    table = reading.log_p()[split]
    p = np.exp(table - np.logaddexp.reduce(table, axis=-1, keepdims=True))
    labels = np.array([one.example.label for one in reading.splits[split]])
    return calibration.reliability(p.max(-1), p.argmax(-1) == labels)


def _rows(reading: Reading, split: int) -> list[Mapping]:
    table = reading.log_p()[split]
    scored = {name: reading.word_scores(name, PREDICTED)[split] for name in reading.attributions}
    left = {name: of[split] for name, of in reading.by_example.items()}
    return [
        {
            "id": one.example.id,
            "log_p": [_rounded(value) for value in table[place][: len(one.example.choices)]],
            "words": [word.text for word in one.words],
            "fields": [word.field for word in one.words],
            "marked": [index for index, word in enumerate(one.words) if word.marked],
            "scores": {name: [_rounded(value) for value in own[place]] for name, own in scored.items()},
            **{name: _rounded(own[place]) for name, own in left.items() if own[place] is not None},
        }
        for place, one in enumerate(reading.splits[split])
    ]


def _rounded(value: float) -> float:
    """To five significant digits, beyond which the company of a split shows in the rounding of sums."""
    return float(f"{value:.5g}")
