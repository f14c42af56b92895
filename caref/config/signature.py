"""What tells one cell of the table from another: everything that can change a number, and nothing else."""

import hashlib
import json
from collections.abc import Mapping

# What cannot change a number: names that only tables show, and where things are kept.
_IMMATERIAL = {"model": ("name",), "peft": ("name",), "reg": ("name",), "train": ("save",)}
_PARTS = ("model", "peft", "dataset", "reg", "bertscore", "train", "evaluation")


def described(job: Mapping, fingerprint: str) -> dict:
    """What a results folder says of a cell: the parts its signature is made of, names and fingerprint included.

    Args:
        job: as `schema.plain` gives it.
        fingerprint: of the examples it draws from, `caref.data.examples.fingerprint`.
    """
    return {"fingerprint": fingerprint} | {part: job[part] for part in _PARTS}


def signature(description: Mapping) -> str:
    """A description's hash: the same signature is the same cell of the table.

    Returns:
        12 hexadecimal digits.
    """
    material = {"fingerprint": description["fingerprint"]}
    for part in _PARTS:
        immaterial = _IMMATERIAL.get(part, ())
        material[part] = {key: value for key, value in description[part].items() if key not in immaterial}
    if material["model"]["path"] is not None:
        del material["model"]["config"]  # a described shape; the weights' own is at the path
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()[:12]
