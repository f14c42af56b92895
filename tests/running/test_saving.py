"""The trained part of a split, kept beside its record: loaded back, added later, on disks that are too small."""

import os
import socket
import subprocess
import sys

import pytest
from small_job import SMALL

from caref.errors import SplitFailed, UserError
from caref.results import store
from caref.running import jobs, plans, saving


def test_a_saved_split_writes_the_same_text_when_it_is_loaded_back(run, composed, tmp_path):
    from caref.data.batches import encode
    from caref.data.prompts import text
    from caref.evaluation.generate import generate
    from caref.models import backbones
    from caref.models.trained import load_trained

    overrides = ("model=tiny_t5", "peft=lora_r4", "train.lr=0.01", "train.precision=fp32", "splits=1")
    _, cell = run(*overrides, "train.save=true")
    job = composed(*SMALL, *overrides)
    split = jobs.plan(job).sampler(1)
    backbone = backbones.load(job.model)
    tokens = [encode(text("esnli", example), backbone.tokenizer, True) for example in split.evaluation]
    with load_trained(backbone, cell / "trained" / "001") as model:
        written = generate(model, backbone, tokens, job.evaluation.batch_size, job.evaluation.max_new_tokens)
    assert written == [prediction["generation"] for prediction in store.read_predictions(cell, 1)]


@pytest.mark.parametrize("peft", ["aq", "lora_r4"])
def test_saving_on_a_finished_cell_trains_again_only_what_lacks_its_part(run, peft, capsys):
    line = ("model=tiny_t5", f"peft={peft}", "train.lr=0.01")
    first, cell = run(*line, "splits=0:3")
    run(*line, "splits=1", "train.save=true")
    assert [path.name for path in (cell / "trained").iterdir()] == ["001"]
    before = {path: path.read_bytes() for path in cell.rglob("*") if path.is_file()}
    capsys.readouterr()
    again, _ = run(*line, "splits=0:3", "train.save=true")
    told = capsys.readouterr().err
    assert again == first
    assert all(path.read_bytes() == content for path, content in before.items())
    assert sorted(path.name for path in (cell / "trained").iterdir()) == ["000", "001", "002"]
    assert [f"split {index} trained again" in told for index in range(3)] == [True, False, True]
    run(*line, "splits=0:3", "train.save=true")
    assert "trained again" not in capsys.readouterr().err


def test_a_part_that_does_not_write_what_is_recorded_is_not_kept(run):
    line = ("model=tiny_t5", "splits=0")
    _, cell = run(*line)
    record = store.read_record(cell, 0)
    other = [{**one, "generation": "another"} for one in store.read_predictions(cell, 0)]
    store.write_split(cell, {}, record, other)
    with pytest.raises(SplitFailed, match=r"split 0: trained again, 6 of its 6 predictions are not the record's"):
        run(*line, "train.save=true")
    assert not list(cell.glob("trained/*")) and not list(cell.glob("failed/*"))
    assert store.read_record(cell, 0)["scores"] == record["scores"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
@pytest.mark.parametrize("peft", ["aq", "lora_r4", "prefix"])
def test_saved_weights_follow_the_umask(run, peft, umask, mode):
    before = os.umask(umask)
    try:
        _, cell = run("model=tiny_t5", f"peft={peft}", "splits=0", "train.save=true")
    finally:
        os.umask(before)
    files = [path for path in (cell / "trained" / "000").rglob("*") if path.is_file()]
    assert any(path.suffix == ".safetensors" for path in files)
    assert {path.stat().st_mode & 0o777 for path in files} == {mode}


@pytest.fixture
def small_disk(tmp_path):
    """A function: a file system of so many kilobytes."""
    disks = []

    def mounted(kilobytes: int):
        disk = tmp_path / f"disk-{kilobytes}"
        disk.mkdir()
        asked = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "caref-test", str(disk)]
        done = subprocess.run(asked, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
        disks.append(disk)
        return disk

    yield mounted
    for disk in disks:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_is_kept_is_neither_written_again_nor_asked_room_for(run, capsys, tmp_path):
    line = ("model=tiny_t5", "train.save=true", "splits=0:2")
    _, cell = run(*line)
    before = {path: path.stat().st_mtime_ns for path in (cell / "trained").rglob("*")}
    capsys.readouterr()
    run(*line, "evidence=quick")
    told = capsys.readouterr().err
    assert "split 0 trained again, as it is recorded, and its evidence kept" in told
    assert {path: path.stat().st_mtime_ns for path in (cell / "trained").rglob("*")} == before
    saving.check_room(cell / "trained", [0, 1], 10**15)
    with pytest.raises(UserError, match="the trained parts of 1 split take about"):
        saving.check_room(cell / "trained", [0, 1, 2], 10**15)


def test_weights_that_do_not_fit_the_disk_are_refused_before_the_training(composed, small_disk):
    disk = small_disk(3000)
    line = (*SMALL, "model=tiny_t5", "peft=base", f"results_dir={disk}")
    with pytest.raises(
        UserError, match=r"train\.save=true: the trained parts of 3 splits take about .* MB, and .* free"
    ):
        jobs.run(composed(*line, "splits=0:3", "train.save=true"))
    assert not list(disk.rglob("*.json")) and not list(disk.rglob("*.safetensors"))
    assert set(jobs.run(composed(*line, "splits=0:3"))) == {0, 1, 2}


def test_a_disk_that_fills_while_a_part_is_saved_stops_the_job_and_keeps_the_record(composed, small_disk, monkeypatch):
    from caref.running import saving

    disk = small_disk(1200)
    monkeypatch.setattr(saving, "check_room", lambda *_: None)  # as where another fills the disk after the look at it
    (disk / "other").write_bytes(b"x" * 1_000_000)
    job = composed(*SMALL, "model=tiny_t5", "peft=base", f"results_dir={disk}", "splits=0:3", "train.save=true")
    monkeypatch.setattr(plans, "check_writable", lambda *_: None)
    with pytest.raises(
        UserError, match=r"train\.save=true: .*/000 cannot be written \(the disk is full\); the job stops"
    ):
        jobs.run(job)
    (cell,) = store.cells(disk)
    assert set(cell.records) == {0} and not cell.failed
    assert not list(disk.rglob("*.tmp")) and not list(disk.rglob("*.safetensors"))


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_nothing_of_an_interrupted_save_stays(tmp_path, ending):
    def save(folder):
        (folder / "trained.safetensors").write_bytes(b"half")
        raise ending

    with pytest.raises(ending):
        saving.keep(tmp_path / "trained", 3, save)
    assert not list((tmp_path / "trained").iterdir())


def test_what_a_killed_save_left_is_swept_when_the_cell_is_worked_on_again(run):
    """Its folder, and the files of killed writes of evidence: it ended every later run of the cell."""
    _, cell = run("model=tiny_t5", "splits=0")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    name = f".003.{socket.gethostname()}-{gone.pid}.tmp"
    half = cell / "trained" / name
    half.mkdir(parents=True)
    (half / "trained.safetensors").write_bytes(b"half")
    (cell / "evidence" / "01234567").mkdir(parents=True)
    (cell / "evidence" / "01234567" / name).write_bytes(b"half")
    run("model=tiny_t5", "splits=0:2", "train.save=true")
    assert sorted(path.name for path in (cell / "trained").iterdir()) == ["000", "001"]
    assert not list((cell / "evidence" / "01234567").iterdir())
