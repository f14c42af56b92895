"""A dry run over 704 cells of 60 splits, eleven ways to train x four datasets x the alpha x beta grid, most of it done.

    python benchmarks/dry_run.py [--folder DIR]

Fills the folder with 42,176 made-up records under the signatures that the line's own cells have on demo data (once; DIR
is kept and used again, otherwise it is temporary), then runs the line in a process of its own. The limit is 5 seconds.
"""

import argparse
import itertools
import math
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from figures import Figure, run, told
from hydra import compose, initialize_config_dir

from caref import composition
from caref.results import store
from caref.running import jobs

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


def by_hydra(root: Path) -> float:
    """Seconds that Hydra itself takes to compose a cell: what a sweep of its own does for each."""
    lines = [[f"peft={peft}", f"reg.alpha={alpha}", "source=demo"] for peft in PEFTS[:3] for alpha in ALPHAS]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        began = time.perf_counter()
        for line in lines:
            compose("config", [*line, f"results_dir={root}"])
    return (time.perf_counter() - began) / len(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--folder", type=Path, help="where the made-up records are, or are to be kept")
    folder = arguments.parse_args().folder
    grid = {"peft": PEFTS, "dataset": DATASETS, "reg.alpha": ALPHAS, "reg.beta": BETAS}
    choices = [f"{key}={','.join(map(str, values))}" for key, values in grid.items()]
    cells = math.prod(map(len, grid.values()))
    composition.register()
    memory = Path("/dev/shm")  # where there is one, so that the dry run is measured and not the disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as temporary:
        root = (folder or Path(temporary) / "results").absolute()
        if not root.exists():
            began = time.perf_counter()
            print(f"{fill(root):,} records written in {time.perf_counter() - began:.0f} s", flush=True)
        line = [sys.executable, ROOT / "run.py", "-m", *choices, "source=demo", f"results_dir={root}", "dry_run=true"]
        ran = run(line)
        composing = cells * by_hydra(root)
    print(ran.output.splitlines()[-1])
    print(f"{ran.processor:.1f} s of processor time")
    told(
        [
            Figure(
                what=f"dry_run=true of {cells} cells",
                seconds=ran.seconds,
                baseline="Hydra composing as many, from its time for 12",
                faster=composing / ran.seconds,
                peak_mb=ran.peak_mb,
                most_seconds=5,
            )
        ]
    )


if __name__ == "__main__":
    main()
