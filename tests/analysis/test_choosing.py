"""Choosing a regulariser's numbers: honest where cells do not differ, right where one does, told as it is."""

import itertools
import math
import re
from html import unescape

import numpy as np
import pytest
from made_up_cells import TINY

from caref.analysis import choosing
from caref.analysis.choosing import choices, halved, remarks
from caref.analysis.every_cell import best, lines
from caref.analysis.table1 import tables
from caref.objectives.terms.entropy import Entropy
from caref.objectives.terms.ivra import Ivra
from caref.objectives.terms.sced import Sced
from caref.report import markdown
from caref.report.findings import gather
from caref.report.html import page
from caref.results import store

GRID = list(itertools.product((1.0, 1.5, 2.0, 2.5), (0.0, 0.5, 1.0, 2.0)))


@pytest.fixture
def grid(make_cell):
    """A function: cells of SCED's grid, from scores (splits, cells) taken as nBERT."""

    def make(scored, row="CAREF-AQ", dataset="esnli", **changes):
        regs = [Sced(name="SCED", alpha=alpha, beta=beta) for alpha, beta in GRID[: scored.shape[1]]]
        return [
            make_cell(row, dataset, list(own), list(own), reg=reg, **changes)
            for own, reg in zip(scored.T, regs, strict=True)
        ]

    return make


def null(random, splits: int, cells: int) -> np.ndarray:
    """Scores (splits, cells) that differ by noise of deviation 1 alone, on the same easy and hard splits; mean 80."""
    return 80 + random.normal(0, 2, (splits, 1)) + random.normal(0, 1, (splits, cells))


@pytest.mark.parametrize(("splits", "cells"), [(60, 16), (12, 16), (13, 4)])
def test_without_any_difference_the_honest_figure_is_unbiased_and_the_maximum_is_not(splits, cells):
    random, honest, maximum = np.random.default_rng(7), [], []
    for _ in range(1000):
        scored = null(random, splits, cells)
        truth = scored.mean()  # of all cells on these splits, so that the splits' own spread does not count
        honest.append(halved(scored, True, 50, 0)[0].mean() - truth)
        maximum.append(scored.mean(axis=0).max() - truth)
    # the population of splits has mean 80, and over it so has the honest figure: within 4 of its standard errors
    assert abs(np.mean(honest)) < 4 * np.std(honest) / math.sqrt(1000)
    expected = np.mean(np.max(random.normal(0, 1, (100_000, cells)), axis=1)) / math.sqrt(splits)
    assert np.mean(maximum) == pytest.approx(expected, rel=0.1) and np.mean(maximum) > 0.2


def test_every_split_is_scored_by_the_other_half_alone():
    """By brute force over every halving of six splits: what no split of a half can see scores it."""
    scored = np.random.default_rng(3).normal(80, 3, (6, 3))
    held_out, shares = halved(scored, True, 4000, 1)
    expected, chosen = np.zeros(6), np.zeros(3)
    halves = list(itertools.combinations(range(6), 3))
    for half in halves:
        rest = [split for split in range(6) if split not in half]
        best = scored[list(half)].mean(axis=0).argmax()
        expected[rest] += scored[rest, best] / (len(halves) / 2)
        chosen[best] += 1 / len(halves)
    assert held_out.mean(axis=0) == pytest.approx(expected, abs=0.25)
    assert held_out.mean() == pytest.approx(expected.mean(), abs=0.06)
    assert shares == pytest.approx(chosen, abs=0.03) and shares.sum() == pytest.approx(1)


def test_a_cell_that_is_better_is_chosen_and_its_mean_is_the_honest_figure(grid):
    scored = null(np.random.default_rng(0), 60, 16)
    scored[:, 5] += 5
    (found,) = choices(lines(grid(scored)), "nbert")
    assert found.names[found.best] == "alpha=1.5 beta=0.5" and found.shares[found.best] == 1
    assert found.honest.mean == pytest.approx(scored[:, 5].mean()) == found.maximum.mean
    assert found.honest.std == pytest.approx(scored[:, 5].std()) and found.honest.n == 60
    assert found.chosen() == "alpha=1.5 beta=0.5 100%" and found.halving == pytest.approx(0)


def test_the_honest_figures_deviation_is_that_of_a_cells_splits_not_of_their_means_over_halvings(grid):
    (found,) = choices(lines(grid(np.random.default_rng(1).normal(80, 2, (60, 16)))), "nbert")
    assert found.honest.std == pytest.approx(2, rel=0.15)


def test_of_a_measure_where_less_is_better_the_least_is_chosen(make_cell):
    cells = [
        make_cell("CAREF-AQ", "esnli", [80.0] * 8, scores={"broken": broken}, reg=Sced(name="SCED", alpha=alpha))
        for alpha, broken in ((1.0, 9.0), (1.5, 2.0), (2.0, 5.0))
    ]
    (found,) = choices(lines(cells), "broken")
    assert found.chosen() == "alpha=1.5 100%" and found.maximum.mean == found.honest.mean == 2.0


