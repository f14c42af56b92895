"""What a signal comes to on a node, with a real job and submitit's own environment, without a cluster."""

import signal
import subprocess

import pytest
from small_evidence import SMALL, of_cell, small_run  # noqa: F401 - the last is a fixture

from caref.running import jobs, slurm

ASKED = ("evidence=quick", "evidence.examples=2")


class Requeued(BaseException):
    """In the place of the end of a process that Slurm has taken back."""


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A function: become the first task of an array, which goes back into the queue by what is given."""
    folder = tmp_path / "task"
    folder.mkdir()
    told = {"SUBMITIT_EXECUTOR": "slurm", "SUBMITIT_FOLDER": str(folder), "SLURM_PROCID": "0"}
    told |= {"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}
    for key, value in told.items():
        monkeypatch.setenv(key, value)
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}

    def begun(requeue) -> slurm.Run:
        signal.signal(signal.SIGUSR2, requeue)
        run = slurm.Run(1, lasts=0)  # its time is over at any moment
        assert list(zip(run.places(), [0], strict=False)) == [(0, 0)]
        return run

    begun.folder = folder
    yield begun
    for number, handler in before.items():
        signal.signal(number, handler)


def requeued(*_):
    raise Requeued


@pytest.mark.parametrize("adds", [True, False])
def test_a_run_out_of_time_goes_on_if_it_has_added_evidence_to_a_finished_split(adds, node, run, composed, tmp_path):
    cell, _ = run("splits=0:3")
    before = of_cell(cell)
    on_node = node(requeued)
    job = composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:3", *ASKED)

    def task(job):
        if adds:
            run("splits=1", *ASKED)
        signal.raise_signal(signal.SIGUSR2)

    with pytest.raises(Requeued if adds else SystemExit):
        on_node.work(task, job)
    ending = slurm.read_ending(node.folder, 0)
    assert ending is None if adds else ending.startswith("its time ran out before it finished one split")
    assert of_cell(cell) == before


def test_a_slurm_that_does_not_take_a_task_back_is_asked_again_and_no_split_is_told_as_failed(
    node, composed, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(slurm, "_AGAIN_S", (0, 0))
    asked = []

    def refuses(*_):
        asked.append(1)
        raise subprocess.CalledProcessError(1, ["scontrol", "requeue", "7_0"])

    def interrupted(job):
        from caref import training

        monkeypatch.setattr(training, "steps", lambda *_: signal.raise_signal(signal.SIGUSR2))
        jobs.run(job)

    on_node = node(refuses)
    on_node._fruitful = True  # as where a job before this one has ended
    job = composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:2")
    with pytest.raises(SystemExit):
        on_node.work(interrupted, job)
    assert len(asked) == 3 and "Slurm does not take the task back" in capsys.readouterr().err
    assert slurm.read_ending(node.folder, 0) is None and not list(tmp_path.glob("results/*/failed/*"))
