"""Evidence with a job and added later: it changes no record, is asked once, and is never added to another model's."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from caref.errors import SplitFailed, UserError
from caref.evidence.probe import Evidence
from caref.results import evidence, store
from caref.running import finished, forecast, jobs
from caref.running.inquiry import Inquiry

SMALL = (
    "model=tiny_t5",
    "source=demo",
    "dataset.eval_size=6",
    "dataset.train_size=6",
    "train.epochs=1",
    "train.precision=fp32",
    "evaluation.max_new_tokens=6",
)
ASKED = ("evidence=full", "evidence.examples=4", "evidence.attributions=[saliency,human,random]")
FEW = ("evidence.examples=4",)
MAMBA = (
    "model=tiny_llama",
    "model.config.model_type=mamba",
    *(f"~model.config.{key}" for key in ("max_position_embeddings", "num_attention_heads", "num_key_value_heads")),
    "peft=base",
)


@pytest.fixture
def run(composed, tmp_path):
    """A function: run a small job of these overrides; its cell's folder, and the part `evidence` of its values."""

    def run_job(*overrides: str, results: str = "results") -> tuple[Path, dict]:
        job = composed(*SMALL, f"results_dir={tmp_path / results}", *overrides)
        jobs.run(job)
        planned = jobs.plan(job)
        return planned.cell, planned.values["evidence"]

    run_job.results = tmp_path / "results"
    return run_job


def of_cell(cell: Path) -> dict[str, bytes]:
    """Records and predictions, byte for byte."""
    return {
        str(path.relative_to(cell)): path.read_bytes()
        for part in ("splits", "predictions")
        for path in (cell / part).iterdir()
    }


def of_evidence(cell: Path) -> dict[str, bytes]:
    """All evidence, byte for byte, without what differs from run to run."""
    (folder,) = (cell / "evidence").iterdir()
    told = {path.name: path.read_bytes() for path in folder.glob("*.gz")}
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        told[path.name] = json.dumps({key: record[key] for key in record if key not in ("run", "checksum")}).encode()
    return told


def material(cell: Path) -> dict[str, bytes]:
    """`of_cell` without what differs from run to run."""
    told = {name: content for name, content in of_cell(cell).items() if name.endswith(".gz")}
    for path in (cell / "splits").iterdir():
        record = json.loads(path.read_text())
        told[path.name] = json.dumps({key: record[key] for key in record if key not in ("run", "checksum")}).encode()
    return told


def test_it_changes_neither_signature_nor_record_and_added_later_it_is_the_same(run):
    plain, _ = run("splits=0:3", results="plain")
    at_once, _ = run("splits=0:3", *ASKED, results="at_once")
    assert plain.name == at_once.name
    assert material(plain) == material(at_once) and not (plain / "evidence").exists()
    before = of_cell(plain)
    later, asked = run("splits=0:3", *ASKED, results="plain")
    assert later == plain and of_cell(plain) == before
    assert of_evidence(plain) == of_evidence(at_once)
    assert sorted(evidence.of_cell(plain)[0].records) == [0, 1, 2]
    assert {"calibration.ece", "erasure.saliency.tau", "alignment.saliency.f1", "mention.phi"} <= set(
        evidence.read_split(evidence.folder_of(plain, asked), 0)["scores"]
    )


def test_a_packs_evidence_is_kept_split_by_split(run):
    alone, _ = run("splits=0:3", *ASKED, "pack=1", results="alone")
    packed, _ = run("splits=0:3", *ASKED, "pack=3", results="packed")
    assert material(alone) == material(packed)
    ours, theirs = (evidence.of_cell(cell)[0].records for cell in (alone, packed))
    for split in range(3):
        for name, value in ours[split]["scores"].items():
            expected = None if value is None else pytest.approx(value, rel=1e-3, abs=1e-3)
            assert theirs[split]["scores"][name] == expected, name


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
    assert "001.jsonl.gz" in capsys.readouterr().out
    assert of_evidence(cell) == whole
    assert (folder / "002.json").stat().st_mtime_ns == times[folder / "002.json"]


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama", "tiny_gpt2", "tiny_bart"))
def test_whatever_is_asked_comes_out_in_bfloat16_too(model, run):
    """What a job chooses by itself where the processor has it: weights in bfloat16, what is trained in float32."""
    cell, asked = run(f"model={model}", "peft=lora_r4", "splits=0", "train.precision=bf16", "evidence=full", *FEW)
    scores = evidence.read_split(evidence.folder_of(cell, asked), 0)["scores"]
    for name in (
        *("calibration.ece", "erasure.attention.tau", "erasure.leave_one_out.comprehensiveness"),
        "consistency.saliency.by_words",
    ):
        assert scores[name] is not None, name


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
    for epochs in ("[0,1,3]", "[0,1]"):
        asking = SimpleNamespace(
            job=composed(*SMALL[:3], "train.epochs=3", "evidence=quick", f"evidence.epochs={epochs}")
        )
        found = Inquiry.with_epochs(asking, {0: of[0], 1: of[1]}, of[2])
        assert [one.run["seconds"]["evidence"] for one in found] == [21, 42]
        assert list(found[0].by_epoch) == ["0", "1", "3"][: len(found[0].by_epoch)]


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


