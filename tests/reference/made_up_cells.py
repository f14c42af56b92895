"""Cells made up for the report's tests: real configurations, scores chosen by the test."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict

import numpy as np
import pytest

from caref.analysis import paper
from caref.config import schema
from caref.models.methods.adalora import AdaLora
from caref.models.methods.decoder import Decoder
from caref.models.methods.full import Full
from caref.models.methods.ia3 import Ia3
from caref.models.methods.lora import Lora
from caref.models.methods.projections import Projections
from caref.objectives.terms.cross_entropy import CrossEntropy
from caref.objectives.terms.sced import Sced
from caref.results import store

PEFTS = {
    "BASE": Full(),
    "DEC": Decoder(),
    "AQKV": Projections(projections=["q", "k", "v"]),
    "LAQ": Projections(norms=True),
    "AQ": Projections(),
    "AdaLoRA": AdaLora(),
    "LoRA-R128": Lora(r=128, alpha=256.0),
    "LoRA-R4": Lora(),
    "(IA)3": Ia3(),
}
PAPERS_MODEL = schema.Model(name="Flan-T5-large", path="google/flan-t5-large")
TINY = schema.Model(name="tiny T5")


def _configuration(row: str, dataset: str, /, **changes) -> dict:
    """What a cell's config.yaml holds, for a row of Table 1; `changes` are whole parts, by name."""
    peft = PEFTS[row.removeprefix("CAREF-")]
    reg = Sced(name="SCED") if row.startswith("CAREF-") else CrossEntropy(name="none")
    parts = {
        "model": PAPERS_MODEL,
        "peft": peft,
        "dataset": schema.Dataset(name=dataset),
        "reg": reg,
        "bertscore": schema.BertScore(model="roberta-large", layer=17),
        "train": schema.Train(),
        "evaluation": schema.Evaluation(),
    }
    found = {part: asdict(value) for part, value in {**parts, **changes}.items()}
    found["peft"]["name"] = row
    return {"fingerprint": f"{dataset:x<64}", **found}


def _record(split: int, scores: Mapping[str, float], **changes) -> dict:
    return {
        "split": split,
        "seed": 7004 + split,
        "status": "done",
        "scores": {"broken": 0.5, "explanation_length": 11.0, "distinct_1": 0.4, "distinct_2": 0.8, **scores},
        "source": "files",
        "fingerprint": "f" * 64,
        "run": {"precision": "bf16", "versions": {"torch": "2.13.0"}, "finished": "2026-01-01", "host": "h"},
        **changes,
    }


@pytest.fixture(scope="session")
def make_cell() -> Callable[..., store.Cell]:
    """A function: the cell of a row and dataset, from its accuracies (nBERT 0.9 of them, unless given) by split.

    Its records are of before strict nBERT, similarity and the floor, unless `scores` has them, one number each.
    """

    def make(row, dataset, accuracy, nbert=None, /, *, source="files", record=None, scores=None, **changes):
        nbert = [0.9 * value for value in accuracy] if nbert is None else nbert
        configuration = _configuration(row, dataset, **changes)
        share = next((one.trainable_percent for one in paper.rows() if one.name == row), 0.05)
        counts = {"train": 48, "evaluated": 350, "trainable": round(100 * share), "parameters": 10_000}
        more = {"source": source, "fingerprint": configuration["fingerprint"], "counts": counts} | (record or {})
        records = {
            split: _record(split, {"accuracy": a, "nbert": b, **(scores or {})}, **more)
            for split, (a, b) in enumerate(zip(accuracy, nbert, strict=True))
        }
        return store.Cell(hashlib.sha256(repr(configuration).encode()).hexdigest()[:12], configuration, records)

    return make


def spread(mean: float, std: float, seed: int, n: int = paper.SPLITS) -> list[float]:
    """`n` numbers with exactly this mean and population standard deviation."""
    draw = np.random.default_rng(seed).normal(size=n)
    standard = (draw - draw.mean()) / draw.std()
    return [float(value) for value in mean + std * standard]


@pytest.fixture(scope="session")
def papers_cells(make_cell) -> list[store.Cell]:
    """The paper's Table 1 as 2,400 records: each cell's 60 scores have the printed mean and standard deviation.

    The paper averages unrounded means: where the printed ones average to just between two digits, one of them
    is moved by 0.002, which prints the same.
    """
    names = list(dict.fromkeys(row.name for row in paper.rows()))
    cells = []
    for number, name in enumerate(names):
        scores = {}
        for offset, metric in enumerate(paper.METRICS):
            means = {dataset: paper.printed(name, metric, dataset)[0] for dataset in paper.DATASETS}
            away = paper.printed(name, metric, "average")[0] - sum(means.values()) / 4
            if abs(away) > 0.0049:
                means["cos_e"] += 0.002 if away > 0 else -0.002
            for place, dataset in enumerate(paper.DATASETS):
                std = paper.printed(name, metric, dataset)[1]
                scores[dataset, metric] = spread(means[dataset], std, 100 * number + 10 * place + offset)
        cells += [make_cell(name, one, scores[one, "accuracy"], scores[one, "nbert"]) for one in paper.DATASETS]
    return cells


@pytest.fixture
def written(tmp_path) -> Callable[..., None]:
    """A function: write cells into a results folder as a run does, with two predictions a split; returns the folder."""

    def write(cells: list[store.Cell], predictions: list[dict] | None = None):
        root = tmp_path / "results"
        for cell in cells:
            for record in cell.records.values():
                found = predictions or [_prediction(right) for right in (True, False)]
                store.write_split(root / cell.signature, cell.config, record, found)
        return root

    return write


def _prediction(right: bool) -> dict:
    answer = "neutral" if right else "entailment"
    return {
        "id": f"example-{right}",
        "source": "explain nli hypothesis: a < b & c </script> premise: d",
        "choices": ["entailment", "neutral", "contradiction"],
        "gold": "neutral",
        "explanations": ["one need not be the other", "not all are"],
        "generation": f"{answer} because <b>it</b> is",
        "answer": answer,
        "explanation": "<b>it</b> is",
        "right": right,
        "broken": False,
        "nbert": 88.0 if right else 0.0,
    }
