"""A job from its configuration to its records: the only place that knows every part.

Importing this module, planning a job and finding it finished load neither torch nor a model.
"""

import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from caref.config.schema import at_home
from caref.data import splits
from caref.errors import SplitFailed, UserError
from caref.report import tables
from caref.results import evidence, store
from caref.results.samples import samples
from caref.running import provenance, trials
from caref.running.finished import found, found_lacking, intact, lacks
from caref.running.packs import Packs
from caref.running.plans import Plan, plan
from caref.running.progress import Progress
from caref.running.workbench import Again, Recorded, Workbench
from caref.tracking.tracker import Tracker, tracking


def run(job: DictConfig) -> dict[int, dict]:
    """Run the splits of a job that are not finished, print its table, and return all its records by split.

    Splits that another process is at are left to it, and waited for at the end. A split that fails is noted and
    the others go on.

    Raises:
        UserError: where the job cannot be run as it is written.
        SplitFailed: at the end, where splits failed; the message counts and names them.
    """
    job = at_home(job)
    planned = plan(job)
    records, failures = found(planned)
    lacking, unread = found_lacking(planned, records)
    failures |= unread
    progress = Progress(planned.title, len(planned.indices), list(records.values()))
    for index, told in failures.items():
        progress.failed(index, told)
    waiting = [index for index in planned.indices if index in lacking or index not in records | failures]
    content, classes = planned.description["content"], planned.pool.classes
    bench = Workbench(job, saved=planned.cell / "trained", content=content, classes=classes)
    if waiting:
        if planned.unknown:
            raise UserError(planned.unknown)
        trials.set_up(bench, saves=waiting if job.train.save else ())
        for line in trials.left_out(bench):
            progress.say(line)
        splits = [bench.read(planned.sampler(index)) for index in waiting]
        for line in trials.shortened(bench, splits):
            progress.say(line)
        trials.check_lengths(bench, splits)
        trials.check_options(bench, splits[0])
        trials.check_steps(bench, splits[0])
        trials.try_evidence(bench, splits[0])
    packs = Packs(bench, progress.say)
    with tracking(job.tracker, planned.cell, planned.description) as tracker:
        tracker.earlier(records.values())
        while waiting:
            with ExitStack() as claims:
                size = packs.size(bench.read(planned.sampler(waiting[0])))
                held = _claimed(planned.cell, *_side_by_side(waiting, records, size), claims)
                waiting = [index for index in waiting if index not in held]
                free, again = [], {}
                for index in held:
                    try:
                        record = intact(planned, index)
                        incomplete = record is not None and lacks(planned, index, held=True)
                    except store.Unreadable as error:
                        failures[index] = str(error)
                        progress.failed(index, str(error))
                        continue
                    if record is None:
                        free.append(index)
                    elif incomplete:
                        free.append(index)
                        again[index] = record
                    elif index not in lacking:
                        records[index] = record
                        progress.finished(record, worked=False)
                        tracker.split(record)
                if free:
                    done, failed = _work(planned, bench, packs, free, again, progress, tracker)
                    records |= done
                    failures |= failed
                    waiting = [index for index in free if index not in done and index not in failed] + waiting
    if records:
        store.describe(planned.cell, planned.description)
    print(planned.title, tables.job_table(records), sep="\n")
    print(*samples(records or {0: planned.pool.record(0)}).lines(), sep="\n")
    print(f"records: {planned.cell}")
    if failures:
        told = "; ".join(f"split {index}: {error}" for index, error in failures.items())
        raise SplitFailed(f"{len(failures)} of {len(planned.indices)} splits failed - {told}")
    return records


def settle(planned: Plan) -> None:
    """What a cell may still lack when no job is launched for its finished splits: that it says what it is, and that
    the job's tracker knows of them; what has been told is passed over.
    """
    store.describe(planned.cell, planned.description)
    settings = OmegaConf.create(planned.values["tracker"])
    if settings.name == "none":
        return
    records, _ = found(planned)
    with tracking(settings, planned.cell, planned.description) as tracker:
        tracker.earlier(records.values())


