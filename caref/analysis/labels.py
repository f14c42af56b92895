"""What tables and figures call a configuration: said of what it does, never of the name it was given."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

from caref.analysis.paper import DATASETS, variant

_DATASETS = {**DATASETS, "cos_e_v1.11": "CoS-E v1.11", "fever": "FEVER", "imdb": "IMDb"}
_BESIDE = ("model", "train", "evaluation", "bertscore", "dataset", "content")
_SAID = ("train.save", "dataset.target")  # the one changes no number, the other is in the dataset's label
_OF_EXPLANATIONS = {"bertscore.model", "bertscore.layer", "content.bertscore"}
_SILENT = {"name", "method", "term"}


def answers_only(dataset: Mapping) -> bool:
    """Whether a cell's models were taught to answer and to explain nothing."""
    return dataset.get("target") == "answer"


def dataset_label(name: str, answers: bool = False) -> str:
    """ "e-SNLI"; "e-SNLI answers", where nothing is explained."""
    return _DATASETS.get(name, name) + (" answers" if answers else "")


def peft_label(peft: Mapping) -> str:
    """The paper's word ("AQ") where it has one, else what the configuration says ("LoRA r=8 α=16")."""
    try:
        return _peft_label(peft)
    except (KeyError, TypeError, ValueError):  # of a version that knew less, or more
        return _as_written(peft, "method")


def _as_written(part: Mapping, kind: str) -> str:
    """What a part of a configuration says, key by key."""
    said = (f"{key}={value}" for key, value in part.items() if key not in _SILENT)
    return " ".join([str(part.get(kind, "unknown")), *said])


def _peft_label(peft: Mapping) -> str:
    match peft["method"]:
        case "lora":
            dropout = f" dropout={peft['dropout']:g}" if peft["dropout"] else ""
            return f"{'DoRA' if peft['dora'] else 'LoRA'} r={peft['r']} α={peft['alpha']:g}{dropout}"
        case "adalora":
            return f"AdaLoRA r={peft['init_r']}→{peft['target_r']}"
        case "prefix":
            return f"prefix of {peft['tokens']}"
        case "ia3":
            return "(IA)³"
        case "projections":
            plain = ",".join(peft["projections"]) + ("+norms" if peft["norms"] else "")
            usual = variant({**peft, "scope": "self"}) or plain
            return usual if peft["scope"] == "self" else f"{usual} ({peft['scope']})"
        case method:
            return variant(peft) or str(peft.get("name", method))


def reg_label(reg: Mapping) -> str:
    """ "SCED α=2 β=1 λ=0.1/0.1", "entropy λ=0.1", "–" for plain cross-entropy."""
    try:
        return _reg_label(reg)
    except (KeyError, TypeError, ValueError):
        return _as_written(reg, "term")


def _reg_label(reg: Mapping) -> str:
    match reg["term"]:
        case "cross_entropy":
            return "–"
        case "sced":
            return f"SCED α={reg['alpha']:g} β={reg['beta']:g} λ={reg['lambda_sced']:g}/{reg['lambda_kl']:g}"
        case "entmax":
            return f"entmax α={reg['alpha']:g}"
        case "label_smoothing":
            return f"label smoothing {reg['smoothing']:g}"
        case "ivra" | "smat" as term:
            own = {"ivra": "IvRA", "smat": "SMaT"}[term]
            joint = "" if reg["scope"] == "module" else " joint"
            for_what = "+".join(reg["criteria"]) or "untrained"
            weight = f" λ={reg['lambda_criteria']:g}" if reg["criteria"] else ""
            told = f"{own} {for_what} {reg['norm']}{joint}{weight}"
            sced = {**reg, "term": "sced"}
            return f"{told}, {_reg_label(sced)}" if reg["lambda_sced"] or reg["lambda_kl"] else told
        case term:
            weights = " ".join(f"λ={value:g}" for key, value in reg.items() if key.startswith("lambda"))
            return f"{term.replace('_', ' ')} {weights}".strip()


def apart(descriptions: Iterable[Mapping]) -> list[list[str]]:
    """For each of a model's cells "key=value" of what tells it from the others beyond its labels.

    Args:
        descriptions: what config.yaml of each holds, of whatever version.
    """
    descriptions = list(descriptions)
    shown = [beside(one) for one in descriptions]
    for key in _OF_EXPLANATIONS & {key for one in shown for key in one}:
        if len({str(one[key]) for one in shown if key in one}) == 1:  # of those that explain; the others' label says so
            shown = [{name: value for name, value in one.items() if name != key} for one in shown]
    pefts = _part_apart("peft", peft_label, [one["peft"] for one in descriptions])
    regs = _part_apart("reg", reg_label, [one["reg"] for one in descriptions])
    return [list(chain(*found)) for found in zip(distinguishing(shown), pefts, regs, strict=True)]


def beside(description: Mapping) -> dict[str, object]:
    """What a cell's labels do not say, by dotted key: {"train.lr": 3e-05, ...}; peft and regulariser aside."""
    found = settings({part: description[part] for part in _BESIDE if part in description})
    return {key: value for key, value in found.items() if key not in _SAID}


def _part_apart(part: str, label: Callable[[Mapping], str], cells: Sequence[Mapping]) -> list[list[str]]:
    """For each cell's part, peft or reg, "key=value" of what else tells it from those of the same label."""
    labels = [label(one) for one in cells]
    found: list[list[str]] = [[] for _ in cells]
    for shared in set(labels):
        places = [place for place, own in enumerate(labels) if own == shared]
        keys = set.intersection(*(set(cells[place]) for place in places))  # a version that knew less has fewer keys
        flat = [
            settings({part: {key: own[key] for key in keys}})
            | {f"{part}.options.{key}": value for key, value in own.get("options", {}).items()}
            for own in map(cells.__getitem__, places)
        ]
        for place, differing in zip(places, distinguishing(flat), strict=True):
            found[place] = differing
    return found


def settings(parts: Mapping[str, Mapping]) -> dict[str, object]:
    """The leaves of some parts of a configuration by dotted key: {"train.lr": 3e-05, ...}."""
    return {
        f"{part}.{key}": value
        for part, values in parts.items()
        for key, value in values.items()
        if key not in _SILENT and not isinstance(value, Mapping)
    }


def distinguishing(configs: Iterable[Mapping[str, object]]) -> list[list[str]]:
    """For each of several flat settings, "key=value" of those keys in which not all agree."""
    configs = list(configs)
    return [[f"{key}={config[key]}" for key in differing(configs) if key in config] for config in configs]


def differing(configs: Sequence[Mapping[str, object]]) -> list[str]:
    """The keys in which several flat settings do not all agree."""
    keys = sorted({key for config in configs for key in config})
    return [key for key in keys if len({str(config.get(key)) for config in configs}) > 1]


def attribution_label(name: str) -> str:
    """How an attribution is called: "input x gradient"."""
    return name.replace("_", " ")
