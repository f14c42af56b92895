"""What a job comes down to before anything heavy is loaded: neither torch nor a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from caref.config.schema import at_home
from caref.config.signature import described, signature
from caref.config.validation import validate
from caref.data import sampling, splits
from caref.errors import UserError
from caref.models import contents
from caref.results.writing import check_writable
from caref.running import keys, lent


@dataclass(frozen=True)
class Plan:
    """What a job comes down to before anything heavy is loaded.

    Attributes:
        values: the job's configuration, valid, as `schema.plain` gives it: a sweep keeps hundreds of these.
        indices: the splits it asks for, ascending.
        pool: what its splits are drawn from.
        description: what config.yaml of its cell holds.
        signature: of everything that can change a number.
        unknown: why it cannot be told what its model is (the hub is out of reach, say); None where it is known. No
            record can be kept of it then, but what it would do can be told.
    """

    values: dict
    indices: tuple[int, ...]
    pool: sampling.Pool
    description: dict
    signature: str
    unknown: str | None = None

    @property
    def sampler(self) -> Callable[[int], splits.Split]:
        """Draws the split of an index."""
        return self.pool.split

    @property
    def cell(self) -> Path:
        """Where its records are kept."""
        return Path(self.values["results_dir"]) / self.signature

    @property
    def title(self) -> str:
        """What a person calls it."""
        return " ".join(self.values[part]["name"] for part in ("model", "peft", "reg", "dataset"))


def plan(job: DictConfig) -> Plan:
    """Read the data and settle what the job is.

    Raises:
        UserError: where a value, the splits, the data or the results folder cannot be as the job says.
    """
    job = at_home(job)
    keys.refuse_unknown(job)
    values = validate(job)
    indices = splits.parse(job.splits)
    if not job.dry_run:
        check_writable(job.results_dir)
    pool = sampling.pool(values["dataset"], job.source.name, job.source.root)
    content, unknown = _content(values)
    description = described(values, pool.fingerprint, content)
    if values["evidence"]["module"] is not None and unknown is None:  # whichever folder it lies in
        values["evidence"]["module"] = lent.lender(values["evidence"]["module"], description, indices)
    return Plan(values, indices, pool, description, signature(description), unknown)


def _content(values: Mapping) -> tuple[dict[str, str | None], str | None]:
    """Marks of what the models of a job are, and why one of them is not known; see `described`."""
    model, scorer = values["model"], values["bertscore"]
    named = {
        "model": (model["path"], model["revision"], "model.path"),
        "tokenizer": (model["tokenizer"], None, "model.tokenizer"),
    }
    if values["dataset"]["target"] != "answer":
        named["bertscore"] = scorer["model"], None, "bertscore.model"
    marks, unknown = {}, None
    for what, (path, revision, key) in named.items():
        try:
            marks[what] = path if path in (None, "byte") else contents.content(path, revision, key)
        except UserError as error:
            marks[what] = f"unknown:{path}@{revision}"
            unknown = unknown or str(error)
    return marks, unknown
