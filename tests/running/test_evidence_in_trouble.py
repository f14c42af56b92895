"""Evidence that is damaged, goes wrong or is of another training: it is asked again, and costs no record."""

import pytest
from small_evidence import ASKED, SMALL, material, of_cell, of_evidence, small_run  # noqa: F401 - the last is a fixture

from caref.errors import SplitFailed
from caref.results import evidence, store
from caref.running import finished, jobs


def test_what_is_there_is_not_asked_again_and_what_is_gone_or_damaged_is(run, capsys):
    cell, asked = run("splits=0:3", *ASKED)
    folder = evidence.folder_of(cell, asked)
    whole, times = of_evidence(cell), {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    run("splits=0:3", *ASKED)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    (folder / "000.json").unlink()  # killed between the rows and the scores
    (folder / "001.jsonl.gz").write_bytes(b"cut")
    capsys.readouterr()
    run("splits=0:3", *ASKED)
    assert capsys.readouterr().out.count("001.jsonl.gz") == 1
    assert (folder / "001.jsonl.gz.damaged").read_bytes() == b"cut"
    assert of_evidence(cell) == whole
    assert (folder / "002.json").stat().st_mtime_ns == times[folder / "002.json"]


@pytest.mark.parametrize("gone", ["damaged", "removed"])
def test_evidence_and_weights_of_a_record_that_is_gone_are_not_the_next_ones(run, composed, tmp_path, capsys, gone):
    """The next training may come to other predictions: on another device, with other libraries."""
    cell, asked = run("splits=0:2", *ASKED, "train.save=true")
    folder, path = evidence.folder_of(cell, asked), cell / "splits" / "000.json"
    before = (folder / "000.json").read_bytes(), of_evidence(cell)
    path.write_bytes(b"{") if gone == "damaged" else path.unlink()
    capsys.readouterr()
    run("splits=0:2")
    assert "split 0 has no record: its evidence and trained part set aside" in capsys.readouterr().out
    assert sorted(evidence.of_cell(cell)[0].records) == [1] and (folder / "000.json.stale").read_bytes() == before[0]
    assert [one.name for one in sorted((cell / "trained").iterdir())] == ["000.stale", "001"]
    job = composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:2", *ASKED)
    assert finished.left(jobs.plan(job)) == [0]
    run("splits=0:2", *ASKED)
    assert of_evidence(cell) == before[1]


def test_a_model_that_does_not_write_what_is_recorded_gets_nothing(run, composed, tmp_path):
    cell, _ = run("splits=0:2")
    record, predictions = store.read_record(cell, 1), store.read_predictions(cell, 1)
    predictions[0]["generation"] += " of another machine"
    store.write_split(cell, {}, record, predictions)
    before = of_cell(cell)
    with pytest.raises(SplitFailed, match="1 of 2 splits failed - split 1: "):
        run("splits=0:2", *ASKED)
    assert of_cell(cell) == before
    assert sorted(evidence.of_cell(cell)[0].records) == [0] and store.read_cell(cell).failed == {}


def test_the_rest_of_a_pack_gets_its_evidence_when_one_split_fails(run):
    cell, _ = run("splits=0:3")
    record, predictions = store.read_record(cell, 1), store.read_predictions(cell, 1)
    predictions[0]["generation"] += " of another machine"
    store.write_split(cell, {}, record, predictions)
    with pytest.raises(SplitFailed, match="1 of 3 splits failed"):
        run("splits=0:3", *ASKED, "pack=3")
    assert sorted(evidence.of_cell(cell)[0].records) == [0, 2]


@pytest.mark.parametrize("pack", (1, 2))
def test_evidence_that_goes_wrong_costs_no_record_and_is_asked_again(run, monkeypatch, pack):
    from caref.evidence.measures import coupling

    measure, asked = coupling.measure, []

    def fails_on_the_second(reading):
        asked.append(len(reading.splits))
        if asked.count(1) == 3 or 2 in asked[-1:]:  # the trial before the job is the first
            raise RuntimeError("no room left")
        return measure(reading)

    monkeypatch.setattr(coupling, "measure", fails_on_the_second)
    line = ("splits=0:2", "evidence=quick", f"pack={pack}")
    with pytest.raises(SplitFailed, match=r"1 of 2 splits failed - split 1: its record is kept; .* no room left"):
        run(*line)
    monkeypatch.undo()
    (cell,) = run.results.iterdir()
    assert sorted(store.read_cell(cell).records) == [0, 1] and store.read_cell(cell).failed == {}
    before = of_cell(cell)
    run(*line)
    assert of_cell(cell) == before and sorted(evidence.of_cell(cell)[0].records) == [0, 1]


def test_evidence_that_cannot_be_read_stops_no_other_split_and_is_left_as_it_is(run):
    cell, asked = run("splits=0:2", *ASKED)
    folder = evidence.folder_of(cell, asked)
    (folder / "001.json").unlink()
    (folder / "001.json").symlink_to("001.json")  # ELOOP, whoever reads it
    with pytest.raises(SplitFailed, match=r"1 of 3 splits failed - split 1: .*001\.json: cannot be read"):
        run("splits=0:3", *ASKED)
    assert (folder / "002.json").exists() and (folder / "001.json").is_symlink()


@pytest.mark.parametrize("pack", (1, 2))
def test_evidence_that_is_short_of_memory_asks_less_at_a_time_and_trains_nothing_again(run, monkeypatch, capsys, pack):
    from caref import training
    from caref.evidence.measures import coupling

    measure, fit, trained = coupling.measure, training.fit, []

    def short(reading):
        if min(reading.batch_size, len(reading.splits[0])) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return measure(reading)

    line = ("splits=0:2", "evidence=quick", f"pack={pack}", "evaluation.batch_size=8")
    wide, asked = run(*line, results="wide")
    monkeypatch.setattr(coupling, "measure", short)
    monkeypatch.setattr(training, "fit", lambda *a, **k: trained.append(a) or fit(*a, **k))
    cell, _ = run(*line, results="short")
    told = capsys.readouterr().err
    assert "evidence: not enough memory; going on with 2 questions of a split at a time" in told
    assert len(trained) == 2 // pack and material(cell) == material(wide)
    for split in range(2):
        ours, theirs = (evidence.read_split(evidence.folder_of(one, asked), split)["scores"] for one in (cell, wide))
        for name, value in theirs.items():
            assert ours[name] == (None if value is None else pytest.approx(value, rel=1e-4, abs=1e-4)), name
