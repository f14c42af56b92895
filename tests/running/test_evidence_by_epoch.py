"""Evidence amid a training: it moves nothing of it, and its scores stand beside those of the end."""

from types import SimpleNamespace

import pytest
from small_evidence import SMALL, material, of_evidence, small_run  # noqa: F401 - the last is a fixture

from caref.errors import SplitFailed
from caref.evidence.probe import Evidence
from caref.results import evidence
from caref.running.inquiry import Inquiry

TRAINED = ("train.epochs=3", "train.save=true", "model.dropout=0.1")
BY_EPOCH = (
    "evidence=full",
    "evidence.epochs=[0,1,3]",
    "evidence.examples=3",
    "evidence.measures=[calibration,mention,skewness]",
    "evidence.attributions=[attention,saliency,prompting_untrained]",
)


def test_the_time_of_all_epochs_is_what_evidence_took(composed):
    """By it dry_run tells the hours."""
    of = [
        [Evidence({}, [], [], {"seconds": {"evidence": taken}}) for taken in both]
        for both in ((1, 2), (4, 8), (16, 32))
    ]
    for epochs, told in (("[0,1,3]", ["0", "1", "3"]), ("[0,1]", ["0", "1"])):
        asking = SimpleNamespace(
            job=composed(*SMALL[:3], "train.epochs=3", "evidence=quick", f"evidence.epochs={epochs}")
        )
        found = Inquiry.with_epochs(asking, {0: of[0], 1: of[1]}, of[2])
        assert [one.run["seconds"]["evidence"] for one in found] == [21, 42]
        assert list(found[0].by_epoch) == told


@pytest.mark.parametrize(
    ("model", "peft"),
    [("tiny_t5", "base"), ("tiny_t5", "adalora"), ("tiny_llama", "aq"), ("tiny_bart", "base"), ("tiny_gpt2", "base")],
)
def test_looking_at_epochs_moves_neither_weights_nor_records(model, peft, run):
    line = (f"model={model}", f"peft={peft}", "splits=0", *TRAINED)
    plain, _ = run(*line, results="plain")
    cell, part = run(*line, *BY_EPOCH, results="looked")
    assert cell.name == plain.name and material(cell) == material(plain)
    weights = [sorted((one / "trained").rglob("*.safetensors")) for one in (plain, cell)]
    assert [path.read_bytes() for path in weights[0]] == [path.read_bytes() for path in weights[1]] != []
    record = evidence.read_split(evidence.folder_of(cell, part), 0)
    assert list(record["by_epoch"]) == ["0", "1", "3"] and record["by_epoch"]["3"] == record["scores"]
    assert record["by_epoch"]["0"] != record["by_epoch"]["1"] != record["scores"]
    later, _ = run(*line, *BY_EPOCH, results="plain")
    assert of_evidence(later) == of_evidence(cell)


def test_a_packs_epochs_are_those_of_each_split_alone(run):
    line = ("splits=0:2", *TRAINED, *BY_EPOCH)
    alone, _ = run(*line, "pack=1", results="alone")
    packed, _ = run(*line, "pack=2", results="packed")
    assert material(alone) == material(packed)
    ours, theirs = (evidence.of_cell(cell)[0].records for cell in (alone, packed))
    for split in range(2):
        for epoch, scores in ours[split]["by_epoch"].items():
            expected = {name: value and pytest.approx(value, rel=1e-3, abs=1e-3) for name, value in scores.items()}
            assert theirs[split]["by_epoch"][epoch] == expected


def test_a_training_that_has_failed_is_not_looked_at(run):
    with pytest.raises(SplitFailed, match="2 of 2 splits failed"):
        run("splits=0:2", *TRAINED, *BY_EPOCH, "train.lr=1e30", "pack=2")


def test_evidence_that_goes_wrong_amid_a_training_costs_no_record(run, monkeypatch):
    from caref.evidence.measures import calibration

    measure, asked = calibration.measure, []

    def fails_at_an_epoch(reading):
        asked.append(reading)
        if len(asked) == 3:  # the trial before the job is the first, epoch 0 of split 0 the second
            raise RuntimeError("no room left")
        return measure(reading)

    line = ("splits=0:2", *TRAINED, *BY_EPOCH, "evidence.measures=[calibration]", "evidence.attributions=[]")
    plain, _ = run("splits=0:2", *TRAINED, results="plain")
    monkeypatch.setattr(calibration, "measure", fails_at_an_epoch)
    with pytest.raises(SplitFailed, match=r"1 of 2 splits failed - split 0: its record is kept; .* no room left"):
        run(*line)
    monkeypatch.undo()
    (cell,) = run.results.iterdir()
    assert material(cell) == material(plain) and sorted(evidence.of_cell(cell)[0].records) == [1]
    run(*line)
    assert sorted(evidence.of_cell(cell)[0].records) == [0, 1]
