"""A Slurm for the tests that need one, and the line that they type."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here can import the cluster beside them

from one_node import Cluster, missing, one_node, until

ROOT = Path(__file__).parents[2]
SETTINGS = (
    "model=tiny_t5",
    "source=demo",
    "dataset.train_size=6",
    "dataset.eval_size=6",
    "train.epochs=1",
    "evaluation.max_new_tokens=4",
    "pack=1",  # one record after another, so that there is a middle to be hit in
)


@pytest.fixture(scope="session")
def settings() -> tuple[str, ...]:
    """What makes a job small; every line of these tests has it."""
    return SETTINGS


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """A one-node Slurm with two a40 devices in the partition a40."""
    if reason := missing():
        pytest.skip(reason)
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated"))  # so that nothing stays behind
    try:
        with one_node() as cluster:
            yield cluster
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def start(slurm, tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """A function: type a sweep for the cluster in the test's folder, and do not wait for it."""
    started = []

    def type_line(*overrides: str, launcher: str = "slurm_a40") -> subprocess.Popen:
        # What ignores Ctrl-C, as a shell has its background jobs do, has children that do.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        small = (f"hydra/launcher={launcher}", "hydra.launcher.mem_gb=1", "hydra.launcher.cpus_per_task=1")
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), "-m", *small, *SETTINGS, *overrides],
            cwd=tmp_path,
            env=slurm.environment | {"OMP_NUM_THREADS": "1", "XDG_CONFIG_HOME": str(tmp_path / "home")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        signal.signal(signal.SIGINT, before)
        started.append(process)
        return process

    yield type_line
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
    with suppress(RuntimeError):
        slurm.command("scancel", "--user=root")
    until(lambda: not slurm.running(), 30, "the test's jobs to end")
