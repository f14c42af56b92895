"""One W&B run from what it is to hold to what W&B holds of it."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from caref.errors import UserError
from caref.tracking.offline import check, runs_of

_ANSWER_SECONDS, _UPLOAD_SECONDS = 30, 120  # for W&B's server to answer, and to take a run


@dataclass
class Run:
    """What a W&B run is to hold.

    Attributes:
        kind: split or summary.
        history: rows by step, ascending.
        summary: final values by flat name.
        table: column names and rows of the table `predictions`.
        sweep: the W&B sweep it belongs to.
    """

    id: str
    name: str
    kind: str
    group: str
    tags: list[str]
    config: dict
    summary: dict
    history: dict[int, Mapping[str, float]] = field(default_factory=dict)
    table: tuple[list[str], list[list]] | None = None
    sweep: str | None = None


class Writer:
    """Writes runs, online or into a cell's folder; a run written again takes the place of the earlier one.

    wandb loses data without an error where the disk is full or its service dies, so an offline run is read back
    before it counts. What cannot be uploaded is kept offline, and so is everything after it.

    Raises:
        UserError: where there is no wandb, or mode is online and there is no login.
    """

    def __init__(self, cell: Path, mode: str, project: str, entity: str | None):
        self._cell, self._mode, self._project, self._entity = cell, mode, project, entity
        os.environ.pop("WANDB_SERVICE", None)  # a parent's, which may be gone or may go
        logging.raiseExceptions = False  # on a full disk wandb's debug log would fill the terminal with tracebacks
        if find_spec("wandb") is None:
            raise UserError("tracker=wandb: wandb is not installed; pip install wandb, or use tracker=none")
        if mode == "online":
            _login()

    def write(self, run: Run) -> tuple[str, Path]:
        """Write a run.

        Returns:
            Whether it is "online" or "offline", and its folder.

        Raises:
            Exception: whatever wandb raised, or OSError where it lost what it was given; nothing of the run stays.
        """
        import wandb

        folder = self._cell / "wandb"
        earlier = runs_of(folder, run.id)
        online = ("online",) if self._mode == "online" else ()
        for mode in (*online, "offline", "offline"):  # once more, where a service that died is the reason
            try:
                log = self._put(run, mode)
                break
            except Exception as error:
                failure = error
                with suppress(Exception):
                    wandb.teardown()  # the next init starts a new service
                _remove(runs_of(folder, run.id) - earlier)
                if mode == "online":
                    self._mode = "offline"
                    say(f"not online, runs are kept offline from here on ({error})")
        else:
            raise failure
        _remove(earlier)
        return mode, log.parent

    def _put(self, run: Run, mode: str) -> Path:
        import wandb

        opened = wandb.init(
            dir=self._cell,
            mode=mode,
            project=self._project,
            entity=self._entity,
            id=run.id,
            name=run.name,
            group=run.group,
            job_type=run.kind,
            tags=run.tags,
            config=run.config,
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                use_dot_wandb=False,
                symlink=False,
                sweep_id=run.sweep,
                init_timeout=_ANSWER_SECONDS if mode == "online" else 90,
                finish_timeout=_UPLOAD_SECONDS,
                finish_timeout_raises=True,
                # No code, no packages, nothing of the machine but what a record says of it.
                save_code=False,
                disable_code=True,
                disable_git=True,
                host="",
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )
        log = Path(opened.settings.sync_file)
        if not log.resolve().is_relative_to(self._cell.resolve()):  # wandb falls back to the system's temporary folder
            raise PermissionError(f"{self._cell} cannot be written")
        for step, row in run.history.items():
            opened.log(row, step=step)
        last = max(run.history, default=0)
        if run.table:
            columns, rows = run.table
            with _staged_in(log.parent):
                opened.log({"predictions": wandb.Table(columns, rows, allow_mixed_types=True)}, step=last)
        opened.summary.update(run.summary)
        opened.finish()
        if mode == "offline":
            check(log, run.config, run.summary, last if run.history else None)
        return log


@cache  # it prints what it finds
def _login() -> None:
    import wandb

    try:
        known = wandb.login(verify=False, force=True)
    except wandb.Error as error:
        raise UserError(f"tracker.mode=online: {error} tracker.mode=offline needs no login") from None
    if not known:
        raise UserError("tracker.mode=online: not logged in to W&B; run `wandb login`, or use tracker.mode=offline")


@contextmanager
def _staged_in(folder: Path) -> Iterator[None]:
    """wandb keeps a table's file in the user's home until it is uploaded; keep it with its run instead."""
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]
        else:
            os.environ["WANDB_DATA_DIR"] = before


def say(line: str) -> None:
    """One line beside a job's progress."""
    print("W&B:", " ".join(line.split()), file=sys.stderr, flush=True)


def _remove(folders: set[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
