"""The command line on its way to Hydra, and, in the project's words, what Hydra says of one that it cannot compose."""

import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import is_dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from caref import composition
from caref.errors import UserError
from caref.running import keys

_SWEEP = ("-m", "--multirun")
_LONGEST = 100  # characters of a line that are repeated to whom typed it


def readable(typed: Sequence[str]) -> list[str]:
    """What was typed, in a form that Hydra takes as it is meant.

    Splits are one value with commas in it, which to Hydra would be several. And Hydra gives a sweep's fixed values to a
    job of the default choices first, which need not have the key (peft=lora_r4,lora_r128 peft.r=8): a sweep over the
    one value waits for its cell. -m may stand anywhere.
    """
    quoted = [re.sub(r"^(\+*splits)=([\d: ]+,[\d:, ]+)$", r"\1='\2'", one) for one in typed if one not in _SWEEP]
    return ["-m", *map(_waiting, quoted)] if set(_SWEEP) & set(typed) else quoted


def _waiting(override: str) -> str:
    part, _, value = override.partition("=")
    if part.split(".")[0] not in composition.groups() or "." not in part or not value:
        return override
    with suppress(HydraException, ValueError):
        if not OverridesParser.create().parse_override(override).is_sweep_override():
            return f"{part}=choice({value})"
    return override


def check(hydra: DictConfig, sweep: bool, job: DictConfig | None = None) -> None:
    """Refuse what Hydra, or the job, would pass over in silence, or what would scatter the records.

    Args:
        hydra: the part `hydra` of the composed configuration.
        sweep: whether -m was given.
        job: what is to run; None of a sweep, whose cells are looked at one by one.

    Raises:
        UserError: with the line, or the part of it, to type.
    """
    if hydra.job.chdir:
        raise UserError("hydra.job.chdir=true: a job runs where it is typed, results_dir says where to; leave it out")
    overrides = OmegaConf.to_container(hydra.overrides, resolve=False)
    typed = [*overrides["hydra"], *overrides["task"]]
    for override in overrides["task"]:
        if override.startswith("~") and override[1:].partition("=")[0] in keys.known():
            raise UserError(f"{override}: a job cannot be without it")
    for added in re.findall(r"^\++hydra\.([\w.]+)=", "\n".join(typed), re.MULTILINE):
        part, _, key = added.rpartition(".")
        kind = OmegaConf.get_type(OmegaConf.select(hydra, part) if part else hydra)
        if is_dataclass(kind) and key not in kind.__dataclass_fields__:
            raise UserError(f"hydra.{added}: there is no such key")
    if job is not None:
        keys.refuse_unread(overrides["task"], job)
    if sweep:
        return
    asked = [one for one in typed if re.match(r"\+*(hydra[/.](launcher|sweeper)\b|experiments=|sweeps=)", one)]
    sweeper = hydra.sweeper
    if sweeper.get("grids") or sweeper.get("shards") or any(re.match(r"\+*hydra[/.]", one) for one in asked):
        line = " ".join(map(_in_a_shell, asked)) or "the same"
        raise UserError(f"{line}: this is for a sweep, which needs -m: python run.py -m {line} ...")


def check_job(job: DictConfig, hydra: DictConfig) -> None:
    """Refuse a job of a sweeper that does not plan beforehand, as hydra/sweeper=cells does, where it cannot be run.

    Raises:
        UserError: with the mend.
    """
    check(hydra, sweep=True, job=job)
    if job.dry_run:
        sweeper = hydra.runtime.choices["hydra/sweeper"]
        raise UserError(f"dry_run=true: hydra/sweeper={sweeper} cannot tell what it would run; leave one of them out")


def told(error: Exception, typed: Sequence[str]) -> str | None:
    """What to tell of an error of Hydra's: one line, with the mend; None where it is none of the line's.

    Args:
        error: as Hydra raised it.
        typed: the overrides that it composed.
    """
    if isinstance(error, OverrideParseException | ValueError):
        for override in typed:
            if unread := _unread(override):
                return unread
    said = " ".join(str(error).split())
    if isinstance(error, ValueError) and "Config group override must be" in said:
        for override in typed:
            key, _, value = override.partition("=")
            if (offered := keys.choices(key.lstrip("+~"))) and value not in offered:
                return f"{_short(override)}: choose one of {', '.join(offered)}"
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={_short(choice)}: there is no such choice; choose one of {', '.join(error.options)}"
    for pattern, answer in _ANSWERS.items():
        if found := re.search(pattern, said):
            return answer(found[1], error, typed)
    return said


