"""`make run` asks the project's question in small: two cells that differ in the regulariser alone, on two splits."""

from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_quickstart_plans_with_and_without_the_regulariser(command, tmp_path):
    done = command("run.py", "-m", "+experiments=quickstart", "dry_run=true", f"results_dir={tmp_path}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = [line.split(None, 4) for line in done.stdout.splitlines() if "SmolLM2-135M" in line]
    assert [(done_, left) for _, done_, left, *_ in cells] == [("0", "2"), ("0", "2")]
    assert [cell[-1].split(", ", 3)[:3] for cell in cells] == [["SmolLM2-135M", "CoS-E", "LoRA r=4 α=8"]] * 2
    assert [cell[-1].split(", ", 3)[3].partition(" α")[0] for cell in cells] == ["no regulariser", "SCED"]


def test_small_plans_three_choices_of_what_is_trained_on_the_four_real_datasets(command, data_root, tmp_path):
    line = ("-m", "+experiments=small", "dry_run=true", f"results_dir={tmp_path}")
    done = command("run.py", *line, cwd=tmp_path, CAREF_DATA=str(data_root))
    assert done.returncode == 0, done.stderr
    cells = [line.split(None, 4)[-1].split(", ") for line in done.stdout.splitlines() if "SmolLM2-135M" in line]
    told = {(dataset, peft.partition(" ")[0], reg.partition(" ")[0]) for _, dataset, peft, reg, *_ in cells}
    datasets, pefts = ("ECQA", "CoS-E", "ComVE", "e-SNLI"), ("AQ", "LoRA", "BASE")
    assert told == set(product(datasets, pefts, ("no", "SCED"))) and len(cells) == 24
    assert "24 cells, 288 splits: 0 done, 288 left" in done.stdout
    done = command("run.py", *line, "~hydra.sweeper.grids.small_adapted", cwd=tmp_path, CAREF_DATA=str(data_root))
    assert "8 cells, 96 splits: 0 done, 96 left" in done.stdout and done.stdout.count("BASE") == 8


@pytest.mark.long
def test_one_split_of_the_quickstart_is_learnt(command, tmp_path):
    """Chance is a third of the 72 evaluated questions."""
    line = ("-m", "+experiments=quickstart", "reg=none", "splits=0", "results_dir=results")
    done = command("run.py", *line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    from caref.results import store

    (cell,) = store.cells(tmp_path / "results")
    assert cell.records[0]["scores"]["accuracy"] > 40
