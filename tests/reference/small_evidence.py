"""A job that runs in seconds with its evidence, and what of it must come out the same, byte for byte."""

import json
from pathlib import Path

import pytest

from caref.running import jobs

SMALL = (
    "model=tiny_t5",
    "source=demo",
    "dataset.eval_size=6",
    "dataset.train_size=6",
    "train.epochs=1",
    "train.precision=fp32",
    "evaluation.max_new_tokens=6",
)
ASKED = ("evidence=full", "evidence.examples=4", "evidence.attributions=[saliency,human,random]")


@pytest.fixture(name="run")
def small_run(composed, tmp_path):
    """A function: run a small job of these overrides; its cell's folder, and the part `evidence` of its values."""

    def run_job(*overrides: str, results: str = "results") -> tuple[Path, dict]:
        job = composed(*SMALL, f"results_dir={tmp_path / results}", *overrides)
        jobs.run(job)
        planned = jobs.plan(job)
        return planned.cell, planned.values["evidence"]

    run_job.results = tmp_path / "results"
    return run_job


def of_cell(cell: Path) -> dict[str, bytes]:
    """Records and predictions, byte for byte."""
    return {
        str(path.relative_to(cell)): path.read_bytes()
        for part in ("splits", "predictions")
        for path in (cell / part).iterdir()
    }


def of_evidence(cell: Path) -> dict[str, bytes]:
    """All evidence, byte for byte, without what differs from run to run."""
    (folder,) = (cell / "evidence").iterdir()
    told = {path.name: path.read_bytes() for path in folder.glob("*.gz")}
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        told[path.name] = json.dumps({key: record[key] for key in record if key not in ("run", "checksum")}).encode()
    return told


def material(cell: Path) -> dict[str, bytes]:
    """`of_cell` without what differs from run to run."""
    told = {name: content for name, content in of_cell(cell).items() if name.endswith(".gz")}
    for path in (cell / "splits").iterdir():
        record = json.loads(path.read_text())
        told[path.name] = json.dumps({key: record[key] for key in record if key not in ("run", "checksum")}).encode()
    return told
