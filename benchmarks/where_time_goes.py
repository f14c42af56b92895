"""Where a cell's time goes: processor seconds of every part of it, and of every kind of operation in the two longest.

    python benchmarks/where_time_goes.py [--model MODEL] [--epochs 5] [--eval-size 100] [overrides of run.py ...]

Loading is once a job, tokenising once an example, the rest once a split. One split runs in this process, after a
short one that compiles what is to be compiled; then a training and a generation run again under PyTorch's profiler,
which counts their matrix products too. These at the rate of a large product here are what no code can do without: the
last lines.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workloads import BY_MODEL, T5_SMALL

from caref.running import jobs, trials
from caref.running.progress import Progress
from caref.running.workbench import Workbench

KINDS = {
    "matrix products": ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::_addmm", "mkldnn::"),
    "attention": ("aten::_scaled_dot", "aten::_softmax", "aten::_flash", "aten::masked_fill"),
    "objective": ("_RowTerms",),
    "dropout": ("_Drop",),
    "optimiser": ("Optimizer.", "aten::_fused_adam", "aten::_foreach", "aten::lerp", "aten::addcdiv", "aten::addcmul"),
    "copies": ("aten::copy_", "aten::cat", "aten::index", "aten::clone", "aten::fill_", "aten::zero_"),
}
ELSE = "other operations"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=T5_SMALL.model, choices=BY_MODEL)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--eval-size", type=int, default=100)
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_args()
    spent: dict[str, float] = {"start (Python, Hydra)": time.process_time()}

    @contextmanager
    def part(name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        spent[name] = time.process_time() - began

    workload = BY_MODEL[asked.model]
    sizes = [f"train.epochs={asked.epochs}", f"dataset.eval_size={asked.eval_size}", "evaluation.max_new_tokens=32"]
    job = workload.job(*sizes, "dry_run=true", *asked.overrides)
    with part("reading the data"):
        planned = jobs.plan(job)
        split, other = planned.sampler(0), planned.sampler(1)
    bench = Workbench(job, saved=Path(os.devnull))
    with part("importing PyTorch and transformers"):
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM  # noqa: F401
    with part("loading BERTScore's model"):
        _ = bench.scorer
    with part("loading the model"):
        trials.set_up(bench)
    with part("tokenising"):
        bench.tokens([*split.train, *split.evaluation])
    with part("compiling, a first short run"):
        trials.rehearse(bench, other)

    from caref import training
    from caref.evaluation.generate import side_by_side
    from caref.evaluation.scores import score
    from caref.models.packed import packed_part

    train, evaluation = [bench.tokens(split.train)], [bench.tokens(split.evaluation)]
    steps = training.steps(len(split.train), job.train.batch_size, job.train.epochs)
    rows, tokens = job.evaluation.batch_size, job.evaluation.max_new_tokens
    with packed_part(bench.backbone, job.peft, [split.seed], steps) as trained:

        def fit() -> None:
            training.fit(trained, bench.backbone, bench.objective, train, job.train, [split.seed])

        def generate() -> list[list[str]]:
            return side_by_side(trained.model, bench.backbone, evaluation, rows, tokens)

        with part("training"):
            fit()
        with part("generating"):
            written = generate()
        with part("scoring"):
            score(job.dataset.name, split.evaluation, written[0], bench.scorer)
        told(workload.told, job, spent, steps)
        counted = {"training": by_kind(fit), "generating": by_kind(generate)}
    told_by_kind(spent, {name: kinds for name, (kinds, _) in counted.items()})
    print("\nmatrix products alone, at the rate of a large one:")
    for dtype in (torch.float32, torch.bfloat16):
        rate = products_a_second(dtype)
        for name, (_, operations) in counted.items():
            told_rate = f"{operations / 1e9:.0f} GFLOP at {rate / 1e9:.0f} GFLOP/s in {dtype}"
            print(f"{name}: {told_rate.replace('torch.', '')} = {operations / rate:.2f} s")
    Progress("", 1, []).end()


def products_a_second(dtype, size: int = 1024) -> float:
    """Floating-point operations a processor second in a product of square matrices, of ten the fastest."""
    import torch

    one, other = torch.randn(2, size, size).to(dtype).unbind()
    fastest = math.inf
    for _ in range(10):
        began = time.process_time()
        one @ other
        fastest = min(fastest, time.process_time() - began)
    return 2 * size**3 / fastest


def by_kind(work) -> tuple[dict[str, float], int]:
    """Seconds inside each kind of operation, and floating-point operations of matrix products."""
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, profile(activities=[ProfilerActivity.CPU]) as record:
        work()
    spent = dict.fromkeys((*KINDS, ELSE), 0.0)
    for event in record.key_averages():
        kind = next((kind for kind, names in KINDS.items() if event.key.startswith(names)), ELSE)
        if kind != ELSE or event.key.startswith("aten::"):  # else the autograd engine's own steps: dispatch
            spent[kind] += event.self_cpu_time_total / 1e6
    return spent, counter.get_total_flops()


def told(title: str, job, spent: dict[str, float], steps: int) -> None:
    import torch

    threads = torch.get_num_threads()
    print(f"{title}; {job.peft.name}, batch {job.train.batch_size}, {job.train.precision}; {threads} threads")
    print(f"{steps} steps of training, {job.dataset.eval_size} generations; seconds of the processor\n")
    for name, seconds in spent.items():
        print(f"{name:36}{seconds:8.2f}", flush=True)


def told_by_kind(spent: dict[str, float], columns: dict[str, dict[str, float]]) -> None:
    print(f"\n{'':26}" + "".join(f"{name:>14}" for name in columns))
    for kind in (*KINDS, ELSE):
        print(f"{kind:26}" + "".join(f"{column[kind]:14.2f}" for column in columns.values()))
    print(f"{'outside of operations':26}", end="")
    print("".join(f"{max(0.0, spent[name] - sum(column.values())):14.2f}" for name, column in columns.items()))


if __name__ == "__main__":
    sys.exit(main())
