"""W&B holds every finished split once and whole, whoever tells of it, and what goes wrong there costs no split."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from wandb.util import get_core_path

from caref import config, jobs, sweeps
from caref.errors import UserError
from caref.results import every_cell, store
from caref.signature import described
from caref.tracking import offline
from caref.tracking.__main__ import sync
from caref.tracking.comparison import comparison
from caref.tracking.tracker import tracking
from caref.validation import validate

ROOT = Path(__file__).parents[1]
SIGNATURE = "0123456789ab"
HISTORY = [{"loss": 2.0 / step, "ce": 1.0 / step, "sced": 0.1 * step, "kl": 1e-17 * step} for step in range(1, 13)]
TELLER = """
import json, sys
from pathlib import Path
from omegaconf import OmegaConf
from caref.results import store
from caref.tracking.tracker import tracking
from caref.validation import validate
work = json.loads(sys.stdin.read())
cell = Path(work["cell"])
with tracking(OmegaConf.create(work["settings"]), cell, work["description"]) as tracker:
    for record, predictions in work["splits"]:
        tracker.split(store.write_split(cell, work["description"], record, predictions), work["history"])
"""


def record(split: int, **scores: float) -> dict:
    return {
        "split": split,
        "seed": 7004 + split,
        "status": "done",
        "scores": {"accuracy": 100 / (split + 3), "nbert": 81.97 / (split + 7), "broken": math.pi * split, **scores},
        "training": {"loss": 2.0 / 12, "ce": 1.0 / 12},
        "counts": {"train": 48, "evaluated": 3, "steps": 12, "trainable": 50331648, "parameters": 783150080},
        "source": "demo",
        "fingerprint": "f" * 64,
        "run": {
            "device": "cpu, 1 threads",
            "precision": "float32",
            "seconds": {"train": 1.25, "generate": 0.5, "score": 0.125},
            "versions": {"torch": "2.13.0", "python": "3.11.7"},
            "finished": "2026-01-02T03:04:05+00:00",
            "host": socket.gethostname(),
        },
    }


def predictions(split: int) -> list[dict]:
    return [
        {
            "id": f"{split}-{row}",
            "source": "explain nli hypothesis: Ein Hund läuft. premise: 犬が走る。",
            "choices": ["entailment", "neutral", "contradiction"],
            "gold": "neutral",
            "explanations": [f"gold {one}" for one in range(row + 1)],
            "generation": "neutral because it runs",
            "answer": "neutral",
            "explanation": "it runs",
            "right": row != 1,
            "broken": False,
            "nbert": 0 if row == 1 else 100 / 3,
        }
        for row in range(3)
    ]


@pytest.fixture
def description(composed) -> dict:
    return described(config.plain(composed("model=tiny_t5", "source=demo", "bertscore=minilm")), "f" * 64)


@pytest.fixture
def cell(tmp_path) -> Path:
    return tmp_path / "results" / SIGNATURE


@pytest.fixture
def settings(composed):
    """A function: the tracker's settings as run.py composes them."""
    return lambda *overrides: composed("tracker=wandb", *overrides).tracker


@pytest.fixture
def tell(cell, description, settings):
    """A function: finish splits as a job does; returns their records."""

    def tell_of(*splits: int, history=HISTORY, overrides: tuple[str, ...] = (), **scores: float) -> list[dict]:
        told = []
        with tracking(settings(*overrides), cell, description) as tracker:
            for split in splits:
                written = store.write_split(cell, description, record(split, **scores), predictions(split))
                tracker.split(written, history)
                told.append(written)
        return told

    return tell_of


def held(cell: Path) -> dict[str, list[dict]]:
    """Every record of every offline run of a cell by the run's id, as wandb's own reader prints them."""
    found: dict[str, list[dict]] = {}
    for log in sorted((cell / "wandb").glob("offline-run-*/*.wandb")):
        command = [
            get_core_path(),
            "leet",
            "inspect",
            "--no-observability",
            "--json",
            "--run-file",
            log,
            log.parents[1],
        ]
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
        records = [json.loads(line) for line in lines]
        run_id = one(records, "run")["run_id"]
        assert run_id not in found, f"{run_id} is there twice"
        found[run_id] = records
    return found


