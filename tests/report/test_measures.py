"""What stands beside nBERT: in every table, with a dash where records lack it; and the floor that cells stand on."""

import csv
import io
import re
from html import unescape

import pytest

from caref.analysis import floor, paper
from caref.analysis.every_cell import lines
from caref.analysis.summary import scores, warnings
from caref.report import findings, latex, markdown, spreadsheets
from caref.report.html import page
from caref.report.tables import job_table, sweep_table
from caref.results.measures import MEASURES, TABLE1, shown

BESIDE = {"nbert_strict": 70.5, "similarity": 0.899, "broken": 4.25, "floor": 0.834}


@pytest.fixture(scope="module")
def cells(make_cell):
    """An explaining cell, one that stands on its floor, and one of older records."""
    nothing = BESIDE | {"nbert_strict": 0.0, "similarity": 0.842, "broken": 100.0}
    return [
        make_cell("AQ", "esnli", [80.0, 82.0], scores=BESIDE),
        make_cell("AdaLoRA", "esnli", [60.0, 62.0], scores=nothing),
        make_cell("CAREF-AQ", "esnli", [81.0, 83.0]),
    ]


@pytest.fixture(scope="module")
def found(cells):
    return findings.gather(cells)


def words(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_a_jobs_table_and_a_sweeps_have_them_beside_nbert(cells):
    told = job_table(cells[0].records)
    for line in (
        "strict nBERT (×100)  *70.50",
        "similarity  *0.899",
        "broken (%)  *4.25",
        "floor of similarity  *0.834",
    ):
        assert re.search(line.replace("(", r"\(").replace(")", r"\)"), told), told
    older = job_table(cells[2].records).splitlines()
    assert [line.split()[-2:] for line in older if line.startswith(("strict", "similarity"))] == [["–", "0"]] * 2
    table = sweep_table(cells)
    assert [one.label for one in shown(TABLE1).values()] == [
        "accuracy",
        "nBERT",
        "strict nBERT",
        "similarity",
        "broken",
    ]
    assert re.search(r"accuracy +nBERT +strict nBERT +similarity +broken +signature", table.splitlines()[0])
    (explains,) = [line for line in table.splitlines() if re.search(r" AQ +– ", line)]
    assert re.search(r"81.00 ± 1.00 +72.90 ± 0.90 +70.50 +0.899 +4.25 ", explains)
    (without,) = [line for line in table.splitlines() if "SCED" in line]
    assert re.search(r"± 0.90 +– +– +0.50 ", without)


def test_every_document_has_them_and_no_number_where_there_is_none(found, written, cells):
    texts = {"md": markdown.document(found), "tex": latex.document(found), "html": page.document(found, written(cells))}
    for kind, text in texts.items():
        assert "70.50" in text and "0.899" in text and "4.25" in text, kind
        assert "–" in text or kind == "tex"
        assert not re.search(r"\b(nan|None|undefined)\b", text.partition("<script>")[0]), kind
    table1 = texts["html"].split('id="table1"')[1].split("</section>")[0]
    assert len(re.findall(r'class="beside"', table1)) == 3 * sum(
        row.name in ("AQ", "AdaLoRA", "CAREF-AQ") for row in paper.rows()
    )
    assert "70.50 / 0.899 / 4.25" in texts["tex"] and "CAREF-AQ &  &  &  & -- / -- / 0.50" in texts["tex"]
    rows = list(csv.DictReader(io.StringIO(spreadsheets.files(found)["cells.csv"])))
    assert [(row["similarity_mean"], row["explains_nothing"]) for row in rows if row["peft"].startswith("AdaLoRA")] == [
        ("0.842", "1")
    ]
    assert {row["nbert_strict_mean"] for row in rows} == {"70.5", "0.0", ""}


def test_cells_on_the_floor_are_marked_and_no_others(found, cells, written, make_cell):
    assert [floor.marked(line) for line in found.lines] == [line.peft.startswith("AdaLoRA") for line in found.lines]
    for text in (markdown.document(found), page.document(found, written(cells)).split("<script")[0]):
        marks = len(re.findall(r"explains nothing", words(text)))
        assert marks == 2, marks  # Table 1 and the list of all cells
    assert latex.document(found).count(r"\rlap{$^\dagger$}") == 1
    for similarity, marked in ((0.8441, False), (0.8439, True), (0.8241, True), (0.8239, False)):
        (line,) = lines([make_cell("AQ", "esnli", [80.0], scores=BESIDE | {"similarity": similarity})])
        assert floor.marked(line) is marked, similarity


def test_the_floor_is_explained_with_its_value_here_and_the_papers_row(found):
    rule, here, papers = floor.explained(found.lines)
    assert 'as the text "unk"' in rule
    assert "with roberta-large, layer 17: 0.834 on e-SNLI" in here
    assert here.endswith(
        "Of 2 cells 1 has a similarity within 0.01 of it: as far as nBERT can tell, nothing is explained there."
    )
    assert "AdaLoRA" in papers and "0.813 on ECQA" in papers and "the other rows have 0.87 to 0.93" in papers
    assert paper.similarity("AdaLoRA", "ecqa") == pytest.approx(
        paper.printed("AdaLoRA", "nbert", "ecqa")[0] / paper.printed("AdaLoRA", "accuracy", "ecqa")[0]
    )
    assert "made before" in floor.explained([])[1]


def test_no_cell_on_the_floor_is_not_said_to_explain_nothing(found, make_cell):
    explaining = [line for line in found.lines if not line.peft.startswith("AdaLoRA")]
    here = floor.explained(explaining)[1]
    assert here.endswith("Of 1 cell none has a similarity within 0.01 of it.")
    twice = floor.explained([line for line in found.lines if floor.marked(line)] * 2)[1]
    assert twice.endswith(
        "Of 2 cells 2 have a similarity within 0.01 of it: as far as nBERT can tell, nothing is explained there."
    )


def test_a_split_without_a_right_answer_has_no_similarity_and_is_left_out_of_its_mean(make_cell):
    cell = make_cell("AQ", "esnli", [80.0, 0.0], scores=BESIDE)
    cell.records[1]["scores"]["similarity"] = None
    assert scores(cell.records, "similarity") == {0: 0.899}
    (line,) = lines([cell])
    assert (line.summaries["similarity"].n, line.summaries["nbert"].n) == (1, 2)


def test_a_score_of_fewer_splits_tells_its_own_n_wherever_it_stands(make_cell, written):
    cell = make_cell("AQ", "esnli", [80.0, 82.0, 0.0, 0.0], scores=BESIDE)
    for split in (1, 2, 3):
        cell.records[split]["scores"]["similarity"] = None
    found = findings.gather([cell])
    shown = words(page.document(found, written([cell])).split("<script")[0])
    assert "0.899 ±0.000 (n = 1)" in shown and "0.899 (n = 1)" in shown
    assert "0.899 ± 0.000 (n = 1)" in markdown.document(found) and "| 0.899 (n = 1) |" in markdown.document(found)
    assert "70.50 / 0.899 (n = 1) / 4.25" in latex.document(found)
    assert " 0.899 (n = 1)  " in sweep_table([cell]) and sweep_table([cell]).count("n = ") == 1
    (row,) = csv.DictReader(io.StringIO(spreadsheets.files(found)["cells.csv"]))
    assert (row["n"], row["similarity_n"], row["nbert_n"], row["distinct_1_n"]) == ("4", "1", "4", "4")


def test_records_of_two_rules_of_nbert_are_told_apart(make_cell):
    cell = make_cell("AQ", "esnli", [80.0, 81.0], scores=BESIDE)
    del cell.records[1]["scores"]["nbert_strict"]
    assert warnings(cell) == [
        "mixed rules of nBERT: FEB's (splits 0); an older one, 0 for a missing explanation (splits 1)"
    ]


def test_each_measure_says_what_it_is():
    for name, measure in MEASURES.items():
        assert re.fullmatch(r"[a-z0-9_]+", name) and measure.label and measure.meaning
    assert MEASURES["broken"].up is False and MEASURES["nbert"].up is True
    assert MEASURES["similarity"].change(-0.0004) == "+0.000" and MEASURES["nbert"].change(1.234) == "+1.23"
