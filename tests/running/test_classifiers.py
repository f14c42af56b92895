"""Jobs whose model chooses its answer: from data to record, packed, again, with evidence; or refused in one line."""

import math
import re

import pytest
import torch
from safetensors.torch import load_file

from caref.errors import UserError
from caref.report import findings, markdown
from caref.results import evidence, store
from caref.running import jobs

SMALL = (
    "model=tiny_classifier",
    "dataset.target=answer",
    "source=demo",
    "dataset.eval_size=6",
    "dataset.train_size=6",
    "train.epochs=2",
    "train.lr=1e-3",
    "train.precision=fp32",
)


SILENT = {"coupling", "agreement", "mention"}  # of explanations, which there are none of


@pytest.fixture
def run(composed, tmp_path):
    """A function: run a job of these overrides in this test's folder; its records by split and its plan."""

    def run_job(*overrides: str, results: str = "results"):
        job = composed(*SMALL, f"results_dir={tmp_path / results}", *overrides)
        return jobs.run(job), jobs.plan(job)

    return run_job


@pytest.mark.parametrize("dataset", ("esnli", "comve", "cos_e", "ecqa"))
def test_every_dataset_is_a_choice_of_as_many_classes_as_it_has(run, dataset):
    records, planned = run(f"dataset={dataset}", "splits=0", "dataset.train_size=10", "dataset.eval_size=10")
    predictions = store.read_predictions(planned.cell, 0)
    assert set(records[0]["scores"]) == {"accuracy"}
    assert all(line["answer"] == line["generation"] in line["choices"] for line in predictions)
    right = sum(line["answer"] == line["gold"] for line in predictions)
    assert records[0]["scores"]["accuracy"] == pytest.approx(100 * right / len(predictions))


def test_packed_alone_and_again_is_the_same(run):
    _, alone = run("peft=lora_r4", "splits=0:3", "pack=1", results="alone")
    _, packed = run("peft=lora_r4", "splits=0:3", "pack=3", results="packed")
    _, again = run("peft=lora_r4", "splits=0:3", "pack=1", results="again")
    for split in range(3):
        texts = [store.read_predictions(one.cell, split) for one in (alone, packed, again)]
        assert texts[0] == texts[1] == texts[2]
        records = [store.read_record(one.cell, split) for one in (alone, packed, again)]
        assert records[0]["scores"] == records[1]["scores"] == records[2]["scores"]
        assert records[0]["training"] == records[2]["training"]
        assert records[1]["training"]["loss"] == pytest.approx(records[0]["training"]["loss"], rel=2e-3)


@pytest.mark.parametrize("reg", ("none", "sced", "kl", "entropy", "label_smoothing", "entmax"))
def test_every_objective_runs_over_classes(run, reg):
    records, _ = run(f"reg={reg}", "splits=0")
    terms = records[0]["training"]
    assert math.isfinite(terms["loss"]) and 0 < terms["ce"] < 2  # log 3 is 1.1


@pytest.mark.parametrize("reg", ("ivra", "smat"))
def test_attention_trained_to_explain_leaves_the_model_alone_and_is_read_packed_as_alone(run, reg):
    asked = (f"reg={reg}", "splits=0:2", "train.save=true", "reg.module_lr=0.05")
    criteria = "reg.criteria=[comp,suff,cons]"
    read = ("evidence=full", "evidence.attributions=[ivra,random]", "evidence.measures=[erasure,consistency]")
    _, plain = run("reg=none", "splits=0:2", "train.save=true", results="plain")
    (alone, of_alone), (packed, of_packed) = (
        run(*asked, criteria, *read, f"pack={size}", results=str(size)) for size in (1, 2)
    )
    for split in range(2):
        weights, own = (
            load_file(of.cell / "trained" / f"{split:03d}" / "trained.safetensors") for of in (plain, of_alone)
        )
        assert weights.keys() == own.keys() and all(torch.equal(weights[name], own[name]) for name in own)
        assert store.read_predictions(plain.cell, split) == store.read_predictions(of_alone.cell, split)
        for name in ("comp", "suff", "cons"):
            assert packed[split]["training"][name] == pytest.approx(alone[split]["training"][name], rel=1e-2, abs=1e-4)
        rows, others = (
            evidence.read_rows(evidence.folder_of(of.cell, of.values["evidence"]), split)
            for of in (of_alone, of_packed)
        )
        for row, other in zip(rows, others, strict=True):
            assert sum(row["scores"]["ivra"]) == pytest.approx(1, abs=1e-3) and min(row["scores"]["ivra"]) >= 0
            assert other["scores"]["ivra"] == pytest.approx(row["scores"]["ivra"], rel=1e-2, abs=1e-4)
    record = evidence.read_split(evidence.folder_of(of_alone.cell, of_alone.values["evidence"]), 0)
    assert all(record["scores"][f"erasure.ivra.{name}"] is not None for name in ("comprehensiveness", "sufficiency"))


