"""For the tests of interruption: a process that has loaded everything, and forks a run of run.py for each line read.

A line is the JSON list of run.py's arguments; it answers with the process id of the run, and once that has ended with
its exit status. Thirty interrupted runs so cost thirty runs, not thirty imports of torch.
"""

import json
import os
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(arguments: list[str]) -> None:
    sys.argv = [str(ROOT / "run.py"), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


def main() -> None:
    sys.path.insert(0, str(ROOT))
    import peft  # noqa: F401
    import torch
    import transformers  # noqa: F401

    torch.set_num_threads(1)  # no thread lives yet that a fork would lose
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(json.loads(line))
            sys.stdout.flush()
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()
