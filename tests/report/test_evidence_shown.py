"""Evidence in the report: what stands beside what, what is tested, and what a reader is told of it."""

import csv
import io
import re
from html import unescape

import numpy as np
import pytest
from made_up_evidence import ASKED, compared, pair_of

from caref.analysis import power
from caref.analysis.power import standardised
from caref.analysis.significance import holm, signed_rank
from caref.report import evidence_grids, findings, markdown, spreadsheets
from caref.report.html import page
from caref.results import evidence
from caref.results.evidence_names import named


def words(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.fixture
def asked_of(written):
    """A function: write cells, and evidence of each from its scores by split; the folder."""

    def ask(cells, scores, asked=ASKED):
        root = written(cells)
        for cell, own in zip(cells, scores, strict=True):
            for split, of_split in enumerate(own):
                record = {"split": split, "seed": split, "scores": of_split, "reliability": []}
                evidence.write_split(root / cell.signature, asked, record, [])
        return root

    return ask


def section(found, root) -> str:
    return page.document(found, root).split('<section id="evidence"')[1].split("</section>")[0]


def csv_of(found, name) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(spreadsheets.files(found)[name])))


def test_without_evidence_there_is_no_section(make_cell, written):
    cells = pair_of(make_cell, 2)[:1]
    root = written(cells)
    found = findings.gather(cells, results_dir=root)
    assert '<section id="evidence"' not in page.document(found, root) and "## Evidence" not in markdown.document(found)
    assert "evidence.csv" not in spreadsheets.files(found)


def test_a_cells_scores_are_mean_std_and_n_and_one_that_exists_nowhere_is_a_dash(make_cell, asked_of):
    cells = pair_of(make_cell, 3)[:1]
    scores = [
        {"calibration.ece": 1.0, "calibration.auroc": 0.5, "mention.phi": None},
        {"calibration.ece": 4.0, "calibration.auroc": None, "mention.phi": None},
        {"calibration.ece": 7.0, "calibration.auroc": 0.7, "mention.phi": None},
    ]
    root = asked_of(cells, [scores])
    found = findings.gather(cells, results_dir=root)
    told = markdown.document(found)
    assert "4.00 ± 2.45 (3)" in told and "0.600 ± 0.100 (2)" in told and "– (0)" in told
    assert "4.00 ± 2.45 (3)" in section(found, root)
    by_score = {row["score"]: row for row in csv_of(found, "evidence.csv")}
    assert [by_score["mention.phi"][key] for key in ("mean", "std", "n", "splits")] == ["", "", "0", "3"]
    assert float(by_score["calibration.ece"]["std"]) == pytest.approx(np.std([1, 4, 7]))
    assert by_score["calibration.ece"]["better"] == "lower" and by_score["calibration.ece"]["temperature_moves"] == "1"


def test_a_pair_is_tested_over_common_splits_with_holm_over_the_section(make_cell, asked_of):
    random = np.random.default_rng(3)
    names = {
        "calibration.ece": -9.0,
        "erasure.saliency.flips_over_random": 0.4,
        "erasure.saliency.comprehensiveness": -0.3,
        "erasure.random.flips_over_random": -1.0,
    }
    before = {name: random.normal(20, 1, 20) for name in names}
    after = {name: before[name][:16] + gain + random.normal(0, 1, 16) for name, gain in names.items()}
    scores = [
        [{name: float(values[split]) for name, values in own.items()} for split in range(n)]
        for own, n in ((before, 20), (after, 16))
    ]
    cells = [*pair_of(make_cell, 20)]
    root = asked_of(cells, scores)
    found = findings.gather(cells, results_dir=root)
    rows = {row["score"]: row for row in csv_of(found, "evidence_tests.csv")}
    tested = ["calibration.ece", "erasure.saliency.flips_over_random"]  # a control and COMP are shown, not tested
    differences = {name: after[name] - before[name][:16] for name in names}
    expected = holm([signed_rank(differences[name].round(9)) for name in tested])
    assert [float(rows[name]["p_holm"]) for name in tested] == pytest.approx(expected)
    assert all(rows[name]["p_holm"] == "" and rows[name]["n"] == "16" for name in names.keys() - set(tested))
    for name in names:
        assert float(rows[name]["difference"]) == pytest.approx(differences[name].mean())
        assert float(rows[name]["mean_without"]) == pytest.approx(before[name][:16].mean())
    for name in tested:  # a family of two: what is shown and not tested takes no part in it
        assert float(rows[name]["level"]) == 0.05 / 2
        std = differences[name].std(ddof=1)
        assert float(rows[name]["detectable_on_60"]) == pytest.approx(std * standardised(60, 0.05 / 2))
    assert rows["erasure.saliency.comprehensiveness"]["detectable"] == ""
    (shift,) = found.evidence.shifts
    (row,) = [row for row in evidence_grids.shift(shift).body if row[0].startswith("ECE†")]
    assert row[-2:] == power.shown(shift.changes[named("calibration.ece", [])].difference, "{:.2f}".format)
    outcomes = {name.raw: change.outcome for name, change in shift.changes.items()}
    assert outcomes["calibration.ece"] == "better"  # lower is better


