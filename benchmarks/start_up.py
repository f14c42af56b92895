"""How long a user waits before anything happens: --help, a refusal, a dry run.

    python benchmarks/start_up.py [--rounds 5]

Each beside the baseline of this machine in the same round: a Python that only imports Hydra. Limits, on two quiet
cores: --help 1.5 s, a refusal 2 s.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from figures import Figure, Ran, run, told

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "import hydra"
LINES = {
    BASELINE: [sys.executable, "-c", "import hydra"],
    "run.py --help": [sys.executable, str(ROOT / "run.py"), "--help"],
    "run.py reg.alpha=0.5, refused": [sys.executable, str(ROOT / "run.py"), "reg.alpha=0.5"],
    "run.py dataset=none, refused": [sys.executable, str(ROOT / "run.py"), "dataset=none"],
    "dry_run=true of Table 1, demo data": [
        *(sys.executable, str(ROOT / "run.py"), "-m"),
        *("+experiments=table1", "model=tiny_t5", "source=demo", "dry_run=true"),
    ],
}


LIMITS = {"run.py --help": 1.5, "run.py reg.alpha=0.5, refused": 2.0, "run.py dataset=none, refused": 2.0}  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    ran: dict[str, list[Ran]] = {name: [] for name in LINES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, line in LINES.items():
                ran[name].append(run(line, cwd=Path(folder)))
    seconds = {name: statistics.median(one.seconds for one in times) for name, times in ran.items()}
    print(f"start-up, median of {rounds}")
    told(
        Figure(
            what=name,
            seconds=seconds[name],
            baseline=BASELINE,
            faster=seconds[BASELINE] / seconds[name],
            peak_mb=max(one.peak_mb for one in ran[name]),
            most_seconds=LIMITS.get(name),
        )
        for name in LINES
        if name != BASELINE
    )


if __name__ == "__main__":
    main()
