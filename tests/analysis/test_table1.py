"""Which cell stands where, what is averaged, and what is left empty or refused rather than guessed."""

import random

import numpy as np
import pytest
from made_up_cells import TINY, spread

from caref.analysis import paper
from caref.analysis.summary import ranges, refusal, scores, summarise, warnings
from caref.analysis.table1 import AVERAGE, tables
from caref.config import schema
from caref.models.methods.lora import Lora
from caref.objectives.terms.sced import Sced


def test_the_deviation_is_the_populations_and_order_does_not_matter():
    values = list(np.random.default_rng(0).normal(80, 2, 60))
    found = summarise(values)
    assert (found.mean, found.std, found.n) == (
        pytest.approx(np.mean(values)),
        pytest.approx(np.std(values, ddof=0)),
        60,
    )
    random.Random(0).shuffle(values)
    assert summarise(values) == found
    assert summarise([]) is None and summarise([7.0]).std == 0.0


def test_a_score_that_is_not_there_or_not_a_number_is_left_out():
    records = {2: {"scores": {"nbert": 1.5}}, 0: {"scores": {"nbert": float("nan")}}, 1: {"scores": {}}, 3: {}}
    assert scores(records, "nbert") == {2: 1.5}


def test_ranges_say_splits_in_few_words():
    assert ranges([0, 1, 2, 4, 6, 7]) == "0-2, 4, 6-7" and ranges([]) == ""


def test_the_papers_own_table_comes_out_as_the_paper_prints_it(papers_cells):
    (table,) = tables(papers_cells)
    assert table.not_comparable is None and table.departures == [] and not table.refused
    for row in paper.rows():
        for metric in paper.METRICS:
            for column in (*paper.DATASETS, AVERAGE):
                mean, std = paper.printed(row.name, metric, column)
                found = table.summary(row.name, metric, column)
                assert f"{found.mean:.2f}" == f"{mean:.2f}", (row, metric, column)
                assert found.n == 60
                if std is not None:
                    assert f"{found.std:.2f}" == f"{std:.2f}", (row, metric, column)


def test_the_average_waits_for_all_four_datasets(make_cell):
    cells = [make_cell("AQ", dataset, [80.0, 90.0]) for dataset in ("cos_e", "ecqa", "comve")]
    (table,) = tables(cells)
    assert table.summary("AQ", "accuracy", AVERAGE) is None
    assert table.summary("AQ", "accuracy", "esnli") is None
    (table,) = tables([*cells, make_cell("AQ", "esnli", [70.0])])
    found = table.summary("AQ", "accuracy", AVERAGE)
    assert (found.mean, found.n) == ((3 * 85 + 70) / 4, 1)


def test_the_average_is_paired_over_the_splits_all_four_have(make_cell):
    values = {"cos_e": [1.0, 2.0, 3.0], "ecqa": [1.0, 2.0], "comve": [5.0, 6.0, 7.0], "esnli": [1.0, 2.0, 3.0]}
    (table,) = tables([make_cell("AQ", dataset, found) for dataset, found in values.items()])
    assert table.scores("AQ", "accuracy", AVERAGE) == {0: 2.0, 1: 3.0}


def test_the_highest_mean_is_told_where_all_rows_have_the_same_splits(make_cell):
    many = [make_cell(row, "esnli", [score] * 60) for row, score in (("CAREF-AQ", 80.0), ("CAREF-BASE", 79.0))]
    (table,) = tables(many)
    assert table.best("RQ1", "accuracy", "esnli") == 80.0
    (table,) = tables([*many, make_cell("CAREF-DEC", "esnli", [99.0] * 5)])
    assert table.best("RQ1", "accuracy", "esnli") is None and table.best("RQ2", "accuracy", "esnli") == 80.0
    more = [
        make_cell(row, name, [70.0] * 60) for row in ("CAREF-AQ", "CAREF-BASE") for name in ("cos_e", "ecqa", "comve")
    ]
    assert tables([*many, *more])[0].best("RQ2", "accuracy", AVERAGE) == 72.5
    del more[0].records[3]
    assert tables([*many, *more])[0].best("RQ2", "accuracy", AVERAGE) is None


def test_a_cell_shared_by_several_questions_stands_in_each(make_cell):
    (table,) = tables([make_cell("CAREF-AQ", "esnli", [80.0])])
    assert sum(row.name == "CAREF-AQ" for row in paper.rows()) == 3
    assert table.summary("CAREF-AQ", "accuracy", "esnli").mean == 80.0 and table.filled() == 1


def test_what_fits_no_row_is_in_no_table(make_cell):
    assert tables([make_cell("AQ", "esnli", [80.0], reg=Sced(name="s", alpha=1.5))]) == []
    assert tables([make_cell("(IA)3", "esnli", [80.0])]) == [] and tables([]) == []


