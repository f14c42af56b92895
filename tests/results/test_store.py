"""A record is whole or absent, and a damaged or unreadable one is named."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from caref.errors import UserError
from caref.results import records, store, writing

CONFIG = {
    "fingerprint": "f",
    "model": {"name": "tiny"},
    "peft": {"method": "full"},
    "dataset": {"name": "esnli"},
    "reg": {"term": "cross_entropy"},
    "bertscore": {"layer": 6},
    "train": {"epochs": 1},
    "evaluation": {"batch_size": 4},
}
PREDICTIONS = [{"id": "a", "answer": "neutral"}, {"id": "b", "answer": "größer"}]


def record(split: int = 3) -> dict:
    return {"split": split, "seed": 9428, "scores": {"accuracy": 50.0}}


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """A crash of the machine leaves the old content or the new, never an empty file: flushed, then renamed."""
    done = []
    flush, rename = os.fsync, os.replace

    def flushed(descriptor):
        done.append(("flushed", os.readlink(f"/proc/self/fd/{descriptor}"), os.fstat(descriptor).st_size))
        flush(descriptor)

    def renamed(old, new):
        done.append(("renamed", str(old), str(new)))
        rename(old, new)

    monkeypatch.setattr(writing.os, "fsync", flushed)
    monkeypatch.setattr(writing.os, "replace", renamed)
    writing.write_atomically(tmp_path / "record.json", b"content")
    (first, temporary, size), (second, old, new) = done
    assert (first, size, second, old, new) == ("flushed", 7, "renamed", temporary, str(tmp_path / "record.json"))
    done.clear()
    store.write_split(tmp_path / "sig", CONFIG, record(), PREDICTIONS)
    assert [what for what, *_ in done] == ["flushed", "renamed"] * 3  # config.yaml, predictions, record
    assert [Path(new).name for what, _, new in done if what == "renamed"][-1] == "003.json"


def test_what_was_written_is_read_back(tmp_path):
    written = store.write_split(tmp_path / "sig", CONFIG, record(), PREDICTIONS)
    assert store.read_record(tmp_path / "sig", 3)["scores"] == {"accuracy": 50.0}
    assert store.read_predictions(tmp_path / "sig", 3) == PREDICTIONS
    (cell,) = store.cells(tmp_path)
    assert (cell.signature, cell.config, cell.failed, cell.damaged) == ("sig", CONFIG, {}, [])
    assert cell.records[3]["predictions_sha256"] == written["predictions_sha256"]


def test_a_split_that_never_ran_has_no_record(tmp_path):
    assert store.read_record(tmp_path / "sig", 3) is None


def test_the_same_record_is_the_same_bytes_whenever_it_is_written(tmp_path):
    for name in ("one", "two"):
        store.write_split(tmp_path / name, CONFIG, record(), PREDICTIONS)
        time.sleep(1.1 if name == "one" else 0)  # gzip keeps whole seconds
    for path in ("config.yaml", "splits/003.json", "predictions/003.jsonl.gz"):
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


@pytest.mark.parametrize("path", ["splits/003.json", "predictions/003.jsonl.gz"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_damage_is_named_and_set_aside(tmp_path, path, damage):
    store.write_split(tmp_path / "sig", CONFIG, record(), PREDICTIONS)
    file = tmp_path / "sig" / path
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(
        {
            "truncated": content[:middle],
            "altered": content.replace(b"5", b"6", 1) if b"5" in content else b"x",
            "empty": b"",
        }[damage]
    )
    with pytest.raises(store.Damaged, match=file.name):
        store.read_record(tmp_path / "sig", 3)
    store.set_aside(tmp_path / "sig", 3)
    assert store.read_record(tmp_path / "sig", 3) is None
    assert list(file.parent.glob("*.damaged"))


def test_a_damaged_record_is_named_among_its_cells(tmp_path):
    store.write_split(tmp_path / "sig", CONFIG, record(3), PREDICTIONS)
    store.write_split(tmp_path / "sig", CONFIG, record(4), PREDICTIONS)
    (tmp_path / "sig" / "splits" / "003.json").write_text("{")
    (cell,) = store.cells(tmp_path)
    assert set(cell.records) == {4}
    assert len(cell.damaged) == 1 and "003.json" in cell.damaged[0]


@pytest.mark.parametrize("name", ["0123456789ab_backup", "Copy of 0123456789ab", "zz 0123456789ab"])
def test_a_copied_cell_is_named_and_counts_once(tmp_path, name):
    for split in (3, 4):
        store.write_split(tmp_path / "0123456789ab", CONFIG, record(split), PREDICTIONS)
    shutil.copytree(tmp_path / "0123456789ab", tmp_path / name)
    store.write_split(tmp_path / "0123456789ab", CONFIG, record(5), PREDICTIONS)  # the cell goes on, its copy does not
    (cell,) = store.cells(tmp_path)
    assert cell.signature == "0123456789ab" and set(cell.records) == {3, 4, 5}
    assert cell.unread == [f"{tmp_path / name}: a copy, not counted; keep it in another folder"]


def test_cells_of_other_configurations_or_other_records_are_no_copies(tmp_path):
    store.write_split(tmp_path / "one", CONFIG, record(3), PREDICTIONS)
    store.write_split(tmp_path / "two", {**CONFIG, "fingerprint": "other"}, record(3), PREDICTIONS)
    store.write_split(tmp_path / "three", CONFIG, record(4), PREDICTIONS)
    assert [(cell.signature, cell.unread) for cell in store.cells(tmp_path)] == [
        ("one", []),
        ("three", []),
        ("two", []),
    ]


def test_a_record_under_another_splits_name_is_damage(tmp_path):
    store.write_split(tmp_path / "sig", CONFIG, record(3), PREDICTIONS)
    os.rename(tmp_path / "sig" / "splits" / "003.json", tmp_path / "sig" / "splits" / "004.json")
    with pytest.raises(store.Damaged, match="split 3"):
        store.read_record(tmp_path / "sig", 4)


def test_a_failure_note_goes_when_the_split_is_finished(tmp_path):
    store.write_failure(tmp_path / "sig", CONFIG, 3, 9428, "step 7: loss nan")
    (cell,) = store.cells(tmp_path)
    assert cell.failed[3]["error"] == "step 7: loss nan"
    store.write_split(tmp_path / "sig", CONFIG, record(), PREDICTIONS)
    (cell,) = store.cells(tmp_path)
    assert cell.failed == {} and 3 in cell.records


def test_a_record_that_goes_while_a_cell_is_read_is_left_out(tmp_path):
    store.write_split(tmp_path / "sig", CONFIG, record(), PREDICTIONS)
    (tmp_path / "sig" / "splits" / "004.json").symlink_to(tmp_path / "gone")  # listed, and not there to be opened
    (cell,) = store.cells(tmp_path)
    assert set(cell.records) == {3} and not cell.damaged


def withhold(file) -> Path:
    """Make reading a file fail with EIO, as a network's file system does; returns where its content is meanwhile."""
    kept = file.with_suffix(".kept")
    file.rename(kept)
    file.symlink_to("/proc/self/mem")
    return kept


