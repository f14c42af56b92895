"""What goes wrong with W&B costs no split, and is told in one line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from told import HISTORY, SIGNATURE, TELLER, UNREACHABLE, held, names, predictions, record

from caref.errors import UserError
from caref.results import store
from caref.tracking import offline
from caref.tracking.tracker import tracking

ROOT = Path(__file__).parents[2]


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
