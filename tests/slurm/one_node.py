"""A real Slurm of one node with two a40 devices, in a folder of its own.

No file of the system's own Slurm or MUNGE is read or written: the daemons get their configuration, key, socket, ports
and spool from a temporary folder, and every command finds them by SLURM_CONF. /dev/null and /dev/zero stand for the
two devices; Slurm hands them out, and shows each job its own, as it does with real ones.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")

_CONFIGURATION = """\
ClusterName=caref
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
# A requeued job waits until its old credential has expired: 120 s unless told.
AuthInfo=socket={folder}/munge.socket,cred_expire=15
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# Containers have neither systemd nor cgroups to give.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
SlurmdTimeout=10
# How long a job that is to end has until it is killed; Slurm's own default is 30 s.
KillWait=20
# As many cores as the tests' jobs ask for, whatever the machine has.
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 Gres=gpu:a40:2 Feature=nvlink
# What is submitted to `urgent` preempts what runs in a40.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=a40 Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10
"""

_DEVICES = """\
Name=gpu Type=a40 File=/dev/null
Name=gpu Type=a40 File=/dev/zero
"""


@dataclass
class Cluster:
    """The running Slurm, and what a test may do to it."""

    folder: Path
    environment: dict[str, str]  # for commands that are to find it
    _daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    def command(self, *line: str) -> str:
        """Run one of Slurm's commands and return what it prints."""
        done = subprocess.run(line, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(line)}: {done.stderr.strip()}")
        return done.stdout

    def jobs(self) -> dict[str, str]:
        """State of every job that Slurm still knows of, by ARRAY_INDEX."""
        lines = self.command("squeue", "--noheader", "--array", "--states=all", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def running(self) -> list[str]:
        return [job for job, state in self.jobs().items() if state == "RUNNING"]

    def fail_node(self) -> None:
        """The node loses its power: its daemon and all that ran on it are gone at once."""
        self._kill(lambda process: process.name in ("slurmd", "slurmstepd"))  # nobody is left to tell how the jobs end
        self._kill(lambda process: process.job)
        self._daemons["slurmd"].wait(10)

    @contextmanager
    def frozen(self, job: str) -> Iterator[None]:
        """Within, a running job's Python stands still, however fast the machine; a signal of Slurm's may wake it."""
        frozen = self._pythons(job)
        for process in frozen:
            os.kill(process.id, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in frozen:
                with suppress(ProcessLookupError):
                    os.kill(process.id, signal.SIGCONT)

    def warned(self, job: str) -> bool:
        """Whether a frozen job has been sent Slurm's SIGUSR2, or is gone."""
        return all(process.awaits(signal.SIGUSR2) for process in self._pythons(job))

    def requeued(self, job: str) -> None:
        """Wait until a job is back in the queue, and let it start at once: Slurm would hold it for a while."""
        until(lambda: self.jobs()[job] == "PENDING", 90, "the job to be requeued")
        self.command("scontrol", "update", f"jobid={job}", "StartTime=now")

    def cut_short(self, job: str) -> None:
        """Give a running job no more than the minute it is in and the next."""
        ran = re.search(r"RunTime=(\d+):(\d+):", self.command("scontrol", "show", "job", job))
        self.command("scontrol", "update", f"jobid={job}", f"TimeLimit={60 * int(ran[1]) + int(ran[2]) + 2}")

    def start_node(self) -> None:
        self._start("slurmd", "-D")

    def up(self) -> None:
        """Bring the daemons up and wait until the node takes jobs."""
        files = {name: f"{self.folder}/munge.{name}" for name in ("key", "socket", "pid", "log", "seed")}
        self._start(
            "munged",
            "--foreground",
            f"--socket={files.pop('socket')}",
            *(f"--{name}-file={path}" for name, path in files.items()),
        )
        until((self.folder / "munge.socket").exists, 30, "munged")
        self._start("slurmctld", "-D")
        self.start_node()
        until(lambda: "idle" in self.command("sinfo", "--noheader", "--format=%t"), 60, "an idle node")

    def down(self) -> None:
        """Take everything down, jobs first; nothing that belonged to this Slurm stays behind."""
        if "slurmctld" in self._daemons:
            with suppress(RuntimeError, TimeoutError, subprocess.TimeoutExpired):
                self.command("scancel", "--user=root")
                until(lambda: not self.running(), 15, "jobs to end")
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
        self._kill(lambda process: True)
        for daemon in self._daemons.values():
            daemon.wait(10)

    def _start(self, name: str, *arguments: str) -> None:
        with open(self.folder / f"{name}.out", "ab") as output:
            self._daemons[name] = subprocess.Popen(
                [shutil.which(name, path=_path()), *arguments],
                env=self.environment,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
            )

    def _kill(self, which: Callable[["Process"], bool]) -> None:
        for process in filter(which, self._processes()):
            with suppress(ProcessLookupError):
                os.kill(process.id, signal.SIGKILL)

    def _pythons(self, job: str) -> list["Process"]:
        return [process for process in self._processes() if process.job == job and process.name.startswith("python")]

    def _processes(self) -> list["Process"]:
        """Those that run under this Slurm's configuration, but for the tests themselves."""
        mark = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    environment = (entry / "environ").read_bytes().split(b"\0")
                    if mark in environment:
                        found.append(Process(int(entry.name), (entry / "comm").read_text().strip(), _job(environment)))
        return found


def _job(environment: Sequence[bytes]) -> str | None:
    """The Slurm job that an environment is of, as squeue writes it."""
    variables = dict(variable.decode().split("=", 1) for variable in environment if variable.startswith(b"SLURM_"))
    if "SLURM_ARRAY_TASK_ID" in variables:
        return f"{variables['SLURM_ARRAY_JOB_ID']}_{variables['SLURM_ARRAY_TASK_ID']}"
    return variables.get("SLURM_JOB_ID")


@dataclass
class Process:
    id: int
    name: str
    job: str | None

    def awaits(self, number: signal.Signals) -> bool:
        """Whether a signal has been sent to it and not yet taken in, or it is gone."""
        return not Path(f"/proc/{self.id}").exists() or self._has("SigPnd", number) or self._has("ShdPnd", number)

    def _has(self, mask: str, number: signal.Signals) -> bool:
        """Whether a signal is in one of the masks of /proc/PID/status."""
        with suppress(OSError):
            for line in Path(f"/proc/{self.id}/status").read_text().splitlines():
                if line.startswith(mask):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
        return False


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something to hold; a failed command counts as not yet."""
    deadline = time.monotonic() + seconds
    reason = ""
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except RuntimeError as error:
            reason = f": {error}"
        time.sleep(0.2)
    raise TimeoutError(f"waited {seconds} s for {what}{reason}")


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _free_ports(count: int) -> list[int]:
    with_sockets = [socket.socket() for _ in range(count)]
    for each in with_sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in with_sockets]
    for each in with_sockets:
        each.close()
    return ports


def missing() -> str:
    """What this machine lacks to run a Slurm; empty where nothing."""
    programs = [name for name in NEEDED if shutil.which(name, path=_path()) is None]
    if programs:
        return f"no Slurm here ({', '.join(programs)} missing); Debian's packages slurm-wlm and munge have it"
    return "" if os.geteuid() == 0 else "a Slurm that starts jobs needs root"


@contextmanager
def one_node() -> Iterator[Cluster]:
    """Within, a Slurm runs; after it, nothing is left of it: no process, no file.

    Raises:
        RuntimeError: where it does not come up, with what its daemons said.
    """
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a socket's path must be short
    folder.chmod(0o755)  # munged wants its socket within everyone's reach
    host = socket.gethostname().split(".")[0]
    controller_port, node_port = _free_ports(2)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    filled = _CONFIGURATION.format(folder=folder, host=host, controller_port=controller_port, node_port=node_port)
    (folder / "slurm.conf").write_text(filled)
    (folder / "gres.conf").write_text(_DEVICES)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
    cluster = Cluster(folder, inherited | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()})
    try:
        try:
            cluster.up()
        except (OSError, TimeoutError) as error:
            logs = [*folder.glob("*.out"), *folder.glob("*.log")]
            said = (f"{path.name}: {path.read_text()[-2000:]}" for path in logs)
            raise RuntimeError("\n".join([f"Slurm did not come up: {error}", *said])) from None
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)