def _several(override: str, error: Exception, typed: Sequence[str]) -> str:
    as_one = f"; as one value: {_quoted(override)}" if keys.takes_text(override.partition("=")[0]) else ""
    return f"{_short(override)}: several values make a sweep, which needs -m{as_one}"


def _wrong(override: str, error: Exception, typed: Sequence[str]) -> str:
    """Of a value that its key cannot take."""
    if override.startswith("~"):
        return f"{override}: a job cannot be without it"
    key = getattr(error.__cause__, "full_key", None) or override.partition("=")[0].lstrip("+")
    if wanted := keys.expected(key):
        return f"{_short(override)}: must be {wanted}"
    return f"{_short(override)}: {next(iter(str(error.__cause__ or error).splitlines()))}"


def _twice(group: str, error: Exception, typed: Sequence[str]) -> str:
    if group in keys.groups_beside_the_job():
        return f"{group}: chosen twice; write +{group}=[a,b] once"
    return f"{group}: chosen twice; write {group}=... once, without a +"


def _one(group: str, error: Exception, typed: Sequence[str]) -> str:
    """Of several choices where a job has one."""
    listed = (re.fullmatch(rf"\+*{group}=\[(.+)\]", override) for override in typed)
    several = next((found[1] for found in listed if found), "a,b")
    return f"{group}: a job has one; -m {group}={several}, without brackets, makes a sweep over several"


def _of_wandb(sweep: str, error: Exception, typed: Sequence[str]) -> str:
    grid = sweep.removeprefix("wandb_")
    return f"+sweeps={sweep}: is W&B's, see `wandb sweep sweeps/{sweep}.yaml`; without W&B it is -m +sweeps={grid}"


_ANSWERS = {
    r"In 'sweeps/(wandb_\w+)': ConfigKeyError": _of_wandb,
    r"Could not override '([^']+)'": lambda key, _, typed: keys.no_such(key, typed),
    r"Error merging override (.+)": _wrong,
    r"Ambiguous value for argument '(.+)' 1\.": _several,
    r"Sweep parameters '(.+)' requires --multirun": lambda override, *_: f"{override}: a sweep needs -m",
    r"Sweeping over Hydra's configuration is not supported : '(.+)'": (
        lambda override, *_: f"{override}: holds for the whole sweep, so it takes one value"
    ),
    r"(unexpected keyword argument '\w+'.* full_key: [\w.]+)": lambda said, *_: re.sub(
        r".*argument '(\w+)'.* full_key: ([\w.]+)", r"\2.\1: there is no such key", said
    ),
    r"Multiple values for ([\w/]+)\.": _twice,
    r"Multiple values for schema/(\w+)@\1": _one,
    r"schema/(\w+)@\1 appears more than once": _one,
}


def _unread(override: str) -> str | None:
    """Why Hydra cannot read an override, and how to write it; None where it can, or where it is an option."""
    if override.startswith("-"):
        return None
    try:
        OverridesParser.create().parse_override(override)
        return None
    except (HydraException, ValueError):
        key, equals, value = override.partition("=")
    if not equals:
        return f"{_short(override)}: neither an option nor key=value; write key=value without spaces around the ="
    if not keys.takes_text(key.lstrip("+")):
        wanted = keys.expected(key.lstrip("+"))
        return f"{_short(override)}: must be {wanted}" + ("; it ends in a comma" if value.endswith(",") else "")
    return f"{_short(override)}: Hydra cannot read this value unquoted; write {_short(_quoted(override))}"


def _quoted(override: str) -> str:
    """The override with its value in the quotes that Hydra wants, in the quotes that a shell wants."""
    key, _, value = override.partition("=")
    return _in_a_shell(f"{key}='" + re.sub(r"(\\*)'", r"\1\1\\'", value) + "'")


def _in_a_shell(word: str) -> str:
    return f'"{word}"' if re.search(r"[\s'\[\]]", word) and not re.search(r'["$`\\!]', word) else shlex.quote(word)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]}...{text[-10:]}"
