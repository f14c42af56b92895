"""Sweeps on a real Slurm: what happens to a job on the way does not change what comes out."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from one_node import until

pytestmark = pytest.mark.slurm
ONE_CELL = ("reg.alpha=2", "splits=0:3")
SLOW = ("train.epochs=12",)  # a split takes seconds: long enough to be hit in its middle


@pytest.fixture(scope="module")
def uninterrupted(command, settings, tmp_path_factory) -> dict:
    """The slow cell's three splits, run in one go without a cluster."""
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
    ],
)
def test_what_slurm_refuses_is_said_in_one_line(start, tmp_path, override, said):
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
    assert 0 < len(kept) < 3
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


def in_the_middle(results: Path) -> bool:
    """Whether a record is there and the next split is being worked on."""
    return bool(list(results.glob("*/splits/*.json")) and list(results.glob("*/locks/*.lock")))


@pytest.mark.long
@pytest.mark.parametrize("how", ["preempted", "warned", "terminated"])
def test_a_preempted_job_is_requeued_and_completes(start, slurm, tmp_path, uninterrupted, how):
    results = tmp_path / "results"
    process = start(*ONE_CELL, *SLOW)
    until(lambda: in_the_middle(results), 300, "a second split to begin")
    (job,) = slurm.running()
    match how:
        case "preempted":  # by Slurm itself, for a job of a partition that comes before this one
            slurm.command("sbatch", "--partition=urgent", "--gres=gpu:a40:2", "--output=/dev/null", "--wrap=sleep 1")
        case "warned":  # what a Slurm with PreemptParameters=send_user_signal sends first
            slurm.command("scancel", "--signal=USR2", job)
        case "terminated":  # what others send
            slurm.command("scancel", "--signal=TERM", job)
    until(lambda: slurm.jobs()[job] == "PENDING", 30, "the job to be requeued")
    assert len(numbers(results)) < 3
    output = finished(process)
    assert process.returncode == 0, output
    assert numbers(results) == uninterrupted
    assert leftovers(results) == []


@pytest.mark.long
def test_a_job_that_runs_out_of_time_is_requeued_and_completes(start, slurm, tmp_path, uninterrupted):
    results = tmp_path / "results"
    process = start(*ONE_CELL, *SLOW)
    until(lambda: in_the_middle(results), 300, "a second split to begin")
    (job,) = slurm.running()
    with slurm.frozen_until_warned(job):  # however fast the machine, the split lasts until Slurm's clock strikes
        slurm.cut_short(job)
    until(lambda: slurm.jobs()[job] == "PENDING", 30, "the job to be requeued")
    slurm.command("scontrol", "update", f"jobid={job}", "TimeLimit=60")
    output = finished(process)
    assert process.returncode == 0, output
    assert numbers(results) == uninterrupted
    assert leftovers(results) == []


@pytest.mark.long
def test_a_job_whose_time_is_too_short_for_one_split_says_so(start, tmp_path):
    process = start("reg.alpha=2", "splits=0:2", "train.epochs=100000", "hydra.launcher.timeout_min=1")
    output = finished(process)
    assert process.returncode == 1
    assert "its time ran out before it finished one split; give hydra.launcher.timeout_min more" in output
    assert leftovers(tmp_path / "results") == []


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
    assert len(numbers(results)) < 3
    output = finished(process)
    assert process.returncode == 0, output
    assert numbers(results) == uninterrupted
    assert leftovers(results) == []


@pytest.mark.long
def test_an_interrupted_line_leaves_its_jobs_running_and_says_how_to_go_on(start, slurm, tmp_path, uninterrupted):
    results = tmp_path / "results"
    process = start(*ONE_CELL, *SLOW)
    until(lambda: in_the_middle(results), 300, "a second split to begin")
    os.killpg(process.pid, signal.SIGINT)
    output = finished(process)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert re.search(r"`scancel \d+` stops them", output)
    assert slurm.running()
    again = start(*ONE_CELL, *SLOW)  # side by side with the first line's job
    output = finished(again)
    assert again.returncode == 0, output
    assert numbers(results) == uninterrupted
    assert leftovers(results) == []


@pytest.mark.long
def test_the_sensitivity_grid_in_shards_survives_a_preemption_a_timeout_and_a_cancellation(start, slurm, tmp_path):
    results = tmp_path / "results"
    line = ("+sweeps=[alpha_beta,feb_shards]", "splits=0:4")
    process = start(*line)

    until(lambda: len(slurm.listening()) == 2, 300, "two jobs to run")
    preempted = slurm.listening()
    slurm.command("sbatch", "--partition=urgent", "--gres=gpu:a40:2", "--output=/dev/null", "--wrap=sleep 1")
    until(lambda: "PENDING" in {slurm.jobs()[job] for job in preempted}, 60, "the jobs to be requeued")

    until(lambda: set(slurm.listening()) - set(preempted), 300, "another job to run")
    (late, *_) = set(slurm.listening()) - set(preempted)
    with slurm.frozen_until_warned(late):
        slurm.cut_short(late)
    until(lambda: slurm.jobs()[late] == "PENDING", 60, "the job to be requeued")
    slurm.command("scontrol", "update", f"jobid={late}", "TimeLimit=60")

    until(lambda: set(slurm.listening()) - {late, *preempted}, 300, "yet another job to run")
    (cancelled, *_) = set(slurm.listening()) - {late, *preempted}
    slurm.command("scancel", cancelled)

    output = finished(process, 3000)
    assert process.returncode == 1, output
    assert re.search(r"Slurm \d+: 64 jobs", output)
    assert re.search(r"1 of 64 jobs failed:\n  .*: cancelled", output), output
    assert len(numbers(results)) == 63
    assert leftovers(results) == []

    again = start(*line)
    output = finished(again, 600)
    assert again.returncode == 0, output
    assert re.search(r"Slurm \d+: 1 job;", output)
    assert len(re.findall(r"SCED .* 4 of 4 ", output)) == 16
    assert len(numbers(results)) == 64
    assert leftovers(results) == []
