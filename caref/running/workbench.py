"""The work on a few of a job's splits at a time: train, generate, ask for evidence, score."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from caref.data.splits import Split
from caref.errors import SplitFailed, UserError
from caref.running import provenance, saving
from caref.running.inquiry import Inquiry, had
from caref.running.progress import Progress

if TYPE_CHECKING:
    from caref.evidence.probe import Evidence
    from caref.models.packed import PackedPart


@dataclass(frozen=True)
class Outcome:
    """What a split came to: its scores and whatever else its record holds, predictions, and every step's terms."""

    record: dict
    predictions: list[Mapping]
    history: list[Mapping[str, float]]
    evidence: "Evidence | SplitFailed | None" = None


@dataclass(frozen=True)
class Recorded:
    """What a finished split wrote, and how many were side by side, where that may show: see `provenance.matters`."""

    generations: Sequence[str]
    pack: int | None


@dataclass(frozen=True)
class Again:
    """What a finished split came to that was trained again, as it is recorded: every step, and what was asked."""

    history: list[Mapping[str, float]]
    evidence: "Evidence | SplitFailed | None" = None
    saved: bool = False  # whether its trained part was kept, which had not been


class Workbench(Inquiry):
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
        self, splits: Sequence[Split], progress: Progress, recorded: Mapping[int, Recorded] = MappingProxyType({})
    ) -> list[Outcome | Again | SplitFailed]:
        """Train and generate for these splits side by side, ask for evidence, then score each.

        Args:
            recorded: by split, of those that are finished, and trained again to keep their parts or for evidence.

        Returns:
            Of each what it came to, or why it failed, where its loss was not finite. Evidence is there of none where
            one of them failed: what numbers its model holds would be in the others' way. Where evidence itself goes
            wrong for one split, it is why; for several, that is raised.

        Raises:
            UserError: before the training, where there is no room for what is to be kept.
        """
        from caref import training
        from caref.evaluation.generate import side_by_side

        job, backbone = self.job, self.backbone
        train = [self.tokens(split.train) for split in splits]
        evaluation = [self.tokens(split.evaluation) for split in splits]
        total = training.steps(len(train[0]), job.train.batch_size, job.train.epochs)
        named = ",".join(str(split.index) for split in splits)
        history: list[list[Mapping[str, float]]] = []

        def told(terms: list[Mapping[str, float]]) -> None:
            history.append(terms)
            progress.step({name: fmean(one[name] for one in terms) for name in terms[0]})

        def ask(question: "Callable[[int], list[Evidence]]") -> "list[Evidence] | list[SplitFailed]":
            return had(splits, question, job.evaluation.batch_size, progress.say)

        by_epoch: dict[int, list[Evidence | SplitFailed]] = {}
        looked = 0.0

        def look(epoch: int) -> None:
            nonlocal looked
            if epoch in job.evidence.epochs and epoch < job.train.epochs:  # at the end it is asked anyway
                began = time.monotonic()
                progress.begin(f"split {named} evidence, epoch {epoch}", 1)
                by_epoch[epoch] = ask(lambda size: self.evidence_amid(part, splits, evaluation, size))
                progress.begin(f"split {named} train", total, done=len(history))
                looked += time.monotonic() - began

        seeds = [split.seed for split in splits]
        with self.part(splits, total) as part:
            if job.train.save:  # others fill the disk meanwhile
                saving.check_room(self.saved, [split.index for split in splits], part.counts.trainable)
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
            newly_saved = [False] * len(splits)
            for place, split in enumerate(splits):
                if isinstance(terms[place], SplitFailed):
                    continue
                before = recorded.get(split.index)
                if before is not None and (told := _unlike(before, generations[place], len(splits))):
                    terms[place] = SplitFailed(told)
                elif job.train.save and (before is None or not saving.kept(self.saved, split.index)):
                    newly_saved[place] = self._save(part, place, split)
            evidence = [None] * len(splits)
            if job.evidence.measures and not any(isinstance(one, SplitFailed) for one in terms):
                progress.begin(f"split {named} evidence", 1)
                evidence = ask(lambda size: self.evidence(part, splits, generations, size))
                evidence = self.with_epochs(by_epoch, evidence)
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
            else Again([step[place] for step in history], evidence[place], newly_saved[place])
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

    def _shorter(self, split: Split) -> dict[str, int]:
        if self.job.dataset.max_tokens is None:
            return {}
        return {"train_shortened": self.cut(split.train), "evaluated_shortened": self.cut(split.evaluation)}

    def _save(self, part: "PackedPart", place: int, split: Split) -> bool:
        """Keep a split's trained part, and say whether it is kept; none is tried after one that could not be."""
        if self.unsaved is None:
            try:
                saving.keep(self.saved, split.index, lambda folder: part.save(folder, place))
            except UserError as error:  # the records of these splits are worth having; then the job stops
                self.unsaved = error
        return self.unsaved is None

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


def _unlike(recorded: Recorded, generations: Sequence[str], together: int) -> str | None:
    """How generations differ from the record's, and what that means; None where they are the same."""
    differing = sum(one != other for one, other in zip(recorded.generations, generations, strict=True))
    if not differing:
        return None
    why = "another device or other libraries?"
    if recorded.pack not in (None, together):
        why = (
            f"it was one of {recorded.pack} side by side, now of {together}, which shows in bfloat16; "
            f"pack={recorded.pack} in another results_dir, with all that is to be kept, makes both at once"
        )
    return (
        f"trained again, {differing} of its {len(generations)} predictions are not the record's ({why}); its trained "
        "part is not kept, its record stays"
    )


def _rounded(value: float) -> float:
    """To four significant digits: beyond them the company a split was trained in shows in the rounding of sums."""
    return float(f"{value:.4g}") if math.isfinite(value) else value
