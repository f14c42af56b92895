"""Evidence with a job and added later: it changes no record, is asked once, and is never added to another model's."""

import pytest
from small_evidence import SMALL, material, of_cell, of_evidence, small_run  # noqa: F401 - the last is a fixture

from caref.analysis import evidence_compared
from caref.config import schema
from caref.errors import SplitFailed, UserError
from caref.results import evidence, records, store
from caref.running import finished, forecast, jobs

ASKED = ("evidence=full", "evidence.examples=4", "evidence.attributions=[saliency,human,random]")
FEW = ("evidence.examples=4",)
MAMBA = (
    "model=tiny_llama",
    "model.config.model_type=mamba",
    *(f"~model.config.{key}" for key in ("max_position_embeddings", "num_attention_heads", "num_key_value_heads")),
    "peft=base",
)


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


@pytest.mark.parametrize(
    ("model", "peft"), [("tiny_t5", "aq"), ("tiny_llama", "aq"), ("tiny_gpt2", "lora_r4"), ("tiny_bart", "base")]
)
def test_whatever_is_asked_comes_out_in_bfloat16_too(model, peft, run):
    """What a job chooses by itself where the processor has it: weights in bfloat16, what is trained in float32.

    An adapter of PEFT's takes either; a projection that is trained itself takes float32's alone.
    """
    cell, asked = run(f"model={model}", f"peft={peft}", "splits=0", "train.precision=bf16", "evidence=full", *FEW)
    scores = evidence.read_split(evidence.folder_of(cell, asked), 0)["scores"]
    for name in (
        *("calibration.ece", "erasure.attention.tau", "erasure.leave_one_out.comprehensiveness"),
        "consistency.saliency.by_words",
    ):
        assert scores[name] is not None, name


def test_another_question_is_kept_beside_the_first(run):
    cell, _ = run("splits=0", *ASKED)
    run("splits=0", "evidence=quick")
    found = {tuple(one.asked["measures"]): one for one in evidence.of_cell(cell)}
    assert set(found) == {
        ("calibration", "coupling"),
        ("calibration", "coupling", "agreement", "mention", "erasure", "alignment", "consistency", "skewness"),
    }


def test_how_students_learn_is_another_question_unless_it_is_the_usual(composed):
    """What was asked before students' rate and steps were keys is the question it was."""
    question = lambda *line: schema.plain(composed("evidence.measures=[simulatability]", *line))["evidence"]  # noqa: E731
    usual = question()
    before = {key: value for key, value in usual.items() if not key.startswith("student_")}
    others = [question("evidence.student_lr=0.1"), question("evidence.student_steps=5")]
    assert evidence.mark(before) == evidence.mark(usual)
    assert len({evidence.mark(one) for one in (usual, *others)}) == 3
    titles = [evidence_compared.Question(evidence.mark(one), evidence.described(one), [], []).title for one in others]
    assert ", student lr 0.1; question" in titles[0] and ", student steps 5; question" in titles[1]


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
        (["evidence=quick", "evidence.student_lr=0.1"], "evidence.student_lr=0.1: simulatability alone reads it"),
        (["evidence.student_steps=5"], "evidence.student_steps=5: simulatability alone reads it"),
        (["evidence.measures=[simulatability]", "evidence.student_lr=0"], "evidence.student_lr=0.0: must be above 0"),
        (["evidence.measures=[simulatability]", "evidence.student_steps=0"], "must be at least 1"),
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

    def told(*overrides: str) -> tuple[forecast.Times, jobs.Plan]:
        planned = jobs.plan(composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:60", *overrides))
        times = forecast.Times({planned.signature: planned}, {planned.signature: store.finished(planned.cell)})
        line = forecast.told([planned]).splitlines()[-1]
        assert ("evidence takes for 60 of them, which no record tells" in line) == ("evidence=quick" in overrides)
        return times, planned

    for overrides, expected in ((ASKED, sum(looked) / 2), ((), 0.0), (("evidence=quick",), None)):
        times, planned = told(*overrides)
        assert times.of(planned.signature) == pytest.approx(sum(trained) / 2)
        assert times.of_evidence(planned) == (None if expected is None else pytest.approx(expected))


def test_a_forecast_counts_a_training_for_each_question(run, composed, tmp_path):
    cell, asked = run("splits=0", *ASKED)
    for folder in (cell / "splits", evidence.folder_of(cell, asked)):  # as if on a slow machine
        record = records.parse(folder / "000.json", (folder / "000.json").read_bytes())
        record["run"]["seconds"] = {"train": 720} if folder.name == "splits" else {"evidence": 360}
        (folder / "000.json").write_bytes(records.sealed(record))
    both = [
        jobs.plan(
            composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:11", *ASKED, f"evidence.removal={one}")
        )
        for one in ("delete", "mask")
    ]
    told = forecast.told(both).splitlines()[-1]
    assert told.startswith(
        "1 cell, 11 splits: 0 done, 11 left, about 5.2 hours of one device"
    )  # 10 of 0.3 h, 11 of 0.2
    assert told.endswith("; without what evidence takes for 11 of them, which no record tells")
