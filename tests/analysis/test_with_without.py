"""With against without the regulariser: what makes a pair, what is said of it, and that a report opens with it."""

import re
from html import unescape

import numpy as np
import pytest
from made_up_cells import TINY, spread

from caref.analysis import paper
from caref.analysis.every_cell import best, lines
from caref.analysis.significance import holm, interval, signed_rank
from caref.analysis.with_without import caution, headline, pairs
from caref.config import schema
from caref.objectives.terms.entropy import Entropy
from caref.objectives.terms.ivra import Ivra
from caref.objectives.terms.sced import Sced
from caref.objectives.terms.smat import Smat
from caref.report import findings, markdown
from caref.report.html import page


def words(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_cells_that_differ_in_the_regulariser_alone_are_a_pair(make_cell):
    cells = [
        make_cell("AQ", "esnli", [80.0, 82.0]),
        make_cell("CAREF-AQ", "esnli", [81.0, 85.0]),
        make_cell("AQ", "esnli", [79.0], reg=Sced(name="other", alpha=1.0)),
        make_cell("CAREF-AQ", "ecqa", [70.0]),
        make_cell("CAREF-BASE", "esnli", [70.0]),
        make_cell("CAREF-AQ", "esnli", [70.0], model=TINY),
        make_cell("CAREF-AQ", "esnli", [70.0], train=schema.Train(epochs=5)),
    ]
    elsewhere = make_cell("CAREF-AQ", "esnli", [60.0], source="demo")
    elsewhere.signature, elsewhere.records[0]["fingerprint"] = "elsewhere", "other"
    found = pairs(lines([*cells, elsewhere]))
    assert {(pair.without.cell.signature, pair.regularised.cell.signature) for pair in found} == {
        (cells[0].signature, cells[1].signature),
        (cells[0].signature, cells[2].signature),
    }


def test_gains_on_most_splits_that_a_few_collapses_outweigh_are_no_clear_loss(make_cell):
    before = spread(80, 1, 1)
    after = [one + (1.0 + number / 100 if number < 54 else -20.0) for number, one in enumerate(before)]
    (pair,) = found = pairs(
        lines([make_cell("AQ", "esnli", *[before] * 2), make_cell("CAREF-AQ", "esnli", before, after)])
    )
    change = pair.changes["nbert"]
    assert change.difference.p_holm < 0.01 and change.outcome == "undecided"
    assert "mean and ranks are on different sides" in change.said and "clear loss" not in caution(found)


def test_the_headline_is_of_real_data_and_names_each_regulariser(make_cell):
    before, after = spread(80, 2, 1, n=14), spread(81, 2, 2, n=14)
    real = [make_cell("AQ", "esnli", before), make_cell("CAREF-AQ", "esnli", after)]
    demo = [make_cell("AQ", "ecqa", before, source="demo"), make_cell("CAREF-AQ", "ecqa", after, source="demo")]
    both = pairs(lines([*real, *demo]))
    assert [pair.title.startswith("ECQA (demo) · ") for pair in both] == [True, False]
    assert headline(both).endswith("nBERT is 0.90 higher on 14 splits") and "ECQA" not in caution(both)
    assert "demo" in caution(pairs(lines(demo)))
    two = pairs(lines([*real, make_cell("AQ", "esnli", after, reg=Entropy())]))
    assert headline(two).startswith("With a regulariser, nBERT is higher in 2 of 2")
    assert all(f"{pair.title}, {pair.regularised.reg}" in caution(two) for pair in two)
    report = findings.gather([*real, *demo])
    assert report.banner.startswith("2 of 4 cells hold demo data") and report.banner in markdown.document(report)
    assert findings.gather(real).banner == ""


def test_a_cell_whose_model_is_the_plain_one_is_no_pair_and_in_no_family_of_tests(make_cell):
    """A module that leaves the model alone: its p would be 1 by construction, and weigh on all others'."""
    before, after = spread(80, 2, 1, n=20), spread(81, 2, 2, n=20)
    regs = [Ivra(), Smat(scope="module"), Ivra(criteria=[]), Ivra(criteria=[], scope="joint")]
    regs.append(Sced(lambda_sced=0.0, lambda_kl=0.0))
    regs.append(Smat(criteria=["sim"], scope="joint"))  # simulatability reaches the module alone
    plain = [make_cell("AQ", "esnli", before), *(make_cell("AQ", "esnli", before, reg=reg) for reg in regs)]
    moved = [Sced(), Ivra(lambda_sced=0.1), Ivra(criteria=[], lambda_kl=0.1), Ivra(scope="joint")]
    others = [make_cell("AQ", "esnli", after, reg=reg) for reg in moved]
    found = pairs(lines([*plain, *others]))
    assert {(pair.without.cell.signature, pair.regularised.cell.signature) for pair in found} == {
        (plain[0].signature, one.signature) for one in others
    }
    assert "higher in 4 of 4 pairs of cells" in headline(found)
    (alone,) = pairs(lines([*plain, others[0]]))
    assert alone.changes["nbert"].difference.p_holm == pytest.approx(alone.changes["nbert"].difference.p)
    assert headline([alone]) == "With the regulariser, nBERT is 0.90 higher on 20 splits"


def test_a_pair_is_compared_over_the_splits_that_both_have(make_cell):
    (pair,) = pairs(lines([make_cell("AQ", "esnli", [80.0, 82.0, 10.0]), make_cell("CAREF-AQ", "esnli", [84.0, 81.0])]))
    change = pair.changes["accuracy"]
    assert change.splits == ((0, 80.0, 84.0), (1, 82.0, 81.0))
    assert (change.without, change.regularised, change.difference.mean, change.better) == (81.0, 82.5, 1.5, 1)
    assert change.said == "+1.50 on average, better on 1 of 2 splits; too few for a test, 12 are needed"
    assert "similarity" not in pair.changes  # records of before it


def test_where_less_is_better_a_fall_is_a_gain(make_cell):
    without = make_cell("AQ", "esnli", [80.0] * 20, scores={"broken": 5.0})
    with_it = make_cell("CAREF-AQ", "esnli", [80.0] * 20, scores={"broken": 2.0})
    change = pairs(lines([without, with_it]))[0].changes["broken"]
    assert (change.difference.mean, change.better, change.outcome) == (-3.0, 20, "better")


def test_enough_splits_are_tested_with_holms_p_over_the_pairs(make_cell):
    random = np.random.default_rng(0)
    cells = []
    for dataset, gain in (("esnli", 3.0), ("ecqa", -2.0), ("comve", 0.0)):
        base = random.normal(80, 3, 30)
        cells.append(make_cell("AQ", dataset, list(base), list(base)))
        after = list(base + gain + random.normal(0, 1, 30))
        cells.append(make_cell("CAREF-AQ", dataset, after, after))
    found = pairs(lines(cells))
    changes = [pair.changes["nbert"] for pair in found]
    differences = [[round(after - before, 9) for _, before, after in change.splits] for change in changes]
    expected = holm([signed_rank(values) for values in differences])
    assert [change.difference.p_holm for change in changes] == pytest.approx(expected)
    told = {pair.without.dataset: pair.changes["nbert"] for pair in found}
    assert [told[name].outcome for name in ("e-SNLI", "ECQA", "ComVE")] == ["better", "worse", "undecided"]
    low, high = interval([after - before for _, before, after in told["e-SNLI"].splits])
    assert f"a clear gain (95% interval +{low:.2f} to +{high:.2f}, Holm's p <0.001)" in told["e-SNLI"].said
    up = sum(np.mean(values) > 0 for values in differences)
    assert headline(found) == (
        f"With the regulariser, nBERT is higher in {up} of 3 pairs of cells; clearly higher in 1, clearly lower in 1"
    )


def test_the_headline_of_one_pair_says_how_much_and_on_how_many_splits(make_cell):
    cells = [
        make_cell("AQ", "esnli", [80.0, 82.0], [70.0, 71.0]),
        make_cell("CAREF-AQ", "esnli", [81.0, 85.0], [72.0, 68.0]),
    ]
    found = pairs(lines(cells))
    assert headline(found) == "With the regulariser, nBERT is 0.50 lower on 2 splits"
    assert "e-SNLI · AQ · Flan-T5-large" in caution(found) and "12 are needed" in caution(found)
    assert headline([]) == "What the records say" and caution([]) == ""


@pytest.fixture
def quickstart(make_cell):
    """What `make run` leaves: one pair on demo data."""
    demo = {"source": "demo", "model": TINY}
    return [
        make_cell("BASE", "cos_e", spread(48, 3, 1, n=3), **demo),
        make_cell("CAREF-BASE", "cos_e", spread(52, 3, 2, n=3), **demo),
    ]


def test_a_report_of_few_cells_opens_with_the_pair_then_every_cell_then_table_1(quickstart, written):
    found = findings.gather(quickstart)
    text = page.document(found, written(quickstart))
    assert re.findall(r'<section id="(\w+)"', text)[:3] == ["pairs", "cells", "table1"]
    head = words(text.split("<nav>")[0])
    assert "With the regulariser, nBERT is 3.60 higher on 3 splits" in head
    opening = words(text.split('<section id="pairs"')[1].split("</section>")[0])
    assert "+3.60 nBERT with SCED" in opening and "too few splits to tell: 3 of 12" in opening
    assert text.count('class="drawn"') == 1
    told = markdown.document(found)
    order = [told.index(f"## {name}") for name in ("With against without", "Every cell", "Table 1", "Claims")]
    assert order == sorted(order) and "(with_without-1.png)" in told


def test_demo_data_is_said_in_one_place_of_the_page_where_all_is_demo(quickstart, written, make_cell):
    text = page.document(findings.gather(quickstart), written(quickstart))
    assert text.count("Demo data: made by the project itself") == 1 and ">demo<" not in text
    mixed = [*quickstart, make_cell("AQ", "esnli", [80.0])]
    text = page.document(findings.gather(mixed), written(mixed))
    assert text.count(">demo<") == 2 and '<body class="demo">' not in text


def test_a_full_table_1_stands_before_the_list_of_all_cells(papers_cells):
    found = findings.gather(papers_cells)
    assert found.table1_first and len(found.pairs) == 8 and len(found.drawn_pairs) == 4
    means = {(pair.without.peft, pair.without.dataset): pair.changes["nbert"].difference.mean for pair in found.pairs}
    assert means["BASE", "ECQA"] == pytest.approx(-2.65, abs=0.01)  # as the paper prints it
    assert means["AQ", "e-SNLI"] == pytest.approx(
        paper.printed("CAREF-AQ", "nbert", "esnli")[0] - paper.printed("AQ", "nbert", "esnli")[0], abs=0.01
    )


def test_the_best_of_a_models_cells_on_a_dataset_is_marked(make_cell):
    cells = [
        make_cell(row, "esnli", [mean], scores={"broken": 100 - mean}) for row, mean in (("AQ", 80.0), ("BASE", 70.0))
    ]
    alone = make_cell("AQ", "ecqa", [60.0])
    found = best(lines([*cells, alone]))
    assert found == {(cells[0].signature, metric) for metric in ("accuracy", "nbert", "broken")}
