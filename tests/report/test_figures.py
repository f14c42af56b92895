"""Figures: drawn from what is there, named where it is not, the same bytes for the same records."""

import itertools
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest

from caref.analysis import paper
from caref.analysis.every_cell import lines
from caref.analysis.table1 import tables
from caref.config import schema
from caref.objectives.terms.sced import Sced
from caref.report import markdown
from caref.report.figures import figure1, side_by_side
from caref.report.figures.drawing import Figure
from caref.report.findings import gather
from caref.report.html import page

GRID = list(itertools.product((1.0, 1.5, 2.0, 2.5), (0.0, 0.5, 1.0, 2.0)))


@pytest.fixture(scope="module")
def grid(make_cell):
    random = np.random.default_rng(0)
    return [
        make_cell(
            "AQ", "esnli", list(random.normal(80 + alpha - beta, 1, 5)), reg=Sced(name="SCED", alpha=alpha, beta=beta)
        )
        for alpha, beta in GRID
    ]


@pytest.fixture(scope="module")
def drawn(papers_cells):
    return figure1.of_table(tables(papers_cells)[0])


def text_of(figure: Figure) -> str:
    return " ".join(re.findall(r">([^<>]+)</text>", figure.svg))


def test_figure_1a_names_every_row_and_the_one_far_below(drawn):
    said = text_of(drawn[0])
    for row in dict.fromkeys(row.name for row in paper.rows()):
        assert row in said
    assert "↓ AdaLoRA 23.6" in said and "log scale" in said
    assert "n = 60 splits" in drawn[0].caption


def test_figure_1b_has_four_series_on_four_datasets(drawn):
    said = text_of(drawn[1])
    for name in ("BASE", "CAREF-BASE", "AQ", "CAREF-AQ", *paper.DATASETS.values(), "nBERT"):
        assert name in said
    assert "does not begin at 0" in drawn[1].caption


def test_figure_1d_shows_every_mean_of_the_grid(grid):
    found = lines(grid)
    figure = figure1.nbert_over_alpha_and_beta(found)
    said = text_of(figure)
    for line in found:
        assert f"{line.summaries['nbert'].mean:.2f}" in said
    assert "α" in said and "β" in said and "n = 5 splits" in figure.caption and "AQ" in figure.caption


def test_a_hole_in_the_grid_stays_a_hole(grid):
    figure = figure1.nbert_over_alpha_and_beta(lines(grid[1:]))
    assert len(re.findall(r"±\d", text_of(figure))) == len(GRID) - 1


def test_grids_of_different_setups_are_not_mixed(grid, make_cell):
    other = [
        make_cell("AQ", "esnli", [1.0], reg=Sced(name="SCED", alpha=a, beta=b), train=schema.Train(epochs=5))
        for a, b in GRID[:4] + GRID[8:10]
    ]
    figure = figure1.nbert_over_alpha_and_beta(lines(grid + other))
    assert len(re.findall(r"±\d", text_of(figure))) == len(GRID) and "±0.00" not in text_of(figure)


def test_grids_on_other_data_are_not_mixed_either(grid, make_cell):
    """Configurations that say the same, of which only the data's fingerprint tells."""
    other = [
        make_cell("AQ", "esnli", [1.0], reg=Sced(name="SCED", alpha=a, beta=b), record={"fingerprint": "other"})
        for a, b in GRID
    ]
    for number, cell in enumerate(other):
        cell.signature = f"other{number}"
    for cells in (grid + other[:6], other[:6] + grid):
        figure = figure1.nbert_over_alpha_and_beta(lines(cells))
        assert "n = 5 splits" in figure.caption and "±0.00" not in text_of(figure)
        assert "Of 2 such grids" in figure.caption
    assert "such grids" not in figure1.nbert_over_alpha_and_beta(lines(grid)).caption


def test_no_mean_of_fewer_splits_is_framed(grid, make_cell):
    few = make_cell("AQ", "esnli", [99.0], reg=Sced(name="SCED", alpha=GRID[0][0], beta=GRID[0][1]))
    figure = figure1.nbert_over_alpha_and_beta(lines([few, *grid[1:]]))
    assert "n = 1 to 5 splits" in figure.caption and "None is framed" in figure.caption
    assert "Framed: the highest" in figure1.nbert_over_alpha_and_beta(lines(grid)).caption


def test_without_data_there_is_a_line_and_no_figure(make_cell):
    cell = make_cell("LoRA-R4", "esnli", [80.0])
    first, second = figure1.of_table(tables([cell])[0])
    assert first.startswith("Figure 1a of Flan-T5-large") and second.startswith("Figure 1b of")
    assert figure1.nbert_over_alpha_and_beta(lines([cell])).startswith("Figure 1d: no cells on e-SNLI")


