"""Markdown, LaTeX and CSV: complete, well formed, and the same numbers in each."""

import csv
import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from made_up_cells import TINY
from scipy.stats import wilcoxon

from caref.analysis import paper
from caref.analysis.table1 import AVERAGE
from caref.objectives.terms.sced import Sced
from caref.report import findings, latex, markdown, spreadsheets


@pytest.fixture(scope="module")
def papers(papers_cells):
    return findings.gather(papers_cells)


@pytest.fixture(scope="module")
def tiny_demo(make_cell):
    cells = [make_cell(row, "ecqa", [10.0, 12.0], source="demo", model=TINY) for row in ("AQ", "CAREF-AQ")]
    cells[0].records[1]["fingerprint"] = "another"
    return findings.gather(cells)


def rows_of(text: str, csv_name: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(spreadsheets.files(text)[csv_name])))


def test_markdown_prints_ours_the_papers_and_no_difference_between_them(papers):
    text = markdown.document(papers)
    assert "| CAREF-AQ | 6.43 | Acc. | 84.59 ± 1.54 (60) | 88.93 ± 2.13 (60) |" in text.replace("**", "")
    assert "*84.59 ± 1.54*" in text and "*89.04*" in text
    differences = re.findall(r"\*difference\* \|(.*)", text)
    assert len(differences) == 2 * len(paper.rows())
    assert {one.strip() for line in differences for one in line.split("|")} == {"+0.00", ""}
    assert "**contradicts** (6 of 8 parts hold)" in text


def test_markdown_tables_have_as_many_columns_in_every_line(papers):
    for block in re.findall(r"(?:^\|.*\n)+", markdown.document(papers), flags=re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_demo_is_banned_from_comparison_and_says_so(tiny_demo):
    text = markdown.document(tiny_demo)
    assert "made by the project itself" in text and "*paper*" not in text and "84.59" not in text.split("## Claims")[0]
    assert "refused" in text and "mixed data" in text
    tex = latex.document(tiny_demo)
    assert "made by the project itself" in tex and "textit{paper}" not in tex
    assert {row["paper_mean"] for row in rows_of(tiny_demo, "table1.csv")} == {""}


def test_latex_is_balanced_and_every_line_has_its_columns(papers):
    tex = latex.document(papers)
    bare = tex.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    assert re.findall(r"\\begin\{(.*?)\}", tex)[::-1] == re.findall(r"\\end\{(.*?)\}", tex)
    lines = [line for line in tex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in lines] == [7] * (1 + 4 * len(paper.rows())) + [4] * 11
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in tex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(papers, tmp_path):
    document = (
        rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{latex.document(papers)}\end{{document}}"
    )
    (tmp_path / "t.tex").write_text(document)
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True)


def test_latex_prints_what_a_title_says():
    assert latex.escaped(r"a_b & 5% of #1 {x} ~ ^ \y $") == (
        r"a\_b \& 5\% of \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}y \$"
    )


def test_table1_csv_reads_back_to_the_last_digit(papers):
    table = papers.setups[0].table
    found = rows_of(papers, "table1.csv")
    assert len(found) == len(paper.rows()) * 5 * 5
    for row in (row for row in found if row["metric"] in paper.METRICS):
        ours = table.summary(row["row"], row["metric"], row["dataset"])
        assert float(row["mean"]) == ours.mean and int(row["n"]) == ours.n
        assert row["std"] == "" if row["dataset"] == AVERAGE else float(row["std"]) == ours.std
        assert float(row["paper_mean"]) == paper.printed(row["row"], row["metric"], row["dataset"])[0]
        assert abs(float(row["difference"])) < 0.0051


def test_the_averages_of_similarity_are_of_one_kind_ours_and_the_papers(make_cell):
    """Cells of the paper's own means in every split: nothing is left but what an average is of."""
    means = {
        dataset: [[paper.printed("AdaLoRA", metric, dataset)[0]] * 2 for metric in paper.METRICS]
        for dataset in paper.DATASETS
    }
    cells = [
        make_cell("AdaLoRA", dataset, *own, scores={"similarity": own[1][0] / own[0][0]})
        for dataset, own in means.items()
    ]
    rows = [
        row for row in rows_of(findings.gather(cells), "table1.csv") if row["metric"] == "similarity" and row["mean"]
    ]
    assert [row["dataset"] for row in rows] == [*paper.DATASETS, AVERAGE]
    assert all(abs(float(row["difference"])) < 1e-9 for row in rows), rows


