"""Evidence beside the other scores of a run: with its split or added later, and no step's losses are lost for it."""

import math

import pytest
from told import HISTORY, SIGNATURE, final, held, of_kind

from caref.results import evidence, store
from caref.running import jobs
from caref.tracking.tracker import tracking

ASKED = {"examples": 3, "measures": ["calibration"], "attributions": [], "removal": "delete"}
MARK = evidence.mark(ASKED)


@pytest.fixture
def add(cell):
    """A function: evidence of splits whose ECE is ten times their number, and a score that does not exist."""

    def add_to(*splits: int) -> None:
        for split in splits:
            scores = {"calibration.ece": 10.0 * split, "calibration.auroc": None}
            evidence.write_split(cell, ASKED, {"split": split, "scores": scores, "reliability": []}, [])

    return add_to


@pytest.fixture
def later(cell, description, settings):
    """A function: tell of finished splits as a later job does."""

    def tell(*splits: int) -> None:
        with tracking(settings(), cell, description) as tracker:
            tracker.earlier([store.read_record(cell, split) for split in splits])

    return tell


def steps(runs, split: int) -> int:
    return sum("train/loss" in row["item"] for row in of_kind(runs[f"{SIGNATURE}-{split:03d}"], "history"))


def test_it_stands_beside_the_scores_under_the_mark_of_its_question(tell, add, cell):
    tell(0)
    add(1, 2)
    tell(1, 2)
    runs = held(cell)
    told = final(runs[f"{SIGNATURE}-002"])
    assert told[f"evidence/{MARK}/calibration.ece"] == 20.0 and "nbert" in told
    assert f"evidence/{MARK}/calibration.auroc" not in told
    assert not [key for key in final(runs[f"{SIGNATURE}-000"]) if key.startswith("evidence")]
    total = final(runs[f"{SIGNATURE}-summary"])
    ece = {figure: total[f"evidence/{MARK}/calibration.ece/{figure}"] for figure in ("mean", "std", "n")}
    assert ece == {"mean": 15.0, "std": 5.0, "n": 2} and total["splits"] == 3
    assert not [key for key, value in total.items() if isinstance(value, float) and math.isnan(value)]


def test_added_later_it_is_told_where_no_losses_are_lost(tell, add, later, cell, capfd):
    for split in (0, 1):
        tell(split, history=HISTORY if split else ())
    before = held(cell)
    add(0, 1)
    later(0, 1)
    runs = held(cell)
    assert final(runs[f"{SIGNATURE}-000"])[f"evidence/{MARK}/calibration.ece"] == 0.0
    assert runs[f"{SIGNATURE}-001"] == before[f"{SIGNATURE}-001"] and steps(runs, 1) == len(HISTORY)
    assert "split 1: the summary alone tells of its evidence" in capfd.readouterr().err
    assert final(runs[f"{SIGNATURE}-summary"])[f"evidence/{MARK}/calibration.ece/n"] == 2
    later(0, 1)
    assert held(cell) == runs and "summary alone" not in capfd.readouterr().err


def test_damaged_evidence_is_named_and_not_told(tell, add, cell, capfd):
    add(0)
    path = evidence.folder_of(cell, ASKED) / "000.json"
    path.write_text(path.read_text().replace("calibration.ece", "calibration.xyz"))
    tell(0)
    assert not [key for key in final(held(cell)[f"{SIGNATURE}-000"]) if key.startswith("evidence")]
    assert "000.json: not whole" in capfd.readouterr().err


def test_a_job_that_adds_evidence_trains_again_and_tells_of_both(composed, tmp_path):
    small = ("dataset.train_size=6", "dataset.eval_size=6", "train.epochs=1", "evaluation.max_new_tokens=4", "splits=0")
    chosen = (*small, "model=tiny_t5", "source=demo", "bertscore=minilm", "tracker=wandb", f"results_dir={tmp_path}")
    records = jobs.run(composed(*chosen))
    jobs.run(composed(*chosen, "evidence=quick"))
    (cell,) = (found for found in tmp_path.iterdir() if found.is_dir())
    runs = held(cell)
    rows = [row["item"] for row in of_kind(runs[f"{cell.name}-000"], "history")]
    assert sum("train/loss" in row for row in rows) == records[0]["counts"]["steps"] > 0
    (found,) = evidence.of_cell(cell)
    key = f"evidence/{found.mark}/calibration.ece"
    assert final(runs[f"{cell.name}-000"])[key] == found.records[0]["scores"]["calibration.ece"]
    assert final(runs[f"{cell.name}-summary"])[f"{key}/n"] == 1
