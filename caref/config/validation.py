"""What the values of a job must be. What a kind of peft or reg asks of its parameters is said in its own file.

Imports neither torch nor transformers, so that a bad command is refused before anything heavy is loaded.
"""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from caref.config.kinds import checked
from caref.config.ranges import repeated
from caref.config.schema import MISSING, Evidence, plain
from caref.errors import UserError

EVIDENCE = Path(__file__).parents[1] / "evidence"

# What a value must be, by key. A key that the job at hand does not have is passed over.
_AT_LEAST = {
    "train.epochs": 1,
    "train.batch_size": 1,
    "train.gradient_accumulation": 1,
    "train.warmup_steps": 0,
    "train.weight_decay": 0,
    "evaluation.batch_size": 1,
    "evaluation.max_new_tokens": 1,
    "dataset.train_size": 1,
    "dataset.eval_size": 1,
    "dataset.max_tokens": 1,
    "model.dropout": 0,
    "bertscore.layer": 1,
    "evidence.examples": 1,
    "evidence.student_steps": 1,
}
_ABOVE = {"train.lr": 0, "train.max_grad_norm": 0, "evidence.student_lr": 0}
_BELOW = {"model.dropout": 1}
_ONE_OF = {
    "train.precision": ("auto", "bf16", "fp32"),
    "train.supervise": ("joint", "answer"),
    "source.name": ("auto", "files", "hub", "demo"),
    "dataset.sampling": ("feb", "balanced"),
    "dataset.target": ("answer_and_explanation", "answer"),
    "model.kind": ("generator", "classifier"),
    "dataset.train_split": ("train", "validation", "test"),
    "dataset.eval_split": ("train", "validation", "test"),
    "tracker.mode": ("offline", "online"),
    "evidence.removal": ("delete", "mask"),
    "evidence.choices": ("tree", "sequence"),
}
# What only measures look at, and what it is where there are none.
_UNMEASURED = {
    "evidence.examples": None,
    "evidence.removal": "delete",
    "evidence.choices": "tree",
    "evidence.epochs": [],
}
# What one measure alone reads, which one, and what it is where it is not asked for.
_READ_BY = {
    "evidence.student_lr": ("simulatability", Evidence.student_lr),
    "evidence.student_steps": ("simulatability", Evidence.student_steps),
}
_KIND = {"peft": "method", "reg": "term", "tracker": "name"}  # what a part's schema says that the part is
_NO_PROJECT = "/\\#?%:"
_RULES = (
    (_AT_LEAST, lambda value, bound: value >= bound, "must be at least {}"),
    (_ABOVE, lambda value, bound: value > bound, "must be above {}"),
    (_BELOW, lambda value, bound: value < bound, "must be below {}"),
    (_ONE_OF, lambda value, choices: value in choices, "must be one of {}"),
)


def validate(job: DictConfig) -> dict:
    """A job's values as `schema.plain` gives them; one that cannot be run as it is written is refused.

    Args:
        job: as `conf/` composes it: its peft and reg know what kind they are.

    Raises:
        UserError: one line that names the key, its value and what it may be.
    """
    nested = plain(job)
    values = dict(_flat(nested))
    if missing := sorted(key for key, value in values.items() if value == MISSING):
        raise UserError(f"{missing[0]} has no value; give it one")
    for part, key in _KIND.items():
        if (named := nested[part][key]) != (own := getattr(OmegaConf.get_type(job, part), key)):
            raise UserError(f"{part}.{key}={named}: {part}=... chooses what it is, and chose {own}")
    for part in ("peft", "reg"):
        made = checked(OmegaConf.get_type(job, part), part, nested[part])
        nested[part] = {key: getattr(made, key) for key in nested[part]}  # as the kind lists what is a set
    for key, mend in _amiss(values):
        raise UserError(f"{key}={values[key]}: {mend}")
    return nested


