"""The report says whose samples a cell's splits are, and why they are not FEB's own."""

import csv
import io

from caref.report import findings, markdown, spreadsheets, tables
from caref.report.html import page
from caref.results.samples import samples
from caref.results.store import Cell

WHOLE = {"train": {"split": "train", "rows": 7598, "dropped": {}}}
PARTIAL = {
    "train": {"split": "train", "rows": 7598, "dropped": {"no explanation": 486}},
    "evaluation": {"split": "validation", "rows": 1090, "dropped": {}},
}
OWN = {"sampling": "feb", "own": True, "reasons": [], "replaced": {}}
FEWER = "train has 8,667 of the release's 549,367 rows"


def protocol(*reasons: str, replaced: int = 0, sampling: str = "feb") -> dict:
    counts = {"train": {"no explanation": replaced}} if replaced else {}
    return {"sampling": sampling, "own": False, "reasons": list(reasons), "replaced": counts}


def told(*protocols: dict, rows: dict = WHOLE):
    return samples({split: {"protocol": one, "rows": rows} for split, one in enumerate(protocols)})


def test_febs_own_samples_need_no_reason():
    assert (told(OWN, OWN).standing, told(OWN).rows) == ("FEB's own", "train 7,598, none dropped")


def test_replaced_rows_are_summed_over_the_splits_that_have_them():
    found = told(OWN, protocol(replaced=3), protocol(replaced=4), rows=PARTIAL)
    assert found.label == "FEB's own in 1 of 3"
    assert found.why == "7 drawn rows of train replaced in 2 splits (no explanation)"
    assert found.rows == "train 7,598, 486 dropped (no explanation); validation 1,090, none dropped"


def test_a_reason_that_all_splits_share_is_told_once():
    found = told(protocol(FEWER), protocol(FEWER, replaced=1))
    assert found.standing == f"not FEB's own: {FEWER}; 1 drawn row of train replaced in 1 split (no explanation)"


def test_balanced_samples_are_called_that():
    assert told(protocol("dataset.sampling=balanced", sampling="balanced")).standing == "balanced"


def test_records_of_older_versions_say_nothing():
    assert samples({0: {"split": 0}}).standing == "not recorded"


def test_table_page_and_spreadsheet_say_why_samples_are_not_febs(make_cell, written):
    esnli = make_cell("CAREF-AQ", "esnli", [80.0, 81.0], record={"protocol": protocol(FEWER), "rows": PARTIAL})
    comve = make_cell("CAREF-AQ", "comve", [80.0, 81.0], record={"protocol": OWN, "rows": WHOLE})
    found = findings.gather([esnli, comve])
    line = f"e-SNLI (1 cell): not FEB's own: {FEWER}. Rows: train 7,598, 486 dropped (no explanation); validation"
    assert line in markdown.document(found)
    assert f"e-SNLI's samples: {FEWER}" in markdown.document(found).split("### RQ1")[0]
    assert "ComVE (1 cell): FEB's own." in markdown.document(found)
    shown = page.document(found, written([esnli, comve]))
    assert line.replace("'", "&#x27;") in shown and shown.count('<td class="text">not FEB&#x27;s own</td>') == 1
    rows = {row["dataset"]: row for row in csv.DictReader(io.StringIO(spreadsheets.files(found)["cells.csv"]))}
    assert (rows["e-SNLI"]["samples"], rows["e-SNLI"]["why_not_febs_own"]) == ("not FEB's own", FEWER)
    assert rows["ComVE"]["samples"] == "FEB's own" and rows["ComVE"]["rows"] == "train 7,598, none dropped"
    assert line in tables.sweep_table([esnli, comve])


def test_cells_that_say_the_same_share_a_line(make_cell):
    record = {"protocol": OWN, "rows": WHOLE}
    cells: list[Cell] = [make_cell(row, "ecqa", [80.0], record=record) for row in ("CAREF-AQ", "CAREF-BASE")]
    assert "ECQA (2 cells): FEB's own. Rows: train 7,598, none dropped." in markdown.document(findings.gather(cells))
