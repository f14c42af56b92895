"""A job from its configuration to its records: the only place that knows every part.

Importing this module, planning a job and finding it finished load neither torch nor a model.
"""

import platform
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path

from omegaconf import DictConfig

from caref.config import described, signature_of
from caref.data import sources, splits
from caref.data.examples import Example, fingerprint
from caref.data.prompts import text
from caref.errors import SplitFailed, UserError
from caref.progress import Progress
from caref.results import store, tables
from caref.tracking.tracker import Tracker, tracking

_VERSIONED = ("torch", "transformers", "peft", "tokenizers", "bert-score", "numpy")


@dataclass(frozen=True)
class Plan:
    """What a job comes down to before anything heavy is loaded.

    Attributes:
        job: the composed, valid configuration.
        indices: the splits it asks for, ascending.
        sampler: draws a split's examples.
        source: files, hub or demo; what `auto` came to.
        fingerprint: of the examples it draws from.
        description: what config.yaml of its cell holds.
        signature: of everything that can change a number.
    """

    job: DictConfig
    indices: tuple[int, ...]
    sampler: Callable[[int], splits.Split]
    source: str
    fingerprint: str
    description: dict
    signature: str

    @property
    def cell(self) -> Path:
        """Where its records are kept."""
        return Path(self.job.results_dir) / self.signature

    @property
    def title(self) -> str:
        """What a person calls it."""
        job = self.job
        return f"{job.model.name} {job.peft.name} {job.reg.name} {job.dataset.name}"


def plan(job: DictConfig) -> Plan:
    """Read the data and settle what the job is.

    Raises:
        UserError: where the splits, the data or the results folder cannot be as the job says.
    """
    indices = splits.parse(job.splits)
    store.check_writable(job.results_dir)
    wanted = job.dataset
    sampler, source, mark = _material(
        wanted.name,
        (wanted.train_split, wanted.eval_split),
        (wanted.train_size, wanted.eval_size),
        job.source.name,
        job.source.root,
    )
    description = described(job, mark)
    return Plan(job, indices, sampler, source, mark, description, signature_of(description))


@cache  # the cells of a sweep share their datasets
def _material(dataset: str, sides: tuple[str, str], sizes: tuple[int, int], source: str, root: str | None):
    """The sampler of a dataset's splits, the kind of source it came from, and the fingerprint of its examples."""
    train, evaluation = (sources.load(dataset, side, source, root) for side in sides)
    sampler = splits.sampler(train.examples, evaluation.examples, *sizes)
    sampler(0)  # every split is as large as the first: too little data shows now
    return sampler, train.source, fingerprint([*train.examples, *evaluation.examples])


def run(job: DictConfig) -> dict[int, dict]:
    """Run the splits of a job that are not finished, print its table, and return all its records by split.

    Splits that another process is at are left to it, and waited for at the end. A split that fails is noted and
    the others go on.

    Raises:
        UserError: where the job cannot be run as it is written.
        SplitFailed: at the end, where splits failed; the message counts and names them.
    """
    planned = plan(job)
    records = {index: record for index in planned.indices if (record := _intact(planned.cell, index)) is not None}
    progress = Progress(planned.title, len(planned.indices), list(records.values()))
    bench = Bench(planned)
    failures: dict[int, str] = {}
    taken = [index for index in planned.indices if index not in records]
    if taken:
        bench.set_up()
    with tracking(job.tracker, planned.cell, planned.description) as tracker:
        tracker.earlier(records.values())
        for wait in (False, True):
            elsewhere = []
            for index in taken:
                with store.claimed(planned.cell, index, wait) as held:
                    if not held:
                        elsewhere.append(index)
                    elif (record := _intact(planned.cell, index)) is not None:
                        records[index] = record
                        progress.finished(record, worked=False)
                        tracker.split(record)
                    else:
                        _work(bench, index, records, failures, progress, tracker)
            taken = elsewhere
    print(planned.title, tables.job_table(records), sep="\n")
    print(f"records: {planned.cell}")
    if failures:
        told = "; ".join(f"split {index}: {error}" for index, error in failures.items())
        raise SplitFailed(f"{len(failures)} of {len(planned.indices)} splits failed - {told}")
    return records


def track(planned: Plan) -> None:
    """Tell the job's tracker of its finished splits, without running any; what has been told is passed over."""
    if planned.job.tracker.name == "none":
        return
    records = {index: record for index in planned.indices if (record := _intact(planned.cell, index)) is not None}
    with tracking(planned.job.tracker, planned.cell, planned.description) as tracker:
        tracker.earlier(records.values())


def _intact(cell: Path, index: int) -> dict | None:
    try:
        return store.read_record(cell, index)
    except store.Damaged as damage:
        print(f"{damage}; set aside, split {index} runs again")
        store.set_aside(cell, index)
        return None


