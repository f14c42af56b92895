"""Which keys and choices there are, and what to tell of one that there is not."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from caref import composition
from caref.config import schema
from caref.errors import UserError
from caref.models.checkpoints import may_be_on_hub

CONF = Path(__file__).parents[2] / "conf"
_CALLED = {int: "a whole number", float: "a number", bool: "true or false", str: "text", list: "a list such as [a,b]"}


def choices(group: str) -> list[str]:
    """What conf/ offers for a group, such as peft."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def groups_beside_the_job() -> list[str]:
    """The groups of conf/ that a line adds: experiments, sweeps."""
    job = {one.name for one in fields(schema.Job)}
    return sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name not in {*job, "hydra"})


def known() -> dict[str, type]:
    """Every key that some job has, such as reg.alpha, and the type of its values."""
    parts = [("", schema.Job), ("train.", schema.Train), ("evaluation.", schema.Evaluation)]
    parts += [("hydra.sweeper.", schema.Cells)]
    parts += [(f"{group}.", kind) for group, kinds in composition.groups().items() for kind in kinds.values()]
    return {prefix + one.name: one.type for prefix, kind in parts for one in fields(kind)}


def expected(key: str) -> str | None:
    """What a value of this key must be, in words; None where no job has the key, or it may be anything."""
    wanted = known().get(key)
    options = get_args(wanted) if isinstance(wanted, UnionType) else (wanted,)
    kind = get_origin(options[0]) or options[0]
    if is_dataclass(kind):
        return (
            f"one of {', '.join(choices(key))}" if choices(key) else f"keys, such as {key}.{fields(kind)[0].name}=..."
        )
    told = _CALLED.get(kind)
    return f"{told} or null" if told and type(None) in options else told


def takes_text(key: str) -> bool:
    """Whether a value of this key may be any text."""
    return expected(key) in (None, "text", "text or null")


def unknown(job: DictConfig) -> Iterator[str]:
    """Keys of a composed job that nothing reads, by their dotted names: a line may add any with +."""
    yield from (key for key in job if key not in schema.Job.__dataclass_fields__)
    for part in job:
        kind = OmegaConf.get_type(job, part)
        if is_dataclass(kind) and not OmegaConf.is_missing(job, part):
            yield from (f"{part}.{key}" for key in job[part] if key not in kind.__dataclass_fields__)


def refuse_unknown(job: DictConfig) -> None:
    """Refuse a job with a key that nothing reads: it would be a cell of its own with the numbers of another.

    Raises:
        UserError: naming the first such key, and what may have been meant.
    """
    for key in unknown(job):
        raise UserError(no_such(key, ()))


def refuse_unread(overrides: Iterable[str], job: DictConfig) -> None:
    """Refuse what a line gives to a model that does not read it: the cell would be another's under a new name.

    Args:
        overrides: of the line; conf/ itself describes the shape of models with files, for whoever counts parameters.

    Raises:
        UserError: naming the override.
    """
    for override in overrides:
        if told := _unread(override.lstrip("+~").partition("=")[0], job):
            raise UserError(f"{override}: {told}")


def _unread(key: str, job: DictConfig) -> str | None:
    """Why this job's model reads nothing of a key; None where it may."""
    path = job.model.path
    if key.startswith("model.config.") and path is not None:
        return f"{path} says its own shape; model.path=null makes one up, untrained"
    if key == "model.revision" and job.model.revision is not None and not may_be_on_hub(path):
        return f"the hub alone has revisions, and {job.model.name} is not from there; leave it out"
    if key == "evaluation.max_new_tokens" and job.model.kind == "classifier":
        return f"{job.model.name} chooses an answer and writes nothing; leave it out"
    return None


def having(key: str) -> list[str]:
    """The choices that have a key, such as reg=sced of reg.alpha."""
    group, _, name = key.partition(".")
    if key.startswith("peft.options."):  # whatever PEFT's method knows
        name = "options"
    return [f"{group}={choice}" for choice, kind in _kinds(group).items() if name in kind.__dataclass_fields__]


def no_such(key: str, typed: Sequence[str]) -> str:
    """What to tell of a key that a job lacks: which choice lacks it, or what may have been meant.

    Args:
        key: such as reg.alpha.
        typed: the overrides that made the job.
    """
    group, _, name = key.rpartition(".")
    if others := having(key):
        part = key.partition(".")[0]
        lacking = _typed(part, typed) or f"the {part} of this job"
        return f"{key}: {lacking} has no such key; {', '.join(others)} {'has' if len(others) == 1 else 'have'} it"
    for beside in groups_beside_the_job():
        if difflib.get_close_matches(key, [beside], cutoff=0.8):
            value = next((one.partition("=")[2] for one in typed if one.lstrip("+").startswith(f"{key}=")), "...")
            return f"{key}: there is no such key; did you mean +{beside}={value}?"
    near = {one.rpartition(".")[2]: one for one in known() if one.rpartition(".")[0] == group}
    meant = [one for one in known() if not group and one.endswith(f".{name}")]  # lr for train.lr
    meant.sort(key=lambda one: not _held(one, typed))
    meant += [near[one] for one in difflib.get_close_matches(name, near, n=1)]
    return f"{key}: there is no such key; " + (f"did you mean {meant[0]}?" if meant else "see run.py --help")


def _typed(group: str, typed: Sequence[str]) -> str | None:
    """The override that chooses of a group."""
    chosen = [override for override in typed if override.startswith(f"{group}=")]
    return chosen[-1] if chosen else None


def _held(key: str, typed: Sequence[str]) -> bool:
    """Whether a key of some job is one of the job that was typed."""
    others, group = having(key), key.partition(".")[0]
    usual = [
        f"{group}={one[group]}"
        for one in OmegaConf.load(CONF / "config.yaml").defaults
        if OmegaConf.is_dict(one) and group in one
    ]
    return not others or (_typed(group, typed) or "".join(usual)) in others


def _kinds(group: str) -> dict[str, type]:
    """The schema that each choice of a group fills in."""
    kinds = {}
    for choice in choices(group):
        named = re.search(rf"/schema/{group}@_here_: *(\w+)", (CONF / group / f"{choice}.yaml").read_text())
        if named and named[1] in composition.groups().get(group, {}):
            kinds[choice] = composition.groups()[group][named[1]]
    return kinds
