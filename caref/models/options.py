"""PEFT's own options, beyond those that a method has keys for: which there are, and what they take.

They are read in the source of PEFT's configuration classes, without importing it: PEFT imports torch.
"""

import ast
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# What a job settles by itself, or what would take more than a value: other models, other weights, other texts.
_NOT_HERE = (
    "task_type",
    "peft_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "target_modules",
    "target_parameters",
    "fan_in_fan_out",
    "feedforward_modules",
    "modules_to_save",
    "trainable_token_indices",
    "layer_replication",
    "megatron_config",
    "megatron_core",
    "num_transformer_submodules",
    "num_layers",
    "num_attention_heads",
    "token_dim",
    "total_step",
)
_PLAIN = {"bool": bool, "int": int, "float": float, "str": str, "list": list, "dict": dict, "List": list, "Dict": dict}


def check(tuner: str, options: Mapping[str, Any], taken: Mapping[str, str]) -> None:
    """Refuse what PEFT's configuration does not take, or what cannot be asked of it here.

    Args:
        tuner: the folder of peft.tuners that is asked.
        taken: the key of peft that sets one of PEFT's fields, by the field's name.

    Raises:
        ValueError: naming the option, its value and the mend.
    """
    for name, value in options.items():
        known = _fields(tuner)
        called = f"options.{name}={str(value).lower() if isinstance(value, bool) else value}"
        if name in taken:
            raise ValueError(f"{called}: this is peft.{taken[name]} here")
        if name not in known:
            raise ValueError(f"options.{name}: PEFT's configuration of {tuner} has no such field")
        if name in _NOT_HERE:
            raise ValueError(f"{called}: no choice of a job's; leave it out")
        if not _fits(value, ast.parse(known[name], mode="eval").body):
            raise ValueError(f"{called}: PEFT takes {known[name]}")


@cache
def _fields(tuner: str) -> dict[str, str]:
    """The fields of a tuner's configuration class, what it inherits included, and the types they are declared with."""
    package = Path(find_spec("peft").origin).parent
    classes = {}
    for file in ("config.py", "tuners/lycoris_utils.py", "tuners/lora/config.py", f"tuners/{tuner}/config.py"):
        if (package / file).is_file():
            tree = ast.parse((package / file).read_text(encoding="utf-8"))
            own = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
            classes |= own
    wanted = f"{tuner.replace('_', '')}config"
    chosen = next((name for name in own if name.lower() == wanted), None)
    return _declared(classes, chosen) if chosen else {}


def _declared(classes: Mapping[str, ast.ClassDef], name: str) -> dict[str, str]:
    fields = {}
    for base in classes[name].bases:
        if isinstance(base, ast.Name) and base.id in classes:
            fields |= _declared(classes, base.id)
    for node in classes[name].body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            fields[node.target.id] = ast.unparse(node.annotation)
    return fields


def _fits(value: Any, declared: ast.expr) -> bool:
    """Whether a value is of the plain types of a declaration; of what is in lists and mappings PEFT is the judge."""
    match declared:
        case ast.BinOp(left=left, right=right):
            return _fits(value, left) or _fits(value, right)
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=choices)):
            return any(_fits(value, choice) for choice in choices)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return value is None or _fits(value, inner)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            return value in ast.literal_eval(inner if isinstance(inner, ast.Tuple) else ast.Tuple([inner], ast.Load()))
        case ast.Subscript(value=outer):
            return _fits(value, outer)
        case ast.Constant(value=None):
            return value is None
        case ast.Name(id=name):
            kind = _PLAIN.get(name)
            whole = kind is float and type(value) is int
            return kind is not None and (whole or type(value) is kind)
    return False