def _work(bench: "Bench", index: int, records: dict, failures: dict, progress: Progress, tracker: Tracker) -> None:
    planned = bench.plan
    progress.start()
    try:
        record, predictions, history = bench.run(index, progress)
        records[index] = store.write_split(planned.cell, planned.description, record, predictions)
        progress.finished(records[index])
        tracker.split(records[index], history)
    except UserError:
        raise
    except Exception as error:  # whatever went wrong with this split, the others are worth having
        expected = isinstance(error, SplitFailed)
        failures[index] = str(error) if expected else f"{type(error).__name__}: {error}"
        note = failures[index] if expected else traceback.format_exc()
        store.write_failure(planned.cell, planned.description, index, splits.SEEDS[index], note)
        progress.failed(index, failures[index])


class Bench:
    """What is loaded once for all the splits of a job, when the first of them needs it."""

    def __init__(self, planned: Plan):
        self.plan = planned
        self._encoded: dict[tuple[str, str], object] = {}

    @cached_property
    def device(self):
        import torch

        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def dtype(self):
        from caref import training

        return training.precision(self.plan.job.train.precision, self.device)

    @cached_property
    def scorer(self):
        from caref.evaluation.bertscore import Scorer

        return Scorer(self.plan.job.bertscore.model, self.plan.job.bertscore.layer, device=self.device)

    @cached_property
    def backbone(self):
        from caref.models import backbones

        return backbones.load(self.plan.job.model, device=self.device, dtype=self.dtype)

    @cached_property
    def objective(self):
        from caref.objectives import objective

        return objective.build(self.plan.job.reg)

    def set_up(self) -> None:
        """Load everything and put the trained part on once, so that what cannot be is refused before any split.

        Raises:
            UserError: where the scorer, the model or what is to be trained of it cannot be had.
        """
        from caref.evaluation import encoders

        encoders.check(self.plan.job.bertscore.model, self.plan.job.bertscore.layer)  # before torch is imported

        from transformers.utils import logging

        from caref.models.trained import trained_part

        logging.disable_progress_bar()  # a job's own lines say how far it is
        _ = self.objective, self.scorer
        with trained_part(self.backbone, self.plan.job.peft, seed=0, total_steps=1):
            pass

    def _tokens(self, examples: Sequence[Example]) -> list:
        """The examples in tokens, each tokenised once however many splits draw it."""
        from caref.data.batches import encode

        tokens = []
        for example in examples:
            written = text(self.plan.job.dataset.name, example)
            key = written.source, written.target
            if key not in self._encoded:
                self._encoded[key] = encode(written, self.backbone.tokenizer, self.backbone.encoder_decoder)
            tokens.append(self._encoded[key])
        return tokens

    def run(self, index: int, progress: Progress) -> tuple[dict, list[Mapping], list[Mapping[str, float]]]:
        """Train, generate and score one split.

        Returns:
            Its record, its predictions, and the loss terms of every optimiser step.

        Raises:
            SplitFailed: where its loss is not finite.
        """
        from caref import training
        from caref.evaluation.generate import generate
        from caref.evaluation.scores import score
        from caref.models.trained import trained_part

        job = self.plan.job
        split = self.plan.sampler(index)
        backbone = self.backbone
        train, evaluation = self._tokens(split.train), self._tokens(split.evaluation)
        total = training.steps(len(train), job.train.batch_size, job.train.epochs)
        seconds, history = {}, []

        def told(step: int, values: Mapping[str, float]) -> None:
            history.append(values)
            progress.step(values)

        with trained_part(backbone, job.peft, split.seed, total) as part:
            began = time.monotonic()
            progress.begin(f"split {index} train", total)
            terms = training.fit(
                part,
                backbone,
                self.objective,
                train,
                job.train,
                split.seed,
                on_step=told,
            )
            seconds["train"] = time.monotonic() - began
            began = time.monotonic()
            progress.begin(f"split {index} generate", len(evaluation))
            generations = generate(
                part.model,
                backbone,
                evaluation,
                job.evaluation.batch_size,
                job.evaluation.max_new_tokens,
                on_batch=lambda done: progress.step(count=done),
            )
            seconds["generate"] = time.monotonic() - began
            if job.train.save:
                part.save(self.plan.cell / "trained" / f"{index:03d}")
            counts = part.counts
        began = time.monotonic()
        scores, predictions = score(job.dataset.name, split.evaluation, generations, self.scorer)
        seconds["score"] = time.monotonic() - began
        record = {
            "split": index,
            "seed": split.seed,
            "status": "done",
            "scores": scores,
            "training": terms,
            "counts": {
                "train": len(train),
                "evaluated": len(evaluation),
                "steps": total,
                "trainable": counts.trainable,
                "parameters": counts.total,
            },
            "source": self.plan.source,
            "fingerprint": self.plan.fingerprint,
            "run": self._provenance(seconds),
        }
        return record, predictions, history

    def _provenance(self, seconds: Mapping[str, float]) -> dict:
        import torch

        device = (
            torch.cuda.get_device_name() if self.device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
        )
        return {
            "device": device,
            "precision": str(self.dtype).removeprefix("torch."),
            "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
            "versions": {name: metadata.version(name) for name in _VERSIONED} | {"python": platform.python_version()},
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
        }
