"""A whole cell, end to end, beside the conventional way: a process, a model and a Trainer for every split.

    python benchmarks/cell.py [--model MODEL] [--splits 8] [--epochs 5] [--eval-size 100]

`run.py` once for all splits (the median of three times: before, amid and after the others) against conventional.py
once a split, on the same splits, weights, trained parameters and hyper-parameters; the scores of both stand beside each
other. Random weights show what the protocol costs, not what a model can do. On CPU: tiny_t5 in float32 on demo e-SNLI,
limit 8x for 8 splits. On a GPU: Flan-T5-large's shape in bfloat16 on the real ECQA ($CAREF_DATA), limit 10x.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from figures import Figure, Ran, run, told
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from caref import composition
from caref.data.prompts import text
from caref.models.wheels import resolve
from caref.results import store
from caref.running import jobs

ROOT = Path(__file__).resolve().parents[1]
DEMO = ("dataset=esnli", "source=demo", "train.precision=fp32")
REAL = ("dataset=ecqa", "source=files", "dataset.train_split=test", "train.precision=bf16")  # ECQA's train: too large


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--model", default="flan_t5_large_random" if on_gpu else "tiny_t5")
    parser.add_argument("--splits", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--eval-size", type=int, default=100)
    asked = parser.parse_args()
    if not on_gpu:
        print("no GPU was found: nothing is said about CUDA")
    with tempfile.TemporaryDirectory() as folder:
        compare(asked, Path(folder), REAL if on_gpu else DEMO, least=10 if on_gpu else 8)


def compare(asked: argparse.Namespace, folder: Path, data: tuple[str, ...], least: float) -> None:
    line = [
        f"model={asked.model}",
        "model.dropout=0",
        "peft=aq",
        *data,
        "bertscore=minilm",
        f"splits=0:{asked.splits}",
        f"train.epochs={asked.epochs}",
        "train.lr=1e-3",
        f"dataset.eval_size={asked.eval_size}",
        "evaluation.max_new_tokens=32",
    ]
    composition.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        job = compose("config", [*line, f"results_dir={folder / 'results-1'}"])
    planned = jobs.plan(job)

    files = described(job, planned, folder)
    ours = [run_py(line, folder / "results-1")]
    theirs = []
    for place, file in enumerate(files, 1):
        theirs.append(run([sys.executable, ROOT / "benchmarks" / "conventional.py", file, file.with_suffix(".scores")]))
        if place in (len(files) // 2, len(files)):
            ours.append(run_py(line, folder / f"results-{len(ours) + 1}"))
    if failed := [one for one in (*ours, *theirs) if one.status]:
        sys.exit(failed[0].output)
    records = [store.read_record(planned.cell, index) for index in planned.indices]
    conventional = [json.loads(file.with_suffix(".scores").read_text()) for file in files]

    print(f"{asked.splits} splits of {' '.join(data)}, {asked.model} (random weights), AQ, {asked.epochs} epochs\n")
    print(f"{'split':>6}{'accuracy':>12}{'conv.':>8}{'nBERT':>10}{'conv.':>8}")
    for record, other in zip(records, conventional, strict=True):
        scores = record["scores"]
        print(
            f"{record['split']:6}{scores['accuracy']:12.2f}{other['accuracy']:8.2f}"
            f"{scores['nbert']:10.2f}{other['nbert']:8.2f}"
        )
    conventional_seconds = sum(one.seconds for one in theirs)
    seconds = statistics.median(one.seconds for one in ours)
    told(
        [
            Figure(
                what=f"a cell of {asked.splits} splits, pack={records[0]['run']['pack']}",
                seconds=seconds,
                baseline=f"conventional, a process a split: {conventional_seconds:.0f} s",
                faster=conventional_seconds / seconds,
                peak_mb=max(one.peak_mb for one in ours),
                least=least,
            )
        ]
    )


def run_py(line: list[str], results: Path) -> Ran:
    return run([sys.executable, ROOT / "run.py", *line, f"results_dir={results}"])


def described(job: DictConfig, planned: jobs.Plan, folder: Path) -> list[Path]:
    """What conventional.py needs of every split, as files; the model's weights are saved beside them."""
    from caref import training
    from caref.models import backbones
    from caref.models.method import build

    total = training.steps(job.dataset.train_size, job.train.batch_size, job.train.epochs)
    backbone = backbones.load(job.model)
    backbone.model.save_pretrained(folder / "model")
    backbone.tokenizer.save_pretrained(folder / "model")
    files = []
    for index in planned.indices:
        split = planned.sampler(index)
        pairs = [text(job.dataset.name, example) for example in split.train]
        content = {
            "seed": split.seed,
            "model": str(folder / "model"),
            "scratch": str(folder / "scratch"),
            "trained": build(job.peft).parameters(backbone.model),
            "train": [(pair.source, pair.target) for pair in pairs],
            "evaluation": [
                (text(job.dataset.name, example).source, example.answer, example.explanations)
                for example in split.evaluation
            ],
            "batch_size": job.train.batch_size,
            "epochs": job.train.epochs,
            "lr": job.train.lr,
            "weight_decay": job.train.weight_decay,
            "warmup_steps": training.warmup(job.train.warmup_steps, total),
            "max_new_tokens": job.evaluation.max_new_tokens,
            "bertscore_model": resolve(job.bertscore.model),
            "bertscore_layer": job.bertscore.layer,
        }
        files.append(folder / f"split-{index:03d}.json")
        files[-1].write_text(json.dumps(content))
    return files


if __name__ == "__main__":
    main()