def test_other_setups_have_their_own_tables_the_comparable_first(make_cell):
    cells = [
        make_cell("AQ", "esnli", [50.0], source="demo"),
        make_cell("AQ", "esnli", [40.0], model=TINY),
        make_cell("AQ", "esnli", [60.0], train=schema.Train(epochs=5)),
        make_cell("AQ", "esnli", [80.0]),
    ]
    cells[0].signature = "demo"
    found = tables(cells)
    assert [table.summary("AQ", "accuracy", "esnli").mean for table in found] == [80.0, 60.0, 40.0, 50.0]
    assert [table.demo for table in found] == [False, False, False, True]
    assert [table.not_comparable is None for table in found] == [True, True, False, False]
    assert "random weights" in found[2].not_comparable and "demo data" in found[3].not_comparable
    assert len({table.title for table in found}) == 4
    assert "train.epochs=5" in found[1].title and found[1].departures == ["train.epochs 5 (paper: 50)"]


def test_inputs_cut_short_are_another_setup_and_not_the_papers(make_cell):
    short = schema.Dataset(name="esnli", max_tokens=32)
    cells = [make_cell("AQ", "esnli", [80.0]), make_cell("CAREF-AQ", "esnli", [60.0], dataset=short)]
    whole, cut = tables(cells)
    assert {row for row, _ in whole.cells} == {"AQ"} and whole.departures == []
    assert {row for row, _ in cut.cells} == {"CAREF-AQ"}
    assert cut.departures == ["dataset.max_tokens 32 (paper: null)"] and "dataset.max_tokens=32" in cut.title


def test_rows_of_a_column_rest_on_the_same_examples(make_cell):
    other = schema.Dataset(name="esnli", train_split="test")
    cells = [
        make_cell("AQ", "esnli", [80.0] * 3),
        make_cell("CAREF-AQ", "esnli", [81.0] * 3),
        make_cell("AQ", "esnli", [60.0], dataset=other),
        make_cell(
            "AQ", "ecqa", [70.0], dataset=schema.Dataset(name="ecqa", train_split="validation", eval_split="test")
        ),
    ]
    cells[2].records[0]["fingerprint"] = "other"
    first, second = tables(cells)
    assert {row for row, _ in first.cells} == {"AQ", "CAREF-AQ"}
    assert set(first.cells) == {("AQ", "esnli"), ("CAREF-AQ", "esnli"), ("AQ", "ecqa")}
    assert second.summary("AQ", "accuracy", "esnli").mean == 60.0


def test_of_two_cells_that_fit_one_place_none_is_chosen(make_cell):
    cells = [make_cell("LoRA-R4", "esnli", [80.0], peft=Lora(alpha=alpha)) for alpha in (8.0, 16.0)]
    (table,) = tables(cells)
    assert table.summary("LoRA-R4", "accuracy", "esnli") is None
    assert all(cell.signature in table.refused["LoRA-R4", "esnli"] for cell in cells)


def test_mixed_data_is_refused_and_its_splits_are_named(make_cell):
    cell = make_cell("AQ", "esnli", spread(80, 1, 0, n=6))
    for split in (3, 4):
        cell.records[split]["fingerprint"] = "another"
    assert refusal(cell) == "mixed data: esnlixxxxxxx (splits 0-2, 5); another (splits 3-4)"
    (table,) = tables([cell])
    assert table.summary("AQ", "accuracy", "esnli") is None and "mixed data" in table.refused["AQ", "esnli"]


def test_demo_among_real_records_is_refused(make_cell):
    cell = make_cell("AQ", "esnli", [80.0, 81.0])
    cell.records[1]["source"] = "demo"
    assert refusal(cell) == "mixed sources: files (splits 0); demo (splits 1)"


def test_files_and_hub_with_the_very_same_examples_are_told_not_refused(make_cell):
    cell = make_cell("AQ", "esnli", [80.0, 81.0])
    cell.records[1]["source"] = "hub"
    assert refusal(cell) is None
    assert warnings(cell) == ["mixed sources: files (splits 0); hub (splits 1)"]


def test_mixed_versions_precision_failures_and_damage_are_told(make_cell):
    cell = make_cell("AQ", "esnli", [80.0, 81.0, 82.0])
    cell.records[2]["run"] = {"precision": "fp32", "versions": {"torch": "2.14.0"}}
    cell.failed[5] = {"split": 5, "error": "loss is nan at step 3"}
    cell.damaged.append("r/splits/004.json: not a whole record")
    assert warnings(cell) == [
        "mixed library versions: torch 2.13.0 (splits 0-1); torch 2.14.0 (splits 2)",
        "mixed precision: bf16 (splits 0-1); fp32 (splits 2)",
        "failed: splits 5 (loss is nan at step 3)",
        "damaged and left out: r/splits/004.json: not a whole record",
    ]
    cell.failed[1] = {"split": 1, "error": "an old failure, since mended"}
    assert "failed: splits 5 (" in warnings(cell)[2]