def test_evidence_of_other_questions_and_editions_is_never_mixed(make_cell, asked_of, monkeypatch):
    cells = pair_of(make_cell, 2)
    root = asked_of(cells, [[{"calibration.ece": 10.0}] * 2] * 2)
    asked_of(cells[:1], [[{"calibration.ece": 20.0}] * 2], ASKED | {"examples": 100})
    monkeypatch.setattr(evidence, "EDITION", 0)
    asked_of(cells[1:], [[{"calibration.ece": 30.0}] * 2])
    monkeypatch.undo()
    found = compared(cells, root)
    assert [(len(one.held), len(one.shifts)) for one in found.questions] == [(2, 1), (1, 0), (1, 0)]
    means = [{held.summary("calibration.ece").mean for held in one.held} for one in found.questions]
    assert means == [{10.0}, {20.0}, {30.0}]
    titles = [one.title for one in found.questions]
    assert titles[1].startswith("100 examples") and titles[2].endswith("not as computed today: edition 0")


def test_damaged_evidence_is_named_and_left_out(make_cell, asked_of):
    cells = pair_of(make_cell, 3)
    root = asked_of(cells, [[{"calibration.ece": float(split)} for split in range(3)]] * 2)
    folder = evidence.folder_of(root / cells[0].signature, ASKED)
    record = folder / "002.json"
    record.write_text(record.read_text().replace("2.0", "9.0"))
    (evidence.folder_of(root / cells[1].signature, ASKED) / "asked.yaml").write_text("examples: 13\n")
    (root / cells[1].signature / "splits" / "000.json").unlink()
    cells[1].records.pop(0)
    found = compared(cells, root)
    (question,) = found.questions
    kept = {held.line.cell.signature: sorted(held.found.records) for held in question.held}
    assert kept == {cells[0].signature: [0, 1], cells[1].signature: [1, 2]}
    notes = "\n".join(note for notes in found.notes.values() for note in notes)
    assert "evidence damaged and left out" in notes and "002.json: not whole" in notes
    assert "asked.yaml: does not tell what was asked" in notes
    assert f"evidence {question.mark} of splits 0 left out: no record of the split" in notes
    assert question.asked["examples"] == 12  # the other cell's tells


def test_refused_cells_have_no_evidence_either(make_cell, asked_of):
    cells = pair_of(make_cell, 2)
    cells[0].records[1]["fingerprint"] = "another"
    found = compared(cells, asked_of(cells, [[{"calibration.ece": 10.0}] * 2] * 2))
    assert [held.line.cell for held in found.held] == [cells[1]] and not found.shifts


def test_a_score_that_is_not_listed_is_shown_by_its_own_name_and_claims_of_the_others(make_cell, asked_of):
    scores = {"bias.<b>lean</b>": 0.25, "naopc.saliency.upper": 0.5, "mention.phi": 1.0}
    cells = pair_of(make_cell, 2)
    root = asked_of(cells, [[scores] * 2] * 2)
    found = findings.gather(cells, results_dir=root)
    for told in (words(section(found, root)), markdown.document(found)):
        claim = "Explanations mention the words that move the answer: supported in 0 of 2 cells, too few splits in 2"
        for name in ("bias.<b>lean</b>", "naopc.*.upper", "0.250 ± 0.000 (2)", "0.500 ± 0.000 (2)", claim):
            assert name in told, name
    assert "<b>lean" not in section(found, root)
    rows = {row["score"]: row for row in csv_of(found, "evidence.csv")}
    assert rows["naopc.saliency.upper"]["attribution"] == "saliency"
    assert rows["naopc.saliency.upper"]["temperature_moves"] == rows["naopc.saliency.upper"]["better"] == ""


def test_what_a_temperature_moves_is_marked_and_said(make_cell, asked_of):
    scores = {f"erasure.saliency.{name}": 0.1 for name in ("comprehensiveness", "comprehensiveness_matched", "tau")}
    cells = pair_of(make_cell, 2)
    root = asked_of(cells, [[scores] * 2] * 2)
    found = findings.gather(cells, results_dir=root)
    for told in (words(section(found, root)), markdown.document(found)):
        assert "SCED flattens probabilities" in told and "says nothing of faithfulness" in told
        assert "COMP† ↑" in told and "COMP matched ↑" in told and "τ with leave-one-out ↑" in told
