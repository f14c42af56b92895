"""Published cells beside ours: compared split by split, labelled everywhere, and never mixed with ours."""

import math

import pytest
from made_up_cells import spread

from caref.analysis.significance import signed_rank
from caref.analysis.with_without import pairs
from caref.config import schema
from caref.data.splits import SEEDS
from caref.report import findings, latex, markdown, spreadsheets
from caref.report.html import page
from caref.results import store

OWN = {"protocol": {"sampling": "feb", "own": True, "reasons": [], "replaced": {}}}


@pytest.fixture
def ours(make_cell):
    """Cells of ours on FEB's own splits, a row and a dataset each; numbered in another order than FEB's seeds."""

    def make(row="AQ", dataset="esnli", accuracy=None, record=OWN, **changes):
        accuracy = spread(80, 3, 1) if accuracy is None else accuracy
        cell = make_cell(row, dataset, accuracy, record=record, **changes)
        for split, one in cell.records.items():
            one["seed"] = SEEDS[-1 - split]
        return cell

    return make


@pytest.fixture
def theirs():
    """A cell as `caref.published` writes it."""
    config = {
        "model": {"name": "t5-large"},
        "peft": {"name": "out", "method": "unstated"},
        "dataset": {"name": "esnli"},
        "reg": {"term": "unstated"},
        "published": {"by": "Somebody (2024)"},
        **{part: {} for part in ("bertscore", "train", "evaluation")},
    }
    records = {
        split: {
            "split": split,
            "seed": seed,
            "scores": {"accuracy": accuracy, "nbert": 0.9 * accuracy},
            "source": "published",
            "published": {"by": "Somebody (2024)", "file": "one/results_all.csv"},
            "fingerprint": "unknown",
            "counts": {},
            "run": {"seconds": {}, "versions": {}},
        }
        for split, (seed, accuracy) in enumerate(zip(SEEDS, spread(82, 2, 2), strict=True))
    }
    return store.Cell("published-one", config, records)


def compared(cells):
    """The comparisons with published cells, by measure."""
    return [pair.comparisons for pair in findings.gather(cells).beside]


def test_the_same_seeds_are_compared_whatever_their_numbers(ours, theirs):
    cell = ours()
    (found,) = compared([cell, theirs])
    by_seed = {record["seed"]: record["scores"]["accuracy"] for record in theirs.records.values()}
    differences = [one["scores"]["accuracy"] - by_seed[one["seed"]] for one in cell.records.values()]
    accuracy = found["accuracy"].difference
    assert accuracy.n == 60 and math.isclose(accuracy.mean, math.fsum(differences) / 60, abs_tol=1e-9)
    assert accuracy.p == pytest.approx(signed_rank([round(one, 9) for one in differences]))
    assert found["accuracy"].right.startswith("t5-large (published)") and "published" not in found["accuracy"].left


def test_splits_that_are_not_febs_own_are_not_compared(ours, theirs):
    cell = ours()
    for split in range(50):
        cell.records[split]["protocol"] = {"sampling": "feb", "own": False, "reasons": ["x"], "replaced": {}}
    (found,) = compared([cell, theirs])
    assert found["accuracy"].difference.n == 10 and found["accuracy"].difference.p is None
    for record in (
        {"protocol": {"sampling": "feb", "own": False, "reasons": ["x"], "replaced": {}}},
        {},
        {**OWN, "source": "demo"},
    ):
        apart = ours(record=record)
        assert compared([apart, theirs]) == []
        assert "Not compared, since no split is FEB's own: e-SNLI, " in markdown.document(
            findings.gather([apart, theirs])
        )


def test_nbert_of_another_model_is_not_compared(ours, theirs):
    cell = ours(bertscore=schema.BertScore(model="wheel:minilm", layer=6))
    (found,) = compared([cell, theirs])
    assert found.keys() == {"accuracy"}
    assert "nBERT not compared, since by wheel:minilm, layer 6" in markdown.document(findings.gather([cell, theirs]))


def test_other_datasets_are_not_compared(ours, theirs):
    assert compared([ours(dataset="ecqa"), theirs]) == []


def test_a_model_that_only_answers_is_not_compared_with_one_that_explains(ours, theirs):
    answers = ours("CAREF-AQ")
    answers.config["dataset"]["target"] = "answer"
    (found,) = findings.gather([ours(), answers, theirs]).beside
    assert found.ours.dataset == found.theirs.dataset == "e-SNLI"
    assert found.comparisons["accuracy"].difference.p_holm == found.comparisons["accuracy"].difference.p


def test_nothing_of_ours_changes_where_published_cells_lie_beside(ours, theirs, written):
    own = [ours(row, dataset) for row in ("AQ", "CAREF-AQ", "BASE") for dataset in ("esnli", "ecqa", "comve", "cos_e")]
    # As hostile as can be: the very configuration and data of an empty place of Table 1 and of one side of a pair.
    theirs.config = ours("CAREF-BASE").config
    for record in theirs.records.values():
        record["fingerprint"] = theirs.config["fingerprint"]
    alone, beside = findings.gather(own), findings.gather([*own, theirs])
    assert spreadsheets.files(alone)["table1.csv"] == spreadsheets.files(beside)["table1.csv"]
    assert latex.document(alone) == latex.document(beside)
    assert [setup.verdicts for setup in alone.setups] == [setup.verdicts for setup in beside.setups]
    assert len(pairs(alone.lines)) == len(pairs(beside.lines)) == 4
    assert alone.records == beside.records == 12 * 60
    kept = [line for line in spreadsheets.files(beside)["cells.csv"].splitlines() if "(published)" not in line]
    assert kept == spreadsheets.files(alone)["cells.csv"].splitlines()


def test_published_is_written_wherever_the_cell_is_shown(ours, theirs, written):
    found = findings.gather([ours(), theirs])
    text = markdown.document(found)
    assert "### t5-large (published)" in text and "## Published results beside ours" in text
    assert "1 cells, 60 finished splits. Beside them 1 published cells, not ours." in text
    html = page.document(found, written([ours(), theirs]))
    assert 'id="published"' in html and "published cells, not ours" in html
    for line in (*text.splitlines(), *html.splitlines()):
        assert "t5-large" not in line.replace("flan-t5-large", "").replace("t5-large (published)", "")
    assert '"title":"t5-large (published)' in html and '"predictions":null' in html
    assert '"fingerprint":"Somebody (2024), one/results_all.csv"' in html
    tests = [line for line in spreadsheets.files(found)["tests.csv"].splitlines() if ",published," in line]
    assert len(tests) == 2 and all("t5-large (published)" in line for line in tests)
    drawn = {figure.name: figure for figure in found.figures()}
    assert "(published)" in drawn["published-1"].svg and "(published)" in drawn["published-1"].caption
    assert "t5-large (published)" in drawn["cells"].svg


def test_many_published_cells_keep_none_of_ours_from_being_drawn(ours, theirs):
    many = [store.Cell(f"published-{n}", theirs.config, theirs.records) for n in range(30)]
    drawn = {figure.name: figure for figure in findings.gather([ours(), *many]).figures()}
    assert "published" not in drawn["cells"].svg


def test_without_published_cells_the_report_does_not_speak_of_any(ours, written):
    found = findings.gather([ours()])
    assert "ublished" not in markdown.document(found).replace("published runs of SparseFit", "")
    assert 'id="published"' not in page.document(found, written([ours()]))
