"""A whole cell, end to end, beside a conventional script: a process, a model and a Trainer for every split.

    python benchmarks/cell.py [--model MODEL] [--precision fp32] [--one-by-one] [--splits 8] [--timed 2] [--epochs 5]

`run.py` once for all splits, amid runs of conventional.py on some of them (`--timed`), one a split: a script that
starts anew for every split takes as long for each, so its cell is told as that mean times the splits. Both train the
same parameters of the same weights on the same examples with the same hyper-parameters, and the scores of the splits
that both ran stand beside each other. On CPU: Flan-T5-small's shape and SmolLM2-135M, on real e-SNLI ($CAREF_DATA);
limits 5x and 3x for 8 splits. On a GPU: Flan-T5-large's shape on real ECQA; limit 10x.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from figures import Figure, Ran, run, told
from omegaconf import DictConfig
from workloads import BY_MODEL, ON_CPU, ON_GPU, ROOT, Workload

from caref.data.batches import shuffled
from caref.data.prompts import text
from caref.models.wheels import resolve
from caref.results import store
from caref.running import jobs

ROWS = 8  # prompts that the conventional script generates for at a time: the Trainer's own default for evaluation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--model", choices=BY_MODEL, help="one of them only")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), help="of run.py; the conventional script keeps its own"
    )
    parser.add_argument("--one-by-one", action="store_true", help="the baseline evaluates as FEB's code does")
    parser.add_argument("--splits", type=int, default=8)
    parser.add_argument("--timed", type=int, default=2, help="splits that the conventional script runs")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--eval-size", type=int, default=100)
    asked = parser.parse_args()
    if not on_gpu:
        print("no GPU was found: nothing is said about CUDA")
    figures = []
    for workload in [BY_MODEL[asked.model]] if asked.model else ON_GPU if on_gpu else ON_CPU:
        with tempfile.TemporaryDirectory() as folder:
            figures.append(compare(asked, workload, Path(folder)))
    told(figures)


def compare(asked: argparse.Namespace, workload: Workload, folder: Path) -> Figure:
    sizes = [
        f"splits=0:{asked.splits}",
        f"train.epochs={asked.epochs}",
        "train.lr=1e-3",
        f"dataset.eval_size={asked.eval_size}",
        "evaluation.max_new_tokens=32",
        f"results_dir={folder / 'results'}",
    ]
    job = workload.job(*sizes)
    half_precision = job.train.precision == "bf16"  # on a GPU both compute in it
    if asked.precision:
        sizes.append(f"train.precision={asked.precision}")
        job = workload.job(*sizes)
    planned = jobs.plan(job)

    files = described(asked, job, planned, folder, half_precision)
    conventional = [ran_conventionally(file) for file in files[: len(files) // 2]]
    ours = run([sys.executable, ROOT / "run.py", *workload.overrides(), *sizes])
    conventional += [ran_conventionally(file) for file in files[len(files) // 2 :]]
    if failed := [one for one in (ours, *conventional) if one.status]:
        sys.exit(failed[0].output)

    records = [store.read_record(planned.cell, index) for index in planned.indices]
    print(f"\n{workload.told}: AQ, {asked.epochs} epochs of 48 examples, {asked.eval_size} evaluated")
    print(f"{'split':>6}{'accuracy':>12}{'conv.':>8}{'nBERT':>10}{'conv.':>8}")
    for record, file in zip(records, files, strict=False):
        scores, others = record["scores"], json.loads(file.with_suffix(".scores").read_text())
        print(
            f"{record['split']:6}{scores['accuracy']:12.2f}{others['accuracy']:8.2f}"
            f"{scores['nbert']:10.2f}{others['nbert']:8.2f}"
        )
    spent = {phase: sum(one["run"]["seconds"][phase] for one in records) for phase in ("train", "generate", "score")}
    print("of run.py's", ", ".join(f"{phase} {seconds:.0f} s" for phase, seconds in spent.items()), end="; ")
    a_split = statistics.mean(one.seconds for one in conventional)
    print(f"a split of the conventional script {a_split:.0f} s")
    computed = statistics.mean(one.processor for one in conventional)
    print(
        f"seconds of the processor, which other work on the machine stretches less: {ours.processor:.0f}, and "
        f"{asked.splits * computed:.0f} of the conventional script, {asked.splits * computed / ours.processor:.2f}x"
    )
    precisions = job.train.precision, "bf16" if half_precision else "fp32"
    manner = "one by one, as FEB's" if asked.one_by_one else "batched"
    asked_as_limited = asked.splits >= 8 and not asked.one_by_one and precisions[0] == precisions[1]
    return Figure(
        what=f"{asked.splits} splits, {precisions[0]}: {workload.told}",
        seconds=ours.seconds,
        baseline=f"conventional, {precisions[1]}, {manner}: {asked.splits * a_split:.0f} s",
        faster=asked.splits * a_split / ours.seconds,
        peak_mb=ours.peak_mb,
        least=workload.least if asked_as_limited else None,
    )


def ran_conventionally(file: Path) -> Ran:
    return run([sys.executable, ROOT / "benchmarks" / "conventional.py", file, file.with_suffix(".scores")])


def described(
    asked: argparse.Namespace, job: DictConfig, planned: jobs.Plan, folder: Path, half_precision: bool
) -> list[Path]:
    """What conventional.py needs of the splits that it runs, as files; the model's weights are saved beside them."""
    from caref import training
    from caref.models import backbones
    from caref.models.method import build

    total = training.steps(job.dataset.train_size, job.train.batch_size, job.train.epochs)
    backbone = backbones.load(job.model)
    backbone.model.save_pretrained(folder / "model")
    backbone.tokenizer.save_pretrained(folder / "model")
    files = []
    for index in planned.indices[: asked.timed]:
        split = planned.sampler(index)
        pairs = [text(job.dataset.name, example) for example in split.train]
        drawn = shuffled(pairs, job.train.batch_size, job.train.epochs, split.seed)
        content = {
            "seed": split.seed,
            "model": str(folder / "model"),
            "scratch": str(folder / "scratch"),
            "trained": build(job.peft).parameters(backbone.model),
            "train": [(pair.source, pair.target) for batch in drawn for pair in batch],
            "evaluation": [
                (text(job.dataset.name, example).source, example.answer, example.explanations)
                for example in split.evaluation
            ],
            "batch_size": job.train.batch_size,
            "evaluation_batch_size": ROWS,
            "one_by_one": asked.one_by_one,
            "bf16": half_precision,
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
