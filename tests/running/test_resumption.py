"""Interrupted however often, shared by however many: no split is lost or doubled, and the results are the same."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from caref.results import store

ROOT = Path(__file__).parents[2]
SMALL = (
    "model=tiny_t5",
    "source=demo",
    "dataset.train_size=8",
    "dataset.eval_size=8",
    "train.epochs=2",
    "evaluation.max_new_tokens=8",
)
pytestmark = pytest.mark.long


class ForkedRuns:
    """Runs of run.py, one after another, that can be killed; see forked_run.py."""

    def __init__(self, cwd: Path):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the runs
        self._process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "running" / "forked_run.py"],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )

    def start(self, *arguments: str) -> int:
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        while not (line := self._process.stdout.readline()).strip().isdigit():  # what the run before printed
            assert line, "the forking process has died"
        return int(line)

    def status(self) -> int:
        while not (line := self._process.stdout.readline()).strip().isdigit():
            assert line, "the forking process has died"
        return int(line)

    def succeed(self) -> None:
        """The run begun last ends well."""
        if self.status() != 0:
            self._errors.seek(0)
            pytest.fail(self._errors.read()[-4000:])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture
def forked(tmp_path):
    runs = ForkedRuns(tmp_path)
    yield runs
    runs.close()


def contents(results: Path) -> dict:
    """Everything a results folder says, without times and machines: by signature and split."""
    said = {}
    for cell in store.cells(results):
        assert not cell.damaged and not cell.failed
        for split, record in cell.records.items():
            assert store.read_record(results / cell.signature, split) is not None
            kept = {key: value for key, value in record.items() if key != "run"}
            said[cell.signature, split] = kept, store.predictions_path(results / cell.signature, split).read_bytes()
    return said


def litter(results: Path) -> list[Path]:
    return [path for path in results.rglob("*") if path.suffix in (".tmp", ".lock", ".damaged")]


def test_thirty_kills_at_random_moments_change_nothing(tmp_path, forked):
    line = ("-m", "dataset=esnli,comve", "reg.alpha=1,2", "peft=aq,lora_r4", "splits=0:3", *SMALL)
    forked.start(*line, "results_dir=whole")
    forked.succeed()
    whole = contents(tmp_path / "whole")
    assert len(whole) == 8 * 3

    moments = random.Random(30)
    killed = 0
    while killed < 30:
        run = forked.start(*line, "results_dir=killed")
        time.sleep(moments.uniform(0.0, 6.0))
        with suppress(ProcessLookupError):  # on a fast machine it may have ended
            os.kill(run, signal.SIGKILL)
        if os.WIFSIGNALED(forked.status()):
            killed += 1
        else:  # it had ended before its moment came: it must be right, and another begins
            assert contents(tmp_path / "killed") == whole
            (tmp_path / "killed").rename(tmp_path / f"ended-{killed}")
    forked.start(*line, "results_dir=killed")
    forked.succeed()
    assert contents(tmp_path / "killed") == whole
    assert not litter(tmp_path / "killed")


def test_eight_processes_share_a_sweep_without_losing_or_doubling_a_split(tmp_path):
    line = ("-m", "reg.alpha=1,1.5,2,2.5", "reg.beta=0,0.5,1,2", "splits=0", *SMALL)
    started = [ForkedRuns(tmp_path) for _ in range(8)]
    for runs in started:
        runs.start(*line, "results_dir=shared")
    for runs in started:
        runs.succeed()
        runs.close()
    alone = ForkedRuns(tmp_path)
    alone.start(*line, "results_dir=alone")
    alone.succeed()
    alone.close()
    shared = contents(tmp_path / "shared")
    assert len(shared) == 16
    assert shared == contents(tmp_path / "alone")
    assert not litter(tmp_path / "shared")
