"""Many jobs from one line: planned together, refused together, run once each, told together at the end."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hydra.core.utils import JobStatus
from omegaconf import DictConfig

from caref.errors import UserError
from caref.report import tables
from caref.results import evidence, store
from caref.running import finished, forecast, jobs, keys

Overrides = tuple[str, ...]


def sweep(
    cells: Sequence[Overrides],
    compose: Callable[[Overrides], DictConfig],
    launch: Callable[..., Sequence],
    shards: int | None = None,
) -> Sequence:
    """Plan every cell, launch what is left of them, print one table, and end the process non-zero where cells failed.

    With dry_run=true it says what it would do, and does nothing.

    Args:
        cells: each a list of Hydra overrides, one cell.
        compose: makes the configuration of one.
        launch: Hydra's launcher: (overrides of every job, initial_job_idx) -> one JobReturn a job.
        shards: over how many jobs what is left of each cell's splits is dealt; None: one job a cell.

    Returns:
        The launcher's results; none for cells that were finished. A launcher may end early, after a failed job.

    Raises:
        UserError: where a cell, or how the sweep is to be run, cannot be as the line says.
    """
    if shards is not None and shards < 1:
        raise UserError(f"hydra.sweeper.shards={shards}: must be at least 1")
    if not cells:
        raise UserError("hydra.sweeper.lacking=skip: leaves no cell; give the key to choices that have it")
    planned = _plans(cells, compose)
    plans = [plan for plan, _ in planned]
    if plans[0].values["dry_run"]:
        print(forecast.told(plans))
        return []
    titles = _titles([overrides for _, overrides in planned])
    left = [finished.left(plan) for plan in plans]
    for plan, splits in zip(plans, left, strict=True):
        if len(splits) < len(plan.indices):
            jobs.settle(plan)  # no job is launched for what is finished
    launched = [
        (f"{title} splits={part}".strip(), (*overrides, *([f"splits='{part}'"] if shards else [])))
        for (_, overrides), title, splits in zip(planned, titles, left, strict=True)
        for part in _dealt(splits, shards or 1)
    ]
    returns = launch([overrides for _, overrides in launched], initial_job_idx=0) if launched else []
    failures = [
        f"{title}: {result._return_value}"  # return_value would raise it
        for (title, _), result in zip(launched, returns, strict=False)
        if result.status is not JobStatus.COMPLETED
    ]
    print(_table(plans))
    if failures:
        unbegun = f"; {len(launched) - len(returns)} not begun" if len(returns) < len(launched) else ""
        print(f"{len(failures)} of {len(launched)} jobs failed{unbegun}:", *failures, sep="\n  ")
        raise SystemExit(1)
    return returns


def until_one_fails(launch: Callable[..., Sequence]) -> Callable[..., Sequence]:
    """A launcher that runs one job after another and none after one that failed: it returns fewer results then."""

    def launch_each(jobs: Sequence[Overrides], initial_job_idx: int) -> Sequence:
        returns = []
        for number, overrides in enumerate(jobs, initial_job_idx):
            returns += launch([overrides], initial_job_idx=number)
            if returns[-1].status is not JobStatus.COMPLETED:
                break
        return returns

    return launch_each


def _plans(cells: Sequence[Overrides], compose: Callable[[Overrides], DictConfig]) -> list[tuple[jobs.Plan, Overrides]]:
    """One plan a cell, set of splits and what is kept beside records, in their order; a bad cell refuses the sweep."""
    planned, folders = {}, {}
    for overrides, title in zip(cells, _titles(cells), strict=True):
        try:
            job = compose(overrides)
            keys.refuse_unread(overrides, job)
            plan = jobs.plan(job)
        except UserError as error:
            raise UserError(f"{title}: {error}" if title else str(error)) from None
        asked = plan.values["evidence"]
        beside = evidence.mark(asked) if asked["measures"] else None, plan.values["train"]["save"]
        planned.setdefault((plan.signature, plan.indices), {}).setdefault(beside, (plan, overrides))
        folders.setdefault(plan.values["results_dir"])
    if len(folders) > 1:
        raise UserError(f"results_dir={','.join(folders)}: a sweep has one results folder; type a line for each")
    return [
        one
        for of_cell in planned.values()
        for (mark, saves), one in of_cell.items()
        if not any(  # whoever keeps more makes the records, too
            other != (mark, saves) and mark in (None, other[0]) and saves <= other[1] for other in of_cell
        )
    ]


def _titles(cells: Sequence[Overrides]) -> list[str]:
    """What tells each cell from the others: the overrides that they do not share."""
    shared = set(cells[0]).intersection(*cells)
    return [" ".join(override for override in overrides if override not in shared) for overrides in cells]


def _dealt(indices: Sequence[int], shards: int) -> list[str]:
    """The splits dealt like cards into at most `shards` lists, each as `splits` writes it."""
    hands = [indices[first::shards] for first in range(min(shards, len(indices)))]
    return [",".join(map(str, hand)) for hand in hands]


def _table(plans: Iterable[jobs.Plan]) -> str:
    wanted: dict[str, set[int]] = {}
    folders: dict[str, Path] = {}
    for plan in plans:
        wanted.setdefault(plan.signature, set()).update(plan.indices)
        folders[plan.signature] = plan.cell
    found = [cell for folder in folders.values() if (cell := store.read_cell(folder))]
    for cell in found:  # whatever else it holds was not asked for
        for kept in (cell.records, cell.failed):
            for index in kept.keys() - wanted[cell.signature]:
                del kept[index]
    return tables.sweep_table(found, {signature: len(indices) for signature, indices in wanted.items()})
