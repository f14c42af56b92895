"""All benchmarks, one after another, each in a process of its own: `make bench`.

A benchmark prints its own table, as ratios to a baseline that it names and runs beside it.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
BENCHMARKS = ("objective", "cell", "start_up", "dry_run", "report")


def main() -> None:
    failed = []
    for name in BENCHMARKS:
        print(f"\n== benchmarks/{name}.py ==\n", flush=True)
        if subprocess.run([sys.executable, FOLDER / f"{name}.py"], check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"past their limits, or failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
