"""What is told to W&B of one signature: a run a split, and one that sums them up.

    RESULTS/<signature>/wandb/offline-run-<time>-<id>/    a run, as `python -m caref.tracking sync` uploads it
    RESULTS/<signature>/wandb/tracked/003.json            what has been told of split 3; summary.json of all

A run is written when its split is finished, in one go, so that W&B never holds half a split. Its id is made of
signature and split: telling of a split again replaces its run, offline and on the server. Evidence stands beside the
other scores as `evidence/<mark of the question>/<score>`; where it comes to a run that holds every step's losses, and
those are not at hand, that run stays as it is and the summary alone tells of the evidence.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

from caref.analysis.labels import peft_label, reg_label
from caref.analysis.summary import refusal, scores, summarise, trainable_percent
from caref.results import evidence, store
from caref.results.evidence import Found
from caref.results.writing import write_atomically
from caref.tracking.offline import marked, pending
from caref.tracking.writing import Run, Writer, say

_COLUMNS = ("id", "source", "choices", "gold", "answer", "right", "explanations", "explanation", "nbert", "generation")
_OF_THE_RUN = ("device", "precision", "versions", "finished")
_AGENT = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")


class WandbRuns:
    """The runs of one signature, as one job tells of them; other processes may tell of theirs meanwhile.

    Args:
        settings: tracker=wandb's.
        cell: RESULTS/<signature>.
        description: what config.yaml of the cell holds.

    Raises:
        UserError: where tracker.mode=online has no login.
    """

    def __init__(self, settings: DictConfig, cell: Path, description: Mapping):
        # The agent of a W&B sweep gives its child one run id, which wandb would put on every run of the process.
        self._agent = {name: value for name in _AGENT if (value := os.environ.pop(name, None))}
        self._cell, self._description = cell.absolute(), dict(description)
        self._folder = self._cell / "wandb"
        self._typed = cell
        project, entity = settings.project, settings.entity
        if self._agent:  # a sweep's runs must lie where the sweep does
            project, entity = os.environ.get("WANDB_PROJECT", project), os.environ.get("WANDB_ENTITY", entity)
        self._place = {"project": project, "entity": entity}
        self._tags = list(settings.tags)
        self._writer = Writer(self._cell, settings.mode, project, entity)

    def split(self, record: Mapping, history: Sequence[Mapping[str, float]] = ()) -> None:
        """See `Tracker`."""
        if self._told_of(record) or self._attempt(f"split {record['split']}", self._track, record, history):
            self._attempt("the summary", self._sum_up)

    def earlier(self, records: Iterable[Mapping]) -> None:
        """See `Tracker`."""
        tracked = [
            self._told_of(record) or self._attempt(f"split {record['split']}", self._track, record, ())
            for record in records
        ]
        if tracked and all(tracked):
            self._attempt("the summary", self._sum_up)

    def close(self) -> None:
        """Say how to upload what is offline."""
        if waiting := len(pending(self._folder)):
            kept = f"{waiting} run{'s' * (waiting > 1)} kept offline in {self._typed / 'wandb'}"
            say(f"{kept}; to upload: python -m caref.tracking sync {shlex.quote(str(self._typed.parent))}")

    def _attempt(self, what: str, action, *arguments) -> bool:
        try:
            with store.claimed(self._folder, 0, wait=True):  # one writer at a time for a signature's runs
                action(*arguments)
        except Exception as error:  # whatever it is, the record is on the disk and the job is worth more
            say(f"{what} is not tracked ({type(error).__name__}: {error}); the same line typed again tracks it")
            return False
        return True

    def _track(self, record: Mapping, history: Sequence[Mapping[str, float]]) -> None:
        split = record["split"]
        if self._told_of(record):  # by another process, while this one waited
            return
        found = evidence.of_cell(self._cell, split)
        for line in (line for one in found for line in (*one.damaged, *one.unread)):
            say(line)
        if not history and (told := self._with_losses(record)):
            if all(told.get(key) == value for key, value in self._place.items()):
                say(f"split {split}: the summary alone tells of its evidence; its run's losses nothing else holds")
                self._mark(f"{split:03d}", {**told, "of": _of(record, found)})
                return
            if told.get("mode") == "offline":
                say(
                    f"split {split}: its run stays in project {told['project']}, with losses that nothing else holds; "
                    f"caref.tracking sync RESULTS --project {self._place['project']} uploads it there"
                )
                return
        run = Run(
            id=f"{self._cell.name}-{split:03d}",
            name=f"{self._title()}, split {split:03d}",
            kind="split",
            group=self._cell.name,
            tags=[*self._tags, record["source"]],
            config={
                **self._config("split"),
                **{key: record[key] for key in ("split", "seed", "source") if key in record},
                **{key: record["run"][key] for key in _OF_THE_RUN if key in record["run"]},
                "history": "every step" if history else "not kept: told from the record of an earlier run",
                **_asked(found),
            },
            summary={
                **{metric: value for metric in record["scores"] for value in scores({split: record}, metric).values()},
                **{f"training/{term}": mean for term, mean in record["training"].items()},
                **{f"counts/{name}": count for name, count in record["counts"].items()},
                **{f"seconds/{phase}": seconds for phase, seconds in record["run"]["seconds"].items()},
                **{
                    f"evidence/{one.mark}/{name}": value
                    for one in found
                    for of_split in one.records.values()
                    for name in of_split["scores"]
                    for value in scores(one.records, name).values()
                },
            },
            history={step: {f"train/{term}": v for term, v in row.items()} for step, row in enumerate(history, 1)},
            table=_table(store.read_predictions(self._cell, split)),
        )
        self._tell(f"{split:03d}", _of(record, found), run, record=_digest(record))

    def _sum_up(self) -> None:
        cell = store.read_cell(self._cell)
        if reason := refusal(cell):
            raise ValueError(reason)
        found = evidence.of_cell(self._cell)
        digest = _of({str(split): _digest(record) for split, record in cell.records.items()}, found)
        run_id = self._agent.get("WANDB_RUN_ID", f"{self._cell.name}-summary")
        if self._told("summary", digest, run_id):
            return
        splits = sorted(cell.records)
        growing = {n: _means({split: cell.records[split] for split in splits[:n]}) for n in range(1, len(splits) + 1)}
        for one in found:  # a plot of W&B's shows what some step was told with
            growing[len(splits)] |= {f"evidence/{one.mark}/{key}": value for key, value in _means(one.records).items()}
        run = Run(
            id=run_id,
            name=f"{self._title()}, summary",
            kind="summary",
            group=self._cell.name,
            tags=[*self._tags, *sorted({record["source"] for record in cell.records.values()})],
            config={**self._config("summary"), **_asked(found)},
            summary={**growing[len(splits)], "trainable_percent": trainable_percent(cell)},
            history=growing,
            sweep=self._agent.get("WANDB_SWEEP_ID"),
        )
        self._tell("summary", digest, run)

    def _title(self) -> str:
        """What a person would search for: "esnli AQ SCED α=2 β=1 λ=0.1/0.1, Flan-T5-large"."""
        parts = self._description
        reg = reg_label(parts["reg"]) if parts["reg"]["term"] != "cross_entropy" else parts["reg"]["name"]
        return f"{parts['dataset']['name']} {peft_label(parts['peft'])} {reg}, {parts['model']['name']}"

    def _config(self, kind: str) -> dict:
        return {**self._description, "signature": self._cell.name, "kind": kind}

    def _told_of(self, record: Mapping) -> bool:
        return self._told(f"{record['split']:03d}", _of(record, evidence.of_cell(self._cell, record["split"])))

    def _with_losses(self, record: Mapping) -> dict:
        """What was told of just this record where its run holds the steps' losses; nothing elsewhere."""
        told = marked(self._folder / "tracked" / f"{record['split']:03d}.json")
        known = {"record": told.get("of"), **told}  # as long as there was no evidence, the marker said the record's
        return told if told.get("steps") and known["record"] == _digest(record) else {}

    def _told(self, name: str, digest: str, run_id: str | None = None) -> bool:
        """Whether W&B holds just this, whichever way it got there."""
        told = marked(self._folder / "tracked" / f"{name}.json")
        wanted = {**self._place, "of": digest, **({"id": run_id} if run_id else {})}
        return all(told.get(key) == value for key, value in wanted.items())

    def _tell(self, name: str, digest: str, run: Run, **more: str) -> None:
        mode, folder = self._writer.write(run)
        told = {
            **self._place,
            **more,
            "of": digest,
            "id": run.id,
            "mode": mode,
            "folder": folder.name,
            "steps": len(run.history),
        }
        self._mark(name, told)

    def _mark(self, name: str, told: Mapping) -> None:
        write_atomically(self._folder / "tracked" / f"{name}.json", json.dumps(told, indent=1).encode())


