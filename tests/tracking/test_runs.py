"""What W&B holds of a finished split and of its cell, whoever tells of it."""

import json
import math
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from told import HISTORY, SIGNATURE, TELLER, final, held, names, of_kind, one, predictions, record

from caref.analysis import every_cell
from caref.results import store
from caref.tracking.offline import pending
from caref.tracking.tracker import tracking

ROOT = Path(__file__).parents[2]


def test_a_splits_run_holds_its_name_group_configuration_and_scores(tell, cell, description):
    (told,) = tell(3, overrides=("tracker.project=p", "tracker.entity=e", "tracker.tags=[mine]"))
    records = held(cell)[f"{SIGNATURE}-003"]
    run = one(records, "run")
    assert run["display_name"].startswith("esnli AQ SCED") and run["display_name"].endswith("tiny T5, split 003")
    assert (run["run_group"], run["job_type"], run["project"], run["entity"]) == (SIGNATURE, "split", "p", "e")
    assert run["tags"] == ["mine", "demo"]
    kept = run["config"]["update"]
    assert {key: kept.get(key, {}) for key in description} == json.loads(json.dumps(description))
    assert (kept["signature"], kept["split"], kept["seed"], kept["history"]) == (SIGNATURE, 3, 7007, "every step")
    assert {metric: final(records)[metric] for metric in told["scores"]} == told["scores"]
    assert final(records)["training/loss"] == told["training"]["loss"]
    assert final(records)["counts/trainable"] == 50331648 and final(records)["seconds/train"] == 1.25
    assert one(records, "exit").get("exit_code", 0) == 0


def test_a_splits_run_holds_the_loss_terms_of_every_step(tell, cell):
    tell(0)
    rows = [row["item"] for row in of_kind(held(cell)[f"{SIGNATURE}-000"], "history")]
    assert [row["_step"] for row in rows] == list(range(1, 13))
    assert [{term: row[f"train/{term}"] for term in HISTORY[0]} for row in rows] == HISTORY


def test_a_model_without_a_described_shape_is_told_of(cell, description, settings):
    description["model"]["config"] = {}
    with tracking(settings(), cell, description) as tracker:
        tracker.split(store.write_split(cell, description, record(0), predictions(0)), HISTORY)
    assert held(cell).keys() == names(0)


def test_a_splits_run_holds_a_table_of_its_predictions_inside_the_results_folder(tell, cell):
    tell(0)
    records = held(cell)[f"{SIGNATURE}-000"]
    (file,) = (cell / "wandb").glob(f"offline-run-*/files/{final(records)['predictions.path']}")
    table = json.loads(file.read_text())
    assert [row[table["columns"].index("nbert")] for row in table["data"]] == [100 / 3, 0, 100 / 3]
    assert table["data"][2][table["columns"].index("explanations")] == "gold 0\ngold 1\ngold 2"
    assert [row[table["columns"].index("source")] for row in table["data"]] == [predictions(0)[0]["source"]] * 3
    (kept,) = one(records, "artifact")["manifest"]["contents"]
    assert Path(kept["local_path"]).is_relative_to(cell) and Path(kept["local_path"]).exists()


def test_the_summary_equals_the_reports_figures_to_the_last_digit(tell, cell):
    tell(0, 1, 2, 3, 5, 8)
    records = held(cell)[f"{SIGNATURE}-summary"]
    (line,) = every_cell.lines(store.cells(cell.parent))
    for metric in ("accuracy", "nbert"):
        ours, theirs = line.summaries[metric], final(records)
        assert (theirs[f"{metric}/mean"], theirs[f"{metric}/std"]) == (ours.mean, ours.std)
        assert theirs[f"{metric}/n"] == ours.n == 6
    assert final(records)["trainable_percent"] == line.trainable_percent
    run = one(records, "run")
    assert run["run_group"] == SIGNATURE and run["job_type"] == "summary"


def test_the_summary_grows_with_the_splits(tell, cell):
    tell(0, 1, 2)
    rows = [row["item"] for row in of_kind(held(cell)[f"{SIGNATURE}-summary"], "history")]
    values = [record(split)["scores"]["nbert"] for split in range(3)]
    assert [row["splits"] for row in rows] == [1, 2, 3]
    for n, row in enumerate(rows, 1):
        mean = sum(values[:n]) / n
        assert row["nbert/mean"] == pytest.approx(mean, rel=1e-14)
        assert row["nbert/std"] == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in values[:n]) / n), abs=1e-13)


def test_what_was_told_is_not_told_again(tell, cell, description, settings):
    tell(0, 1)
    before = {path: path.stat().st_mtime_ns for path in (cell / "wandb").rglob("*")}
    with tracking(settings(), cell, description) as tracker:
        tracker.earlier([store.read_record(cell, split) for split in (0, 1)])
        tracker.split(store.read_record(cell, 1))
    files = {path: path.stat().st_mtime_ns for path in (cell / "wandb").rglob("*")}
    assert {path for path in files if path.is_file()} == {path for path in before if path.is_file()}
    assert held(cell).keys() == names(0, 1)


