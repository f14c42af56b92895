"""An array task on its node: what Slurm's signals mean to it, and how each of its jobs ended, told as soon as it has.

The other side, which submits the tasks and waits for them, is hydra_plugins/caref_slurm.py.
"""

import json
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

from hydra.types import TaskFunction
from omegaconf import DictConfig

from caref.errors import SplitFailed, UserError
from caref.results.writing import write_atomically
from caref.running import finished, jobs

EARLY_S = 90  # by how much Slurm may signal before it was asked to
_AGAIN_S = 2, 8, 20  # between two tries at going back into the queue, where Slurm does not take the task


class Run:
    """One run of an array task; once requeued, the task has another, which takes up the jobs that have not ended.

    SIGUSR2 comes before the time runs out and, on some clusters, on preemption; SIGTERM on `scancel` and on preemption.
    A run whose time runs out is followed by another as long as a job ended in it, or a split of the job it was at:
    was trained, or got what it lacked.

    Args:
        count: how many jobs the task has.
        lasts: seconds until Slurm is to warn of the end.
    """

    def __init__(self, count: int, lasts: float):
        from submitit import JobEnvironment

        self._environment = JobEnvironment()
        self._paths = self._environment.paths
        self._left = [place for place in range(count) if read_ending(self._paths.folder, place) is None]
        self._lasts, self._began = lasts, time.monotonic()
        self._fruitful = False  # whether a job has ended in this run
        self._at: tuple[jobs.Plan, list[int]] | None = None  # the job at work, and the splits that it began with
        warning = self._environment._usr_sig()
        self._signals = signal.SIGTERM, warning
        self._requeue = signal.getsignal(warning)  # submitit's own: requeues and exits
        for number in self._signals:
            signal.signal(number, self._leave)

    def places(self) -> Iterator[int]:
        """The jobs to be run, by their place in the task; `ended` is to be called of each before the next."""
        while self._left:
            yield self._left[0]

    def work(self, task: TaskFunction, job: DictConfig) -> object:
        """Run one job."""
        planned = jobs.plan(job)
        self._at = planned, finished.left(planned)
        return task(job)

    def ended(self, error: Exception | None) -> None:
        """Tell how the job at work ended: well, or with this error."""
        if isinstance(error, UserError | SplitFailed):
            self._end(str(error))
        elif error is not None:
            print(*traceback.format_exception(error), sep="", file=sys.stderr, flush=True)
            self._end(f"{type(error).__name__}: {error}; its log: {self._paths.stderr}")
        else:
            self._end("")

    def _end(self, failure: str) -> None:
        note = json.dumps({"failure": failure}).encode()
        write_atomically(_ending(self._paths.folder, self._left[0]), note)
        self._left.pop(0)
        self._fruitful, self._at = True, None

    def _leave(self, number: int, frame: object) -> None:
        state = state_of(self._environment.job_id)
        if number == signal.SIGTERM and state is None:
            return  # nobody to ask: if this is the end, SIGKILL follows, and the records stand that too
        for heard in self._signals:
            signal.signal(heard, signal.SIG_IGN)  # requeueing sends them once more
        if number == signal.SIGTERM and state != "RUNNING":
            raise SystemExit(128 + number)  # cancelled, or on its way back into the queue
        timed_out = time.monotonic() - self._began > self._lasts - EARLY_S
        if timed_out and self._left and not self._fruitful and not self._finished_a_split():
            self._end("its time ran out before it finished one split; give hydra.launcher.timeout_min more")
            if not self._left:
                raise SystemExit(1)
        for pause in (*_AGAIN_S, None):
            try:
                self._requeue(number, frame)  # ends the process
            except (subprocess.SubprocessError, OSError) as error:
                print(f"Slurm does not take the task back into the queue: {error}", file=sys.stderr, flush=True)
            if pause is not None:
                time.sleep(pause)
        raise SystemExit(128 + number)  # no fault of the split at work: it is not to be told as failed

    def _finished_a_split(self) -> bool:
        if self._at is None:
            return False
        planned, before = self._at
        return len(finished.left(planned)) < len(before)


def _ending(folder: Path, place: int) -> Path:
    return folder / f"job_{place}_ended.json"


def read_ending(folder: Path, place: int) -> str | None:
    """Why the job at this place of a task failed; empty where it did not, None where it has not ended."""
    try:
        return json.loads(_ending(folder, place).read_bytes())["failure"]
    except FileNotFoundError:
        return None


def state_of(job_id: str) -> str | None:
    """What Slurm says of a task; None where it does not answer."""
    states = queue(job_id)
    return None if states is None else states.get(job_id, "gone")


def queue(job_ids: str) -> Mapping[str, str] | None:
    """State of each of these tasks that Slurm still knows of, by ARRAY_INDEX; None where it does not answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T", f"--jobs={job_ids}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return {} if "Invalid job id" in answer.stderr else None
    return dict(line.split() for line in answer.stdout.splitlines())
