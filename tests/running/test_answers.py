"""dataset.target=answer: the model learns to answer and no more; what rests on explanations is absent, never 0."""

import csv
import io
import re

import pytest

from caref.data.batches import encode
from caref.data.prompts import text
from caref.errors import UserError
from caref.models.continuations import told_by
from caref.ratings import sampling as ratings
from caref.report import findings, latex, markdown, spreadsheets
from caref.report.html import page
from caref.report.tables import job_table, sweep_table
from caref.results import evidence, store
from caref.running import jobs
from caref.running.workbench import Workbench

SMALL = (
    "source=demo",
    "dataset.target=answer",
    "dataset.eval_size=6",
    "dataset.train_size=6",
    "train.epochs=1",
    "train.precision=fp32",
    "evaluation.max_new_tokens=6",
)
NUMBERS = re.compile(r"\b(nan|None|undefined|null)\b")


@pytest.fixture
def run(composed, tmp_path):
    """A function: run a job of these overrides in this test's folder; its records by split and its plan."""

    def run_job(*overrides: str):
        job = composed(*SMALL, f"results_dir={tmp_path / 'results'}", *overrides)
        return jobs.run(job), jobs.plan(job)

    return run_job


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_a_record_holds_accuracy_and_no_score_of_explanations(run, model):
    records, planned = run(f"model={model}", "splits=0")
    predictions = store.read_predictions(planned.cell, 0)
    right = sum(line["generation"].strip().casefold() == line["gold"].casefold() for line in predictions)
    assert records[0]["scores"] == {"accuracy": pytest.approx(100 * right / 6)}
    assert set(predictions[0]) == {"id", "source", "choices", "gold", "generation", "answer", "right"}
    table = job_table(records)
    for label in ("nBERT (×100)", "strict nBERT (×100)", "similarity", "broken (%)"):
        assert re.search(rf"^{re.escape(label)} +– +– +0$", table, re.M), table
    assert re.search(r"^accuracy \(%\) +\d+\.\d\d .* 1$", table, re.M)


def test_what_is_learnt_is_the_answer_and_the_end_of_the_text(composed, tmp_path):
    bench = Workbench(composed(*SMALL, "model=tiny_t5"), tmp_path)
    whole = Workbench(composed(*SMALL, "model=tiny_t5", "dataset.target=answer_and_explanation"), tmp_path)
    examples = jobs.plan(composed(*SMALL, "model=tiny_t5")).sampler(0).train
    tokenizer = bench.backbone.tokenizer
    for example, one, other in zip(examples, bench.tokens(examples), whole.tokens(examples), strict=True):
        assert tokenizer.decode(one.target[:-1]) == example.answer and one.target[-1] == tokenizer.eos_token_id
        assert one.prompt == other.prompt and len(other.target) > len(one.target) + len(" because ")
        assert told_by(example.answer, tokenizer, answers_only=True) == one.target
        assert encode(text("esnli", example, answer_only=True), tokenizer, True) == one


def test_bertscore_is_neither_loaded_nor_part_of_the_cell(run, composed, monkeypatch):
    """No hub answers here, and none has to."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    records, planned = run("model=tiny_t5", "bertscore=roberta_large", "splits=0")
    other = jobs.plan(composed(*SMALL, "model=tiny_t5", "bertscore=minilm"))
    assert len(records) == 1 and planned.signature == other.signature
    assert "bertscore" not in planned.description


def test_evidence_has_all_but_what_asks_for_explanations_and_says_so(run, capsys):
    asked = "evidence.attributions=[saliency,explanation_words,human,random]"
    _, planned = run("model=tiny_t5", "splits=0:2", "pack=2", "evidence=full", "evidence.examples=3", asked)
    told = capsys.readouterr().err
    absent = "coupling, agreement, mention, explanation_words"
    assert f"nothing is explained (dataset.target=answer), so there is no {absent}" in told
    folder = evidence.folder_of(planned.cell, planned.values["evidence"])
    scores = evidence.read_split(folder, 0)["scores"]
    assert {name.partition(".")[0] for name in scores} == {
        "calibration",
        "erasure",
        "alignment",
        "consistency",
        "skewness",
    }
    assert not any("explanation_words" in name for name in scores)
    assert scores["calibration.ece"] is not None and scores["erasure.saliency.flips"] is not None
    assert set(evidence.read_rows(folder, 0)[0]["scores"]) == {"saliency", "human", "random"}


def test_evidence_of_explanations_alone_is_refused_before_any_training(run, tmp_path):
    with pytest.raises(UserError, match=r"^evidence.measures=\['coupling'\]: .*dataset.target=answer has none"):
        run("model=tiny_t5", "splits=0", "evidence=quick", "evidence.measures=[coupling]")
    assert not list(tmp_path.glob("results/*/splits/*"))


def test_every_document_shows_accuracy_and_a_dash_for_the_rest(run, tmp_path):
    signatures = [run("model=tiny_t5", "splits=0:2", f"reg={reg}")[1].signature for reg in ("none", "sced")]
    cells = store.cells(tmp_path / "results")
    found = findings.gather(cells)
    (pair,) = found.pairs
    assert set(pair.changes) == {"accuracy"} and pair.leading.metric == "accuracy"
    texts = {
        "md": markdown.document(found),
        "tex": latex.document(found),
        "html": page.document(found, tmp_path / "results").partition("<script>")[0],
        "sweep": sweep_table(cells),
    }
    assert "With the regulariser, accuracy is" in texts["md"]
    assert not found.setups and "| e-SNLI answers | AQ |" in texts["md"]  # no row of the paper's table
    for kind, told in texts.items():
        assert not NUMBERS.search(told), (kind, NUMBERS.search(told))
    for line in texts["sweep"].splitlines():
        if line.rstrip().endswith(tuple(signatures)):
            assert re.search(r"± \d+\.\d\d +– +– +– +– +\w{12}$", line), line
    for row in csv.DictReader(io.StringIO(spreadsheets.files(found)["cells.csv"])):
        assert row["accuracy_mean"] and not any(row[f"{name}_mean"] for name in ("nbert", "nbert_strict", "similarity"))
    assert any(figure.name == "cells" for figure in found.figures())


def test_there_is_nothing_to_rate(run, tmp_path):
    _, planned = run("model=tiny_t5", "splits=0")
    with pytest.raises(UserError, match=f"--cells {planned.signature}: its model only answers"):
        ratings.chosen(tmp_path / "results", [], [planned.signature])
    with pytest.raises(UserError, match="no cell has a finished split with explanations"):
        ratings.chosen(tmp_path / "results", [], [])
