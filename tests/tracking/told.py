"""What these tests tell W&B, and what its offline runs hold of it, as W&B's own reader prints them."""

import json
import math
import socket
import subprocess
from pathlib import Path

from wandb.util import get_core_path

SIGNATURE = "0123456789ab"
HISTORY = [{"loss": 2.0 / step, "ce": 1.0 / step, "sced": 0.1 * step, "kl": 1e-17 * step} for step in range(1, 13)]
TELLER = """
import json, sys
from pathlib import Path
from omegaconf import OmegaConf
from caref.results import store
from caref.tracking.tracker import tracking
work = json.loads(sys.stdin.read())
cell = Path(work["cell"])
with tracking(OmegaConf.create(work["settings"]), cell, work["description"]) as tracker:
    for record, predictions in work["splits"]:
        tracker.split(store.write_split(cell, work["description"], record, predictions), work["history"])
"""
UNREACHABLE = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "a" * 40}  # nothing listens at the discard port


def record(split: int, **scores: float) -> dict:
    return {
        "split": split,
        "seed": 7004 + split,
        "status": "done",
        "scores": {"accuracy": 100 / (split + 3), "nbert": 81.97 / (split + 7), "broken": math.pi * split, **scores},
        "training": {"loss": 2.0 / 12, "ce": 1.0 / 12},
        "counts": {"train": 48, "evaluated": 3, "steps": 12, "trainable": 50331648, "parameters": 783150080},
        "source": "demo",
        "fingerprint": "f" * 64,
        "run": {
            "device": "cpu, 1 threads",
            "precision": "float32",
            "seconds": {"train": 1.25, "generate": 0.5, "score": 0.125},
            "versions": {"torch": "2.13.0", "python": "3.11.7"},
            "finished": "2026-01-02T03:04:05+00:00",
            "host": socket.gethostname(),
        },
    }


def predictions(split: int) -> list[dict]:
    return [
        {
            "id": f"{split}-{row}",
            "source": "explain nli hypothesis: Ein Hund läuft. premise: 犬が走る。",
            "choices": ["entailment", "neutral", "contradiction"],
            "gold": "neutral",
            "explanations": [f"gold {one}" for one in range(row + 1)],
            "generation": "neutral because it runs",
            "answer": "neutral",
            "explanation": "it runs",
            "right": row != 1,
            "broken": False,
            "nbert": 0 if row == 1 else 100 / 3,
        }
        for row in range(3)
    ]


def held(cell: Path) -> dict[str, list[dict]]:
    """Every record of every offline run of a cell by the run's id, as wandb's own reader prints them."""
    found: dict[str, list[dict]] = {}
    for log in sorted((cell / "wandb").glob("offline-run-*/*.wandb")):
        command = [
            get_core_path(),
            "leet",
            "inspect",
            "--no-observability",
            "--json",
            "--run-file",
            log,
            log.parents[1],
        ]
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
        records = [json.loads(line) for line in lines]
        run_id = one(records, "run")["run_id"]
        assert run_id not in found, f"{run_id} is there twice"
        found[run_id] = records
    return found


def of_kind(records: list[dict], kind: str) -> list[dict]:
    return [record[kind] for record in records if record["type"] == kind]


def one(records: list[dict], kind: str) -> dict:
    (content,) = of_kind(records, kind)
    return content


def final(records: list[dict]) -> dict:
    """The last value of everything in a run's summary."""
    return {key: value for update in of_kind(records, "summary") for key, value in update["update"].items()}


def names(*splits: int) -> set[str]:
    return {f"{SIGNATURE}-{split:03d}" for split in splits} | {f"{SIGNATURE}-summary"}
