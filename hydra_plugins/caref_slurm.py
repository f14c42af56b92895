"""A sweep's jobs as a Slurm array that outlives preemption, time limits and failing nodes.

Builds on hydra-submitit-launcher and submitit, and differs where a sweep of many hours needs it:

- every job comes back, also one that was cancelled, killed or lost: as a failed one with its reason in one line;
- a job that is preempted or runs out of time is put back into the queue and continues; what it had finished is kept,
  so that costs it the split it was at. It goes on as long as each of its runs finishes a split;
- a cancelled job leaves at once and cleanly, rather than being killed half a minute later;
- the queue is asked by squeue. submitit asks sacct, which answers only where accounting (slurmdbd) is set up and warns
  at every poll elsewhere.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from copy import copy
from functools import partial
from io import StringIO
from pathlib import Path

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import TaskFunction
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
from omegaconf import DictConfig

from caref.errors import SplitFailed, UserError
from caref.results import store

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
}
_ASK_S = 2, 30  # between two looks at the queue: after a change, and at most
_SETTLE_S = 10  # how long a job may be gone before its result is given up: file systems lag, requeueing takes a moment
_EARLY_S = 90  # by how much Slurm may signal before it was asked to
_OFTEN = 10**6  # submitit's own bound on timeouts, in whose place comes ours: a split a run


class SlurmArray(SlurmLauncher):
    """Hydra's launcher for hydra/launcher=slurm_a40. Its parameters are submitit's, see conf/hydra/launcher."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submit the jobs, wait for them, and return what came of each, in order.

        Interrupted (Ctrl-C), it leaves the jobs to Slurm and says how to go on.

        Raises:
            UserError: where there is no Slurm, or it refuses the jobs.
        """
        jobs = self._submit(job_overrides, initial_job_idx)
        arrays = ",".join(dict.fromkeys(job.job_id.split("_")[0] for job in jobs))
        count = f"{len(jobs)} jobs" if len(jobs) > 1 else "1 job"
        print(f"Slurm {arrays}: {count}; logs in {jobs[0].paths.folder.parent}", flush=True)
        try:
            return _await(jobs, arrays)
        except KeyboardInterrupt:
            print(
                f"\nThe jobs go on without this process; `scancel {arrays}` stops them."
                "\nThe same line typed again keeps what is finished and runs the rest.",
                file=sys.stderr,
            )
            raise SystemExit(128 + signal.SIGINT) from None

    def _submit(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        common = {
            "name",
            "timeout_min",
            "mem_gb",
            "nodes",
            "cpus_per_task",
            "gpus_per_node",
            "tasks_per_node",
            "stderr_to_stdout",
        }
        apart = {"submitit_folder", "max_num_timeout", "setup"}
        parameters = {
            key if key in common else f"slurm_{key}": value for key, value in self.params.items() if key not in apart
        }
        parameters["slurm_setup"] = [
            *(self.params["setup"] or []),
            f"export PYTHONPATH='{_ROOT}'${{PYTHONPATH:+:$PYTHONPATH}}",  # this package, from whatever folder
            "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}",  # since Slurm 22.05 srun does not take it over
        ]
        told = StringIO()
        state = Singleton.get_state()
        arguments = [
            (list(overrides), "hydra.sweep.dir", index, f"job_id_for_{index}", state)
            for index, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        try:
            with redirect_stderr(told):
                executor = submitit.AutoExecutor(
                    self.params["submitit_folder"], cluster="slurm", slurm_max_num_timeout=_OFTEN
                )
                executor.update_parameters(**parameters)
                longest = _longest_array()
                jobs = []
                for first in range(0, len(arguments), longest):
                    jobs += executor.map_array(self, *zip(*arguments[first : first + longest], strict=True))
                return jobs
        except (FailedJobError, FailedSubmissionError) as error:
            reason = re.sub(r"sbatch: (error: )?", "", str(error))
            raise UserError(f"hydra/launcher: Slurm refuses the jobs: {reason}") from None
        except (RuntimeError, OSError) as error:
            raise UserError(f"hydra/launcher: no Slurm to submit to here: {error}") from None

    def __call__(self, overrides: list[str], job_dir_key: str, job_num: int, job_id: str, singleton_state) -> JobReturn:
        """What runs on the node, from the start and again after each requeueing."""
        lasts = 60 * self.params["timeout_min"] - self.params["signal_delay_s"]
        watched = copy(self)  # submitit pickles this one again when it requeues
        watched.task_function = partial(_run, self.task_function, lasts, time.monotonic())
        try:
            # Not super(): Hydra reads its plugins anew in each process; the unpickled object is of the class before.
            return SlurmLauncher.__call__(watched, overrides, job_dir_key, job_num, job_id, singleton_state)
        except _Hopeless as reason:
            return _failed(str(reason), overrides)


class _Hopeless(BaseException):
    """Another run of the job would come no further. Not an Exception: no split is to take it for its own failure."""


def _run(task: TaskFunction, lasts: float, began: float, job: DictConfig) -> object:
    """Run a job that knows what Slurm's signals mean.

    SIGUSR2 comes before the time runs out and, on some clusters, on preemption; SIGTERM on `scancel` and on preemption.
    """
    from submitit import JobEnvironment

    from caref import jobs

    planned = jobs.plan(job)
    environment = JobEnvironment()
    warning = environment._usr_sig()
    requeue = signal.getsignal(warning)  # submitit's own: requeues and exits
    before = len(store.finished(planned.cell) & set(planned.indices))

    def leave(number: int, frame: object) -> None:
        state = _state(environment.job_id)
        if number == signal.SIGTERM and state is None:
            return  # nobody to ask: if this is the end, SIGKILL follows, and the records stand that too
        for heard in (signal.SIGTERM, warning):
            signal.signal(heard, signal.SIG_IGN)  # requeueing sends them once more
        if number == signal.SIGTERM and state != "RUNNING":
            raise SystemExit(128 + number)  # cancelled, or on its way back into the queue
        timed_out = time.monotonic() - began > lasts - _EARLY_S
        if timed_out and len(store.finished(planned.cell) & set(planned.indices)) == before:
            raise _Hopeless("its time ran out before it finished one split; give hydra.launcher.timeout_min more")
        requeue(number, frame)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(warning, leave)
    return task(job)


def _state(job_id: str) -> str | None:
    """What Slurm says of a job; None where it does not answer."""
    states = _queue(job_id)
    return None if states is None else states.get(job_id, "gone")


def _queue(job_ids: str) -> dict[str, str] | None:
    """State of each of these jobs that Slurm still knows of, by ARRAY_INDEX; None where it does not answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T", f"--jobs={job_ids}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return {} if "Invalid job id" in answer.stderr else None
    return dict(line.split() for line in answer.stdout.splitlines())


