"""Many jobs from one line: planned together, refused together, run once each, told together at the end."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.utils import JobStatus
from omegaconf import DictConfig

from caref import config, jobs
from caref.data import splits
from caref.errors import SplitFailed, UserError, reported
from caref.results import store, tables

Overrides = tuple[str, ...]


def sweep(
    cells: Sequence[Overrides],
    compose: Callable[[Overrides], DictConfig],
    launch: Callable[..., Sequence],
    shards: int,
) -> Sequence:
    """Plan every cell, launch what they come to, print one table, and end the process non-zero where cells failed.

    Args:
        cells: each a list of Hydra overrides, one cell.
        compose: makes the configuration of one.
        launch: Hydra's launcher: (overrides of every job, initial_job_idx) -> one JobReturn a job.
        shards: into how many jobs each cell's splits are dealt.

    Returns:
        The launcher's results.
    """
    with reported():
        if shards < 1:
            raise UserError(f"hydra.sweeper.shards={shards}: must be at least 1")
        planned = _plans(cells, compose)
    launched = [
        (plan, (*overrides, *([f"splits='{part}'"] if shards > 1 else [])))
        for plan, overrides in planned
        for part in _dealt(plan.indices, shards)
    ]
    returns = launch([overrides for _, overrides in launched], initial_job_idx=0)
    failures = [
        f"{plan.title}: {result._return_value}"  # return_value would raise it
        for (plan, _), result in zip(launched, returns, strict=True)
        if result.status is not JobStatus.COMPLETED
    ]
    folders = dict.fromkeys(plan.cell for plan, _ in planned)
    print(tables.sweep_table([cell for folder in folders if (cell := store.read_cell(Path(folder)))]))
    if failures:
        print(f"{len(failures)} of {len(launched)} jobs failed:", *failures, sep="\n  ")
        raise SystemExit(1)
    return returns


def _plans(cells: Sequence[Overrides], compose) -> list[tuple[jobs.Plan, Overrides]]:
    """One plan a signature and set of splits, in the order they come; a bad cell refuses the sweep by its overrides."""
    planned = {}
    for overrides in cells:
        try:
            job = compose(overrides)
            config.validate(job)
            plan = jobs.plan(job)
        except UserError as error:
            raise UserError(f"{' '.join(overrides)}: {error}") from None
        planned.setdefault((plan.signature, plan.indices), (plan, overrides))
    return list(planned.values())


def _dealt(indices: Sequence[int], shards: int) -> list[str]:
    """The splits dealt like cards into at most `shards` lists, each as `splits` writes it."""
    hands = [indices[first::shards] for first in range(min(shards, len(indices)))]
    return [",".join(map(str, hand)) for hand in hands]
