"""Which runs of a results folder wait to be uploaded, and that they are whole."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path


def runs_of(folder: Path, run_id: str) -> set[Path]:
    """All folders, offline or online, that wandb has made for a run."""
    return {path for path in folder.glob(f"*run-*-{run_id}*") if (path / f"run-{run_id}.wandb").exists()}


def marked(marker: Path) -> dict:
    """What has been told, by its marker; nothing where that is missing, being replaced or damaged: it is told again."""
    try:
        told = json.loads(marker.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def pending(folder: Path) -> list[Path]:
    """The offline runs in one signature's wandb folder that are whole and that no sync has uploaded."""
    found = []
    for marker in sorted((folder / "tracked").glob("*.json")):
        told = marked(marker)
        if not {"folder", "id", "mode"} <= told.keys():
            continue
        run = folder / str(told["folder"])
        log = run / f"run-{told['id']}.wandb"
        if told["mode"] == "offline" and log.exists() and not log.with_suffix(".wandb.synced").exists():
            found.append(run)
    return found


def check(log: Path, config: Mapping, summary: Mapping, last_step: int | None) -> None:
    """Read an offline run back with wandb's own reader.

    Raises:
        OSError: where the log is not whole, or does not hold what was written.
    """
    held = read(log)
    wrong = [
        what
        for what, right in {
            "its end": held["state"] == "finished",
            "its configuration": _filled(held["config"]) == _filled(json.loads(json.dumps(config))),
            "its summary": all(held["summary"].get(key) == value for key, value in summary.items()),
            "its history": last_step is None or held["step"] == last_step,
        }.items()
        if not right
    ]
    if wrong:
        raise OSError(f"wandb lost {', '.join(wrong)} without an error; is the disk full?")


def _filled(config: dict) -> dict:
    """A configuration without its empty mappings (a model without a described shape): wandb keeps none."""
    filled = {key: _filled(value) if isinstance(value, dict) else value for key, value in config.items()}
    return {key: value for key, value in filled.items() if value != {}}


def read(log: Path) -> dict:
    """State, name, configuration, summary and last step of an offline run.

    Raises:
        OSError: where wandb cannot read it.
    """
    from wandb.util import get_core_path

    command = [get_core_path(), "leet", "inspect", "--no-observability", "--summary", "--json"]
    done = subprocess.run(
        [*command, "--run-file", str(log), str(log.parents[1])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise OSError(f"{log}: wandb cannot read it back: {done.stderr.strip()}")
    return json.loads(done.stdout)
