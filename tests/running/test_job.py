"""The whole job, on random tiny models: every choice runs, the same job gives the same bytes, nothing is done twice."""

import gzip
import json
import re

import pytest
from small_job import SMALL

from caref.errors import SplitFailed, UserError
from caref.results import store
from caref.running import forecast, jobs, sweeps
from caref.running.workbench import Workbench

MODELS = ("tiny_t5", "tiny_llama", "tiny_bart")
EVERYWHERE = ("base", "aqkv", "laq", "aq", "lora_r4", "lora_r128", "adalora", "ia3", "dora")
REGS = ("none", "sced", "kl", "entropy", "label_smoothing", "entmax", "ivra", "smat")


def deterministic(record: dict) -> dict:
    """A record without what differs from run to run: times, machine, versions."""
    return {key: value for key, value in record.items() if key not in ("run", "checksum")}


@pytest.mark.parametrize("peft", EVERYWHERE)
@pytest.mark.parametrize("model", MODELS)
def test_every_variant_runs_on_every_kind_of_model(run, model, peft):
    records, cell = run(f"model={model}", f"peft={peft}", "splits=0")
    (record,) = records.values()
    assert record["status"] == "done"
    assert record["counts"]["evaluated"] == len(store.read_predictions(cell, 0)) == 6
    assert 0 < record["counts"]["trainable"] <= record["counts"]["parameters"]
    assert 0 <= record["scores"]["accuracy"] <= 100


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_bart"))
def test_the_decoder_alone_is_trained_where_there_is_one(run, model):
    records, _ = run(f"model={model}", "peft=dec", "splits=0")
    assert records[0]["counts"]["trainable"] < records[0]["counts"]["parameters"]


@pytest.mark.parametrize("reg", REGS)
@pytest.mark.parametrize("model", MODELS)
def test_every_objective_runs_on_every_kind_of_model(run, model, reg):
    records, _ = run(f"model={model}", f"reg={reg}", "splits=0")
    assert records[0]["training"]["loss"] > 0


@pytest.mark.parametrize("dataset", ("cos_e", "ecqa", "comve", "esnli"))
@pytest.mark.parametrize("supervise", ("joint", "answer"))
def test_every_dataset_runs_with_either_supervision(run, dataset, supervise):
    records, cell = run("model=tiny_t5", f"dataset={dataset}", f"train.supervise={supervise}", "splits=0")
    assert set(records) == {0}
    for prediction in store.read_predictions(cell, 0):
        assert prediction["gold"] in prediction["choices"]


def test_the_jobs_of_a_process_share_what_is_loaded_where_they_ask_for_the_same(composed, tmp_path):
    benches = [
        Workbench(composed(*SMALL, "model=tiny_t5", *overrides), tmp_path)
        for overrides in (["peft=aq"], ["peft=lora_r4", "dataset=ecqa"], ["model.dropout=0.5"])
    ]
    first, second, other = (bench.backbone for bench in benches)
    assert first is second and other is not first
    assert benches[0].scorer is benches[1].scorer is benches[2].scorer


def test_supervising_the_answer_alone_leaves_the_explanation_out_of_the_cross_entropy(run):
    joint, _ = run("model=tiny_t5", "train.supervise=joint", "splits=0", "reg=sced")
    answer, _ = run("model=tiny_t5", "train.supervise=answer", "splits=0", "reg=sced")
    assert joint[0]["training"]["ce"] != answer[0]["training"]["ce"]


def test_the_same_job_twice_and_a_split_alone_or_among_others_give_the_same_bytes(run):
    _, among = run("model=tiny_t5", "splits=0:5", results="among")
    _, alone = run("model=tiny_t5", "splits=3", results="alone")
    _, again = run("model=tiny_t5", "splits=3", results="again")
    path = "predictions/003.jsonl.gz"
    assert (among / path).read_bytes() == (alone / path).read_bytes() == (again / path).read_bytes()
    records = [deterministic(store.read_record(cell, 3)) for cell in (among, alone, again)]
    assert records[0] == records[1] == records[2]