def test_pairs_csv_holds_every_measure_of_every_pair(make_cell):
    random = np.random.default_rng(2)
    own = {name: random.normal(mean, 2, 20) for name, mean in (("AQ", 80), ("CAREF-AQ", 82), ("CAREF-BASE", 70))}
    cells = {name: make_cell(name, "esnli", list(scores), list(scores - 9)) for name, scores in own.items()}
    cells["BASE"] = make_cell("BASE", "esnli", [75.0, 76.0])
    cells["CAREF-AQ"].records.pop(3)
    rows = {(row["peft"], row["measure"]): row for row in rows_of(findings.gather([*cells.values()]), "pairs.csv")}
    assert set(rows) == {(peft, metric) for peft in ("AQ", "BASE") for metric in ("accuracy", "nbert", "broken")}
    found = rows["AQ", "nbert"]
    differences = np.delete(own["CAREF-AQ"] - own["AQ"], 3)
    assert (found["without"], found["with"]) == (cells["AQ"].signature, cells["CAREF-AQ"].signature)
    assert (found["model"], found["dataset"], found["reg"]) == ("Flan-T5-large", "e-SNLI", "SCED α=2 β=1 λ=0.1/0.1")
    assert (int(found["n"]), int(found["better_on"])) == (19, sum(differences > 0))
    assert float(found["difference"]) == pytest.approx(differences.mean())
    assert float(found["mean_with"]) - float(found["mean_without"]) == pytest.approx(differences.mean())
    # of the two pairs one has too few splits to be tested, so Holm's p is the p
    assert float(found["p"]) == float(found["p_holm"]) == pytest.approx(wilcoxon(differences).pvalue)
    assert float(found["low"]) < differences.mean() < float(found["high"])
    assert 0 < float(found["detectable_on_60"]) < float(found["detectable"])
    assert rows["AQ", "broken"]["better"] == "lower" and rows["AQ", "broken"]["equal_splits"] == "19"
    few = rows["BASE", "nbert"]
    assert few["n"] == "2" and {few[key] for key in ("low", "high", "p", "p_holm", "detectable")} == {""}


def test_chosen_csv_has_a_line_for_each_cell_of_each_grid(make_cell):
    random = np.random.default_rng(4)
    scores = random.normal(80, 1, (3, 12)) + np.array([[0.0], [0.3], [9.0]])
    cells = [
        make_cell("AQ", "esnli", list(own), reg=Sced(name="SCED", alpha=alpha))
        for own, alpha in zip(scores, (1.0, 1.5, 2.0), strict=True)
    ]
    plain = make_cell("AQ", "esnli", [70.0] * 12)
    found = rows_of(findings.gather([*cells, plain]), "chosen.csv")
    assert [(row["signature"], row["numbers"], row["share"], row["is_maximum"]) for row in found] == [
        (cells[0].signature, "alpha=1.0", "0.0", "0"),
        (cells[1].signature, "alpha=1.5", "0.0", "0"),
        (cells[2].signature, "alpha=2.0", "1.0", "1"),
    ]
    for row in found:
        assert (row["term"], row["measure"], row["splits"], row["cells"]) == ("sced", "nbert", "12", "3")
        assert float(row["honest_mean"]) == pytest.approx(0.9 * scores[2].mean())
        assert float(row["maximum_mean"]) == pytest.approx(0.9 * scores[2].mean())
        assert float(row["without_mean"]) == pytest.approx(63.0) and float(row["honest_std_over_halvings"]) < 1e-9
    assert rows_of(findings.gather([plain]), "chosen.csv") == rows_of(findings.gather([plain]), "pairs.csv") == []


def test_tests_csv_and_cells_csv_read_back(papers):
    found = rows_of(papers, "tests.csv")
    assert len(found) == (4 + 2 + 3) * 2 * 5
    assert [float(row["p_holm"]) for row in found] == [one.difference.p_holm for one in papers.setups[0].comparisons]
    cells = rows_of(papers, "cells.csv")
    assert len(cells) == 40 and {row["n"] for row in cells} == {"60"}
    by_signature = {line.cell.signature: line for line in papers.lines}
    for row in cells:
        assert float(row["nbert_std"]) == by_signature[row["signature"]].summaries["nbert"].std


def test_empty_places_are_empty_everywhere(make_cell):
    found = findings.gather([make_cell("AQ", "esnli", [80.0])])
    filled = [row for row in rows_of(found, "table1.csv") if row["mean"]]
    assert {(row["row"], row["dataset"]) for row in filled} == {("AQ", "esnli")}
    text = markdown.document(found)
    assert "nan" not in text.lower() and "None" not in text
    assert "nan" not in latex.document(found).replace("nant", "")
    assert "No two rows have a split in common yet." in text
