"""Evidence beside the other scores of a run: with its split or added later, and no step's losses are lost for it."""

import json
import math

import pytest
from told import HISTORY, SIGNATURE, final, held, of_kind

from caref.errors import UserError
from caref.results import evidence, store
from caref.running import jobs
from caref.tracking.comparison import comparison, questions_of
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


def test_another_project_takes_no_losses_away(tell, cell, description, settings, capfd):
    """A run that was kept offline is the only place that holds them."""
    tell(0, history=HISTORY)
    before = held(cell)[f"{SIGNATURE}-000"]
    with tracking(settings("tracker.project=other"), cell, description) as tracker:
        tracker.earlier([store.read_record(cell, 0)])
    runs = held(cell)
    assert runs[f"{SIGNATURE}-000"] == before and steps(runs, 0) == len(HISTORY)
    assert "split 0: its run stays in project" in capfd.readouterr().err


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


def shown(report) -> tuple[list[str], list[list[str]], list[str]]:
    """Of a report's evidence: the headings, the metrics of each plot, and the columns of its tables."""
    blocks = json.loads(report._to_model().spec.model_dump_json(by_alias=True))["blocks"]
    headings = ["".join(part["text"] for part in block["children"]) for block in blocks if block["type"] == "heading"]
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    grids = [grid for grid in grids if grid["runSets"][0]["name"] == "evidence"]
    plots = [panel["config"]["metrics"] for grid in grids for panel in grid["panelBankSectionConfig"]["panels"]]
    columns = [name for grid in grids for name in grid["runSets"][0]["runFeed"]["columnOrder"]]
    return [heading for heading in headings if heading.startswith("Evidence")], plots, columns


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wandb_workspaces' own
def test_the_comparison_shows_the_evidence_that_the_summary_runs_hold(tell, cell):
    names = ["calibration.ece", "calibration.brier", "erasure.saliency.tau", "erasure.human.flips_over_random"]
    names += ["erasure.saliency.flips_over_random", "erasure.random.flips_over_random"]
    both = ASKED | {"attributions": ["saliency", "human", "random"]}, ASKED | {"examples": 2}
    for asked in both:
        for split in (0, 1):
            own = {name: split + place for place, name in enumerate(names)}
            evidence.write_split(cell, asked, {"split": split, "scores": own, "reliability": []}, [])
    tell(0, 1)
    headings, plots, columns = shown(comparison("caref", "somebody", questions_of(cell.parent)))
    assert {heading.rpartition(" ")[2] for heading in headings} == set(map(evidence.mark, both)) and len(headings) == 2
    summary = held(cell)[f"{SIGNATURE}-summary"]
    told, last = final(summary), of_kind(summary, "history")[-1]["item"]
    assert sorted(len(metrics) for metrics in plots) == [1, 1, 1, 1, 2, 2]  # a control is no bar, nor Brier a plot
    for metric in (one for metrics in plots for one in metrics):
        assert f"summary:{metric}" in columns and told[metric] == last[metric]
    assert told[f"evidence/{evidence.mark(both[0])}/erasure.human.flips_over_random/mean"] == 3.5
    assert shown(comparison("caref", "somebody")) == ([], [], [])


def test_a_folder_without_evidence_is_refused(tell, cell):
    tell(0)
    with pytest.raises(UserError, match="holds no evidence"):
        questions_of(cell.parent)
    with pytest.raises(UserError, match="no such results folder"):
        questions_of(cell.parent / "none")
