"""The work on a few of a job's splits at a time: train, generate, ask for evidence, score."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from caref.data.splits import Split
from caref.errors import SplitFailed, UserError
from caref.running import lent, provenance, saving
from caref.running.loaded import Loaded
from caref.running.progress import Progress

if TYPE_CHECKING:
    from caref.evidence.probe import Evidence
    from caref.models.asking import Beside
    from caref.models.packed import PackedPart


@dataclass(frozen=True)
class Outcome:
    """What a split came to: its scores and whatever else its record holds, predictions, and every step's terms."""

    record: dict
    predictions: list[Mapping]
    history: list[Mapping[str, float]]
    evidence: "Evidence | SplitFailed | None" = None


@dataclass(frozen=True)
class Again:
    """What a finished split came to that was trained again, as it is recorded: every step, and what was asked."""

    history: list[Mapping[str, float]]
    evidence: "Evidence | SplitFailed | None" = None


class Workbench(Loaded):
    """What a job works with on a few of its splits at a time.

    Args:
        job: the composed, valid configuration.
        saved: the folder that trained parts go to, where the job asks for that.
        content, classes: see `Loaded`.
    """

    def __init__(
        self,
        job: DictConfig,
        saved: Path,
        content: Mapping[str, str | None] | None = None,
        classes: int | None = None,
    ):
        super().__init__(job, content, classes)
        self.saved = saved
        self.unsaved: UserError | None = None  # why a trained part could not be kept

    def run(
        self, splits: Sequence[Split], progress: Progress, recorded: Mapping[int, Sequence[str]] = MappingProxyType({})
    ) -> list[Outcome | Again | SplitFailed]:
        """Train and generate for these splits side by side, ask for evidence, then score each.

        Args:
            recorded: by split, the generations of those that are finished, and trained again to keep their parts or
                for evidence.

        Returns:
            Of each what it came to, or why it failed, where its loss was not finite. Evidence is there of none where
            one of them failed: what numbers its model holds would be in the others' way. Where evidence itself goes
            wrong for one split, it is why; for several, that is raised.

        Raises:
            UserError: before the training, where there is no room for what is to be kept.
        """
        from caref import training
        from caref.evaluation.generate import side_by_side
        from caref.models.packed import packed_part

        job, backbone, _ = self.job, self.backbone, self.lend
        train = [self.tokens(split.train) for split in splits]
        evaluation = [self.tokens(split.evaluation) for split in splits]
        total = training.steps(len(train[0]), job.train.batch_size, job.train.epochs)
        seeds = [split.seed for split in splits]
        named = ",".join(str(split.index) for split in splits)
        history: list[list[Mapping[str, float]]] = []

        def told(terms: list[Mapping[str, float]]) -> None:
            history.append(terms)
            progress.step({name: fmean(one[name] for one in terms) for name in terms[0]})

        by_epoch: dict[int, list[Evidence | SplitFailed]] = {}
        looked = 0.0

        def look(epoch: int) -> None:
            nonlocal looked
            if epoch in job.evidence.epochs and epoch < job.train.epochs:  # at the end it is asked anyway
                began = time.monotonic()
                progress.begin(f"split {named} evidence, epoch {epoch}", 1)
                by_epoch[epoch] = _had(splits, lambda: self._evidence_amid(part, splits, evaluation))
                progress.begin(f"split {named} train", total, done=len(history))
                looked += time.monotonic() - began

        with packed_part(backbone, job.peft, seeds, total, self.objective, self.teaches) as part:
            if job.train.save:  # others fill the disk meanwhile
                saving.check_room(self.saved, len(splits), part.counts.trainable)
            began = time.monotonic()
            progress.begin(f"split {named} train", total)
            terms = training.fit(part, backbone, self.objective, train, job.train, seeds, on_step=told, on_epoch=look)
            if all(isinstance(one, SplitFailed) for one in terms):
                return terms
            trained = time.monotonic()
            progress.begin(f"split {named} generate", len(evaluation[0]))
            generations = side_by_side(
                part.model,
                backbone,
                evaluation,
                job.evaluation.batch_size,
                job.evaluation.max_new_tokens,
                on_batch=lambda done: progress.step(count=done),
            )
            generated = time.monotonic()
            for place, split in enumerate(splits):
                if isinstance(terms[place], SplitFailed):
                    continue
                if (before := recorded.get(split.index)) is not None and (told := _unlike(before, generations[place])):
                    terms[place] = SplitFailed(told)
                elif job.train.save and self.unsaved is None:
                    self._save(part, place, split)
            evidence = [None] * len(splits)
            if job.evidence.measures and not any(isinstance(one, SplitFailed) for one in terms):
                progress.begin(f"split {named} evidence", 1)
                evidence = _had(splits, lambda: self.evidence(part, splits, generations))
                evidence = self._with_epochs(by_epoch, evidence)
            counts = {
                "train": len(train[0]),
                "evaluated": len(evaluation[0]),
                "steps": total,
                "trainable": part.counts.trainable,
                "parameters": part.counts.total,
            }
        shared = {"train": (trained - began - looked) / len(splits), "generate": (generated - trained) / len(splits)}
        return [
            terms[place]
            if isinstance(terms[place], SplitFailed)
            else Again([step[place] for step in history], evidence[place])
            if split.index in recorded
            else self._scored(
                split,
                generations[place],
                terms[place],
                counts,
                shared,
                len(splits),
                [step[place] for step in history],
                evidence[place],
            )
            for place, split in enumerate(splits)
        ]

    @property
    def teaches(self) -> bool:
        """Whether evidence asks for students of the models."""
        from caref.evidence.probe import teaches

        return teaches(self.job.evidence.measures)

    @cached_property
    def lend(self) -> "Callable[[Sequence[int]], Beside] | None":
        """What gives the modules of another cell, where the job asks for them; to be had of the bare model."""
        asked = self.job.evidence
        lends = asked.module is not None and bool(asked.measures)
        return lent.lending(asked.module, self.backbone, self.job.peft) if lends else None

    def evidence(
        self, part, splits: Sequence[Split], generations: Sequence[Mapping[int, str]], began: float | None = None
    ) -> "list[Evidence]":
        """Of each split, with what it took and on what.

        Args:
            generations: of each split's examples, by their places; those that are looked at are enough.
            began: when the work on it did, where that was earlier.
        """
        from caref.evaluation.parse import parse
        from caref.evidence.probe import chosen, probe

        began = time.monotonic() if began is None else began
        asked, batch_size = OmegaConf.to_container(self.job.evidence), self.job.evaluation.batch_size
        parsed = [
            {place: parse(texts[place], self.answers_only) for place in chosen(split, asked["examples"])}
            for split, texts in zip(splits, generations, strict=True)
        ]
        beside = self.lend([split.index for split in splits]) if self.lend else part.beside
        found = probe(
            *(part.model, self.backbone, self.job.dataset.name, splits, parsed, asked),
            *(batch_size, self.job.evaluation.max_new_tokens, self.answers_only, beside, part.untrained),
            pupil=part.pupil,
        )
        seconds = {"evidence": (time.monotonic() - began) / len(splits)}
        run = provenance.of(self.device, self.dtype, seconds, len(splits))
        modules = [{"module": lent.digest(asked["module"], split.index)} if self.lend else {} for split in splits]
        return [replace(one, run=run | module) for one, module in zip(found, modules, strict=True)]

    def _evidence_amid(self, part, splits: Sequence[Split], evaluation: Sequence[Sequence]) -> "list[Evidence]":
        """Of each split, amid its training: its model writes for the examples that are looked at."""
        from caref.evaluation.generate import side_by_side
        from caref.evidence.probe import chosen

        began = time.monotonic()
        places = [chosen(split, self.job.evidence.examples) for split in splits]
        prompts = [[own[place] for place in few] for own, few in zip(evaluation, places, strict=True)]
        wanted = self.job.evaluation
        texts = side_by_side(part.model, self.backbone, prompts, wanted.batch_size, wanted.max_new_tokens)
        written = [dict(zip(*pair, strict=True)) for pair in zip(places, texts, strict=True)]
        return self.evidence(part, splits, written, began)

    def _with_epochs(
        self, by_epoch: "Mapping[int, Sequence[Evidence | SplitFailed]]", final: "Sequence[Evidence | SplitFailed]"
    ) -> "Sequence[Evidence | SplitFailed]":
        """The final evidence of each split with the scores at the epochs asked for; all or nothing."""
        for found in (*by_epoch.values(), final):
            if isinstance(found[0], SplitFailed):
                return found
        if self.job.train.epochs in self.job.evidence.epochs:
            by_epoch = {**by_epoch, self.job.train.epochs: final}
        return [
            replace(one, by_epoch={str(epoch): found[place].scores for epoch, found in by_epoch.items()})
            for place, one in enumerate(final)
        ]

    def _shorter(self, split: Split) -> dict[str, int]:
        if self.job.dataset.max_tokens is None:
            return {}
        return {"train_shortened": self.cut(split.train), "evaluated_shortened": self.cut(split.evaluation)}

    def _save(self, part: "PackedPart", place: int, split: Split) -> None:
        try:
            saving.keep(self.saved, split.index, lambda folder: part.save(folder, place))
        except UserError as error:  # the records of these splits are worth having; then the job stops
            self.unsaved = error

    def _scored(
        self,
        split: Split,
        generations: Sequence[str],
        terms: Mapping[str, float],
        counts: Mapping[str, int],
        seconds: Mapping[str, float],
        together: int,
        history: list[Mapping[str, float]],
        evidence: "Evidence | SplitFailed | None",
    ) -> Outcome:
        from caref.evaluation.scores import score

        began = time.monotonic()
        scorer = None if self.answers_only else self.scorer
        scores, predictions = score(self.job.dataset.name, split.evaluation, generations, scorer)
        seconds = {**seconds, "score": time.monotonic() - began}
        record = {
            "split": split.index,
            "seed": split.seed,
            "status": "done",
            "scores": scores,
            "training": {name: _rounded(value) for name, value in terms.items()},
            "counts": {**counts, **self._shorter(split)},
            "run": provenance.of(self.device, self.dtype, seconds, together),
        }
        return Outcome(record, predictions, history, evidence)


def _had(splits: Sequence[Split], ask: "Callable[[], list[Evidence]]") -> "list[Evidence] | list[SplitFailed]":
    """What is asked of some splits; where it goes wrong for one alone, why. Of several each is asked alone, then."""
    try:
        return ask()
    except Exception as error:
        if len(splits) > 1:
            raise
        return [SplitFailed(f"its record is kept; its evidence could not be had: {type(error).__name__}: {error}")]


def _unlike(recorded: Sequence[str], generations: Sequence[str]) -> str | None:
    """How generations differ from the record's, and what that means; None where they are the same."""
    differing = sum(one != other for one, other in zip(recorded, generations, strict=True))
    if not differing:
        return None
    return (
        f"trained again, {differing} of its {len(recorded)} predictions are not the record's (another device or other "
        "libraries?); its trained part is not kept, its record stays"
    )


def _rounded(value: float) -> float:
    """To four significant digits: beyond them the company a split was trained in shows in the rounding of sums."""
    return float(f"{value:.4g}") if math.isfinite(value) else value
