"""Everything one job loads once, and the work on a few of its splits at a time: train, generate, score."""

import math
import platform
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from caref.data.examples import Example
from caref.data.prompts import text
from caref.data.splits import Split
from caref.errors import SplitFailed, UserError
from caref.models import contents
from caref.running import saving
from caref.running.progress import Progress

if TYPE_CHECKING:
    from caref.evidence.probe import Evidence
    from caref.models.packed import PackedPart

_VERSIONED = ("torch", "transformers", "peft", "tokenizers", "bert-score", "numpy")
_REHEARSED = 8  # tokens that a rehearsal writes


@dataclass(frozen=True)
class Outcome:
    """What a split came to: its scores and whatever else its record holds, predictions, and every step's terms."""

    record: dict
    predictions: list[Mapping]
    history: list[Mapping[str, float]]
    evidence: "Evidence | None" = None


@dataclass(frozen=True)
class Again:
    """What a finished split came to that was trained again: it wrote what is recorded of it."""

    evidence: "Evidence | None" = None


class Workbench:
    """What is loaded once for all the splits of a job, when the first of them needs it.

    Args:
        job: the composed, valid configuration.
        saved: the folder that trained parts go to, where the job asks for that.
        content: marks of what its models are, see `caref.models.contents`: hub ids are read at these commits. Without
            them, at their newest.
    """

    def __init__(self, job: DictConfig, saved: Path, content: Mapping[str, str | None] | None = None):
        self.job, self._saved, self._content = job, saved, content or {}
        self.unsaved: UserError | None = None  # why a trained part could not be kept
        self._encoded: dict[int, tuple[Example, object]] = {}

    @cached_property
    def device(self):
        import torch

        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def dtype(self):
        from caref import training

        return training.precision(self.job.train.precision, self.device)

    @cached_property
    def scorer(self):
        from caref.evaluation.bertscore import Scorer

        wanted = self.job.bertscore
        settings = {"scorer": wanted, "content": self._content.get("bertscore")}
        commit = self._commit("bertscore")
        return _kept(
            "scorer", settings, lambda: Scorer(wanted.model, wanted.layer, device=self.device, revision=commit)
        )

    @cached_property
    def backbone(self):
        from caref.models import backbones

        commit = self._commit("model")
        model = OmegaConf.merge(self.job.model, {"revision": commit}) if commit else self.job.model
        wanted = {"model": model, "content": dict(self._content), "dtype": str(self.dtype)}
        return _kept("backbone", wanted, lambda: backbones.load(model, device=self.device, dtype=self.dtype))

    @cached_property
    def objective(self):
        from caref.objectives import objective

        return objective.build(self.job.reg)

    def set_up(self, saves: int = 0) -> None:
        """Load everything and put the trained part on once, so that what cannot be is refused before any split.

        Args:
            saves: how many splits' trained parts are to be kept.

        Raises:
            UserError: where the scorer, the model or what is to be trained of it cannot be had, or there is no room
                for what is to be kept.
        """
        from caref.evaluation import encoders

        commit = self._commit("bertscore")
        encoders.check(self.job.bertscore.model, self.job.bertscore.layer, commit)  # before torch is imported

        from huggingface_hub.utils import disable_progress_bars
        from transformers.utils import logging

        from caref import training
        from caref.models.trained import trained_part
        from caref.running import lengths

        logging.disable_progress_bar()  # a job's own lines say how far it is
        disable_progress_bars()
        _ = self.objective, self.scorer
        total = training.steps(self.job.dataset.train_size, self.job.train.batch_size, self.job.train.epochs)
        with trained_part(self.backbone, self.job.peft, seed=0, total_steps=total) as part:
            saving.check_room(self._saved, saves, part.counts.trainable)
            if self.job.peft.method == "prefix":
                lengths.check_prefix(part, self.backbone, f"peft ({self.job.peft.name})")

    def _commit(self, what: str) -> str | None:
        return contents.commit(self._content.get(what) or "")

    def left_out(self) -> list[str]:
        """Lines that say what of the model is not trained though one might think so."""
        from caref.models import method, reach

        chosen = method.build(self.job.peft)
        lines = [reach.told(self.backbone.model)]
        if isinstance(chosen, method.Adapter):
            lines.append(chosen.left_out(self.backbone.model))
        return [line for line in lines if line]

    def check_lengths(self, splits: Sequence[Split]) -> None:
        """Refuse examples that are longer than the model's positions.

        Raises:
            UserError: naming the example and the key.
        """
        from caref.running import lengths

        if lengths.limits(self.backbone):
            train = [one for split in splits for one in self.tokens(split.train)]
            asked = [one for split in splits for one in self.tokens(split.evaluation)]
            written = self.job.evaluation.max_new_tokens
            lengths.check(self.backbone, train, asked, written, prefix=self.job.peft.get("tokens", 0))

    def tokens(self, examples: Sequence[Example]) -> list:
        """The examples in tokens, each tokenised once however many splits draw it."""
        from caref.data.batches import encode

        tokens = []
        for example in examples:
            if id(example) not in self._encoded:  # of one that is kept beside its tokens, and so has its id for good
                written = text(self.job.dataset.name, example)
                encoded = encode(written, self.backbone.tokenizer, self.backbone.encoder_decoder)
                self._encoded[id(example)] = example, encoded
            tokens.append(self._encoded[id(example)][1])
        return tokens

    def run(
        self, splits: Sequence[Split], progress: Progress, recorded: Mapping[int, Sequence[str]] = MappingProxyType({})
    ) -> list[Outcome | Again | SplitFailed]:
        """Train and generate for these splits side by side, ask for evidence, then score each.

        Args:
            recorded: by split, the generations of those that are finished, and trained again to keep their parts or
                for evidence.

        Returns:
            Of each what it came to, or why it failed, where its loss was not finite. Evidence is there of none where
            one of them failed: what numbers its model holds would be in the others' way.

        Raises:
            UserError: before the training, where there is no room for what is to be kept.
        """
        from caref import training
        from caref.evaluation.generate import side_by_side
        from caref.models.packed import packed_part

        job, backbone = self.job, self.backbone
        train = [self.tokens(split.train) for split in splits]
        evaluation = [self.tokens(split.evaluation) for split in splits]
        total = training.steps(len(train[0]), job.train.batch_size, job.train.epochs)
        seeds = [split.seed for split in splits]
        named = ",".join(str(split.index) for split in splits)
        history: list[list[Mapping[str, float]]] = []

        def told(terms: list[Mapping[str, float]]) -> None:
            history.append(terms)
            progress.step({name: fmean(one[name] for one in terms) for name in terms[0]})

        with packed_part(backbone, job.peft, seeds, total) as part:
            if job.train.save:  # others fill the disk meanwhile
                saving.check_room(self._saved, len(splits), part.counts.trainable)
            began = time.monotonic()
            progress.begin(f"split {named} train", total)
            terms = training.fit(part, backbone, self.objective, train, job.train, seeds, on_step=told)
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
                evidence = self._evidence(part.model, splits, generations)
            counts = {
                "train": len(train[0]),
                "evaluated": len(evaluation[0]),
                "steps": total,
                "trainable": part.counts.trainable,
                "parameters": part.counts.total,
            }
        shared = {"train": (trained - began) / len(splits), "generate": (generated - trained) / len(splits)}
        return [
            terms[place]
            if isinstance(terms[place], SplitFailed)
            else Again(evidence[place])
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

    def try_evidence(self, split: Split) -> None:
        """Ask one example for whatever evidence the job asks for, untrained: what cannot be had is refused by now.

        Raises:
            UserError: naming the key of evidence.
        """
        from caref.models.packed import packed_part

        if self.job.evidence.measures:
            few = replace(split, evaluation=split.evaluation[:1])
            with packed_part(self.backbone, self.job.peft, [split.seed], total_steps=1) as part:
                self._evidence(part.model, [few], [["entailment because it is"]])

    def _evidence(self, model, splits: Sequence[Split], generations: Sequence[Sequence[str]]) -> "list[Evidence]":
        """Of each split, with what it took and on what."""
        from caref.evaluation.parse import parse
        from caref.evidence.probe import probe

        began = time.monotonic()
        parsed = [[parse(text) for text in texts] for texts in generations]
        asked, batch_size = OmegaConf.to_container(self.job.evidence), self.job.evaluation.batch_size
        found = probe(
            *(model, self.backbone, self.job.dataset.name, splits, parsed, asked),
            *(batch_size, self.job.evaluation.max_new_tokens),
        )
        seconds = {"evidence": (time.monotonic() - began) / len(splits)}
        return [replace(one, run=self._provenance(seconds, len(splits))) for one in found]

    def _save(self, part: "PackedPart", place: int, split: Split) -> None:
        try:
            saving.keep(self._saved, split.index, lambda folder: part.save(folder, place))
        except UserError as error:  # the records of these splits are worth having; then the job stops
            self.unsaved = error

    def rehearse(self, split: Split) -> None:
        """One step of training on the split's longest examples and the first words of its longest generations."""
        from caref import training
        from caref.evaluation.generate import generate
        from caref.models.packed import packed_part

        job = self.job
        train = sorted(self.tokens(split.train), key=lambda example: -len(example.prompt) - len(example.target))
        evaluation = sorted(self.tokens(split.evaluation), key=lambda example: -len(example.prompt))
        settings = OmegaConf.merge(job.train, {"epochs": 1})
        with packed_part(self.backbone, job.peft, [split.seed], total_steps=1) as part:
            training.fit(part, self.backbone, self.objective, [train[: job.train.batch_size]], settings, [split.seed])
            few = min(_REHEARSED, job.evaluation.max_new_tokens)
            longest = evaluation[: job.evaluation.batch_size]
            generate(part.model, self.backbone, longest, job.evaluation.batch_size, few)

    def why_alone(self, split: Split) -> str | None:
        """Why splits of this job cannot be trained side by side, found on one of them; None where they can."""
        from caref.running import company

        return company.why_alone(self.backbone, self.job.peft, self.objective, self.tokens(split.train), split.seed)

    def _scored(
        self,
        split: Split,
        generations: Sequence[str],
        terms: Mapping[str, float],
        counts: Mapping[str, int],
        seconds: Mapping[str, float],
        together: int,
        history: list[Mapping[str, float]],
        evidence: "Evidence | None",
    ) -> Outcome:
        from caref.evaluation.scores import score

        began = time.monotonic()
        scores, predictions = score(self.job.dataset.name, split.evaluation, generations, self.scorer)
        seconds = {**seconds, "score": time.monotonic() - began}
        record = {
            "split": split.index,
            "seed": split.seed,
            "status": "done",
            "scores": scores,
            "training": {name: _rounded(value) for name, value in terms.items()},
            "counts": counts,
            "run": self._provenance(seconds, together),
        }
        return Outcome(record, predictions, history, evidence)

    def _provenance(self, seconds: Mapping[str, float], together: int) -> dict:
        import torch

        device = (
            torch.cuda.get_device_name() if self.device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
        )
        return {
            "device": device,
            "precision": str(self.dtype).removeprefix("torch."),
            "pack": together,
            "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
            "versions": _versions(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
        }


def _unlike(recorded: Sequence[str], generations: Sequence[str]) -> str | None:
    """How generations differ from the record's, and what that means; None where they are the same."""
    differing = sum(one != other for one, other in zip(recorded, generations, strict=True))
    if not differing:
        return None
    return (
        f"trained again, {differing} of its {len(recorded)} predictions are not the record's (another device or other "
        "libraries?); its trained part is not kept, its record stays"
    )


@cache
def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in _VERSIONED} | {"python": platform.python_version()}


_loaded: dict[str, tuple[dict, object]] = {}


def _kept(what: str, settings: Mapping, load: Callable[[], object]) -> object:
    """What the job before loaded in this process, where it asked for the same, as a sweep's cells do; else loaded."""
    wanted = OmegaConf.to_container(OmegaConf.create(settings), resolve=True)
    if what not in _loaded or _loaded[what][0] != wanted:
        _loaded.pop(what, None)  # first, since there may be no room for two
        _loaded[what] = wanted, load()
    return _loaded[what][1]


def _rounded(value: float) -> float:
    """To four significant digits: beyond them the company a split was trained in shows in the rounding of sums."""
    return float(f"{value:.4g}") if math.isfinite(value) else value
