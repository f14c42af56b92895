"""On what a split was worked on, when, for how long, and by which libraries."""

import platform
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_VERSIONED = ("torch", "transformers", "peft", "tokenizers", "bert-score", "numpy")


def of(device: "torch.device", dtype: "torch.dtype", seconds: Mapping[str, float], together: int) -> dict:
    """The part `run` of a record, or of evidence.

    Args:
        seconds: by phase, of one split.
        together: how many splits were worked on side by side.
    """
    import torch

    on = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    return {
        "device": on,
        "precision": str(dtype).removeprefix("torch."),
        "pack": together,
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        "versions": _versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
    }


def matters(run: Mapping) -> int | None:
    """The size of the pack that a split was trained in, where it may show in its numbers; None in float32."""
    return None if run.get("precision") == "float32" else run.get("pack")


@cache
def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in _VERSIONED} | {"python": platform.python_version()}
