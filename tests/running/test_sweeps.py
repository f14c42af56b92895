"""Sweeps without a cluster: each cell runs once, and one cell's failure is its own."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = (
    "model=tiny_t5",
    "source=demo",
    "dataset.train_size=6",
    "dataset.eval_size=6",
    "train.epochs=1",
    "evaluation.max_new_tokens=4",
)


def records(results: Path) -> dict[str, bytes]:
    return {str(path.relative_to(results)): path.read_bytes() for path in results.glob("*/splits/*.json")}


def table(output: str) -> list[str]:
    """The lines of the sweep's table, which ends what it prints."""
    lines = output.splitlines()
    return lines[max(place for place, line in enumerate(lines) if line.startswith(("dataset ", "model "))) :]


@pytest.mark.long
def test_the_line_of_the_readme_runs_8_cells_once(command, data_root, tmp_path):
    typed = (
        "run.py -m dataset=ecqa,esnli peft=aq,lora_r4 reg.alpha=1,2 model=tiny_t5 source=files "
        "dataset.train_split=test splits=0:3 train.epochs=1 dataset.eval_size=20"
    )
    line = typed.split()
    first = command(*line, f"source.root={data_root}", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    written = records(tmp_path / "results")
    assert len(written) == 24
    assert len({name.split("/")[0] for name in written}) == 8
    assert sum("3 of 3" in row for row in table(first.stdout)) == 8

    again = command(*line, f"source.root={data_root}", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout == "\n".join([*table(first.stdout), ""])
    assert records(tmp_path / "results") == written  # each names the second it was finished: none ran again


def test_the_table_is_of_the_splits_that_the_line_asks_for(command, tmp_path):
    line = ("run.py", "-m", *TINY, "peft=aq")
    for splits, told in (("0:2", "2 of 2"), ("1", "1 of 1")):
        ended = command(*line, f"splits={splits}", cwd=tmp_path)
        assert sum(told in row for row in table(ended.stdout)) == 1, ended.stdout


def test_what_a_sweep_varies_beside_records_is_neither_dropped_nor_done_twice(command, tmp_path):
    line = ("run.py", "-m", *TINY, "peft=aq", "splits=0")
    ended = command(*line, "train.save=false,true", cwd=tmp_path)
    assert ended.returncode == 0 and len(records(tmp_path / "results")) == 1, ended.stderr
    assert "trained again" not in ended.stderr
    assert len(list((tmp_path / "results").glob("*/trained/000"))) == 1
    ended = command(*line, "results_dir=one,two", cwd=tmp_path)
    assert ended.returncode == 2 and not (tmp_path / "one").exists()
    assert re.fullmatch(r"error: results_dir=\S*one,\S*two: a sweep has one results folder.*\n", ended.stderr)


def test_a_failed_cell_stops_no_other_and_is_told_at_the_end(command, tmp_path):
    hopeless = ("peft=base", "train.warmup_steps=0", "train.epochs=3")  # with a rate that overflows in the second step
    settings = [setting for setting in TINY if not setting.startswith("train.epochs")]
    done = command("run.py", "-m", *settings, *hopeless, "splits=0:2", "train.lr=1e36,1e-3", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    *_, count, failure = done.stdout.splitlines()
    assert count == "1 of 2 jobs failed:"
    assert re.fullmatch(r"  train\.lr=1e\+?36.*2 of 2 splits failed.*step \d+.*", failure), failure
    assert len(records(tmp_path / "results")) == 2
    notes = [json.loads(path.read_text()) for path in (tmp_path / "results").glob("*/failed/*.json")]
    assert [note["split"] for note in sorted(notes, key=lambda note: note["split"])] == [0, 1]


def test_the_first_job_that_fails_ends_a_sweep_where_that_is_asked(command, tmp_path):
    hopeless = ("peft=base", "train.warmup_steps=0", "train.epochs=3", "train.lr=1e-3,1e36,1e-4", "splits=0")
    settings = [setting for setting in TINY if not setting.startswith("train.epochs")]
    done = command("run.py", "-m", *settings, *hopeless, "hydra.sweeper.fail_fast=true", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert re.search(r"train\.lr=1e\+?36.*1 of 1 splits? failed", done.stdout), done.stdout
    assert len(records(tmp_path / "results")) == 1  # that of the cell before; the one after never began
    assert len(list((tmp_path / "results").glob("*/config.yaml"))) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("reg.alpha=1,0.5",), r"error: reg\.alpha=0\.5: reg\.alpha=0\.5: must be at least 1.*"),
        (("peft=aq,aqq",), r"error: .*aqq.*aqkv.*"),
        (("hydra.sweeper.shards=0",), r"error: hydra\.sweeper\.shards=0: must be at least 1"),
        (("reg.alpha=interval(1,2)",), r"error: reg\.alpha=interval\(1,2\): a sweep needs a list of values"),
    ],
)
def test_a_bad_cell_refuses_the_sweep_in_one_line_and_leaves_nothing(command, tmp_path, line, said):
    done = command("run.py", "-m", *TINY, *line, cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(said, done.stderr.strip()), done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_without_slurm_the_slurm_launcher_says_so_in_one_line(command, tmp_path):
    done = command("run.py", "-m", *TINY, "hydra/launcher=slurm_a40", cwd=tmp_path, PATH=str(tmp_path))
    assert done.returncode == 2
    assert re.fullmatch(r"error: hydra/launcher: no Slurm to submit to here: .*srun.*\n", done.stderr), done.stderr


def test_cells_that_say_the_same_run_once_and_shards_share_the_splits(command, tmp_path):
    line = ("run.py", "-m", *TINY, "reg.alpha=2,2.0", "splits=0:3", "+sweeps=feb_shards", "hydra.sweeper.shards=2")
    done = command(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path / "results")) == 3
    assert done.stdout.count("records: ") == 2  # two jobs: splits 0, 2 and split 1


def test_a_cell_of_which_several_things_are_asked_answers_each(command, tmp_path):
    line = ("run.py", "-m", *TINY, "dataset.target=answer", "splits=0", "evidence=full", "evidence.measures=[erasure]")
    done = command(*line, "evidence.attributions=[random]", "evidence.removal=delete,mask", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr  # also without an nBERT
    (cell,) = (tmp_path / "results").glob("*/")
    asked = sorted(path.read_text().split("removal: ")[1].split()[0] for path in cell.glob("evidence/*/asked.yaml"))
    assert asked == ["delete", "mask"] and len(list(cell.glob("evidence/*/000.json"))) == 2
    done = command(*line[:-2], "evidence=none,quick", cwd=tmp_path)  # who asks nothing needs no job of its own
    assert done.returncode == 0 and len(list(cell.glob("evidence/*/000.json"))) == 3
    assert done.stdout.count("records: ") == 1


def test_a_dry_run_tells_what_is_left_and_how_long_it_takes(command, tmp_path):
    line = ("run.py", "-m", *TINY, "reg.alpha=1,2", "reg.beta=0,1", "dry_run=true")
    done = command(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "4 cells, 240 splits: 0 done, 240 left; no record tells how long they take"
    assert list(tmp_path.iterdir()) == []

    command("run.py", *TINY, "reg.alpha=2", "reg.beta=1", "splits=0:2", cwd=tmp_path)
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "results").glob("*/splits/000.json"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = command(*line, cwd=tmp_path)
    *_, last = done.stdout.splitlines()
    timed = re.escape(record["run"]["device"])
    hours = r"about [\d.]+ hours of one device"
    assert re.fullmatch(rf"4 cells, 240 splits: 2 done, 238 left, {hours}, as timed on {timed}", last)
    (finished,) = (row for row in done.stdout.splitlines() if "α=2 β=1" in row)
    assert re.match(r"[0-9a-f]{12} +2 +58 +[\d.]+  tiny T5, e-SNLI, AQ, SCED", finished)
    assert finished.split()[0] == next((tmp_path / "results").iterdir()).name
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert sum(record["run"]["seconds"].values()) > 0
    (damaged,) = (tmp_path / "results").glob("*/splits/001.json")
    damaged.write_bytes(b"{")
    *_, last = command(*line, cwd=tmp_path).stdout.splitlines()
    assert last.startswith("4 cells, 240 splits: 1 done, 239 left")
    *_, last = command(*line, "evidence=quick", cwd=tmp_path).stdout.splitlines()
    assert last.startswith("4 cells, 240 splits: 0 done, 240 left")
