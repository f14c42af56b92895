"""Many splits side by side beside one by one: training and generation, time and memory, for K = 1, 2, 4, 8, 16.

    python benchmarks/packed.py [--device cpu] [--model MODEL] [--peft aq] [--sizes 1,2,4,8,16] [--splits 8]

What runs is what a job runs on its splits, but for the scoring. Every K takes its turn in every round, on the same
splits (the first K of them, where K is more); a ratio is to K = 1 of the same round, the median over rounds is told.
Packs are for GPUs: on CPU, where it runs only when asked to by --device cpu, one split's batch keeps a core busy, and
Flan-T5-small's shape on real e-SNLI shows it; no limit.
On a GPU: AQ and LoRA r=4 on Flan-T5-large's shape with random weights in bfloat16, real ECQA ($CAREF_DATA), all that
PyTorch holds of its memory; limits 4x for K = 8, 22 GB for K = 1; the largest K within 48 GB is named.
"""

import argparse
import gc
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from figures import Figure, run, told
from workloads import BY_MODEL, T5_LARGE, T5_SMALL, Workload

from caref.data.splits import Split
from caref.running import jobs, trials
from caref.running.progress import Progress
from caref.running.workbench import Workbench

GPU_PEFTS, GPU_LEAST, GPU_MOST_GB = ("aq", "lora_r4"), 4, 22
CARD_GB = 48
PHASES = ("train", "generate", "both")


@dataclass(frozen=True)
class Took:
    """Seconds a split by phase; what each split wrote."""

    seconds: dict[str, float]
    written: list[list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="a GPU where there is one")
    parser.add_argument("--model", choices=BY_MODEL)
    parser.add_argument("--peft", help="a choice of conf/peft")
    parser.add_argument("--sizes", type=lambda told: [int(size) for size in told.split(",")], default=[1, 2, 4, 8, 16])
    parser.add_argument("--splits", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--eval-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="on CPU; by default PyTorch's own choice")
    parser.add_argument("--task", type=int, help=argparse.SUPPRESS)  # the K whose memory a process of its own takes
    asked = parser.parse_args()
    if asked.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch

    from caref.running import memory

    if asked.device == "cuda" and not torch.cuda.is_available():
        return print("no GPU was found: nothing is measured")
    if asked.threads:
        torch.set_num_threads(asked.threads)
    on_gpu = torch.cuda.is_available()
    if not on_gpu and not asked.device:
        return print("no GPU was found: nothing is measured; --device cpu shows what packs come to on a CPU")
    workload = BY_MODEL[asked.model] if asked.model else T5_LARGE if on_gpu else T5_SMALL
    if asked.task:
        bench, splits = made_ready(asked, workload, asked.peft)
        return print(memory.peak(lambda: bench_of(bench, splits[: asked.task], asked.task), bench.device))
    figures = []
    for peft in [asked.peft] if asked.peft else GPU_PEFTS if on_gpu else GPU_PEFTS[:1]:
        figures += compare(asked, workload, peft, on_gpu)
    told(figures)


def made_ready(asked: argparse.Namespace, workload: Workload, peft: str) -> tuple[Workbench, list[Split]]:
    """What a job loads once, warm, and its splits."""
    job = workload.job(
        f"train.epochs={asked.epochs}",
        f"dataset.eval_size={asked.eval_size}",
        "evaluation.max_new_tokens=32",
        "dry_run=true",  # nothing is kept, no folder is looked at
        peft=peft,
    )
    planned = jobs.plan(job)
    bench = Workbench(job, saved=Path(os.devnull))
    trials.set_up(bench)
    splits = [planned.sampler(index) for index in range(max(asked.splits, *asked.sizes))]
    bench.run(splits[:1], Progress("", 1, []))  # compiles what is to be compiled
    return bench, splits


