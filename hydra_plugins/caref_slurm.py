"""A sweep's jobs as a Slurm array that outlives preemption, time limits and failing nodes.

Builds on hydra-submitit-launcher and submitit, and differs where a sweep of many hours needs it:

- an array task may run many jobs, one after another in one process; one that fails stops none of the others;
- every job comes back, also one that was cancelled, killed or lost: as a failed one with its reason in one line;
- a task that is preempted or runs out of time is put back into the queue and continues; what it had finished is kept,
  so that costs it the split it was at. It goes on as long as each of its runs finishes a split;
- a cancelled task leaves at once and cleanly, rather than being killed half a minute later;
- the queue is asked by squeue. submitit asks sacct, which answers only where accounting (slurmdbd) is set up and warns
  at every poll elsewhere.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr
from copy import copy
from dataclasses import dataclass, field, fields
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf, SlurmQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

from caref.errors import SplitFailed, UserError

if TYPE_CHECKING:
    import submitit

_ROOT = Path(__file__).parents[1]
_ENDED = {
    "BOOT_FAIL": "its node did not boot",
    "CANCELLED": "cancelled",
    "COMPLETED": "ended without a result",
    "DEADLINE": "its deadline passed",
    "FAILED": "died",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "ran out of memory; give hydra.launcher.mem_gb more",
    "PREEMPTED": "preempted, and this cluster does not requeue",
    "REVOKED": "revoked",
    "TIMEOUT": "its time ran out before it could be requeued; give hydra.launcher.signal_delay_s more",
    "gone": "Slurm knows it no more, and it left no result",
}
_ASK_S = 2, 30  # between two looks at the queue: after a change, and at most
_SETTLE_S = 10  # how long a task may be gone before its jobs are given up: file systems lag, requeueing takes a moment
_OFTEN = 10**6  # submitit's own bound on timeouts, in whose place comes ours: a split a run

Job = tuple[int, Sequence[str]]  # its number in the sweep, and its overrides


@dataclass
class SlurmArrayConf(SlurmQueueConf):
    """The launcher's parameters: submitit's, and over how many array tasks the jobs are dealt."""

    array_size: int | None = None


ConfigStore.instance().store(group="hydra/launcher", name="slurm_array", node=SlurmArrayConf(), provider="caref")


class SlurmArray(SlurmLauncher):
    """Hydra's launcher for hydra/launcher=slurm_a40. Its parameters are SlurmArrayConf's, see conf/hydra/launcher."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submit the jobs, wait for them, and return what came of each, in order.

        Interrupted (Ctrl-C), it leaves the jobs to Slurm and says how to go on.

        Raises:
            UserError: where a parameter is wrong, there is no Slurm, or it refuses the jobs.
        """
        self._check()
        jobs: list[Job] = list(enumerate(map(list, job_overrides), initial_job_idx))
        size = min(self.params["array_size"] or len(jobs), len(jobs))
        tasks = self._submit([jobs[first::size] for first in range(size)])
        arrays = ",".join(dict.fromkeys(task.id.split("_")[0] for task in tasks))
        count = _count(len(jobs), "job") + (f" in {_count(size, 'task')}" if size < len(jobs) else "")
        print(f"Slurm {arrays}: {count}; logs in {tasks[0].folder.parent}", flush=True)
        try:
            _await(tasks, arrays, fail_fast=bool(self.config.hydra.sweeper.get("fail_fast")))
        except KeyboardInterrupt:
            print(
                f"\nThe jobs go on without this process; `scancel {arrays}` stops them."
                "\nThe same line typed again keeps what is finished and runs the rest.",
                file=sys.stderr,
            )
            raise SystemExit(128 + signal.SIGINT) from None
        return [tasks[place % size].returns[place // size] for place in range(len(jobs))]

    def _check(self) -> None:
        from caref.running import slurm

        size, minutes, delay = (self.params[key] for key in ("array_size", "timeout_min", "signal_delay_s"))
        if size is not None and size < 1:
            raise UserError(f"hydra.launcher.array_size={size}: must be at least 1; null is a task for every job")
        least = (delay + slurm.EARLY_S) // 60 + 1
        if minutes < least:
            told = f"must be at least {least}, to be at work when Slurm warns of the end"
            raise UserError(f"hydra.launcher.timeout_min={minutes}: {told} (hydra.launcher.signal_delay_s={delay})")

    def _submit(self, hands: Sequence[Sequence[Job]]) -> list["_Task"]:
        """Submit a task for each of these lists of jobs."""
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        shared = {one.name for one in fields(BaseQueueConf)}
        apart = {"array_size", "submitit_folder", "max_num_timeout", "setup"}
        parameters = {
            key if key in shared else f"slurm_{key}": value for key, value in self.params.items() if key not in apart
        }
        parameters["slurm_setup"] = [
            *(self.params["setup"] or []),
            f"export PYTHONPATH='{_ROOT}'${{PYTHONPATH:+:$PYTHONPATH}}",  # this package, from whatever folder
            "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}",  # since Slurm 22.05 srun does not take it over
        ]
        told = StringIO()
        state = Singleton.get_state()
        submitted: list[submitit.Job] = []
        try:
            with redirect_stderr(told):
                executor = submitit.AutoExecutor(
                    self.params["submitit_folder"], cluster="slurm", slurm_max_num_timeout=_OFTEN
                )
                executor.update_parameters(**parameters)
                longest = _longest_array()
                for first in range(0, len(hands), longest):
                    array = hands[first : first + longest]
                    submitted += executor.map_array(self, array, [state] * len(array))
        except (FailedJobError, FailedSubmissionError) as error:
            reason = re.sub(r"sbatch: (error: )?", "", str(error))
            raise UserError(f"hydra/launcher: Slurm refuses the jobs: {reason}{_withdrawn(submitted)}") from None
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            reason = f"no Slurm to submit to here: {error}{_withdrawn(submitted)}"
            raise UserError(f"hydra/launcher: {reason}") from None
        return [_Task(one, hand) for one, hand in zip(submitted, hands, strict=True)]

    def __call__(self, jobs: Sequence[Job], singleton_state: Mapping) -> None:
        """What runs on the node, from the start and again after each requeueing: the jobs that have not ended."""
        from caref.running import slurm

        run = slurm.Run(len(jobs), lasts=60 * self.params["timeout_min"] - self.params["signal_delay_s"])
        watched = copy(self)  # submitit pickles this one again when it requeues
        watched.task_function = partial(run.work, self.task_function)
        for place in run.places():
            number, overrides = jobs[place]
            print(f"job {place + 1} of {len(jobs)}:", *overrides, file=sys.stderr, flush=True)
            try:
                # Not super(): Hydra reads its plugins anew in each process; the unpickled object is of the one before.
                returned = SlurmLauncher.__call__(
                    watched, list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", singleton_state
                )
                error = None if returned.status is JobStatus.COMPLETED else returned._return_value
            except Exception as raised:  # the jobs after this one are worth having
                error = raised
            run.ended(error)


@dataclass
class _Task:
    """An array task, seen from where it was submitted."""

    submitted: "submitit.Job"
    jobs: Sequence[Job]
    returns: list[JobReturn] = field(default_factory=list)  # of its jobs, as they end
    _gone_since: float | None = None

    @property
    def id(self) -> str:
        return self.submitted.job_id

    @property
    def folder(self) -> Path:
        return self.submitted.paths.folder

    @property
    def over(self) -> bool:
        return len(self.returns) == len(self.jobs)

    @property
    def settling(self) -> bool:
        """Whether it has ended, and what it left is given time to show."""
        return self._gone_since is not None and not self.over

    def look(self, state: str) -> None:
        """Take in how its jobs have ended, Slurm calling it `state`; give up those that an ended task has left."""
        from caref.running import slurm

        left = os.listdir(self.folder)  # also makes a network's file system look past its cache
        while not self.over and (failure := slurm.read_ending(self.folder, len(self.returns))) is not None:
            self._return(failure)
        if state not in _ENDED and self.submitted.paths.result_pickle.name not in left:
            self._gone_since = None
            return
        self._gone_since = self._gone_since or time.monotonic()
        if self.over or time.monotonic() - self._gone_since < _SETTLE_S:
            return
        reason = f"{self._last_word() or _ENDED.get(state, 'died')}; its log: {self.submitted.paths.stderr}"
        self._return(reason)
        while not self.over:
            self._return(f"not begun: {reason}")

    def _return(self, failure: str) -> None:
        _, overrides = self.jobs[len(self.returns)]
        status = JobStatus.FAILED if failure else JobStatus.COMPLETED
        result = SplitFailed(failure) if failure else None
        self.returns.append(JobReturn(overrides=overrides, status=status, _return_value=result))

    def _last_word(self) -> str:
        """Of an error outside its jobs, such as a package that the node lacks."""
        if not self.submitted.paths.result_pickle.exists():
            return ""
        try:
            self.submitted.result()
        except Exception as error:
            return next(iter(str(error).strip().rstrip("-").strip().splitlines()[-1:]), type(error).__name__)
        return ""

    def states(self, state: str) -> list[str]:
        """Of those of its jobs that have not ended; it works at the first of them."""
        left = len(self.jobs) - len(self.returns)
        return [state, *["PENDING" if state == "RUNNING" else state] * (left - 1)] if left else []


def _await(tasks: Sequence[_Task], arrays: str, fail_fast: bool) -> None:
    """Wait until all tasks are over; tell how far they are as that changes. With fail_fast a failed job ends all."""
    from caref.running import slurm

    told, pause = None, _ASK_S[0]
    while True:
        queue = slurm.queue(arrays)
        states = {task.id: "UNKNOWN" if queue is None else queue.get(task.id, "gone") for task in tasks}
        for task in tasks:
            if not task.over:
                task.look(states[task.id])
        if fail_fast and any(one.status is JobStatus.FAILED for task in tasks for one in task.returns):
            fail_fast = not _cancelled(arrays.split(","))
        tally = "Slurm does not answer; waiting" if queue is None else _tally(tasks, states)
        if tally != told:
            print(tally, flush=True)
        if all(task.over for task in tasks):
            return
        changed = tally != told or any(task.settling for task in tasks)
        pause = _ASK_S[0] if changed else min(1.2 * pause, _ASK_S[1])
        told = tally
        time.sleep(pause)


def _tally(tasks: Iterable[_Task], states: Mapping[str, str]) -> str:
    """How many jobs are in which state."""
    named = {"PENDING": "pending", "RUNNING": "running"}
    counts = Counter({"pending": 0, "running": 0, "between": 0, "done": 0, "failed": 0})  # in this order
    for task in tasks:
        counts.update(named.get(state, "between") for state in task.states(states[task.id]))
        counts.update("done" if one.status is JobStatus.COMPLETED else "failed" for one in task.returns)
    return "jobs: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _cancelled(arrays: Iterable[str]) -> bool:
    """Whether Slurm has taken the order to end these."""
    try:
        done = subprocess.run(["scancel", *arrays], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _withdrawn(submitted: Iterable["submitit.Job"]) -> str:
    """Cancel what was submitted before Slurm refused the rest, so that the line can be typed again; say what became
    of it.
    """
    arrays = list(dict.fromkeys(one.job_id.split("_")[0] for one in submitted))
    if not arrays:
        return ""
    named = " ".join(arrays)
    return f"; withdrawn: {named}" if _cancelled(arrays) else f"; `scancel {named}` withdraws what it had taken"


def _longest_array() -> int:
    """How many tasks one array of this cluster may hold."""
    answer = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", answer.stdout, re.MULTILINE)
    return int(found[1]) if found else 1001  # Slurm's own default


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")