def test_cells_with_equal_means_share_the_choice(grid):
    (found,) = choices(lines(grid(np.full((10, 4), 70.0))), "nbert")
    assert found.shares == pytest.approx([0.25] * 4) and found.honest.mean == 70.0


def test_the_same_seed_gives_the_same_figures_and_a_thousand_halvings_settle_them(grid):
    cells = lines(grid(null(np.random.default_rng(2), 60, 16)))
    (first,), (again,), (other,) = (choices(cells, "nbert", seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert other.honest.mean != first.honest.mean
    assert abs(other.honest.mean - first.honest.mean) < 0.01 * first.honest.std


def test_a_grid_is_cells_that_differ_in_one_regularisers_numbers_alone(grid, make_cell):
    random = np.random.default_rng(4)
    cells = [
        *grid(null(random, 12, 3)),
        *grid(null(random, 12, 2), row="CAREF-BASE"),
        *grid(null(random, 12, 2), dataset="ecqa"),
        *grid(null(random, 12, 1), model=TINY),
        make_cell("AQ", "esnli", [79.0] * 12, [78.0] * 12),
        *(make_cell("AQ", "esnli", [79.0] * 12, reg=Entropy(name="x", lambda_entropy=one)) for one in (0.1, 0.2)),
    ]
    found = choices(lines(cells), "nbert")
    assert {(choice.title, len(choice.cells)) for choice in found} == {
        ("Flan-T5-large · e-SNLI · AQ · SCED", 3),
        ("Flan-T5-large · e-SNLI · AQ · entropy", 2),
        ("Flan-T5-large · e-SNLI · BASE · SCED", 2),
        ("Flan-T5-large · ECQA · AQ · SCED", 2),
    }
    without = {choice.title: choice.without and choice.without.mean for choice in found}
    assert without["Flan-T5-large · e-SNLI · AQ · SCED"] == without["Flan-T5-large · e-SNLI · AQ · entropy"] == 78.0
    assert without["Flan-T5-large · ECQA · AQ · SCED"] is None
    assert remarks(lines(cells), "nbert") == ["1 cell with a regulariser stands in no grid"]


def test_only_splits_that_all_cells_have_count_and_the_least_is_named(grid):
    cells = grid(null(np.random.default_rng(5), 20, 3))
    for split in range(9, 20):
        del cells[1].records[split]
    (found,) = choices(lines(cells), "nbert")
    assert found.honest.n == found.maximum.n == 9
    (told,) = remarks(lines(cells), "nbert")
    assert "9 of up to 20 splits in common" in told and cells[1].signature in told


@pytest.fixture
def choose(command):
    """A function: `python -m caref.choose ...`; asserts the exit code."""

    def run(*line, code=0):
        done = command("-m", "caref.choose", *map(str, line))
        assert done.returncode == code, done.stdout + done.stderr
        if code:
            assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and not done.stdout, done.stderr
        return done

    return run


def test_the_line_prints_both_figures_with_n_and_spread(grid, make_cell, written, choose):
    cells = [*grid(null(np.random.default_rng(6), 12, 4)), make_cell("AQ", "esnli", [79.0] * 12)]
    (found,) = choices(lines(cells), "nbert")
    told = choose(written(cells, [])).stdout
    for figure in (found.maximum, found.honest):
        assert f"{figure.mean:.2f} ± {figure.std:.2f}" in told
    assert found.chosen() in told and f"({found.names[found.best]})" in told
    assert "1,000 random halvings" in " ".join(told.split())
    assert choose(written(cells, []), "--by", "accuracy", "--repeats", "50").stdout.startswith("chosen by")


def test_bad_input_is_one_line(grid, written, choose, tmp_path):
    one = written(grid(np.full((12, 1), 80.0)), [])
    assert "1 cell with a regulariser stands in no grid" in choose(one, code=2).stderr
    assert "no such measure; choose one of accuracy, nbert" in choose(one, "--by", "bleu", code=2).stderr
    assert "neither more nor less" in choose(one, "--by", "explanation_length", code=2).stderr
    assert "--repeats 0: must be at least 1" in choose(one, "--repeats", "0", code=2).stderr
    assert "no such results folder" in choose(tmp_path / "nowhere", code=2).stderr


def test_what_is_not_chosen_from_is_named(grid, written, choose):
    root = written(grid(null(np.random.default_rng(1), 12, 3)), [])
    record = min(root.glob("*/splits/*.json"))
    record.write_text("{")
    assert f"{record.parent.parent.name}: damaged and left out" in choose(root).stdout


def test_a_grid_without_the_measure_says_so(grid, written, choose):
    bare = grid(null(np.random.default_rng(1), 12, 2))
    for cell in bare:
        for one in cell.records.values():
            del one["scores"]["nbert"]
    assert "its 2 cells have no nBERT" in choose(written(bare, []), code=2).stderr


def test_cells_without_common_splits_are_one_line(grid, written, choose):
    cells = grid(null(np.random.default_rng(1), 12, 2))
    cells[0].records = {split: record for split, record in cells[0].records.items() if split < 6}
    cells[1].records = {split: record for split, record in cells[1].records.items() if split >= 6}
    told = choose(written(cells, []), code=2).stderr
    assert "0 of up to 6 splits in common, too few to halve" in told


def test_no_model_library_is_loaded(grid, written):
    import subprocess
    import sys

    root = written(grid(null(np.random.default_rng(1), 12, 2)), [])
    program = (
        "import sys; from pathlib import Path; from caref import choose; "
        f"choose.text(Path({str(root)!r}), 'nbert', 9, 0); "
        "print([name for name in ('torch', 'transformers', 'peft', 'datasets', 'hydra') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_table_reads_the_same_in_every_place(grid, written, choose):
    """Report in Markdown and HTML, and the command's table, column by column."""
    cells = grid(null(np.random.default_rng(9), 12, 8)) + grid(null(np.random.default_rng(5), 13, 3), row="CAREF-BASE")
    root = written(cells, [])
    told = choosing.grid_of(choices(lines(cells), "nbert"))
    expected = [told.head, *told.body]
    assert len(expected) == 3 and sorted(row[3] for row in told.body) == ["12", "13"]
    section = markdown.document(gather(cells)).split("## Chosen numbers")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in row.strip("| ").split(" | ")] for row in re.findall(r"^\|.*", section, re.MULTILINE)
    ]
    assert [rows[0], *rows[2:]] == expected and told.note in section
    section = page.document(gather(cells), root).split('id="chosen"')[1].split("</section>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", section)]
    assert [[unescape(cell) for cell in row] for row in rows] == expected and told.note in unescape(section)
    printed = choose(root).stdout
    rows = [re.split(r" {2,}", row) for row in printed.splitlines() if row.startswith(("chosen by", "nBERT"))]
    assert [row if len(row) == 8 else [row[0], "", *row[1:]] for row in rows] == [row[:-1] for row in expected]
    assert all(f"{row[1]}: chosen {row[-1]}" in printed for row in told.body)