def _longest_array() -> int:
    """How many jobs one array of this cluster may hold."""
    answer = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", answer.stdout, re.MULTILINE)
    return int(found[1]) if found else 1001  # Slurm's own default


def _await(jobs: Sequence, arrays: str) -> list[JobReturn]:
    """What came of each job, in order, once all have ended; tells how far they are as that changes."""
    results: dict[str, JobReturn] = {}
    gone_since: dict[str, float] = {}
    told, pause = None, _ASK_S[0]
    while len(results) < len(jobs):
        queue = _queue(arrays)
        for job in jobs:
            if job.job_id in results:
                continue
            state = "UNKNOWN" if queue is None else queue.get(job.job_id, "gone")
            if job.paths.result_pickle.name in os.listdir(job.paths.folder):  # looks past a file system's cache
                results[job.job_id] = _returned(job)
            elif state in _ENDED or state == "gone":
                since = gone_since.setdefault(job.job_id, time.monotonic())
                if time.monotonic() - since > _SETTLE_S:
                    reason = _ENDED.get(state, "Slurm knows it no more, and it left no result")
                    results[job.job_id] = _failed(f"{reason}; its log: {job.paths.stderr}")
            else:
                gone_since.pop(job.job_id, None)
        tally = _tally(jobs, results, queue)
        if tally != told:
            print(tally, flush=True)
        pause = _ASK_S[0] if tally != told or gone_since else min(1.5 * pause, _ASK_S[1])
        told = tally
        if len(results) < len(jobs):
            time.sleep(pause)
    return [results[job.job_id] for job in jobs]


def _tally(jobs: Sequence, results: Mapping[str, JobReturn], queue: Mapping[str, str] | None) -> str:
    if queue is None:
        return "Slurm does not answer; waiting"
    left = [queue.get(job.job_id, "gone") for job in jobs if job.job_id not in results]
    running, pending = left.count("RUNNING"), left.count("PENDING")
    failed = sum(result.status is not JobStatus.COMPLETED for result in results.values())
    counts = {"pending": pending, "running": running, "between": len(left) - running - pending}
    counts |= {"done": len(results) - failed, "failed": failed}
    return "jobs: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _returned(job) -> JobReturn:
    """The result a job left."""
    try:
        return job.result()
    except Exception as error:  # an error that Hydra does not catch, or a result that cannot be read
        last = str(error).strip().rstrip("-").strip().splitlines()
        return _failed(f"{last[-1] if last else type(error).__name__}; its log: {job.paths.stderr}")


def _failed(reason: str, overrides: Sequence[str] = ()) -> JobReturn:
    return JobReturn(overrides=list(overrides), status=JobStatus.FAILED, _return_value=SplitFailed(reason))
