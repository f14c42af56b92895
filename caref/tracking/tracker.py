"""Where a job tells of its splits, beside the results folder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from omegaconf import DictConfig


class Tracker(Protocol):
    """What a job calls. Nothing here raises where tracking fails: records are on the disk, and a line says so."""

    def split(self, record: Mapping, history: Sequence[Mapping[str, float]] = ()) -> None:
        """A split is finished and its record written.

        Args:
            record: as the store wrote or read it.
            history: of each optimiser step, its loss terms; empty where another process took the steps.
        """

    def earlier(self, records: Iterable[Mapping]) -> None:
        """Splits that earlier runs finished: what is not tracked yet is taken from records and predictions."""


class Untracked:
    """tracker=none."""

    def split(self, record: Mapping, history: Sequence[Mapping[str, float]] = ()) -> None:
        pass

    def earlier(self, records: Iterable[Mapping]) -> None:
        pass


@contextmanager
def tracking(settings: DictConfig, cell: Path, description: Mapping) -> Iterator[Tracker]:
    """The tracker of one job. wandb is imported when it is asked for, and when there is something to tell.

    Args:
        settings: the job's `tracker`.
        cell: RESULTS/<signature>.
        description: what config.yaml of the cell holds.

    Raises:
        UserError: where tracker.mode=online has no login.
    """
    if settings.name == "none":
        yield Untracked()
    else:
        from caref.tracking.wandb_runs import WandbRuns

        runs = WandbRuns(settings, cell, description)
        yield runs
        runs.close()
