"""What benchmarks find, as lines of one table: times, ratios to a baseline of the same run, memory, limits."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

KEPT = "CAREF_FIGURES"  # names the file in which `make bench` gathers the figures of its benchmarks


@dataclass(frozen=True)
class Figure:
    """One contender beside its baseline.

    Attributes:
        what: the contender.
        seconds: that it takes, the median where it was measured several times.
        baseline: what ran beside it.
        faster: how many times as fast as the baseline it is.
        peak_mb: the most memory it held, in MB.
        least: how many times as fast it has to be.
        most_seconds, most_mb: how long it may take, and how much it may hold.
    """

    what: str
    seconds: float
    baseline: str
    faster: float
    peak_mb: float | None = None
    least: float | None = None
    most_seconds: float | None = None
    most_mb: float | None = None

    @property
    def limits(self) -> str:
        told = [
            f">= {self.least:g}x" if self.least else "",
            f"<= {self.most_seconds:g} s" if self.most_seconds else "",
            f"<= {self.most_mb:g} MB" if self.most_mb else "",
        ]
        return ", ".join(filter(None, told)) or "-"

    @property
    def within(self) -> bool:
        return not (
            (self.least and self.faster < self.least)
            or (self.most_seconds and self.seconds > self.most_seconds)
            or (self.most_mb and self.peak_mb > self.most_mb)
        )


def told(figures: Iterable[Figure]) -> None:
    """Print the figures, hand them to `make bench` where that asked for them, and exit 1 where one is past a limit."""
    figures = list(figures)
    print(f"\n{table(figures)}")
    if path := os.environ.get(KEPT):
        with open(path, "a") as file:
            file.writelines(f"{json.dumps(asdict(figure))}\n" for figure in figures)
    if not all(figure.within for figure in figures):
        raise SystemExit(1)


def kept(path: Path) -> list[Figure]:
    return [Figure(**json.loads(line)) for line in path.read_text().splitlines()]


def table(figures: Sequence[Figure]) -> str:
    head = ("", "s", "times as fast", "as", "peak MB", "limit", "")
    rows = [
        (
            figure.what,
            f"{figure.seconds:.3g}",
            f"{figure.faster:.2f}x",
            figure.baseline,
            "-" if figure.peak_mb is None else f"{figure.peak_mb:.0f}",
            figure.limits,
            "" if figure.within else "MISSED",
        )
        for figure in figures
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    to_the_right = (1, 2, 4)
    lines = (
        (cell.rjust(width) if place in to_the_right else cell.ljust(width))
        for row in (head, *rows)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "\n".join("  ".join(line).rstrip() for line in zip(*[lines] * len(head), strict=True))


def data_root() -> Path:
    """The folder of real releases: CAREF_DATA, or ../shared/data beside the checkout."""
    root = Path(os.environ.get("CAREF_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not root.is_dir():
        raise SystemExit("no real data: set CAREF_DATA to a folder that `python -m caref.download` has filled")
    return root


@dataclass(frozen=True)
class Ran:
    """A process that ended: seconds from its start to its end, those it computed, its peak memory, what it printed."""

    seconds: float
    processor: float
    peak_mb: float
    output: str
    status: int


def run(line: Sequence[str | Path], cwd: Path | None = None, **environment: str) -> Ran:
    """Run a command as a user does. `output` has what it printed, to stderr only where it failed."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, line)), cwd=cwd, env={**os.environ, **environment}, stdout=output, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        said = output.read()
        if process.returncode:
            said += errors.read()
    return Ran(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said, process.returncode)
