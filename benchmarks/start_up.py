"""How long a user waits before anything happens: --help, a refusal, a dry run.

    python benchmarks/start_up.py [--rounds 5]

Each beside the baseline of this machine in the same round: a Python that only imports Hydra. Limits, on two quiet
cores: --help 1.5 s, a refusal 2 s.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINES = {
    "import hydra": [sys.executable, "-c", "import hydra"],
    "run.py --help": [sys.executable, str(ROOT / "run.py"), "--help"],
    "run.py reg.alpha=0.5, refused": [sys.executable, str(ROOT / "run.py"), "reg.alpha=0.5"],
    "run.py dataset=none, refused": [sys.executable, str(ROOT / "run.py"), "dataset=none"],
    "dry_run=true of Table 1, demo data": [
        *(sys.executable, str(ROOT / "run.py"), "-m"),
        *("+experiments=table1", "model=tiny_t5", "source=demo", "dry_run=true"),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in LINES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, line in LINES.items():
                began = time.perf_counter()
                subprocess.run(line, cwd=folder, capture_output=True, check=False)
                seconds[name].append(time.perf_counter() - began)
    baseline = statistics.median(seconds["import hydra"])
    print(f"start-up, median of {rounds}\n\n{'':40}{'s':>8}{'x import hydra':>16}")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:40}{median:8.2f}{median / baseline:15.1f}x")


if __name__ == "__main__":
    main()