@pytest.mark.parametrize("path", ["splits/003.json", "predictions/003.jsonl.gz", "config.yaml"])
def test_a_read_error_that_passes_is_not_noticed(tmp_path, path, monkeypatch):
    store.write_split(tmp_path / "sig", CONFIG, record(), PREDICTIONS)
    file = tmp_path / "sig" / path
    kept = withhold(file)
    pauses = []

    def meanwhile(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            os.replace(kept, file)

    monkeypatch.setattr(records.time, "sleep", meanwhile)
    if path == "config.yaml":
        (cell,) = store.cells(tmp_path)
        assert cell.config == CONFIG and not cell.unread
    else:
        assert store.read_record(tmp_path / "sig", 3)["seed"] == 9428
        assert store.read_predictions(tmp_path / "sig", 3) == PREDICTIONS
    assert len(pauses) == 2 and sum(pauses) < 1


@pytest.mark.parametrize("path", ["splits/003.json", "predictions/003.jsonl.gz"])
def test_a_read_error_that_lasts_is_told_and_nothing_is_moved(tmp_path, path):
    store.write_split(tmp_path / "sig", CONFIG, record(), PREDICTIONS)
    store.write_split(tmp_path / "sig", CONFIG, record(4), PREDICTIONS)
    file = tmp_path / "sig" / path
    withhold(file)
    with pytest.raises(store.Unreadable, match=rf"{file}: cannot be read \(Input/output error\)"):
        store.read_record(tmp_path / "sig", 3)
    (cell,) = store.cells(tmp_path)
    if "splits" in path:
        assert set(cell.records) == {4} and len(cell.unread) == 1 and str(file) in cell.unread[0]
    assert not cell.damaged and file.is_symlink()


def test_what_no_wait_mends_is_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.setattr(records.time, "sleep", lambda seconds: pytest.fail("waited"))
    for path in (tmp_path / "loop", tmp_path):
        with pytest.raises(store.Unreadable):
            records.read(path)


def test_what_may_not_be_read_is_told_and_nothing_is_moved(tmp_path):
    """As another user: the superuser may read everything."""
    store.write_split(tmp_path / "sig", CONFIG, record(), PREDICTIONS)
    file = tmp_path / "sig" / "splits" / "003.json"
    file.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    child = os.fork()
    if not child:
        with suppress(BaseException):
            if os.getuid() == 0:
                os.setuid(65534)
            (cell,) = store.cells(tmp_path)
            if cell.records == {} and not cell.damaged and "Permission denied" in cell.unread[0]:
                os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    file.chmod(0o644)
    assert store.read_record(tmp_path / "sig", 3) is not None


def test_a_results_folder_that_cannot_be_is_refused_without_trace(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="results_dir="):
        writing.check_writable(tmp_path / "file" / "results")
    writing.check_writable(tmp_path / "a" / "b")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize("leads_to", ["itself", "nowhere"])
def test_a_results_folder_that_is_a_link_to_nowhere_is_refused(tmp_path, leads_to):
    link = tmp_path / "link"
    link.symlink_to(link if leads_to == "itself" else tmp_path / "gone")
    for folder in (link, link / "results"):
        with pytest.raises(UserError, match=r"results_dir=.*link .*/link leads nowhere"):
            writing.check_writable(folder)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "caref-test", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_refused_before_and_leaves_nothing_half_written_after(small_disk):
    with pytest.raises(UserError, match="kB free"):
        writing.check_writable(small_disk / "results")
    store.write_split(small_disk / "sig", CONFIG, record(3), PREDICTIONS)
    incompressible = [{"id": os.urandom(300_000).hex()}]
    with pytest.raises(UserError, match="the disk is full"):
        store.write_split(small_disk / "sig", CONFIG, record(4), incompressible)
    assert store.read_record(small_disk / "sig", 3) is not None
    assert store.read_record(small_disk / "sig", 4) is None
    assert not list(small_disk.rglob("*.tmp"))


def test_a_missing_results_folder_is_said_so(tmp_path):
    with pytest.raises(UserError, match="no such results folder"):
        store.cells(tmp_path / "none")