def test_a_finished_split_is_not_done_again(run, capsys):
    first, cell = run("model=tiny_t5", "splits=0:2")
    before = {path: path.stat().st_mtime_ns for path in cell.rglob("*.*")}
    capsys.readouterr()
    second, _ = run("model=tiny_t5", "splits=0:2")
    assert {path: path.stat().st_mtime_ns for path in cell.rglob("*.*")} == before
    assert second == first
    run("model=tiny_t5", "splits=0:3")
    assert {index for index in store.read_cell(cell).records} == {0, 1, 2}


def test_a_damaged_record_is_named_set_aside_and_run_again(run, capsys):
    first, cell = run("model=tiny_t5", "splits=0:2")
    (cell / "splits" / "001.json").write_text('{"split": 1')
    again, _ = run("model=tiny_t5", "splits=0:2")
    assert "001.json" in capsys.readouterr().out
    assert (cell / "splits" / "001.json.damaged").exists()
    assert deterministic(again[1]) == deterministic(first[1])


@pytest.mark.parametrize("path", ["splits/001.json", "predictions/001.jsonl.gz"])
def test_a_split_that_cannot_be_read_is_told_and_neither_moved_nor_run_again(run, capsys, path):
    _, cell = run("model=tiny_t5", "splits=0:2")
    file, kept = cell / path, cell / "kept"
    file.rename(kept)
    file.symlink_to("/proc/self/mem")  # reading it is an EIO, as on a network's file system
    with pytest.raises(SplitFailed, match=r"1 of 3 splits failed - split 1: .*cannot be read \(Input/output error\)"):
        run("model=tiny_t5", "splits=0:3")
    assert file.is_symlink() and not list(cell.rglob("*.damaged"))
    assert store.finished(cell) == {0, 1, 2}
    file.unlink()
    kept.rename(file)
    records, _ = run("model=tiny_t5", "splits=0:3")
    assert set(records) == {0, 1, 2}


@pytest.mark.parametrize("amiss", [b"", None, b"[", b"model: {}\n"])
def test_the_next_run_of_a_line_mends_a_cells_configuration(run, composed, tmp_path, amiss):
    _, cell = run("model=tiny_t5", "splits=0")
    whole = (cell / "config.yaml").read_bytes()
    for again in (
        lambda: run("model=tiny_t5", "splits=0"),
        lambda: sweeps.sweep(
            [(*SMALL, "model=tiny_t5", "splits=0", f"results_dir={tmp_path / 'results'}")],
            lambda cell: composed(*cell),
            pytest.fail,
        ),
    ):
        (cell / "config.yaml").unlink()
        if amiss is not None:
            (cell / "config.yaml").write_bytes(amiss)
        again()
        assert (cell / "config.yaml").read_bytes() == whole


def test_a_loss_that_is_not_finite_fails_its_split_alone(run, composed, tmp_path):
    # Weights that large overflow in the second step of any split.
    hopeless = ("model=tiny_t5", "peft=base", "train.lr=1e36", "train.epochs=3", "train.warmup_steps=0", "splits=0:2")
    with pytest.raises(SplitFailed, match="2 of 2 splits failed") as failure:
        run(*hopeless)
    assert "step" in str(failure.value) and "ce" in str(failure.value)
    (cell,) = store.cells(tmp_path / "results")
    assert set(cell.failed) == {0, 1} and not cell.records
    assert "step" in cell.failed[0]["error"]


def test_predictions_hold_what_a_reader_needs(run):
    _, cell = run("model=tiny_t5", "splits=0")
    with gzip.open(cell / "predictions" / "000.jsonl.gz", "rt") as lines:
        predictions = [json.loads(line) for line in lines]
    for prediction in predictions:
        assert prediction["source"].startswith("explain nli hypothesis:")
        assert prediction["right"] == (prediction["answer"].strip().casefold() == prediction["gold"].casefold())
        assert prediction["explanations"]


