"""Sweeps on a real Slurm: what happens to a job on the way does not change what comes out."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from one_node import until

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]  # one cluster, one process
ONE_CELL = ("reg.alpha=2", "splits=0:4")
SLOW = ("train.epochs=12",)  # a split takes seconds: long enough to be hit in its middle


@pytest.fixture(scope="module")
def uninterrupted(command, settings, tmp_path_factory) -> dict:
    """The slow cell's splits, run in one go without a cluster."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = command("run.py", *settings, *ONE_CELL, *SLOW, cwd=folder)
    assert done.returncode == 0, done.stderr
    return numbers(folder / "results")


def numbers(results: Path) -> dict:
    """All that a results folder says but for when, where and how fast it came to be."""
    records = {}
    for path in results.glob("*/splits/*.json"):
        record = json.loads(path.read_text())
        records[path.parts[-3], path.stem] = {key: record[key] for key in record if key not in ("run", "checksum")}
    return records


def leftovers(results: Path) -> list[str]:
    """Whatever is in the cells' folders that a run without incident does not leave."""
    expected = re.compile(r"[0-9a-f]{12}(/config\.yaml|/splits/\d{3}\.json|/predictions/\d{3}\.jsonl\.gz)")
    files = (str(path.relative_to(results)) for path in results.glob("[!.]*/**/*") if path.is_file())
    return [name for name in files if not expected.fullmatch(name)]


def finished(process, seconds: int = 500) -> str:
    output, _ = process.communicate(timeout=seconds)
    return output


def test_an_array_of_jobs_each_with_its_own_device(start, tmp_path):
    setup = 'hydra.launcher.setup=["echo device $CUDA_VISIBLE_DEVICES; sleep 2"]'
    process = start("reg.alpha=1,2", "splits=0:2", setup)
    output = finished(process)
    assert process.returncode == 0, output
    assert re.search(r"^Slurm \d+: 2 jobs", output, re.MULTILINE)  # one array
    assert "jobs: 2 done" in output
    assert re.search(r"α=1 .* 2 of 2 .*\n.*α=2 .* 2 of 2", output)
    logs = [path.read_text() for path in (tmp_path / "results" / ".submitit").glob("*/*_log.out")]
    assert sorted(re.search(r"device (\S*)", log)[1] for log in logs) == ["0", "1"]
    assert leftovers(tmp_path / "results") == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("hydra.launcher.partition=nowhere", "invalid partition"),
        ("hydra.launcher.gres=gpu:h100:1", "gres|node configuration"),
        ("hydra.launcher.account=[a,b]", "account"),
        ("hydra.launcher.array_size=0", r"hydra\.launcher\.array_size=0: must be at least 1"),
        ("hydra.launcher.timeout_min=3", r"hydra\.launcher\.timeout_min=3: must be at least 4"),
    ],
)
def test_what_cannot_be_submitted_is_said_in_one_line(start, tmp_path, override, said):
    process = start(*ONE_CELL, override)
    output = finished(process)
    assert process.returncode == 2
    assert re.fullmatch(rf"error: .*({said}).*\n", output, re.IGNORECASE), output


def test_a_cancelled_job_leaves_a_clean_store_and_the_line_typed_again_completes(start, slurm, tmp_path, uninterrupted):
    results = tmp_path / "results"
    process = start(*ONE_CELL, *SLOW)
    until(lambda: in_the_middle(results), 300, "a second split to begin")
    slurm.command("scancel", *slurm.running())
    output = finished(process)
    assert process.returncode == 1
    assert re.search(r"1 of 1 jobs failed:\n  .*: cancelled; its log: .*_log.err\n", output), output
    kept = numbers(results)
    assert 0 < len(kept) < len(uninterrupted)
    assert leftovers(results) == []

    again = start(*ONE_CELL, *SLOW)
    output = finished(again)
    assert again.returncode == 0, output
    assert numbers(results) == uninterrupted
    assert leftovers(results) == []