def of_kind(records: list[dict], kind: str) -> list[dict]:
    return [record[kind] for record in records if record["type"] == kind]


def one(records: list[dict], kind: str) -> dict:
    (content,) = of_kind(records, kind)
    return content


def final(records: list[dict]) -> dict:
    """The last value of everything in a run's summary."""
    return {key: value for update in of_kind(records, "summary") for key, value in update["update"].items()}


def names(*splits: int) -> set[str]:
    return {f"{SIGNATURE}-{split:03d}" for split in splits} | {f"{SIGNATURE}-summary"}


def test_a_splits_run_holds_its_name_group_configuration_and_scores(tell, cell, description):
    (told,) = tell(3, overrides=("tracker.project=p", "tracker.entity=e", "tracker.tags=[mine]"))
    records = held(cell)[f"{SIGNATURE}-003"]
    run = one(records, "run")
    assert run["display_name"].startswith("esnli AQ SCED") and run["display_name"].endswith("tiny T5, split 003")
    assert (run["run_group"], run["job_type"], run["project"], run["entity"]) == (SIGNATURE, "split", "p", "e")
    assert run["tags"] == ["mine", "demo"]
    kept = run["config"]["update"]
    assert {key: kept[key] for key in description} == json.loads(json.dumps(description))
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


def test_a_run_that_a_killed_process_left_is_replaced(tell, cell):
    tell(0)
    (cell / "wandb" / "tracked" / "000.json").unlink()  # as where the process died before it noted the run
    (run,) = (cell / "wandb").glob("offline-run-*-000")
    log = run / f"run-{SIGNATURE}-000.wandb"
    log.write_bytes(log.read_bytes()[:100])
    assert [path.name for path in offline.pending(cell / "wandb")] == [
        path.name for path in (cell / "wandb").glob("offline-run-*-summary")
    ]
    tell(0)
    assert held(cell).keys() == names(0) and not log.exists()


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


def test_a_job_speaks_of_its_offline_runs_in_one_line_and_wandb_says_nothing(tell, cell, capfd):
    tell(0, 1)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"W&B: 3 runs kept offline in {cell / 'wandb'}; to upload: python -m caref.tracking sync {cell.parent}"
    ]


def test_a_service_that_dies_is_replaced(tell, cell, capfd):
    tell(0)
    children = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm="], capture_output=True, text=True)
    services = [int(line.split()[0]) for line in children.stdout.splitlines() if "wandb-core" in line]
    assert services
    for service in services:
        os.kill(service, signal.SIGKILL)
    tell(1)
    assert held(cell).keys() == names(0, 1)
    assert "not tracked" not in capfd.readouterr().err


def test_a_full_or_unwritable_disk_costs_the_run_and_not_the_split(tell, cell, capfd):
    cell.mkdir(parents=True)
    (cell / "wandb").write_text("in the way")
    tell(0)
    (line, *more) = capfd.readouterr().err.splitlines()
    assert line.startswith("W&B: split 0 is not tracked (") and not more
    assert store.read_record(cell, 0)["scores"] == record(0)["scores"]
    (cell / "wandb").unlink()
    tell(0)
    assert held(cell).keys() == names(0)


def test_what_wandb_lost_without_an_error_is_noticed(tell, cell):
    tell(0)
    (log,) = (cell / "wandb").glob("offline-run-*-summary/*.wandb")
    whole = offline.read(log)
    offline.check(log, whole["config"], {"splits": 1}, 1)
    with pytest.raises(OSError, match="its summary"):
        offline.check(log, whole["config"], {"splits": 2}, 1)
    with pytest.raises(OSError, match="its history"):
        offline.check(log, whole["config"], {"splits": 1}, 2)
    log.write_bytes(log.read_bytes()[:-60])  # as a full disk leaves it
    with pytest.raises(OSError, match="its end"):
        offline.check(log, whole["config"], {"splits": 1}, 1)


