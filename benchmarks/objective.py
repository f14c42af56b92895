"""What the objective costs: forward and backward, beside the plain composition and F.cross_entropy.

    python benchmarks/objective.py [--rows 256] [--vocabulary 32128] [--dtype float32] [--alpha 2] [--beta 1]

Every contender takes its turn in every round, on CUDA where there is one, else on CPU; times are medians over
rounds. Peak memory is measured in a process of its own for each: what a step needs beyond the logits, in units of
their size, the gradient (1.0) included. The one-time cost is that of a first step with nothing compiled yet.
The limits on CPU, at the defaults: 8x the plain composition's speed, 2x F.cross_entropy's time, 1.25x the logits.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torch.nn.functional as F
from figures import Figure, told
from torch import Tensor

from caref.kernels import row_terms, row_terms_chunked
from caref.objectives.per_token import PerToken, reference
from caref.running import memory

LAMBDA = 0.1
HIDDEN = 512


def weighted(terms: PerToken) -> Tensor:
    return terms.ce.mean() + LAMBDA * terms.sced.mean() + LAMBDA * terms.kl.mean()


def plain(logits: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    """The formula as it is written in the paper, left to autograd."""
    p = logits.float().softmax(-1)
    surprise = p * torch.log(p * logits.shape[-1])
    sced = (surprise.abs() ** alpha * (1 - p) ** beta).sum(-1).mean()
    return F.cross_entropy(logits.float(), labels) + LAMBDA * sced + LAMBDA * surprise.sum(-1).mean()


def by_reference(logits: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    return weighted(reference(logits, labels, alpha=alpha, beta=beta))


def fused_fastest(logits: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    return weighted(PerToken(*row_terms.row_terms(logits, labels, alpha, beta)))


def fused_in_pytorch(logits: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    return weighted(PerToken(*row_terms.row_terms(logits, labels, alpha, beta, backend=row_terms_chunked)))


def cross_entropy(logits: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    return F.cross_entropy(logits, labels)


def hidden_cross_entropy(hidden: Tensor, weight: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    return F.cross_entropy(hidden @ weight.T, labels)


def hidden_fused(hidden: Tensor, weight: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    return weighted(PerToken(*row_terms.linear_row_terms(hidden, weight, labels, alpha, beta)))


FROM_LOGITS = {
    "plain composition": plain,
    "reference": by_reference,
    "fused": fused_fastest,
    "fused, PyTorch only": fused_in_pytorch,
    "F.cross_entropy": cross_entropy,
}
FROM_HIDDEN = {
    f"{HIDDEN} -> logits -> F.cross_entropy": hidden_cross_entropy,
    f"{HIDDEN} -> fused, no logits held": hidden_fused,
}


def step_of(name: str, options: argparse.Namespace) -> Callable[[], None]:
    """A function that runs one forward and backward pass of a contender."""
    generator = torch.Generator().manual_seed(0)
    place = {"device": options.device, "dtype": getattr(torch, options.dtype)}
    labels = torch.randint(options.vocabulary, (options.rows,), generator=generator).to(options.device)
    if name in FROM_HIDDEN:
        weight = torch.randn(options.vocabulary, HIDDEN, generator=generator).to(**place)
        hidden = (torch.randn(options.rows, HIDDEN, generator=generator) / HIDDEN**0.5).to(**place)
        leaf, inputs, loss = hidden.requires_grad_(), (hidden, weight, labels), FROM_HIDDEN[name]
    else:
        leaf = (torch.randn(options.rows, options.vocabulary, generator=generator) * 2).to(**place).requires_grad_()
        inputs, loss = (leaf, labels), FROM_LOGITS[name]

    def step() -> None:
        leaf.grad = None
        loss(*inputs, options.alpha, options.beta).backward()
        if options.device == "cuda":
            torch.cuda.synchronize()

    return step


def seconds_of(names: list[str], options: argparse.Namespace) -> dict[str, float]:
    steps = {name: step_of(name, options) for name in names}
    for step in steps.values():
        step()
    taken = {name: [] for name in names}
    for _ in range(options.rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in taken.items()}


def peak_of(name: str, options: argparse.Namespace) -> int:
    """Bytes that a step needs beyond what lies there before it. Linux counts them for a process on CPU."""
    small = argparse.Namespace(**{**vars(options), "rows": 2})
    step_of(name, small)()  # libraries are loaded, and nothing of the size of the logits is
    step = step_of(name, options)
    return memory.peak(step, torch.device(options.device))


def first_step(options: argparse.Namespace) -> float:
    """Seconds that the fused objective's first step takes beyond a later one: compiling, or finding it done."""
    step = step_of("fused", options)
    began = time.perf_counter()
    step()
    first = time.perf_counter() - began
    began = time.perf_counter()
    step()
    return first - (time.perf_counter() - began)


def in_its_own_process(task: str, options: list[str], **environment: str) -> float:
    line = [sys.executable, __file__, *options, "--task", task]
    ran = subprocess.run(line, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    return float(ran.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=32128)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--alpha", type=float, default=2.0)
    parser.add_argument("--beta", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--task", help=argparse.SUPPRESS)  # what a process of its own measures and prints
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.task == "first step":
        return print(first_step(options))
    if options.task:
        return print(peak_of(options.task, options))

    place = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {options.threads} threads"
    print(f"objective, {options.rows} x {options.vocabulary} {options.dtype}, alpha {options.alpha:g}, ", end="")
    print(f"beta {options.beta:g}; {place}; PyTorch {torch.__version__}")
    if options.device == "cpu":
        print("no GPU was found: nothing is said about CUDA")
    print(f"fused is {row_terms.backend_for(options.device, options.alpha, options.beta).__name__}")

    names = [*FROM_LOGITS, *FROM_HIDDEN]
    seconds = seconds_of(names, options)
    peaks = {name: in_its_own_process(name, sys.argv[1:]) for name in names}
    logits = options.rows * options.vocabulary * getattr(torch, options.dtype).itemsize
    print(f"\n{'forward and backward':34} {'ms':>8} {'peak / logits':>14}")
    for name in names:
        print(f"{name:34} {1000 * seconds[name]:8.1f} {peaks[name] / logits:13.2f}x")

    with tempfile.TemporaryDirectory() as empty:
        cost = in_its_own_process("first step", sys.argv[1:], XDG_CACHE_HOME=empty, TRITON_CACHE_DIR=empty)
    again = max(0.0, in_its_own_process("first step", sys.argv[1:]))
    saved = seconds["plain composition"] - seconds["fused"]
    print(f"\none-time cost of fused: {cost:.1f} s to compile, paid back against the plain composition after ", end="")
    print(f"{cost / saved:.0f} steps; {again:.1f} s in a later process")

    on_cpu = options.device == "cpu"
    limits = {"plain composition": 8 if on_cpu else None, "F.cross_entropy": 1 / 2 if on_cpu else 1 / 1.5}
    told(
        Figure(
            what="objective, fused",
            seconds=seconds["fused"],
            baseline=baseline,
            faster=seconds[baseline] / seconds["fused"],
            peak_mb=peaks["fused"] / 1e6,
            least=least,
            most_mb=1.25 * logits / 1e6,
        )
        for baseline, least in limits.items()
    )


if __name__ == "__main__":
    main()