def test_demo_data_is_written_across_every_figure(make_cell):
    cells = [make_cell(row, name, [80.0, 82.0], source="demo") for row in ("AQ", "CAREF-AQ") for name in paper.DATASETS]
    cells += [
        make_cell("AQ", "esnli", [80.0], source="demo", reg=Sced(name="SCED", alpha=a, beta=b)) for a, b in GRID[:6]
    ]
    found = [*figure1.of_table(tables(cells)[0]), figure1.nbert_over_alpha_and_beta(lines(cells))]
    assert all("demo data" in text_of(figure) and "demo data" in figure.caption for figure in found)


def test_real_data_is_not_called_demo(drawn):
    assert not any("demo" in text_of(figure) + figure.caption for figure in drawn)


def test_the_same_records_give_the_same_bytes(papers_cells, grid, drawn):
    again = figure1.of_table(tables(papers_cells)[0])
    assert again == drawn
    assert figure1.nbert_over_alpha_and_beta(lines(grid)) == figure1.nbert_over_alpha_and_beta(lines(grid))


def test_files_are_png_and_pdf_without_a_date(drawn, tmp_path):
    png, pdf = drawn[0].save(tmp_path)
    assert (png.name, pdf.name) == ("figure1a.png", "figure1a.pdf")
    assert png.read_bytes().startswith(b"\x89PNG") and pdf.read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in pdf.read_bytes() and b"tIME" not in png.read_bytes()


def test_the_pages_svg_names_its_colours(drawn):
    for figure in drawn:
        assert figure.svg.startswith("<svg") and "var(--ink)" in figure.svg and "var(--s1)" in figure.svg
        assert "#1a1a19" not in figure.svg and "#0072b2" not in figure.svg and "metadata" not in figure.svg


def test_the_comparison_shows_every_cell_and_says_demo(make_cell):
    demo = lines([make_cell(row, "esnli", [80.0, 82.0], source="demo") for row in ("CAREF-AQ", "LoRA-R4")])
    drawn = side_by_side.figure(demo)
    assert drawn.png.startswith(b"\x89PNG") and drawn.png == side_by_side.figure(demo).png
    assert "demo data" in text_of(drawn)
    real = side_by_side.figure(lines([make_cell("AQ", "esnli", [80.0, 82.0])]))
    assert "demo data" not in text_of(real) and real.png != drawn.png
    cells = [make_cell("AQ", "esnli", [80.0, 82.0], source=source) for source in ("files", "demo")]
    cells[1].signature = "demo"
    mixed = text_of(side_by_side.figure(lines(cells)))
    assert "e-SNLI · AQ" in mixed and "e-SNLI (demo) · AQ" in mixed and "demo data" in mixed


def test_what_cells_are_called_leaves_room_for_what_is_drawn(make_cell):
    """Settings that part cells make names of any length; a layout that finds no room for its axes only warns."""
    cell = make_cell("AQ", "esnli", [80.0, 82.0])
    named = [replace(line, settings="dataset.eval_size=480, dataset.eval_split=validation, " * n)
             for n, line in enumerate(lines([cell] * 4), start=1)]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = side_by_side.figure(named)
    assert text_of(drawn).count("dataset.eval_split=validation") == 1 + 2 + 3 + 4


def test_a_pair_without_accuracy_and_nbert_is_drawn_by_what_it_has(make_cell, written):
    cells = [make_cell(row, "esnli", [80.0, 82.0], scores={"broken": 4.0}) for row in ("AQ", "CAREF-AQ")]
    for cell in cells:
        for record in cell.records.values():
            del record["scores"]["accuracy"], record["scores"]["nbert"]
    for record in cells[1].records.values():
        record["scores"]["broken"] = 2.0
    found = gather(cells)
    (figure,) = found.drawn_pairs
    assert "broken" in text_of(figure) and "one split of 2:" in figure.caption
    assert figure.svg.count("var(--s3)") and not figure.svg.count("var(--s2)")  # fewer broken ones are a gain
    assert figure in found.figures() and f"{figure.name}.png" in markdown.document(found)
    for cell in cells:
        for record in cell.records.values():
            record["scores"] = {}
    bare = gather(cells)
    assert bare.figures() == [] and "with_without" not in markdown.document(bare)
    assert "with_without" not in page.document(bare, written(cells))


def test_the_comparison_tells_of_how_many_splits_each_score_is(make_cell):
    cell = make_cell("AQ", "esnli", [80.0, 82.0, 84.0])
    for split in (0, 1):
        cell.records[split]["scores"]["nbert"] = None
    assert "over n = 1 to 3 splits" in side_by_side.figure(lines([cell])).caption


def test_a_comparison_of_nothing_or_of_too_many_is_not_drawn(make_cell):
    assert "here are 0" in side_by_side.figure([])
    many = lines([make_cell("AQ", "esnli", [80.0, 82.0])] * 30)
    assert "here are 30" in side_by_side.figure(many)
