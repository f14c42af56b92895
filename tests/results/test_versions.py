"""Records of every version there has been are read for ever; each folder of versions/ was written by that version."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from caref.analysis.every_cell import lines
from caref.report.files import write
from caref.report.tables import job_table, sweep_table
from caref.results import evidence, records, store

VERSIONS = sorted((Path(__file__).parent / "versions").iterdir())
SIGNATURE = next(VERSIONS[-1].iterdir()).name


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_record_of_each_version_is_intact_and_shown(version, tmp_path):
    shutil.copytree(version, tmp_path / "results")
    (cell,) = store.cells(tmp_path / "results")
    assert (set(cell.records), cell.damaged, cell.unread) == ({0, 1}, [], [])
    record = store.read_record(tmp_path / "results" / cell.signature, 0)
    assert (record["seed"], record["counts"]["trainable"], record["run"]["precision"]) == (7004, 4096, "bfloat16")
    assert len(store.read_predictions(tmp_path / "results" / cell.signature, 0)) == 3
    (line,) = lines([cell])
    assert (line.model, line.dataset, line.peft, line.n, line.source) == ("tiny T5", "e-SNLI", "AQ", 2, "demo")
    assert line.summaries["broken"].mean == 100.0 and not line.warnings
    assert write(tmp_path / "results", tmp_path / "report")
    assert "tiny T5" in (tmp_path / "report" / "report.md").read_text()


def test_evidence_of_each_version_that_had_any_is_intact_and_shown(tmp_path):
    (version,) = (one for one in VERSIONS if any(one.glob("*/evidence")))
    shutil.copytree(version, tmp_path / "results")
    (found,) = evidence.of_cell(next((tmp_path / "results").iterdir()))
    assert (set(found.records), found.damaged, found.unread) == ({0, 1}, [], [])
    assert found.records[0]["scores"]["calibration.temperature"] == pytest.approx(6.537881331)
    write(tmp_path / "results", tmp_path / "report")
    assert "calibration.temperature" in (tmp_path / "report" / "evidence.csv").read_text()


@pytest.fixture
def folder(tmp_path) -> Path:
    """A results folder with one cell of the last version, without its evidence, whose figures take seconds."""
    return Path(shutil.copytree(VERSIONS[-1], tmp_path / "results", ignore=shutil.ignore_patterns("evidence")))


def rewritten(cell: Path, split: int, change) -> None:
    """A record as another version may have written it: changed, and sealed again."""
    path = cell / "splits" / f"{split:03d}.json"
    record = records.parse(path, path.read_bytes())
    change(record)
    path.write_bytes(records.sealed(record))


@pytest.mark.parametrize(
    "field", ["scores", "training", "counts", "run", "source", "fingerprint", "seed", "status", "predictions_sha256"]
)
@pytest.mark.parametrize("other", ["missing", None, [], "text", 7], ids=str)
def test_a_record_that_lacks_a_field_is_read_as_far_as_it_goes(folder, tmp_path, field, other):
    def change(record):
        record.pop(field)
        if other != "missing":
            record[field] = other

    rewritten(folder / SIGNATURE, 1, change)
    (cell,) = store.cells(folder)
    assert set(cell.records) == {0, 1}
    assert write(folder, tmp_path / "report")
    assert "splits" in job_table(cell.records) and SIGNATURE in sweep_table([cell])


def test_a_record_may_hold_what_this_version_does_not_know(folder):
    rewritten(folder / SIGNATURE, 1, lambda record: record.update(protocol="next", scores={"next": 1.5}))
    assert store.read_record(folder / SIGNATURE, 1)["scores"] == {"next": 1.5}


@pytest.mark.parametrize("part", ["model", "peft", "dataset", "reg", "bertscore", "train", "evaluation", "fingerprint"])
@pytest.mark.parametrize("other", ["missing", None, {}, {"next": 1}, "text"], ids=str)
def test_a_configuration_that_lacks_a_part_is_read_as_far_as_it_goes(folder, tmp_path, part, other):
    path = folder / SIGNATURE / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config.pop(part)
    path.write_text(yaml.safe_dump(config | ({} if other == "missing" else {part: other})))
    assert write(folder, tmp_path / "report")
    (cell,) = store.cells(folder)
    assert SIGNATURE in sweep_table([cell])
    naming = part in ("model", "peft", "dataset", "reg")
    assert [line for line in cell.unread if f"config.yaml: it does not say {part}." in line] == cell.unread
    assert len(cell.unread) == naming


@pytest.mark.parametrize("part", ["peft", "reg"])
def test_a_part_with_other_keys_is_called_by_what_it_says(folder, part):
    path = folder / SIGNATURE / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config[part] = {"peft": {"method": "lora", "rank": 9}, "reg": {"term": "sced", "gamma": 9}}[part]
    path.write_text(yaml.safe_dump(config))
    (line,) = lines(store.cells(folder))
    assert {"peft": line.peft, "reg": line.reg}[part] == {"peft": "lora rank=9", "reg": "sced gamma=9"}[part]


AMISS = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "broken": lambda path: path.write_text("model: {name: [tiny"),
    "no mapping": lambda path: path.write_text("- a\n- b\n"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00broken\x80"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a loop": lambda path: (path.unlink(), path.symlink_to(path)),
    "unreadable": lambda path: (path.unlink(), path.symlink_to("/proc/self/mem")),
}


@pytest.mark.parametrize("amiss", AMISS)
def test_a_cell_without_its_configuration_is_named_and_the_next_run_mends_it(folder, tmp_path, amiss):
    cell = folder / SIGNATURE
    path, config = cell / "config.yaml", yaml.safe_load((cell / "config.yaml").read_text())
    AMISS[amiss](path)
    write(folder, tmp_path / "report")
    shown = (tmp_path / "report" / "report.md").read_text()
    assert str(path) in shown and "a run of the same line mends it" in shown
    assert str(path) in sweep_table(store.cells(folder))
    store.describe(cell, config)
    (mended,) = store.cells(folder)
    assert mended.config == config and not mended.unread and set(mended.records) == {0, 1}


@pytest.mark.parametrize("note", ["null", "", "[1]", "[" * 100_000, '{"error": ' + "9" * 5000 + "}"], ids=len)
def test_a_note_of_a_failure_that_says_nothing_ends_no_report(folder, tmp_path, note):
    (folder / SIGNATURE / "failed").mkdir()
    (folder / SIGNATURE / "failed" / "005.json").write_text(note)
    write(folder, tmp_path / "report")
    shown = (tmp_path / "report" / "report.md").read_text()
    assert "failed: splits 5" in shown and "005.json: not whole" in shown


@pytest.mark.parametrize("content", ["[" * 100_000, '{"split": 1, "n": ' + "9" * 5000 + "}", '"\\ud800"'], ids=len)
def test_json_that_python_does_not_read_is_damage(folder, content):
    path = folder / SIGNATURE / "splits" / "001.json"
    path.write_text(content)
    with pytest.raises(store.Damaged, match=r"001\.json"):
        store.read_record(folder / SIGNATURE, 1)
    body = ("{" + f'\n "x": {content}' + "\n}").encode()
    path.write_bytes(b'{\n "checksum": "%s",' % records.digest(body).encode() + body[1:])
    with pytest.raises(store.Damaged, match=r"001\.json"):
        store.read_record(folder / SIGNATURE, 1)


def test_folders_that_cannot_be_read_or_are_no_cells_end_no_report(folder, tmp_path):
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "file").write_text(json.dumps(1))
    (folder / "notes").mkdir()
    (folder / "0123456789ab").mkdir()
    (folder / "0123456789ab" / "splits").symlink_to("splits")
    write(folder, tmp_path / "report")
    shown = (tmp_path / "report" / "report.md").read_text()
    assert "0123456789ab/splits: cannot be read" in shown and SIGNATURE in shown
