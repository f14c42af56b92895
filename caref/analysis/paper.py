"""The paper's Table 1: its rows, what configuration each row stands for, and the numbers it prints.

The numbers are in paper.csv beside this file: the mean and population standard deviation over 60 splits, in
percent. What a row stands for is read off a cell's configuration; the name a user gave it plays no part.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

DATASETS = {"cos_e": "CoS-E", "ecqa": "ECQA", "comve": "ComVE", "esnli": "e-SNLI"}  # in Table 1's order
METRICS = {"accuracy": "Acc.", "nbert": "nBERT"}
SECTIONS = {
    "RQ1": "which module benefits most",
    "RQ2": "with and without the regulariser",
    "RQ3": "against parameter-efficient baselines",
}
SPLITS = 60

_PROJECTIONS = {"method": "projections", "scope": "self"}
VARIANTS = {
    "BASE": {"method": "full"},
    "DEC": {"method": "decoder"},
    "AQKV": _PROJECTIONS | {"projections": ["k", "q", "v"], "norms": False},
    "LAQ": _PROJECTIONS | {"projections": ["q"], "norms": True},
    "AQ": _PROJECTIONS | {"projections": ["q"], "norms": False},
    "AdaLoRA": {"method": "adalora", "init_r": 32},
    "LoRA-R128": {"method": "lora", "r": 128, "dora": False},
    "LoRA-R4": {"method": "lora", "r": 4, "dora": False},
}
_NO_REGULARISER = {"term": "cross_entropy"}
_SCED = {"term": "sced", "alpha": 2.0, "beta": 1.0, "lambda_sced": 0.1, "lambda_kl": 0.1}

# How the paper's numbers came about, as far as a configuration tells; facts, sections 3 and 4.
PROTOCOL = {
    "dataset": {
        "train_split": "train",
        "eval_split": "validation",
        "train_size": 48,
        "eval_size": 350,
        "sampling": "feb",
        "max_tokens": None,
    },
    "train": {
        "epochs": 50,
        "lr": 3e-5,
        "batch_size": 4,
        "warmup_steps": 500,
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "supervise": "joint",
    },
}


@dataclass(frozen=True)
class Row:
    """One printed row; the same name in two sections is the same cell, printed twice."""

    section: str
    name: str
    trainable_percent: float


@cache
def _printed() -> dict[tuple[str, str, str], tuple[float, float | None]]:
    return {
        (line["model"], line["metric"], line["dataset"]): (
            float(line["mean"]),
            float(line["std"]) if line["std"] else None,
        )
        for line in _lines()
    }


@cache
def _lines() -> tuple[dict[str, str], ...]:
    with open(Path(__file__).with_name("paper.csv"), encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@cache
def rows() -> tuple[Row, ...]:
    """The rows of Table 1 in printed order, section by section."""
    return tuple(dict.fromkeys(Row(line["section"], line["model"], float(line["trainable_pct"])) for line in _lines()))


def printed(name: str, metric: str, dataset: str) -> tuple[float, float | None]:
    """The printed mean and standard deviation, percent; `dataset` may be "average", which has no deviation.

    Raises:
        KeyError: where the paper prints no such number.
    """
    return _printed()[name, metric, dataset]


def similarity(name: str, dataset: str) -> float:
    """Printed nBERT over printed accuracy: what a row's explanations of right answers score, in [0, 1].

    The average is the mean of the four datasets' figures, as every printed average is of its metric and as ours is; the
    printed averages' own ratio would weigh datasets by accuracy. Of one dataset it is a ratio of means over splits,
    ours a mean over splits of ratios.
    """
    if dataset == "average":
        return sum(similarity(name, one) for one in DATASETS) / len(DATASETS)
    return printed(name, "nbert", dataset)[0] / printed(name, "accuracy", dataset)[0]


def variant(peft: Mapping) -> str | None:
    """Which of the paper's ways to train a `peft` configuration is; None where it is none of them.

    An adapter with further options of PEFT's (rsLoRA, some layers alone) is none of them.
    """
    if peft.get("options"):
        return None
    if isinstance(peft.get("projections"), list):
        peft = {**peft, "projections": sorted(map(str, peft["projections"]))}
    return next((name for name, wanted in VARIANTS.items() if _agrees(peft, wanted)), None)


def row_name(config: Mapping) -> str | None:
    """The row of Table 1 that a cell's configuration belongs to; None where it fits none.

    The regulariser must be the paper's: SCED at alpha 2, beta 1 and both lambdas 0.1, or none at all.
    """
    way = variant(config["peft"])
    if way is None:
        return None
    if _agrees(config["reg"], _NO_REGULARISER):
        name = way
    elif _agrees(config["reg"], _SCED):
        name = f"CAREF-{way}"
    else:
        return None
    return name if any(row.name == name for row in rows()) else None


def _agrees(config: Mapping, wanted: Mapping) -> bool:
    return all(key in config and config[key] == value for key, value in wanted.items())


def why_not_comparable(config: Mapping, source: str) -> str | None:
    """Why the paper's numbers may not stand beside this cell's; None where they may.

    Another model, random weights, made-up data or another BERTScore model measure something else.
    """
    model = config["model"]
    if source == "demo":
        return "the data is the project's own demo data, not the paper's datasets"
    if model.get("path") is None:
        return f"{model['name']} has random weights; the paper's model is Flan-T5-large"
    if not _is(str(model["path"]), "flan-t5-large"):
        return f"the model is {model['name']}; the paper's is Flan-T5-large"
    if used := other_scorer(config):
        return f"nBERT is by {used}; the paper's is by roberta-large, layer 17"
    return None


def other_scorer(config: Mapping) -> str | None:
    """The BERTScore model of a cell where it is not FEB's, which is roberta-large, layer 17; None where it is."""
    scorer = config["bertscore"]
    if _is(str(scorer.get("model")), "roberta-large") and scorer.get("layer") == 17:
        return None
    return f"{scorer.get('model')}, layer {scorer.get('layer')}"


def _is(place: str, name: str) -> bool:
    """Whether a hub id or folder ends in a model's own name."""
    return PurePosixPath(place).name.lower() == name


def departures(config: Mapping) -> list[str]:
    """Where a cell's protocol departs from the paper's: "train.epochs 5 (paper: 50)", one line each."""
    return [
        f"{part}.{key} {config[part][key]} (paper: {'null' if value is None else value})"
        for part, wanted in PROTOCOL.items()
        for key, value in wanted.items()
        if key in config.get(part, {}) and config[part][key] != value
    ]
