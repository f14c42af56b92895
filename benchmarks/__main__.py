"""All benchmarks, each in a process of its own, and what they found in one table: `make bench`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import KEPT, kept, table

FOLDER = Path(__file__).parent
BENCHMARKS = ("objective", "packed", "cell", "evidence", "start_up", "dry_run", "report")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        gathered = Path(temporary) / "figures"
        gathered.touch()
        failed = []
        for name in BENCHMARKS:
            print(f"\n== benchmarks/{name}.py ==\n", flush=True)
            line = [sys.executable, FOLDER / f"{name}.py"]
            if subprocess.run(line, env={**os.environ, KEPT: str(gathered)}, check=False).returncode:
                failed.append(name)
        print(f"\n== all ==\n\n{table(kept(gathered))}")
    if failed:
        sys.exit(f"past their limits, or failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