def test_another_question_is_kept_beside_the_first(run):
    cell, _ = run("splits=0", *ASKED)
    run("splits=0", "evidence=quick")
    found = {tuple(one.asked["measures"]): one for one in evidence.of_cell(cell)}
    assert set(found) == {
        ("calibration", "coupling"),
        ("calibration", "coupling", "agreement", "mention", "erasure", "alignment", "consistency", "skewness"),
    }


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


def test_what_cannot_be_had_is_refused_before_any_training(run, tmp_path):
    with pytest.raises(UserError, match="no attention that could be read"):
        run(*MAMBA, "splits=0", "evidence=full")
    assert not list(tmp_path.glob("results/*/splits/*"))
    cell, _ = run(*MAMBA, "splits=0", *ASKED)
    assert evidence.of_cell(cell)[0].records[0]["scores"]["erasure.saliency.flips"] is not None


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["evidence=quick", "evidence.measures=[calibratoin]"],
            "there is no calibratoin; choose of agreement, alignment, calibration",
        ),
        (["evidence=full", "evidence.attributions=[shap]"], "there is no shap; choose of attention"),
        (["evidence.attributions=[saliency]"], "no measure looks at them"),
        (["evidence=full", "evidence.removal=hide"], "evidence.removal=hide: must be one of delete, mask"),
        (["evidence=full", "evidence.examples=0"], "evidence.examples=0: must be at least 1"),
        (["evidence=quick", "evidence.epochs=[0,2]"], "evidence.epochs=[0, 2]: there is no epoch 2: 0 is before the"),
        (["evidence=quick", "evidence.epochs=[-1]"], "there is no epoch -1"),
        (["evidence=quick", "evidence.epochs=[1,0,1]"], "must ascend, each once: [0, 1]"),
        (["evidence.epochs=[0]"], "nothing is measured then; choose evidence=quick"),
    ],
)
def test_what_is_no_question_is_refused(composed, overrides, told):
    with pytest.raises(UserError) as refusal:
        jobs.plan(composed(*SMALL, *overrides))
    assert told in str(refusal.value)


def test_a_split_without_its_evidence_is_left_to_do(run, composed, tmp_path):
    run("splits=0:2", *ASKED)
    job = composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:3", *ASKED)
    assert finished.left(jobs.plan(job)) == [2]
    other = composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:3", "evidence=quick")
    assert finished.left(jobs.plan(other)) == [0, 1, 2]


def test_a_forecast_holds_what_evidence_takes_or_says_that_nobody_knows(run, composed, tmp_path):
    cell, asked = run("splits=0:2", *ASKED)
    trained, looked = (
        [sum(read(folder, split)["run"]["seconds"].values()) for split in (0, 1)]
        for read, folder in ((store.read_record, cell), (evidence.read_split, evidence.folder_of(cell, asked)))
    )

    def told(*overrides: str) -> tuple[forecast.Times, str]:
        planned = jobs.plan(composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:60", *overrides))
        times = forecast.Times({planned.signature: planned}, {planned.signature: store.finished(planned.cell)})
        line = forecast.told([planned]).splitlines()[-1]
        assert ("evidence takes for 60 of them, which no record tells" in line) == ("evidence=quick" in overrides)
        return times, planned.signature

    for overrides, expected in ((ASKED, sum(looked) / 2), ((), 0.0), (("evidence=quick",), None)):
        times, signature = told(*overrides)
        assert times.of(signature) == pytest.approx(sum(trained) / 2)
        assert times.of_evidence(signature) == (None if expected is None else pytest.approx(expected))