def _side_by_side(waiting: Sequence[int], records: Mapping[int, dict], size: int) -> tuple[list[int], int]:
    """Those that may be worked on beside the first, and how many at a time.

    What is computed in bfloat16 may round otherwise in a pack of another size: a finished split is trained again among
    as many as it was.
    """
    packs = {index: provenance.matters(records[index]["run"]) for index in waiting if index in records}
    own = packs.get(waiting[0])
    return [index for index in waiting if packs.get(index) == own], size if own is None else min(size, own)


def _claimed(cell: Path, waiting: Sequence[int], most: int, claims: ExitStack) -> list[int]:
    """Up to `most` of the splits that no other process holds; where others hold them all, the first, once it is free.

    Nothing is waited for while something is held, so that two processes never wait for each other.
    """
    held = []
    for index in waiting:
        if len(held) < most and claims.enter_context(store.claimed(cell, index, wait=False)):
            held.append(index)
    if not held:
        claims.enter_context(store.claimed(cell, waiting[0], wait=True))
        held.append(waiting[0])
    return held


def _work(
    planned: Plan,
    bench: Workbench,
    packs: Packs,
    pack: Sequence[int],
    again: Mapping[int, dict],
    progress: Progress,
    tracker: Tracker,
) -> tuple[dict[int, dict], dict[int, str]]:
    """Run these splits side by side and keep what they come to.

    Args:
        again: the records of those of them that are finished, and trained again for what they lack.

    Returns:
        Records and failures by split. Splits that are in neither are to be run again, in smaller packs: memory was
        short, or something went wrong that may be one split's alone.
    """
    progress.start(len(pack))
    trouble = None
    try:
        recorded = {
            index: Recorded(
                [one["generation"] for one in store.read_predictions(planned.cell, index)],
                provenance.matters(record["run"]),
            )
            for index, record in again.items()
        }
        outcomes = bench.run([bench.read(planned.sampler(index)) for index in pack], progress, recorded)
    except UserError:
        raise
    except Exception as error:  # whatever went wrong with a split, the others are worth having
        from caref.running import memory

        trouble = f"{type(error).__name__}: {error}", traceback.format_exc(), memory.short(error)
    if trouble is not None:  # by now what the error held of the device's memory is free
        told, note, short = trouble
        progress.end()
        if len(pack) > 1:
            packs.shrink(len(pack), None if short else told)
            return {}, {}
        return {}, {pack[0]: _failed(planned, pack[0], told, note, progress, finished=pack[0] in again)}
    records, failures = {}, {}
    for index, outcome in zip(pack, outcomes, strict=True):
        if isinstance(outcome, SplitFailed):
            told = str(outcome)
            failures[index] = _failed(planned, index, told, told, progress, finished=index in again)
            continue
        asked, found = planned.values["evidence"], outcome.evidence
        if isinstance(outcome, Again):
            record = again[index]
            kept = ["its trained part"] if outcome.saved else []
            kept += ["its evidence"] if found is not None and not isinstance(found, SplitFailed) else []
            if kept:
                progress.say(f"split {index} trained again, as it is recorded, and {' and '.join(kept)} kept")
        else:
            of_data = planned.pool.record(index)
            record = store.write_split(planned.cell, planned.description, outcome.record | of_data, outcome.predictions)
            progress.finished(record)
        if isinstance(found, SplitFailed):
            failures[index] = str(found)
            progress.say(f"split {index}: {found}")
        elif found is not None:
            evidence.write_split(planned.cell, asked, found.record(index, splits.SEEDS[index]), found.rows)
        tracker.split(record, outcome.history)
        if found is not None or not asked["measures"]:
            records[index] = record  # else it is asked once more, without the split that failed beside it
    if bench.unsaved is not None:
        raise bench.unsaved
    return records, failures


def _failed(planned: Plan, index: int, told: str, note: str, progress: Progress, finished: bool) -> str:
    """Tell of a split that failed, and keep why; not of one whose record is there."""
    if not finished:
        store.write_failure(planned.cell, planned.description, index, splits.SEEDS[index], note)
    progress.failed(index, told)
    return told
