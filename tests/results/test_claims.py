"""A split is worked on by one process at a time, whoever is killed."""

import multiprocessing
import os
import signal

from caref.results import store


def _hold(cell, held, done):
    with store.claimed(cell, 0, wait=False) as got:
        assert got
        held.set()
        done.wait(30)


def test_a_held_split_is_not_given_twice_and_is_free_when_its_holder_is_killed(tmp_path):
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "sig", held, done))
    holder.start()
    assert held.wait(60)
    with store.claimed(tmp_path / "sig", 0, wait=False) as got:
        assert not got
    with store.claimed(tmp_path / "sig", 1, wait=False) as got:
        assert got
    leftover = tmp_path / "sig" / "splits" / f".000.json.{os.uname().nodename}-{holder.pid}.tmp"
    leftover.parent.mkdir()
    leftover.write_text("half a rec")
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with store.claimed(tmp_path / "sig", 0, wait=True) as got:
        assert got
        assert not leftover.exists()
    assert not list((tmp_path / "sig" / "locks").iterdir())


def _count_under_claim(cell, counter, turns):
    for _ in range(turns):
        with store.claimed(cell, 0, wait=True) as got:
            assert got
            counter.write_text(str(int(counter.read_text()) + 1))
        with store.claimed(cell, 1, wait=False):
            pass


def test_processes_that_claim_and_let_go_at_once_never_hold_the_same_split(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("fork")
    sharers = [context.Process(target=_count_under_claim, args=(tmp_path / "sig", counter, 500)) for _ in range(4)]
    for sharer in sharers:
        sharer.start()
    for sharer in sharers:
        sharer.join(60)
    assert [sharer.exitcode for sharer in sharers] == [0] * 4
    assert counter.read_text() == str(4 * 500)