def test_the_report_has_both_figures_side_by_side_and_no_section_without_a_grid(grid, make_cell, written):
    cells = grid(null(np.random.default_rng(8), 12, 4))
    (found,) = choices(lines(cells), "nbert")
    page_text, text = page.document(gather(cells), written(cells)), markdown.document(gather(cells))
    for told in (page_text, text):
        assert f"{found.maximum.mean:.2f} ± {found.maximum.std:.2f} ({found.names[found.best]})" in told
        assert f"{found.honest.mean:.2f} ± {found.honest.std:.2f}" in told and found.chosen() in told
    alone = cells[:1]
    assert 'id="chosen"' in page_text and 'id="chosen"' not in page.document(gather(alone), written(alone))
    assert "## Chosen numbers" in text and "Chosen numbers" not in markdown.document(gather(alone))


def test_cells_of_unknown_configuration_are_of_no_grid_and_named(grid, written, choose):
    cells = grid(null(np.random.default_rng(1), 12, 6))
    root = written(cells, [])
    for cell in cells[3:]:
        (root / cell.signature / "config.yaml").write_bytes(b"{")
    kept = store.cells(root)
    (found,) = choices(lines(kept), "nbert")
    assert {line.cell.signature for line in found.cells} == {cell.signature for cell in cells[:3]}
    told = choose(root).stdout
    assert "unknown ·" not in told and all(f"{cell.signature}/config.yaml: broken" in told for cell in cells[3:])
    assert not best(line for line in lines(kept) if line.cell.signature in {cell.signature for cell in cells[3:]})


def test_a_cell_that_does_not_say_its_model_is_in_no_table(make_cell):
    cell = make_cell("AQ", "esnli", [80.0])
    cell.config["model"] = {"name": "unknown"}
    assert tables([cell]) == []


def test_modules_beside_one_plain_model_are_no_grid(make_cell):
    """Among cells of one model there is nothing to choose by its scores."""
    scores = list(np.random.default_rng(0).normal(80, 1, 6))
    cells = [make_cell("AQ", "esnli", scores, reg=Ivra(criteria=criteria)) for criteria in ([], ["comp"], ["suff"])]
    assert not choices(lines(cells), "nbert") and not remarks(lines(cells), "nbert")
