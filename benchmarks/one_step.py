"""Where the time of a training step goes: one split, and eight side by side; with PyTorch's attention, and with ours.

    python benchmarks/one_step.py [--model tiny_t5] [--peft aq] [--size 8] [--rounds 5] [--threads 1]

The same steps run four ways on CPU, once under PyTorch's profiler, which tells the time inside each operation, and
several times without it, for the wall time; what is in no operation is Python and PyTorch's dispatch. Milliseconds a
step and split.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir

from caref import composition
from caref.data.splits import Split
from caref.running import jobs
from caref.running.workbench import Workbench

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "attention, fused": ("_Attention",),
    "attention mask, softmax": ("aten::where", "aten::_softmax", "aten::masked_fill", "aten::expand"),
    "matrix products": ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm"),
    "dropout": ("_Drop",),
    "objective": ("_RowTerms",),
    "optimiser": ("Optimizer.",),
    "copies": ("aten::copy_", "aten::cat"),
}
ELSE, OUTSIDE = "other operations", "Python and dispatch"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny_t5")
    parser.add_argument("--peft", default="aq")
    parser.add_argument("--size", type=int, default=8, help="splits side by side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()

    import torch

    torch.set_num_threads(asked.threads)
    bench, splits = made_ready(asked)
    ways = {
        "K = 1, composed": (splits[:1], True),
        "K = 1": (splits[:1], False),
        f"K = {asked.size}, composed": (splits, True),
        f"K = {asked.size}": (splits, False),
    }
    seconds = defaultdict(list)
    for _ in range(asked.rounds + 1):
        for name, (pack, plain) in ways.items():
            seconds[name].append(step_seconds(bench, pack, plain))
    columns = {}
    for name, (pack, plain) in ways.items():
        wall = statistics.median(seconds[name][1:])  # the first compiles and allocates
        columns[name] = parted(profiled(bench, pack, plain), wall)
    told(columns, bench.job.model.name, asked)


def made_ready(asked: argparse.Namespace) -> tuple[Workbench, list[Split]]:
    line = [f"model={asked.model}", f"peft={asked.peft}", "dataset=esnli", "source=demo", "bertscore=minilm"]
    composition.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        job = compose("config", [*line, "train.epochs=1", "train.precision=fp32", "dry_run=true"])
    planned = jobs.plan(job)
    return Workbench(job, saved=Path("unused")), [planned.sampler(index) for index in range(asked.size)]


def steps(bench: Workbench, pack: Sequence[Split], plain: bool) -> Iterator[None]:
    """An epoch of training: yields before its first step and after its last."""
    from caref import training
    from caref.models.packed import packed_part

    train, seeds = [bench.tokens(split.train) for split in pack], [split.seed for split in pack]
    total = steps_of(bench)
    with packed_part(bench.backbone, bench.job.peft, seeds, total) as part, attention(plain):
        yield
        training.fit(part, bench.backbone, bench.objective, train, bench.job.train, seeds)
        yield


def steps_of(bench: Workbench) -> int:
    from caref import training

    return training.steps(bench.job.dataset.train_size, bench.job.train.batch_size, bench.job.train.epochs)


@contextmanager
def attention(plain: bool) -> Iterator[None]:
    """Composed of PyTorch's operations, as it is where there is no compiler; or as it is here."""
    from caref.kernels import dropout
    from caref.models import attention as ours

    takes = ours.takes
    if plain:
        ours.takes = dropout.takes = lambda *tensors: False
    try:
        yield
    finally:
        ours.takes = dropout.takes = takes


def step_seconds(bench: Workbench, pack: Sequence[Split], plain: bool) -> float:
    """Of a step and split."""
    training = steps(bench, pack, plain)
    next(training)
    began = time.perf_counter()
    next(training)
    spent = time.perf_counter() - began
    training.close()
    return spent / steps_of(bench) / len(pack)


def profiled(bench: Workbench, pack: Sequence[Split], plain: bool) -> dict[str, float]:
    """Seconds inside each kind of operation, of a step and split."""
    from torch.profiler import ProfilerActivity, profile

    training = steps(bench, pack, plain)
    next(training)
    with profile(activities=[ProfilerActivity.CPU]) as record:
        next(training)
    training.close()
    spent = dict.fromkeys((*KINDS, ELSE), 0.0)
    for event in record.key_averages():
        kind = next((kind for kind, names in KINDS.items() if event.key.startswith(names)), ELSE)
        if kind == ELSE and not event.key.startswith("aten::"):
            continue  # the autograd engine's own steps: dispatch
        spent[kind] += event.self_cpu_time_total / 1e6 / steps_of(bench) / len(pack)
    return spent


def parted(spent: dict[str, float], wall: float) -> dict[str, float]:
    return {**spent, OUTSIDE: max(0.0, wall - sum(spent.values())), "a step": wall}


def told(columns: dict[str, dict[str, float]], model: str, asked: argparse.Namespace) -> None:
    print(f"{model}, {asked.peft}, demo e-SNLI, batch 4, CPU, {asked.threads} threads; ms a step and split\n")
    print(f"{'':26}" + "".join(f"{name:>18}" for name in columns))
    for kind in (*KINDS, ELSE, OUTSIDE, "a step"):
        print(f"{kind:26}" + "".join(f"{1000 * parts[kind]:18.2f}" for parts in columns.values()))


if __name__ == "__main__":
    sys.exit(main())
