"""Which splits of a job are finished, and what the job is to keep of them that is not there yet."""

from collections.abc import Iterable

from caref.results import evidence, store
from caref.running import saving
from caref.running.plans import Plan


def left(planned: Plan) -> list[int]:
    """The splits that a run of this job would work on, or tell why it cannot: without an intact record that can be
    read, or without what is asked beside it.
    """
    records, _ = found(planned)
    lacking, unread = found_lacking(planned, records)
    return [index for index in planned.indices if index not in records or index in lacking or index in unread]


def found_lacking(planned: Plan, finished: Iterable[int]) -> tuple[set[int], dict[int, str]]:
    """Those of the finished splits that lack something, see `lacks`, and of those where it cannot be told why."""
    lacking, unread = set(), {}
    for index in finished:
        try:
            if lacks(planned, index):
                lacking.add(index)
        except store.Unreadable as error:
            unread[index] = str(error)
    return lacking, unread


def lacks(planned: Plan, index: int, held: bool = False) -> bool:
    """Whether a finished split has not kept its trained part, or the evidence, that the job is to keep of it.

    Args:
        held: by this process; damaged evidence is then named and set aside.

    Raises:
        Unreadable: where its evidence is there and could not be read.
    """
    saves, asked = planned.values["train"]["save"], planned.values["evidence"]
    if asked["measures"]:
        folder = evidence.folder_of(planned.cell, asked)
        try:
            if evidence.read_split(folder, index) is None:
                return True
        except store.Damaged as damage:
            if held:
                print(f"{damage}; set aside, split {index} is asked again")
                evidence.set_aside(folder, index)
            return True
    return saves and not saving.kept(planned.cell / "trained", index)


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


def intact(planned: Plan, index: int) -> dict | None:
    """The record of a split that this process holds; a damaged one is named and set aside.

    Where there is none, so is what lies beside it: nobody knows whether the next training comes to the same.
    """
    cell = planned.cell
    try:
        record = store.read_record(cell, index)
    except store.Damaged as damage:
        print(f"{damage}; set aside, split {index} runs again")
        store.set_aside(cell, index)
        record = None
    if record is None:
        stale = ["evidence"] * evidence.set_aside_all(cell, index)
        if not planned.values["train"]["save"]:  # else the next one takes its place
            stale += ["trained part"] * saving.set_aside(cell / "trained", index)
        if stale:
            print(f"split {index} has no record: its {' and '.join(stale)} set aside, under names that end in .stale")
    return record
