"""However a command line ends, one line tells of it: Ctrl-C, a reader that has gone, a terminal of few letters."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ("model=tiny_t5", "source=demo", "dataset.train_size=6", "dataset.eval_size=6", "train.epochs=1")
SMALL += ("evaluation.max_new_tokens=4", "pack=1")
# A line of every entry point, its last word to be followed by a folder, and a file there that it reads.
READING = {
    "run.py": ((*SMALL, "source=files", "dataset=cos_e", "source.root="), "cos_e/train_rand_split.jsonl"),
    "caref.data": (("cos_e", "--source", "files", "--root", ""), "cos_e/train_rand_split.jsonl"),
    "caref.download": (("cos_e", "--root", ""), "cos_e/train_rand_split.jsonl"),
    "caref.report": (("",), "0123456789ab/config.yaml"),
    "caref.tracking": (("sync", ""), "0123456789ab/wandb/tracked/summary.json"),
    "caref.budget": (("",), "config.json"),
}
# Python runs this of itself, as sitecustomize.py: Ctrl-C comes just when that file is opened.
INTERRUPTING = """
import os, signal, sys

def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith(os.environ["INTERRUPTED_AT"]):
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(hook)
"""
# The same, where something is printed at once.
PRINTING = {
    "run.py": (*SMALL, "dry_run=true"),
    "caref.data": ("comve", "--source", "demo"),
    "caref.download": ("cos_e", "--root", "data"),
    "caref.report": ("results",),
    "caref.tracking": ("sync", "."),
    "caref.budget": ("tiny_t5", "--peft", "aq"),
}


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """A function: start an entry point with arguments in the test's folder, and do not wait for it."""
    started = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what ignores Ctrl-C has children that do

    def begin(program: str, *arguments: str, **environment: str) -> subprocess.Popen:
        line = [str(ROOT / program)] if program == "run.py" else ["-m", program]
        process = subprocess.Popen(
            [sys.executable, *line, *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        started.append(process)
        return process

    yield begin
    signal.signal(signal.SIGINT, before)
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(holds: Callable[[], bool], process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("program", READING)
def test_ctrl_c_is_answered_in_one_line(start, tmp_path, program):
    arguments, inside = READING[program]
    for file in (inside, "cos_e/cose_train_v1.0.jsonl"):
        (tmp_path / "folder" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / file).touch()
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING)
    path = f"{tmp_path}:{ROOT}"
    line = (*arguments[:-1], f"{arguments[-1]}{tmp_path / 'folder'}")
    process = start(program, *line, PYTHONPATH=path, INTERRUPTED_AT=inside)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.startswith("interrupted") and errors.count("\n") == 1, errors
    assert "Traceback" not in output


def test_an_interrupted_job_keeps_its_splits_and_says_how_to_go_on(start, tmp_path):
    process = start("run.py", *SMALL, "splits=0:60")
    until(lambda: any(tmp_path.glob("results/*/splits/*.json")), process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = len(list(tmp_path.glob("results/*/splits/*.json")))
    *progress, last = errors.splitlines()
    assert last == "interrupted: finished splits are kept, and the same line typed again goes on"
    assert kept - 1 <= len(progress) <= kept and all("/60 splits" in line for line in progress)
    assert not list(tmp_path.glob("results/*/failed/*")) and not list(tmp_path.glob("results/*/.*"))


@pytest.mark.parametrize("program", PRINTING)
def test_a_reader_that_has_gone_ends_it_without_a_word(command, data_root, start, tmp_path, program):
    if program == "caref.report":
        assert command("run.py", *SMALL, "splits=0", cwd=tmp_path).returncode == 0
    if program == "caref.download":
        (tmp_path / "data" / "cos_e").mkdir(parents=True)
        for file in (data_root / "cos_e").iterdir():
            (tmp_path / "data" / "cos_e" / file.name).symlink_to(file)
    process = start(program, *PRINTING[program])
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(60) == 141
    assert errors == ""


def test_a_reader_that_has_gone_ends_a_sweep_too_and_leaves_no_failure(start, tmp_path):
    process = start("run.py", "-m", *SMALL, "splits=0", "reg.alpha=1,2")
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(60) == 141
    assert "rror" not in errors
    assert len(list(tmp_path.glob("results/*/splits/*.json"))) == 1  # the first cell's table was for nobody


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_finished_sweep_is_told_whatever_letters_the_terminal_has(start, encoding):
    """Its jobs' tables have a ±, its own an α too."""
    process = start("run.py", "-m", *SMALL, "splits=0", "reg.alpha=1,2", PYTHONIOENCODING=encoding)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert output.count("records: results/") == output.count("1 of 1") == 2
    assert "Traceback" not in errors