def test_a_partial_training_file_runs_and_record_and_output_say_that_the_splits_are_not_febs(run, data_root, capsys):
    files = ("model=tiny_t5", "source=files", f"source.root={data_root}", "splits=0:2", "dataset.train_size=48")
    records, cell = run(*files, "dataset=ecqa")
    assert [record["protocol"]["own"] for record in records.values()] == [False, False]
    assert [record["protocol"]["replaced"] for record in records.values()] == [
        {"train": {"no explanation": 4}},
        {"train": {"no explanation": 5}},
    ]
    rows = {"split": "train", "rows": 7598, "dropped": {"no explanation": 486}}
    assert store.read_record(cell, 1)["rows"]["train"] == rows
    told = capsys.readouterr().out
    assert "samples: not FEB's own: " in told
    assert "9 drawn rows of train replaced in 2 splits (no explanation)" in told
    assert "rows: train 7,598, 486 dropped (no explanation); validation 1,090, none dropped" in told
    records, _ = run(*files, "dataset=esnli")
    assert "train has 8,667 of the release's 549,367 rows" in records[0]["protocol"]["reasons"]
    assert "train has 8,667 of the release's 549,367 rows" in capsys.readouterr().out


def test_a_cell_is_what_the_weights_in_a_folder_are(run, composed, tmp_path, monkeypatch):
    from caref.models import backbones

    def kept(folder: str, shape: str) -> None:
        backbone = backbones.load(composed("model=tiny_t5", shape).model)
        backbone.model.save_pretrained(tmp_path / folder)

    def ran(path: str):
        line = ("model=tiny_t5", f"model.path={path}", "train.precision=fp32", "splits=0")
        return run(*line)[1]

    monkeypatch.chdir(tmp_path)
    kept("m", "model.config.d_ff=64")
    kept("other/m", "model.config.d_ff=32")
    cell = ran("m")
    assert ran("./m") == ran(str(tmp_path / "m")) == cell
    assert ran("other/m") != cell
    kept("m", "model.config.d_ff=48")  # trained again, and the same line typed
    again = ran("m")
    assert again != cell and store.finished(again) == store.finished(cell) == {0}
    counts = [store.read_record(one, 0)["counts"]["parameters"] for one in (cell, again)]
    assert counts[0] > counts[1]


def test_a_model_that_is_not_known_is_planned_and_not_run(composed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = composed(*SMALL, "model=tiny_t5", "model.path=nowhere/at/all", "splits=0")
    assert "nowhere/at/all" in jobs.plan(job).unknown
    told = forecast.told([jobs.plan(job)])
    assert re.search(r"^\w{12} +\? +1 ", told, re.M)  # done: not known
    assert "what is done can be told: model.path=nowhere/at/all: no such folder" in told
    with pytest.raises(UserError, match=r"model\.path=nowhere/at/all"):
        jobs.run(job)
    assert not list(tmp_path.rglob("*.json"))


def test_too_few_examples_are_refused_before_a_model_is_loaded(run):
    with pytest.raises(UserError, match=r"dataset\.eval_size=100000"):
        run("model=tiny_t5", "dataset.eval_size=100000")


def test_the_order_of_a_files_rows_makes_no_other_cell(composed, tmp_path, data_root):
    def planned(root, sampling="balanced"):
        drawn = ("dataset=comve", "dataset.train_split=test", f"dataset.sampling={sampling}")
        return jobs.plan(composed("source=files", f"source.root={root}", *drawn))

    folder = tmp_path / "turned" / "comve"
    folder.mkdir(parents=True)
    for file in (data_root / "comve").glob("*_*"):
        head, *rows = file.read_text().splitlines(keepends=True)
        turned = [head, *rows[::-1]] if "_data" in file.name else [*rows[::-1], head]
        (folder / file.name).write_text("".join(turned))
    as_it_is, otherwise = planned(data_root), planned(tmp_path / "turned")
    assert as_it_is.signature == otherwise.signature
    assert as_it_is.sampler(4) == otherwise.sampler(4)
    # FEB draws row numbers
    assert planned(data_root, "feb").signature != planned(tmp_path / "turned", "feb").signature