def bench_of(bench: Workbench, splits: list[Split], size: int) -> Took:
    """What these splits take, `size` at a time."""
    gc.collect()
    seconds, written = dict.fromkeys(PHASES, 0.0), []
    for begin in range(0, len(splits), size):
        pack = splits[begin : begin + size]
        began = time.perf_counter()
        outcomes = bench.run(pack, Progress("", len(pack), []))
        seconds["both"] += time.perf_counter() - began
        for outcome in outcomes:
            shares = outcome.record["run"]["seconds"]
            seconds["train"] += shares["train"]
            seconds["generate"] += shares["generate"]
            seconds["both"] -= shares["score"]
            written.append([prediction["generation"] for prediction in outcome.predictions])
    return Took({phase: spent / len(splits) for phase, spent in seconds.items()}, written)


def compare(asked: argparse.Namespace, workload: Workload, peft: str, on_gpu: bool) -> list[Figure]:
    import torch

    bench, splits = made_ready(asked, workload, peft)
    place = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    print(f"{workload.told}; {peft}, {asked.epochs} epochs; {place}")
    print(f"seconds a split, median of {asked.rounds}; in brackets the times as fast as K = 1\n")
    rounds: list[dict[int, Took]] = []
    peaks: dict[int, float] = {}
    sizes = [1, *(size for size in asked.sizes if size > 1)]
    for _ in range(asked.rounds):
        rounds.append({})
        for size in list(sizes):
            try:
                if on_gpu:
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats()
                rounds[-1][size] = bench_of(bench, splits[: max(size, asked.splits)], size)
                if on_gpu:
                    peaks[size] = torch.cuda.max_memory_reserved() / 1e6
            except torch.OutOfMemoryError:
                if size == 1:
                    sys.exit("not even one split fits this GPU: nothing is measured")
                print(f"K = {size}: this GPU has not enough memory")
                sizes.remove(size)
                peaks.pop(size, None)
    if not on_gpu:
        peaks = {size: in_its_own_process(asked, peft, size) for size in sizes}
    figures = reported(workload, peft, rounds, peaks, on_gpu)
    if on_gpu:
        fitting = max((size for size in sizes if peaks[size] < CARD_GB * 1000), default=None)
        print(f"the largest of these K whose memory fits {CARD_GB} GB: {fitting}")
    return figures


def reported(
    workload: Workload, peft: str, rounds: list[dict[int, Took]], peaks: dict[int, float], on_gpu: bool
) -> list[Figure]:
    print(f"{'K':>4}" + "".join(f"{phase:>20}" for phase in PHASES) + f"{'peak MB':>12}")
    figures = []
    for size, peak in peaks.items():
        line, medians, ratios = f"{size:4}", {}, {}
        for phase in PHASES:
            medians[phase] = statistics.median(one[size].seconds[phase] for one in rounds)
            ratios[phase] = statistics.median(one[1].seconds[phase] / one[size].seconds[phase] for one in rounds)
            line += f"{medians[phase]:12.3f} ({ratios[phase]:4.2f}x)"
        print(f"{line}{peak:12.0f}")
        figures.append(
            Figure(
                what=f"{workload.model} {peft}, a split, pack={size}",
                seconds=medians["both"],
                baseline="pack=1",
                faster=ratios["both"],
                peak_mb=peak,
                least=GPU_LEAST if on_gpu and size == 8 else None,
                most_mb=GPU_MOST_GB * 1000 if on_gpu and size == 1 else None,
            )
        )
    alone = rounds[0][1].written
    others = [took.written[: len(alone)] for one in rounds for took in one.values()]
    same = sum(
        text == own
        for other in others
        for texts, owns in zip(other, alone, strict=True)
        for text, own in zip(texts, owns, strict=True)
    )
    print(
        f"generations that are those of K = 1: {100 * same / sum(len(texts) for one in others for texts in one):.2f} %"
    )
    return figures


def in_its_own_process(asked: argparse.Namespace, peft: str, size: int) -> float:
    """MB that one pack of this size takes at its height, beside what is loaded before it."""
    line = [sys.executable, __file__, "--device", "cpu", "--peft", peft, "--task", str(size)]
    line += ["--epochs", "1", "--eval-size", str(asked.eval_size), "--splits", "1", "--sizes", str(size)]
    line += ["--model", asked.model] if asked.model else []
    ran = run(line)
    if ran.status:
        sys.exit(ran.output)
    return int(ran.output.split()[-1]) / 1e6


if __name__ == "__main__":
    main()
