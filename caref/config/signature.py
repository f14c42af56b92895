"""What tells one cell of the table from another: everything that can change a number, and nothing else."""

import hashlib
import json
from collections.abc import Collection, Mapping

# What cannot change a number: names that only tables show, and where things are kept.
_IMMATERIAL = {"model": ("name",), "peft": ("name",), "reg": ("name",), "train": ("save",)}
# What a model is, whatever it is called and wherever it lies, is told by its content: these say nothing more then.
_TOLD_BY_CONTENT = {
    "model": ("model", ("path", "revision")),
    "tokenizer": ("model", ("tokenizer",)),
    "bertscore": ("bertscore", ("model",)),
}
# How a job gets along with the memory that there is: not even told of a cell, whose numbers do not show it.
_OF_THE_MACHINE = {"train": ("gradient_accumulation", "gradient_checkpointing")}
_PARTS = ("model", "peft", "dataset", "reg", "bertscore", "train", "evaluation")
# Keys that came when there were cells already, and the value that those had: at it nothing is said.
_LATER = {
    "dataset": {"target": "answer_and_explanation", "max_tokens": None},
    "model": {"kind": "generator"},
    "peft": {"options": {}},
}


def described(job: Mapping, fingerprint: str, content: Mapping[str, str | None]) -> dict:
    """What a results folder says of a cell: the parts its signature is made of, names and fingerprint included.

    BERTScore is none of them where nothing is explained.

    Args:
        job: as `schema.plain` gives it.
        fingerprint: of the examples it draws from, `caref.data.examples.fingerprint_of_sides`.
        content: marks of what the model, its tokenizer and BERTScore's model are, by `model`, `tokenizer`, `bertscore`.
    """
    silent = ("bertscore",) if job["dataset"].get("target") == "answer" else ()
    parts = {part: _said(part, job[part]) for part in _PARTS if part not in silent}
    if job["train"]["precision"] != "fp32":
        parts["evaluation"]["logits"] = "float32"  # whatever the rest is computed in; they were bfloat16 once
    return {"fingerprint": fingerprint, "content": _without(content, silent)} | parts


def signature(description: Mapping) -> str:
    """A description's hash: the same signature is the same cell of the table.

    Returns:
        12 hexadecimal digits.
    """
    material = {key: description[key] for key in ("fingerprint", "content")}
    for part in _PARTS:
        if part in description:
            material[part] = _without(description[part], _IMMATERIAL.get(part, ()))
    for what, (part, keys) in _TOLD_BY_CONTENT.items():
        if description["content"].get(what):
            material[part] = _without(material[part], keys)
    if description["model"]["path"] is not None:
        del material["model"]["config"]  # a described shape; the weights' own is at the path
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()[:12]


def _said(part: str, values: Mapping) -> dict:
    told, later = _without(values, _OF_THE_MACHINE.get(part, ())), _LATER.get(part, {})
    return {key: value for key, value in told.items() if key not in later or value != later[key]}


def _without(values: Mapping, keys: Collection[str]) -> dict:
    return {key: value for key, value in values.items() if key not in keys}
