"""`python -m caref.report` as a user types it."""

import subprocess
import sys
from pathlib import Path

import pytest

from caref.results import store

ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def results(tmp_path):
    """A results folder with one cell of two splits, as a run leaves it."""
    configuration = {
        "fingerprint": "f",
        "model": {"name": "tiny T5", "path": None},
        "peft": {"name": "AQ", "method": "projections", "projections": ["q"], "norms": False, "scope": "self"},
        "dataset": {
            "name": "esnli",
            "train_split": "train",
            "eval_split": "validation",
            "train_size": 48,
            "eval_size": 4,
        },
        "reg": {"name": "none", "term": "cross_entropy"},
        "bertscore": {"model": "minilm", "layer": 6},
        "train": {"epochs": 1},
        "evaluation": {"batch_size": 4},
    }
    root = tmp_path / "results"
    for split in (0, 1):
        record = {
            "split": split,
            "seed": split,
            "scores": {"accuracy": 25.0 * (split + 1), "nbert": 20.0},
            "counts": {"trainable": 1, "parameters": 4, "evaluated": 4},
            "source": "demo",
            "fingerprint": "f",
            "run": {"precision": "fp32", "versions": {"torch": "2"}, "finished": f"now {split}"},
        }
        store.write_split(root / "0123456789ab", configuration, record, [])
    return root


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_writes_everything_and_names_it(results, tmp_path, command):
    done = command("-m", "caref.report", str(results), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    names = {line.rsplit("/", 1)[1] for line in done.stdout.splitlines()}
    assert names == {
        "report.html",
        "report.md",
        "table1.tex",
        "pairs.csv",
        "chosen.csv",
        "table1.csv",
        "tests.csv",
        "cells.csv",
        "cells.png",
        "cells.pdf",
        "figure1b.png",
        "figure1b.pdf",
    }
    assert names == set(contents(tmp_path / "out"))
    assert "37.50 ± 12.50 (2)" in (tmp_path / "out" / "report.md").read_text().replace("**", "")


def test_two_runs_are_byte_identical_wherever_the_folder_lies(results, tmp_path, command):
    command("-m", "caref.report", str(results), "--out", str(tmp_path / "one"), PYTHONHASHSEED="1")
    moved = results.rename(tmp_path / "elsewhere")
    done = command("-m", "caref.report", "elsewhere", "--out", "two", cwd=tmp_path, PYTHONHASHSEED="2", PYTHONPATH=ROOT)
    assert done.returncode == 0 and moved.is_dir(), done.stderr
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_default_place_is_in_the_results_folder_and_is_no_cell(results, command):
    for _ in range(2):
        assert command("-m", "caref.report", str(results)).returncode == 0
    assert (results / "report" / "report.html").is_file()
    assert len(store.cells(results)) == 1


def test_a_damaged_record_is_named_and_left_out(results, command):
    record = results / "0123456789ab" / "splits" / "001.json"
    record.write_text(record.read_text().replace("50.0", "99.0"))
    assert command("-m", "caref.report", str(results)).returncode == 0
    text = (results / "report" / "report.md").read_text()
    assert "001.json: not whole, or not what was written" in text and "99.00" not in text and "(1)" in text


@pytest.mark.parametrize(
    ("arrange", "says"),
    [
        (lambda root: "nowhere", "no such results folder"),
        (lambda root: (root / "empty").mkdir() or "empty", "holds no results"),
        (lambda root: (root / "file").write_text("x") and "file", "no such results folder"),
    ],
)
def test_a_folder_without_results_is_one_line_and_exit_code_two(tmp_path, command, arrange, says):
    done = command("-m", "caref.report", str(tmp_path / arrange(tmp_path)))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ") and says in done.stderr


@pytest.mark.parametrize("given", (True, False))
def test_a_place_that_cannot_be_written_is_one_line_that_names_the_option(results, tmp_path, command, given):
    place = tmp_path / "file" / "below" if given else results / "report"
    place.parent.mkdir(exist_ok=True)
    place.write_text("x")  # a file where a folder is to be
    done = command("-m", "caref.report", str(results), *(("--out", str(place)) if given else ()))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: --out {place}: ") and "results_dir=" not in done.stderr


def test_no_model_library_is_imported(results):
    program = (
        "import sys; from pathlib import Path; from caref.report.files import write; "
        f"write(Path({str(results)!r}), Path({str(results / 'report')!r})); "
        "print([name for name in ('torch', 'transformers', 'peft', 'datasets', 'hydra') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