def _of(content: Mapping, found: Sequence[Found]) -> str:
    """What a marker says was told: the digest of a record alone, or of it and its evidence."""
    of_evidence = {one.mark: [one.records[split] for split in sorted(one.records)] for one in found if one.records}
    return _digest({"told": content, "evidence": of_evidence} if of_evidence else content)


def _asked(found: Sequence[Found]) -> dict:
    """What evidence was asked for, as a part of a run's configuration; nothing where there is none."""
    asked = {one.mark: one.asked for one in found if one.records}
    return {"evidence": asked} if asked else {}


def _digest(content: Mapping) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _means(records: Mapping[int, Mapping]) -> dict[str, float]:
    metrics = sorted({metric for record in records.values() for metric in record["scores"]})
    found: dict[str, float] = {"splits": len(records)}
    for metric in metrics:
        if summary := summarise(scores(records, metric).values()):
            found |= {f"{metric}/mean": summary.mean, f"{metric}/std": summary.std, f"{metric}/n": summary.n}
    return found


def _table(predictions: Sequence[Mapping]) -> tuple[list[str], list[list]]:
    """Columns and rows; what the predictions hold beyond the usual columns comes after them."""
    held = {key for prediction in predictions for key in prediction}
    columns = [key for key in _COLUMNS if key in held] + sorted(held - set(_COLUMNS))
    return columns, [[_shown(prediction.get(column)) for column in columns] for prediction in predictions]


def _shown(value: object) -> object:
    """As a cell of a table: W&B wants lists of one column to be equally long, explanations are not."""
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return value if isinstance(value, (str, bool, int, float, type(None))) else json.dumps(value, ensure_ascii=False)