def _amiss(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each key whose value will not do, and the mend."""
    if values["train.precision"] == "fp16":
        yield "train.precision", "T5 overflows in float16; use bf16, fp32 or auto"
    for key, value in values.items():
        if value == "" and key != "splits":  # which says what it may be
            yield key, "has no value; give it one" + (", a folder; . is this one" if key == "results_dir" else "")
    for bounds, holds, mend in _RULES:
        for key, bound in bounds.items():
            value = values.get(key)
            unbounded = isinstance(value, float) and not math.isfinite(value)
            if value is not None and (unbounded or not holds(value, bound)):
                yield key, mend.format(_listed(bound))
    for key, package in (("evidence.measures", "measures"), ("evidence.attributions", "attribution")):
        known = _files_of(package)
        if unknown := [name for name in values[key] if name not in known]:
            yield key, f"there is no {unknown[0]}; choose of {', '.join(known)}"
        if twice := repeated(values[key]):
            yield key, f"names {twice} twice; once is enough"
    if values["evidence.attributions"] and not values["evidence.measures"]:
        yield "evidence.attributions", "no measure looks at them; choose some by evidence.measures, or evidence=full"
    for key, silent in _UNMEASURED.items():
        if values[key] != silent and not values["evidence.measures"]:
            yield key, "nothing is measured then; choose evidence=quick or evidence=full"
    for key, (measure, usual) in _READ_BY.items():
        if values[key] != usual and measure not in values["evidence.measures"]:
            yield key, f"{measure} alone reads it; add it to evidence.measures"
    if values["evidence.choices"] != "tree" and "simulatability" in values["evidence.measures"]:
        yield "evidence.choices", "students of simulatability learn by tree; use it, or leave that measure out"
    if values["evidence.module"] is not None and "ivra" not in values["evidence.attributions"]:
        yield "evidence.module", "ivra alone reads it; add it to evidence.attributions"
    if epochs := values["evidence.epochs"]:
        last = values["train.epochs"]
        if beyond := [epoch for epoch in epochs if not 0 <= epoch <= last]:
            yield (
                "evidence.epochs",
                f"there is no epoch {beyond[0]}: 0 is before the training, train.epochs={last} its end",
            )
        if epochs != sorted(set(epochs)):
            yield "evidence.epochs", f"must ascend, each once: {sorted(set(epochs))}"
    if values["tracker.name"] == "wandb":
        if found := sorted(set(_NO_PROJECT) & set(values["tracker.project"])):
            yield (
                "tracker.project",
                f"W&B takes none of {' '.join(_NO_PROJECT)} in a project's name; drop {' '.join(found)}",
            )
        if len(values["tracker.project"]) > 128:
            yield "tracker.project", "W&B takes at most 128 characters"
        if any(not isinstance(tag, str) or not 1 <= len(tag) <= 64 for tag in values["tracker.tags"]):
            yield "tracker.tags", "W&B takes tags of 1 to 64 characters"
    if values["dataset.max_tokens"] is not None and values["dataset.sampling"] == "feb":
        yield "dataset.max_tokens", "FEB's samples are whole texts; shortened ones take dataset.sampling=balanced"
    if values["model.kind"] == "classifier" and values["dataset.target"] != "answer":
        yield (
            "dataset.target",
            f"{values['model.name']} chooses an answer and explains nothing; use dataset.target=answer",
        )
    if values["model.kind"] == "classifier" and values["train.supervise"] == "answer":
        yield "train.supervise", f"{values['model.name']} learns the answer alone as it is; leave it out"
    if values["train.gradient_accumulation"] > values["train.batch_size"]:
        yield "train.gradient_accumulation", f"must be at most train.batch_size={values['train.batch_size']}, its parts"
    if values["pack"] != "auto" and (type(values["pack"]) is not int or values["pack"] < 1):
        yield "pack", "must be auto or a whole number of splits, at least 1"
    if values["source.name"] == "demo" and values["source.root"] is not None:
        yield "source.root", "the demo data is made, not read; use source=files or drop it"


@cache
def _files_of(package: str) -> tuple[str, ...]:
    """The files of a folder of caref.evidence: one is one choice."""
    return tuple(sorted(file.stem for file in (EVIDENCE / package).glob("[!_]*.py")))


def _flat(values: Mapping, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every value by its dotted key."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _listed(bound: object) -> str:
    return ", ".join(bound) if isinstance(bound, tuple) else str(bound)