def test_the_users_own_file_and_the_command_line_say_what_a_job_asks_for(start, slurm, tmp_path):
    own = tmp_path / "home" / "caref" / "hydra" / "launcher" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("defaults: [slurm_a40]\naccount: my_lab\nconstraint: nvlink\ntimeout_min: 30\n")
    asked = ("hydra.launcher.partition=urgent", "hydra.launcher.array_parallelism=1", "hydra.launcher.timeout_min=90")
    before = set(slurm.jobs())
    start("reg.alpha=1,2", "splits=0:2", *asked, launcher="mine")
    until(lambda: len(set(slurm.jobs()) - before) == 2, 60, "the jobs to be submitted")
    first, second = sorted(set(slurm.jobs()) - before)
    until(lambda: slurm.jobs()[first] == "RUNNING", 60, "the first job to run")
    assert slurm.jobs()[second] == "PENDING"  # one at a time, though there are two devices
    said = slurm.command("scontrol", "show", "job", first)
    for wanted in (
        "Account=my_lab",
        "Features=nvlink",
        "TimeLimit=01:30:00",
        "Partition=urgent",
        "MinMemoryNode=1G",
        "CPUs/Task=1",
        "TresPerNode=gres:gpu:a40:1",
        "Requeue=1",
    ):
        assert wanted in said, said


def in_the_middle(results: Path, done: int = 1) -> bool:
    """Whether so many records are there and the next split is being worked on."""
    records = list(results.glob("*/splits/*.json"))
    return len(records) >= done and bool(list(results.glob("*/locks/*.lock")))


@pytest.mark.long
def test_a_job_that_fails_in_a_task_stops_none_of_the_others(start, tmp_path):
    hopeless = ("peft=base", "train.warmup_steps=0", "train.epochs=3")  # with a rate that overflows in the second step
    process = start(*hopeless, "train.lr=1e36,1e-3", "splits=0:2", "hydra.launcher.array_size=1")
    output = finished(process)
    assert process.returncode == 1, output
    assert re.search(r"Slurm \d+: 2 jobs in 1 task;", output)
    assert re.search(r"1 of 2 jobs failed:\n  train\.lr=1e\+?36.*: 2 of 2 splits failed .*step \d+.*\n$", output), (
        output
    )
    assert len(numbers(tmp_path / "results")) == 2


@pytest.mark.long
def test_a_preempted_job_is_requeued_and_completes_however_it_is_told(start, slurm, tmp_path, uninterrupted):
    results = tmp_path / "results"
    process = start(*ONE_CELL, *SLOW)
    preemptions = (
        # by Slurm itself, for a job of a partition that comes before this one
        ("sbatch", "--partition=urgent", "--gres=gpu:a40:2", "--output=/dev/null", "--wrap=sleep 1"),
        # what a Slurm with PreemptParameters=send_user_signal sends first
        ("scancel", "--signal=USR2"),
        # what others send
        ("scancel", "--signal=TERM"),
    )
    for done, preemption in enumerate(preemptions, 1):
        until(lambda done=done: in_the_middle(results, done), 300, "another split to begin")
        (job,) = slurm.running()
        slurm.command(*preemption, *([job] if preemption[0] == "scancel" else []))
        slurm.requeued(job)
        assert len(numbers(results)) < len(uninterrupted)
    output = finished(process)
    assert process.returncode == 0, output
    assert numbers(results) == uninterrupted
    assert leftovers(results) == []


@pytest.mark.long
def test_a_task_out_of_time_goes_on_while_each_run_finishes_a_split(start, slurm, tmp_path, uninterrupted):
    results = tmp_path / "results"
    short = ("hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=25")  # Slurm warns after 65 s to 95 s
    endless = "train.epochs=1000000,12,11"  # in this order: the first task has the first job and the last
    process = start(*ONE_CELL, endless, *short, "hydra.launcher.array_size=2")
    until(lambda: len(slurm.running()) == 2, 60, "both tasks to run")
    hopeless, slow = sorted(slurm.running())
    until(lambda: in_the_middle(results), 300, "a second split to begin")
    with slurm.frozen(slow), slurm.frozen(hopeless):
        until(lambda: slurm.warned(slow) and slurm.warned(hopeless), 120, "Slurm's warnings")
    for task in (slow, hopeless):
        slurm.requeued(task)
    output = finished(process)
    assert process.returncode == 1, output
    assert "Slurm 1: 3 jobs in 2 tasks" in re.sub(r"Slurm \d+", "Slurm 1", output)
    assert re.search(
        r"1 of 3 jobs failed:\n  train.epochs=1000000 .*: its time ran out before it finished one split", output
    )
    done = numbers(results)
    assert len(done) == 2 * len(uninterrupted)
    assert uninterrupted.items() <= done.items()
    assert leftovers(results) == []


