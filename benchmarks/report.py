"""A report of a large results folder: 724 cells of 60 splits, 43,440 records, all of them made up.

    python benchmarks/report.py [--folder DIR]

Writes the folder (once; DIR is kept and used again, otherwise it is temporary), then runs
`python -m caref.report` on it in a process of its own. The limits are 10 seconds and 1 GB.
"""

import argparse
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from figures import Figure, run, told

from caref.config import schema
from caref.models.methods.adalora import AdaLora
from caref.models.methods.decoder import Decoder
from caref.models.methods.full import Full
from caref.models.methods.ia3 import Ia3
from caref.models.methods.lora import Lora
from caref.models.methods.prefix import Prefix
from caref.models.methods.projections import Projections
from caref.objectives.terms.cross_entropy import CrossEntropy
from caref.objectives.terms.sced import Sced
from caref.results import store

SPLITS = 60
DATASETS = {"cos_e": (84.6, 74.4), "ecqa": (88.9, 80.3), "comve": (94.2, 87.3), "esnli": (88.5, 82.0)}
GRID = list(itertools.product((1.0, 1.5, 2.0, 2.5), (0.0, 0.5, 1.0, 2.0)))  # alpha, beta
PEFTS = {  # with the share of parameters that each trains, percent
    "base": (Full(), 100.0),
    "dec": (Decoder(), 52.23),
    "aqkv": (Projections(projections=["q", "k", "v"]), 19.28),
    "laq": (Projections(norms=True), 6.44),
    "aq": (Projections(), 6.43),
    "lora_r4": (Lora(), 0.58),
    "lora_r128": (Lora(r=128, alpha=256.0), 15.74),
    "dora_r4": (Lora(dora=True), 0.62),
    "adalora": (AdaLora(), 4.46),
    "ia3": (Ia3(), 0.05),
    "prefix": (Prefix(), 0.13),
}
UNREGULARISED = ("base", "aq", "adalora", "lora_r128", "lora_r4")  # what Table 1 has without the regulariser


def configurations() -> Iterator[tuple[str, dict]]:
    """Each cell's signature and configuration: eleven ways to train, the alpha x beta grid, four datasets."""
    regularised = [(peft, Sced(name="sced", alpha=alpha, beta=beta)) for peft in PEFTS for alpha, beta in GRID]
    plain = [(peft, CrossEntropy(name="none")) for peft in UNREGULARISED]
    for number, ((peft, reg), dataset) in enumerate(itertools.product(regularised + plain, DATASETS)):
        yield f"{number:012x}", _configuration(peft, reg, dataset)


def _configuration(peft: str, reg: schema.Reg, dataset: str) -> dict:
    way, _ = PEFTS[peft]
    return {
        "fingerprint": dataset * 8,
        "model": asdict(schema.Model(name="flan_t5_large", path="google/flan-t5-large")),
        "peft": asdict(way) | {"name": peft},
        "dataset": asdict(schema.Dataset(name=dataset)),
        "reg": asdict(reg),
        "bertscore": asdict(schema.BertScore(model="roberta-large", layer=17)),
        "train": asdict(schema.Train()),
        "evaluation": asdict(schema.Evaluation()),
    }


def write_cell(root: Path, signature: str, configuration: dict) -> None:
    """Sixty records whose scores spread as the paper's do; all predictions of split 0, a few of the others'."""
    draw = random.Random(signature)
    accuracy, nbert = DATASETS[configuration["dataset"]["name"]]
    trainable = round(PEFTS[configuration["peft"]["name"]][1] * 7_831_501)
    shift = draw.gauss(0, 0.8)
    for split in range(SPLITS):
        right = min(100.0, accuracy + shift + draw.gauss(0, 1.6))
        record = {
            "split": split,
            "seed": 7004 + split,
            "status": "done",
            "scores": {
                "accuracy": right,
                "nbert": right * nbert / accuracy + draw.gauss(0, 0.3),
                "bertscore": 87.0 + draw.gauss(0, 0.2),
                "broken": abs(draw.gauss(0.4, 0.3)),
                "explanation_length": 11 + draw.gauss(0, 0.5),
                "distinct_1": 0.41 + draw.gauss(0, 0.01),
                "distinct_2": 0.80 + draw.gauss(0, 0.01),
                "loss": 2.1 + draw.gauss(0, 0.1),
                "ce": 2.0 + draw.gauss(0, 0.1),
                "sced": 0.5 + draw.gauss(0, 0.02),
            },
            "counts": {
                "train": 48,
                "evaluated": 350,
                "steps": 600,
                "trainable": trainable,
                "parameters": 783_150_080,
            },
            "source": "files",
            "fingerprint": configuration["fingerprint"],
            "run": {
                "device": "none: made up",
                "precision": "bf16",
                "seconds": {"train": 90.0, "generate": 30.0, "score": 5.0},
                "versions": {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.0"},
                "finished": "2026-01-01T00:00:00+00:00",
                "host": "none",
            },
        }
        store.write_split(root / signature, configuration, record, list(_predictions(draw, 350 if split == 0 else 3)))


def _predictions(draw: random.Random, count: int) -> Iterator[dict]:
    words = ["small", "red", "boat", "lies", "on", "a", "river", "wood", "floats", "stone", "sinks", "still"]
    for number in range(count):
        said = " ".join(draw.choices(words, k=11))
        answer = draw.choice(["entailment", "neutral", "contradiction"])
        yield {
            "id": f"made-up-{number}",
            "source": "explain nli hypothesis: " + " ".join(draw.choices(words, k=9)) + " premise: " + said,
            "choices": ["entailment", "neutral", "contradiction"],
            "gold": "entailment",
            "explanations": [" ".join(draw.choices(words, k=10)) for _ in range(3)],
            "generation": f"{answer} because {said}",
            "answer": answer,
            "explanation": said,
            "right": answer == "entailment",
            "broken": False,
            "nbert": 90.0 if answer == "entailment" else 0.0,
        }


def fill(root: Path) -> int:
    """Write the whole folder on all cores; returns the number of records."""
    cells = list(configurations())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for written in [pool.submit(write_cell, root, *cell) for cell in cells]:
            written.result()
    return len(cells) * SPLITS


def reading(root: Path) -> float:
    """Seconds to read every record as JSON and do nothing with it."""
    began = time.perf_counter()
    for path in root.glob("*/splits/*.json"):
        json.loads(path.read_bytes())
    return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--folder", type=Path, help="where the made-up records are, or are to be kept")
    folder = arguments.parse_args().folder
    memory = Path("/dev/shm")  # where there is one, so that the report is measured and not the disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as temporary:
        root = (folder or Path(temporary) / "results").absolute()
        if not root.exists():
            began = time.perf_counter()
            print(f"{fill(root):,} records written in {time.perf_counter() - began:.0f} s", flush=True)
        out = Path(temporary) / "report"
        baseline = reading(root)
        ran = run([sys.executable, "-m", "caref.report", root, "--out", out])
        if ran.status:
            sys.exit(ran.output)
        print(f"page {(out / 'report.html').stat().st_size / 1e6:.1f} MB; {ran.processor:.1f} s of processor time")
    told(
        [
            Figure(
                what="report of 43,440 records",
                seconds=ran.seconds,
                baseline="json.loads of each record",
                faster=baseline / ran.seconds,
                peak_mb=ran.peak_mb,
                most_seconds=10,
                most_mb=1000,
            )
        ]
    )


if __name__ == "__main__":
    main()