def test_the_child_of_a_sweeps_agent_gives_the_sweep_its_summary_alone(tell, cell, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep123")
    monkeypatch.setenv("WANDB_RUN_ID", "agent456")
    monkeypatch.setenv("WANDB_PROJECT", "of-the-sweep")
    tell(0)
    runs = held(cell)
    assert runs.keys() == {f"{SIGNATURE}-000", "agent456"}
    assert one(runs["agent456"], "run")["sweep_id"] == "sweep123"
    assert "sweep_id" not in one(runs[f"{SIGNATURE}-000"], "run")
    assert {one(records, "run")["project"] for records in runs.values()} == {"of-the-sweep"}
    assert final(runs["agent456"])["nbert/mean"] == record(0)["scores"]["nbert"]


@pytest.mark.parametrize("path", sorted((ROOT / "sweeps").glob("wandb_*.yaml")), ids=lambda path: path.stem)
def test_a_wandb_sweep_file_makes_lines_that_run(path, composed):
    from wandb.sdk.launch.sweeps import utils

    sweep = utils.load_sweep_config(str(path))
    assert (ROOT / sweep["program"]).exists() and sweep["metric"] == {"name": "nbert/mean", "goal": "maximize"}
    ranges = [values.get("values") or [values["min"], values["max"]] for values in sweep["parameters"].values()]
    fixed = [part for part in utils.create_sweep_command(sweep["command"]) if "$" not in part]
    for chosen in ([choices[end] for choices in ranges] for end in (0, -1)):
        args = {key: {"value": value} for key, value in zip(sweep["parameters"], chosen, strict=True)}
        job = composed(*fixed, *utils.create_sweep_command_args({"args": args})["args_no_hyphens"])
        validate(config.plain(job))
        assert (job.tracker.name, job.tracker.mode) == ("wandb", "online")
        assert all(OmegaConf.select(job, key) == pytest.approx(args[key]["value"]) for key in args)


def test_the_alpha_beta_sweep_is_the_grid_of_the_sensitivity_figure():
    parameters = yaml.safe_load((ROOT / "sweeps" / "wandb_alpha_beta.yaml").read_text())["parameters"]
    assert parameters == {"reg.alpha": {"values": [1, 1.5, 2, 2.5]}, "reg.beta": {"values": [0, 0.5, 1, 2]}}


def test_online_without_a_login_is_refused_before_anything_runs(cell, description, settings, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with (
        pytest.raises(UserError, match=r"tracker\.mode=online.*wandb login.*offline"),
        tracking(settings("tracker.mode=online"), cell, description),
    ):
        pass
    assert not cell.exists()


def test_an_unknown_mode_is_refused_in_one_line(command):
    ended = command("run.py", "tracker=wandb", "tracker.mode=dry")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: tracker.mode=dry: must be one of offline, online\n"


UNREACHABLE = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "a" * 40}  # nothing listens at the discard port


def test_a_server_that_cannot_be_reached_leaves_the_runs_offline(cell, description):
    teller = TELLER.replace("work =", "from caref.tracking import writing; writing._ANSWER_SECONDS = 2\nwork =")
    work = {
        "cell": str(cell),
        "settings": {"name": "wandb", "mode": "online", "project": "caref", "entity": None, "tags": []},
        "description": description,
        "splits": [(record(split), predictions(split)) for split in (0, 1)],
        "history": HISTORY,
    }
    ended = subprocess.run(
        [sys.executable, "-c", teller],
        input=json.dumps(work),
        env={**os.environ, **UNREACHABLE, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended
    assert ended.stderr.count("runs are kept offline from here on") == 1, ended.stderr
    assert "3 runs kept offline" in ended.stderr, ended.stderr
    assert held(cell).keys() == names(0, 1)


def test_sync_lists_what_waits_and_hands_it_to_wandb(tell, cell, command):
    tell(0, 1)
    ended = command("-m", "caref.tracking", "sync", str(cell.parent), "--dry-run")
    assert ended.returncode == 0
    assert ended.stdout == f"{cell.parent}: 3 runs of 1 signatures to upload\n"
    assert ended.stderr.count(".wandb") == 3 and "Would sync 3 run(s)" in ended.stderr


def test_sync_without_a_network_says_so_in_one_line_and_loses_nothing(tell, cell, command):
    tell(0)
    before = held(cell)
    ended = command("-m", "caref.tracking", "sync", str(cell.parent), **UNREACHABLE)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: http://127.0.0.1:9: cannot be reached") and ended.stderr.count("\n") == 1
    assert held(cell) == before and len(offline.pending(cell / "wandb")) == 2


def test_sync_leaves_out_what_it_has_uploaded(tell, cell, capsys):
    tell(0)
    for run in offline.pending(cell / "wandb"):
        (log,) = run.glob("*.wandb")
        log.with_suffix(".wandb.synced").touch()  # as wandb marks it
    assert sync(cell.parent, []) == 0
    assert "0 runs" in capsys.readouterr().out


def test_sync_of_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such results folder"):
        sync(tmp_path / "none", [])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wandb_workspaces' own
def test_the_comparison_shows_each_signatures_mean_and_its_splits():
    report = json.loads(comparison("caref", "somebody")._to_model().spec.model_dump_json(by_alias=True))
    grids = [block["metadata"] for block in report["blocks"] if block["type"] == "panel-grid"]
    shown = json.dumps([grid["panelBankSectionConfig"]["panels"] for grid in grids])
    assert all(f'"{name}"' in shown for name in ("nbert/mean", "accuracy/mean", "nbert/std", "splits", "train/sced"))
    assert "predictions" in shown and "summary:trainable_percent" in shown
    filters = [grid["runSets"][0]["filters"]["filters"][0] for grid in grids]
    assert [(one["key"]["name"], one["value"]) for one in filters] == [
        ("kind", "summary"),
        ("kind", "split"),
        ("kind", "split"),
    ]


def test_a_job_tells_of_what_it_trained_and_its_second_run_of_nothing_more(composed, tmp_path):
    small = ("dataset.train_size=6", "dataset.eval_size=6", "train.epochs=2", "evaluation.max_new_tokens=4")
    chosen = (*small, "model=tiny_t5", "source=demo", "bertscore=minilm", f"results_dir={tmp_path}")
    jobs.run(composed(*chosen, "splits=0"))
    sweeps.sweep([(*chosen, "splits=0", "tracker=wandb")], lambda cell: composed(*cell), pytest.fail, shards=1)
    (cell,) = [found for found in tmp_path.iterdir() if found.is_dir()]
    assert held(cell).keys() == {f"{cell.name}-000", f"{cell.name}-summary"}
    records = jobs.run(composed(*chosen, "splits=0:2", "tracker=wandb"))
    runs = held(cell)
    assert runs.keys() == {f"{cell.name}-{end}" for end in ("000", "001", "summary")}
    assert not any("train/loss" in row["item"] for row in of_kind(runs[f"{cell.name}-000"], "history"))
    rows = [row["item"] for row in of_kind(runs[f"{cell.name}-001"], "history")]
    losses = [row["train/loss"] for row in rows]
    assert len(losses) == records[1]["counts"]["steps"] == 4
    # the mean of the last epoch, to the four digits that a record keeps
    assert records[1]["training"]["loss"] == pytest.approx(sum(losses[2:]) / 2, rel=5e-4)
    assert {"train/ce", "train/sced", "train/kl"} <= rows[0].keys()
    assert final(runs[f"{cell.name}-001"])["predictions.nrows"] == 6
    jobs.run(composed(*chosen, "splits=0:2", "tracker=wandb"))
    assert held(cell) == runs


def test_wandb_is_loaded_for_those_who_ask_for_it_alone():
    code = "import sys, caref.jobs, caref.tracking.tracker; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_tracking_draws_no_random_number_that_training_draws(tell):
    import random

    import numpy as np
    import torch

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    tell(0)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_the_tracker_is_no_part_of_a_signature(composed):
    plain, tracked = composed("source=demo"), composed("source=demo", "tracker=wandb", "tracker.mode=online")
    assert described(config.plain(plain), "f") == described(config.plain(tracked), "f")