@pytest.mark.long
def test_a_job_whose_node_fails_runs_again_and_completes(start, slurm, tmp_path, uninterrupted):
    results = tmp_path / "results"
    process = start(*ONE_CELL, *SLOW)
    until(lambda: in_the_middle(results), 300, "a second split to begin")
    (job,) = slurm.running()
    slurm.fail_node()
    try:
        until(lambda: slurm.jobs()[job] != "RUNNING", 90, "Slurm to notice")
    finally:
        slurm.start_node()
    assert len(numbers(results)) < len(uninterrupted)
    output = finished(process)
    assert process.returncode == 0, output
    assert numbers(results) == uninterrupted
    assert leftovers(results) == []


@pytest.mark.long
def test_an_interrupted_line_leaves_its_jobs_running_and_says_how_to_go_on(start, slurm, tmp_path, uninterrupted):
    results = tmp_path / "results"
    process = start(*ONE_CELL, *SLOW)
    until(lambda: in_the_middle(results), 300, "a second split to begin")
    (job,) = slurm.running()
    with slurm.frozen(job):
        os.killpg(process.pid, signal.SIGINT)
        output = finished(process)
        assert process.returncode == 130
        assert "Traceback" not in output
        assert re.search(r"`scancel \d+` stops them", output)
        assert slurm.running() == [job]
        again = start(*ONE_CELL, *SLOW)  # side by side with the first line's job
        until(lambda: len(slurm.running()) == 2, 60, "the second line's job to run")
    output = finished(again)
    assert again.returncode == 0, output
    assert numbers(results) == uninterrupted
    assert leftovers(results) == []


def jobs_ended(results: Path, task: str) -> int:
    return len(list(results.glob(f".submitit/{task}/job_*_ended.json")))


@pytest.mark.long
def test_the_sensitivity_grid_in_four_shards_survives_a_preemption_a_timeout_and_a_cancellation(
    command, settings, start, slurm, tmp_path
):
    results = tmp_path / "results"
    line = ("+sweeps=[alpha_beta,feb_shards]", "splits=0:4")
    process = start(*line)

    def on_their_way(count: int) -> list[str]:
        return [task for task in slurm.running() if jobs_ended(results, task)][:count]

    until(lambda: len(on_their_way(2)) == 2, 300, "two tasks to be on their way")
    first, second = on_their_way(2)
    with slurm.frozen(first), slurm.frozen(second):
        slurm.command("sbatch", "--partition=urgent", "--gres=gpu:a40:1", "--output=/dev/null", "--wrap=sleep 1")
        until(lambda: {"PENDING"} < {slurm.jobs()[task] for task in (first, second)}, 60, "one to be preempted")
        preempted, late = sorted((first, second), key=lambda task: slurm.jobs()[task] == "RUNNING")
        slurm.cut_short(late)
        until(lambda: set(on_their_way(3)) - {late, preempted}, 300, "a third task to be on its way")
        (cancelled,) = set(on_their_way(3)) - {late, preempted}
        slurm.command("scancel", cancelled)
        slurm.requeued(preempted)
        until(lambda: slurm.warned(late), 90, "Slurm's warning")
    slurm.requeued(late)
    slurm.command("scontrol", "update", f"jobid={late}", "TimeLimit=60")

    output = finished(process)
    assert process.returncode == 1, output
    assert re.search(r"Slurm \d+: 64 jobs in 4 tasks", output)
    lost = 16 - jobs_ended(results, cancelled)
    assert 0 < lost < 16
    told = [f"{lost} of 64 jobs failed:", "  .*: cancelled; .*", *["  .*: not begun: cancelled; .*"] * (lost - 1), ""]
    assert re.search("\n".join(told) + "$", output), output
    kept = numbers(results)
    assert 64 - lost <= len(kept) <= 64
    assert leftovers(results) == []

    again = start(*line)
    output = finished(again)
    assert again.returncode == 0, output
    assert len(re.findall(r"SCED .* 4 of 4 ", output)) == 16
    assert len(numbers(results)) == 64
    assert leftovers(results) == []

    struck = ("+sweeps=alpha_beta", "reg.alpha=1", "splits=0:4")  # the first cells, which the incidents came upon
    whole = command("run.py", "-m", *settings, *struck, cwd=tmp_path / "home")
    assert whole.returncode == 0, whole.stderr
    expected = numbers(tmp_path / "home" / "results")
    assert len(expected) == 16
    assert expected.items() <= numbers(results).items()