def test_a_classifiers_student_foresees_it(run):
    records, planned = run("reg=ivra", "reg.criteria=[sim]", "splits=0", "train.save=true")
    assert records[0]["training"]["sim"] > 0
    weights = load_file(planned.cell / "trained" / "000" / "explainer.safetensors")
    assert all((weight != 1).any() for weight in weights.values())


def test_evidence_by_epoch_and_a_report(run, tmp_path):
    asked = ("evidence=full", "evidence.examples=3", "evidence.epochs=[0,1]")
    for reg in ("none", "sced"):
        _, planned = run("splits=0:2", "pack=2", f"reg={reg}", *asked)
    record = evidence.read_split(evidence.folder_of(planned.cell, planned.values["evidence"]), 0)
    assert {name.partition(".")[0] for name in record["scores"]} == {*planned.values["evidence"]["measures"]} - SILENT
    for name in ("calibration.ece", "erasure.attention.tau", "erasure.saliency.flips", "alignment.leave_one_out.f1"):
        assert record["scores"][name] is not None, name
    assert record["scores"]["calibration.disagreement"] == record["scores"]["calibration.unreadable"] == 0
    assert set(record["by_epoch"]) == {"0", "1"} and record["by_epoch"]["0"].keys() == record["scores"].keys()
    told = markdown.document(findings.gather(store.cells(tmp_path / "results")))
    assert "tiny classifier" in told and not re.search(r"\b(nan|None)\b", told)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("dataset.target=answer_and_explanation",), "dataset.target=answer_and_explanation: tiny classifier chooses"),
        (("model.kind=chooser",), "model.kind=chooser: must be one of generator, classifier"),
        (("reg=ivra", "reg.site=cross"), "reg.site=cross: bert has no such attention to explain by"),
        (("peft=dec",), "peft (DEC): bert is an encoder only"),
        (("peft=prefix",), "peft (prefix tuning): bert keeps no keys and values"),
        (("peft.scope=decoder",), "peft (AQ): peft.scope=decoder: bert has no decoder apart from the model"),
        (("evidence=quick", "evidence.measures=[coupling]"), "each asks for explanations"),
        (("evidence=full", "evidence.attributions=[prompting]"), "a classifier chooses and lists no words"),
        (("model.config.max_position_embeddings=32",), "the source of the example that begins"),
    ],
)
def test_what_it_cannot_do_is_refused_in_one_line_before_any_training(run, tmp_path, overrides, told):
    with pytest.raises(UserError) as refusal:
        run("splits=0", *overrides)
    assert told in str(refusal.value) and "\n" not in str(refusal.value)
    assert not list(tmp_path.glob("results/*/splits/*"))


@pytest.mark.long
def test_minilm_learns_reviews(composed, data_root, tmp_path):
    """Of their first 128 tokens; chance is 50 %."""
    chosen = (
        "model=minilm_classifier",
        "dataset=imdb",
        "source=files",
        f"source.root={data_root}",
        "peft=base",
        "reg=none",
    )
    sizes = (
        "dataset.max_tokens=128",
        "dataset.train_size=96",
        "dataset.eval_size=60",
        "train.epochs=4",
        "train.lr=3e-4",
        "train.warmup_steps=5",
    )
    job = composed(*chosen, *sizes, "train.batch_size=16", "splits=0", f"results_dir={tmp_path}")
    assert jobs.run(job)[0]["scores"]["accuracy"] > 65
