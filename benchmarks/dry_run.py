"""A dry run over 704 cells of 60 splits, eleven ways to train x four datasets x the alpha x beta grid, most of it done.

    python benchmarks/dry_run.py [--folder DIR]

Fills the folder with 42,176 made-up records under the signatures that the line's own cells have on demo data (once; DIR
is kept and used again, otherwise it is temporary), then runs the line in a process of its own and prints its seconds.
The limit is 5 seconds.
"""

import argparse
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hydra import compose, initialize_config_dir

from caref import config, jobs
from caref.results import store

ROOT = Path(__file__).resolve().parent.parent
SPLITS = 60
PEFTS = ("base", "dec", "aqkv", "laq", "aq", "lora_r4", "lora_r128", "dora", "adalora", "ia3", "prefix")
DATASETS = ("cos_e", "ecqa", "comve", "esnli")
ALPHAS, BETAS = (1, 1.5, 2, 2.5), (0, 0.5, 1, 2)
UNFINISHED = "aq"  # its cells lack a split


def fill(root: Path) -> int:
    """Write the whole folder on all cores; returns the number of records."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = [pool.submit(_fill, root, *part) for part in itertools.product(PEFTS, DATASETS)]
        return sum(part.result() for part in parts)


def _fill(root: Path, peft: str, dataset: str) -> int:
    config.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        base = compose("config", [f"peft={peft}", f"dataset={dataset}", "source=demo", f"results_dir={root}"])
    count = 0
    for alpha, beta in itertools.product(ALPHAS, BETAS):
        job = deepcopy(base)
        job.reg.alpha, job.reg.beta = alpha, beta
        planned = jobs.plan(job)
        for split in range(SPLITS - (peft == UNFINISHED)):
            record = {"split": split, "run": {"seconds": {"train": 90.0, "generate": 30.0, "score": 5.0}}}
            store.write_split(planned.cell, planned.description, record, [{"id": "made-up"}])
            count += 1
    return count


def measure(root: Path) -> tuple[str, float, float]:
    """The dry run's last line, its seconds and its processor seconds, interpreter start included."""
    grid = {"peft": PEFTS, "dataset": DATASETS, "reg.alpha": ALPHAS, "reg.beta": BETAS}
    choices = [f"{key}={','.join(map(str, values))}" for key, values in grid.items()]
    line = [sys.executable, str(ROOT / "run.py"), "-m", *choices, "source=demo", f"results_dir={root}", "dry_run=true"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout.splitlines()[-1], seconds, processor


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--folder", type=Path, help="where the made-up records are, or are to be kept")
    folder = arguments.parse_args().folder
    memory = Path("/dev/shm")  # where there is one, so that the dry run is measured and not the disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as temporary:
        root = (folder or Path(temporary) / "results").absolute()
        if not root.exists():
            started = time.perf_counter()
            print(f"{fill(root):,} records written in {time.perf_counter() - started:.0f} s", flush=True)
        told, seconds, processor = measure(root)
        print(told)
        print(f"dry run: {seconds:.1f} s (limit 5; {processor:.1f} s of processor time)")
        raise SystemExit(seconds > 5)


if __name__ == "__main__":
    main()