@pytest.mark.parametrize("history", [HISTORY, ()], ids=["with its steps", "from a record"])
def test_what_another_process_told_while_this_one_waited_is_not_told_again(
    tell, cell, description, settings, monkeypatch, capfd, history
):
    """Told again, its run would be there twice, or it would be said that there is evidence."""
    (written,) = tell(0, history=history)
    before = held(cell)
    marker = cell / "wandb" / "tracked" / "000.json"
    told = marker.read_bytes()
    marker.unlink()
    waiting = threading.Event()
    claimed = store.claimed

    def announced(*arguments, **options):
        waiting.set()
        return claimed(*arguments, **options)

    with tracking(settings(), cell, description) as tracker:
        late = threading.Thread(target=tracker.split, args=(written,))
        with store.claimed(cell / "wandb", 0, wait=True):  # as the other process does while it tells
            monkeypatch.setattr(store, "claimed", announced)
            late.start()
            assert waiting.wait(60)
            marker.write_bytes(told)
        late.join(60)
    assert held(cell) == before
    assert "split 0" not in "".join(capfd.readouterr())


def test_what_one_project_was_told_another_was_not(tell, cell):
    tell(0)
    tell(0, overrides=("tracker.project=other",))
    assert {one(records, "run")["project"] for records in held(cell).values()} == {"other"}


def test_a_marker_that_says_nothing_is_told_again_and_ends_nothing(tell, cell):
    for content in ("null", "[]", "{", "[" * 100_000, '{"id": 1}'):
        tell(0)
        (cell / "wandb" / "tracked" / "000.json").write_text(content)
        assert not [run for run in pending(cell / "wandb") if run.name.endswith("-000")]
    tell(0)
    assert held(cell).keys() == names(0)


def test_a_split_that_was_run_again_takes_the_place_of_its_run(tell, cell):
    tell(0, 1)
    tell(1, nbert=12.5)
    runs = held(cell)
    assert runs.keys() == names(0, 1)
    assert final(runs[f"{SIGNATURE}-001"])["nbert"] == 12.5
    assert final(runs[f"{SIGNATURE}-summary"])["nbert/mean"] == pytest.approx((81.97 / 7 + 12.5) / 2)


def test_splits_of_runs_without_a_tracker_are_told_from_their_records(cell, description, settings):
    for split in (0, 1):
        store.write_split(cell, description, record(split), predictions(split))
    with tracking(settings(), cell, description) as tracker:
        tracker.earlier([store.read_record(cell, split) for split in (0, 1)])
    runs = held(cell)
    assert runs.keys() == names(0, 1)
    told = runs[f"{SIGNATURE}-001"]
    assert final(told)["nbert"] == record(1)["scores"]["nbert"] and final(told)["predictions.nrows"] == 3
    assert "not kept" in one(told, "run")["config"]["update"]["history"]
    assert final(runs[f"{SIGNATURE}-summary"])["splits"] == 2


def test_four_processes_at_once_lose_nothing_and_double_nothing(cell, description, settings):
    chosen = OmegaConf.to_container(settings())

    def start(process: int) -> subprocess.CompletedProcess:
        work = {
            "cell": str(cell),
            "settings": chosen,
            "description": description,
            "splits": [(record(split), predictions(split)) for split in range(process, 12, 4)],
            "history": HISTORY,
        }
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-c", TELLER], input=json.dumps(work), env=environment, capture_output=True, text=True
        )

    with ThreadPoolExecutor() as four:
        ended = list(four.map(start, range(4)))
    assert [process.returncode for process in ended] == [0, 0, 0, 0], ended
    assert not any("not tracked" in process.stderr for process in ended), ended
    runs = held(cell)
    assert runs.keys() == names(*range(12))
    for split in range(12):
        records = runs[f"{SIGNATURE}-{split:03d}"]
        assert one(records, "run")["config"]["update"]["split"] == split
        assert final(records).items() >= record(split)["scores"].items()
        assert len(of_kind(records, "history")) == len(HISTORY) and final(records)["predictions.nrows"] == 3
    (line,) = every_cell.lines(store.cells(cell.parent))
    summary = final(runs[f"{SIGNATURE}-summary"])
    assert (summary["nbert/mean"], summary["nbert/std"]) == (line.summaries["nbert"].mean, line.summaries["nbert"].std)
    assert summary["splits"] == 12


def test_nothing_of_the_machine_is_told_but_the_device(tell, cell):
    tell(0)
    for records in held(cell).values():
        told = json.dumps([record for record in records if record["type"] != "artifact"])
        for private in (str(cell.parent), str(ROOT), socket.gethostname().join('""'), sys.executable, "requirements"):
            assert private not in told


def test_the_line_that_uploads_can_be_typed_as_it_stands(cell, description, settings, capfd):
    spaced = cell.parent.parent / "some results" / cell.name
    with tracking(settings(), spaced, description) as tracker:
        tracker.split(store.write_split(spaced, description, record(0), predictions(0)), HISTORY)
    assert capfd.readouterr().err.rstrip().endswith(f"python -m caref.tracking sync '{spaced.parent}'")


def test_a_job_speaks_of_its_offline_runs_in_one_line_and_wandb_says_nothing(tell, cell, capfd):
    tell(0, 1)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"W&B: 3 runs kept offline in {cell / 'wandb'}; to upload: python -m caref.tracking sync {cell.parent}"
    ]
