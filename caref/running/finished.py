"""Which splits of a job are finished, and what the job is to keep of them that is not there yet."""

from pathlib import Path

from caref.errors import UserError
from caref.results import evidence, store
from caref.running import saving
from caref.running.plans import Plan


def left(planned: Plan) -> list[int]:
    """The splits that a run of this job would work on: without an intact record, or without what is asked beside it."""
    records, _ = found(planned)
    return [index for index in planned.indices if index not in records or lacks(planned, index)]


def lacks(planned: Plan, index: int) -> bool:
    """Whether a finished split has not kept its trained part, or the evidence, that the job is to keep of it."""
    saves, asked = planned.values["train"]["save"], planned.values["evidence"]
    if saves and not saving.kept(planned.cell / "trained", index):
        return True
    if not asked["measures"]:
        return False
    try:
        return evidence.read_split(evidence.folder_of(planned.cell, asked), index) is None
    except store.Damaged as damage:
        print(f"{damage}; split {index} is asked again")
        return True
    except store.Unreadable as error:
        raise UserError(str(error)) from None


def found(planned: Plan) -> tuple[dict[int, dict], dict[int, str]]:
    """The intact records by split, and of those that could not be read why; nothing is moved or written."""
    records, unread = {}, {}
    try:
        there = store.finished(planned.cell)
    except store.Unreadable as error:
        return {}, dict.fromkeys(planned.indices, str(error))
    for index in planned.indices:
        if index not in there:
            continue
        try:
            record = store.read_record(planned.cell, index)
        except store.Damaged:  # looked at again, and set aside, when the split is held
            continue
        except store.Unreadable as error:
            unread[index] = str(error)
            continue
        if record is not None:
            records[index] = record
    return records, unread


def intact(cell: Path, index: int) -> dict | None:
    """The record of a split that this process holds; a damaged one is named and set aside."""
    try:
        return store.read_record(cell, index)
    except store.Damaged as damage:
        print(f"{damage}; set aside, split {index} runs again")
        store.set_aside(cell, index)
        return None
