"""Trained attention in the report: against mean attention of the same model (ARG), and beside IvRA's own numbers."""

import csv
import io
import math
import re
from dataclasses import replace
from html import unescape

import pytest

from caref.analysis import beside_ivra, relative_gain
from caref.config import schema
from caref.objectives.terms.ivra import Ivra
from caref.objectives.terms.smat import Smat
from caref.report import markdown, spreadsheets
from caref.report.html import page

ELECTRA = schema.Model(name="ELECTRA-base", path="google/electra-base-discriminator", kind="classifier")
COMP, SUFF, CONS = "erasure.{}.comprehensiveness", "erasure.{}.sufficiency", "consistency.{}.by_words"


def both(score: str, attention: list[float], ivra: list[float]) -> list[dict[str, float]]:
    """Scores by split."""
    old, new = (score.format(name) for name in ("attention", "ivra"))
    return [{old: before, new: after} for before, after in zip(attention, ivra, strict=True)]


def rows_of(report):
    (question,) = report.evidence.questions
    return relative_gain.rows(question)


def test_a_gain_is_the_share_of_the_old_mean_and_turns_where_lower_is_better():
    assert relative_gain.gain("", [0.2, 0.4], [0.3, 0.6], up=True).relative is None  # 0.3 ± 12.7 * 0.1 holds 0
    steady = [0.29, 0.30, 0.31]
    assert relative_gain.gain("", steady, [0.4, 0.5, 0.45], up=True).relative == pytest.approx(0.15 / 0.3)
    assert relative_gain.gain("", steady, [0.4, 0.5, 0.45], up=False).relative == pytest.approx(-0.15 / 0.3)
    assert relative_gain.gain("", steady, [0.15] * 3, up=False).relative == pytest.approx(0.5)
    assert relative_gain.gain("", steady, [-0.3] * 3, up=True).relative == pytest.approx(-2)


@pytest.mark.parametrize(
    ("old", "told"),
    [
        ([0.049] * 4, False),
        ([0.05] * 4, True),
        ([0.5], False),  # of one split nobody knows the interval
        ([-0.5] * 4, False),  # a gain of 0.1 would be -20 %
        # Mean 0.3; Student's t of three degrees of freedom is 3.182: 0 is reached at a standard error of 0.0943.
        ([0.3 - 0.15, 0.3 + 0.15] * 2, True),  # 0.0866
        ([0.3 - 0.17, 0.3 + 0.17] * 2, False),  # 0.0981
    ],
)
def test_a_small_a_negative_or_an_uncertain_baseline_has_no_ratio(old, told):
    of = relative_gain.gain("", old, [value + 0.1 for value in old], up=True)
    assert (of.relative is not None) == told and of.new - of.old == pytest.approx(0.1)


def test_arg_is_the_mean_over_datasets_of_one_configuration(found):
    reg = {"model": ELECTRA, "reg": Ivra()}
    report, _ = found(
        ("imdb", reg, both(COMP, [0.10, 0.10, 0.10], [0.20, 0.15, 0.25])),  # +100 %
        ("esnli", reg, both(COMP, [0.40, 0.41, 0.39], [0.50, 0.50, 0.50])),  # +25 %
        ("fever", reg, both(COMP, [0.01, 0.02, 0.03], [0.09, 0.09, 0.09])),  # no ratio
        ("imdb", reg | {"reg": Ivra(criteria=["suff"])}, both(SUFF, [0.5, 0.5], [0.4, 0.4])),  # lower is better
        ("imdb", reg | {"reg": Ivra(scope="joint")}, both(COMP, [0.1, 0.1], [0.2, 0.2])),  # the model is another
    )
    by_score = {row.key: row for row in rows_of(report)}
    assert by_score.keys() == {"erasure.*.comprehensiveness", "erasure.*.sufficiency"}
    comp, suff = by_score["erasure.*.comprehensiveness"], by_score["erasure.*.sufficiency"]
    assert comp.average == pytest.approx((1 + 0.25) / 2) and suff.average == pytest.approx(0.2)
    assert [one.dataset for one in comp.gains if one.relative is None] == ["FEVER answers"]
    told = markdown.document(report)
    assert "+62.5 % | 2 of 3 |" in told and "FEVER answers 0.020 → 0.090 (3): +0.070, no ratio" in told
    assert "+20.0 % | 1 of 1 |" in told and "IvRA comp softmax λ=1" in told
    rows = list(csv.DictReader(io.StringIO(spreadsheets.files(report)["evidence_gains.csv"])))
    assert [row["relative"] for row in rows if row["dataset"] == "FEVER answers"] == [""]
    assert {row["average"] for row in rows if row["score"].endswith("comprehensiveness")} == {str(comp.average)}


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("eval_size", 100, 350),
        ("eval_split", "test", "validation"),
        ("train_split", "test", "train"),
        ("max_tokens", 128, None),
    ],
)
def test_each_arg_is_over_distinct_datasets_and_says_which(found, key, one, other):
    """Two cells of one dataset that differ in a setting of it are of two averages."""

    def cell(name, value, new):
        parts = {"model": ELECTRA, "reg": Ivra(), "dataset": schema.Dataset(name=name, target="answer", **{key: value})}
        return name, parts, both(COMP, [0.1] * 3, [new] * 3)

    gains = [("imdb", one, 0.2), ("esnli", one, 0.2), ("esnli", other, 0.4), ("fever", other, 0.5)]
    report, _ = found(*(cell(*of) for of in gains))
    rows = rows_of(report)
    told = {tuple(gain.dataset for gain in row.gains): (row.average, row.title) for row in rows}
    assert told.keys() == {("e-SNLI answers", "IMDb answers"), ("e-SNLI answers", "FEVER answers")}
    assert [average for average, _ in told.values()] == pytest.approx([1, 3.5])
    said = [f"dataset.{key}={'null' if value is None else value}" for value in (one, other)]
    assert [title.rpartition(" · ")[2] for _, title in told.values()] == said
    # Between datasets it may differ: nothing is held twice.
    report, _ = found(cell("imdb", one, 0.2), cell("fever", other, 0.4))
    (row,) = rows_of(report)
    assert row.average == pytest.approx(2) and f"dataset.{key}" not in row.title


def test_two_releases_of_one_dataset_are_of_two_averages(found):
    """Cells whose settings are the same and whose examples are not."""
    reg = {"model": ELECTRA, "reg": Ivra()}
    report, _ = found(("imdb", reg, both(COMP, [0.1] * 3, [0.2] * 3)))
    (question,) = report.evidence.questions
    (held,) = question.held
    config = {**held.line.cell.config, "fingerprint": "0123456789abcdef"}
    again = replace(held, line=replace(held.line, cell=replace(held.line.cell, config=config)))
    rows = relative_gain.rows(replace(question, held=[held, again]))
    assert [len(row.gains) for row in rows] == [1, 1]
    assert [row.title.rpartition(" · ")[2] for row in rows] == ["fingerprint=imdbxxxx", "fingerprint=01234567"]


def test_demo_data_has_an_average_of_its_own(found):
    reg = {"model": ELECTRA, "reg": Ivra()}
    report, _ = found(("imdb", reg, both(COMP, [0.1] * 3, [0.2] * 3)), ("esnli", reg, both(COMP, [0.1] * 3, [0.4] * 3)))
    (question,) = report.evidence.questions
    first, second = question.held
    mixed = [first, replace(second, line=replace(second.line, source="demo"))]
    rows = relative_gain.rows(replace(question, held=mixed))
    averages = {tuple(gain.dataset for gain in row.gains): row.average for row in rows}
    assert averages == {("e-SNLI answers",): pytest.approx(3), ("IMDb answers (demo)",): pytest.approx(1)}


def test_what_is_in_percent_is_guarded_as_a_share_and_counts_where_both_were_asked(found):
    scores = both("simulatability.{}.sim", [40.0, 42.0, 41.0], [50.0, 50.0, 50.0])
    del scores[0]["simulatability.ivra.sim"]
    report, _ = found(("imdb", {"model": ELECTRA, "reg": Smat(criteria=["sim"])}, scores))
    (row,) = rows_of(report)
    assert row.gains[0].n == 2 and row.average == pytest.approx(50 / 41.5 - 1)
    report, _ = found(("imdb", {"reg": Ivra()}, both("simulatability.{}.sim", [4.0] * 3, [5.0] * 3)))
    assert rows_of(report)[0].average is None and "| – | 0 of 1 |" in markdown.document(report)


def test_without_trained_attention_there_is_no_such_table(found):
    report, root = found(("imdb", {"model": ELECTRA}, [{COMP.format("saliency"): 0.1}]))
    for told in (markdown.document(report), page.document(report, root)):
        assert relative_gain.TITLE not in told and beside_ivra.TITLE not in told
    assert not {"evidence_gains.csv", "evidence_paper.csv"} & spreadsheets.files(report).keys()


def test_the_papers_numbers_stand_where_the_cell_is_what_they_are_of(found):
    sim = "simulatability.ivra.sim"
    report, root = found(
        ("imdb", {"model": ELECTRA}, [{COMP.format("attention"): 0.2, COMP.format("saliency"): 0.3}] * 2),
        ("esnli", {"model": ELECTRA}, [{CONS.format("lime"): 0.25}, {CONS.format("lime"): 0.35}]),
        # trained for comp: COMP alone; for several, by nothing, or not at all: none
        (
            "esnli",
            {"model": ELECTRA, "reg": Ivra(norm="sparsemax")},
            [{COMP.format("ivra"): 0.1, sim: 90.0, COMP.format("attention"): 0.1}],
        ),
        ("esnli", {"model": ELECTRA, "reg": Ivra(criteria=["comp", "sim"])}, [{COMP.format("ivra"): 0.1}]),
        ("esnli", {"model": ELECTRA, "reg": Ivra(criteria=[])}, [{COMP.format("ivra"): 0.1}]),
        # not the paper's module, or not its model
        ("esnli", {"model": ELECTRA, "reg": Ivra(lambda_sced=0.1, norm="sparsemax")}, [{COMP.format("ivra"): 0.1}]),
        ("esnli", {"model": ELECTRA, "reg": Ivra(selection="head", norm="sparsemax")}, [{COMP.format("ivra"): 0.1}]),
        ("esnli", {"model": ELECTRA, "reg": Ivra(reading="joint", norm="sparsemax")}, [{COMP.format("ivra"): 0.1}]),
        ("imdb", {"model": ELECTRA, "reg": Ivra(criteria=["sim"], scope="joint")}, [{sim: 91.234}]),
        ("imdb", {"model": ELECTRA, "reg": Smat(criteria=["sim"])}, [{CONS.format("ivra"): 0.5}]),
        # other datasets, models and targets
        ("fever", {"model": ELECTRA}, [{COMP.format("attention"): 0.2}]),
        ("imdb", {}, [{COMP.format("attention"): 0.2}]),
        ("esnli", {"model": ELECTRA, "dataset": schema.Dataset(name="esnli")}, [{COMP.format("attention"): 0.2}]),
    )
    rows = csv.DictReader(io.StringIO(spreadsheets.files(report)["evidence_paper.csv"]))
    stood = {(row["dataset"], row["reg"], row["score"]): float(row["paper_mean"]) for row in rows}
    assert stood == {
        ("IMDb answers", "–", COMP.format("attention")): 0.115,
        ("e-SNLI answers", "–", CONS.format("lime")): 0.273,
        ("e-SNLI answers", "IvRA comp sparsemax λ=1", COMP.format("ivra")): 0.360,
        ("IMDb answers", "IvRA sim softmax joint λ=1", sim): pytest.approx(92.8),
        ("IMDb answers", "SMaT sim softmax λ=1", CONS.format("ivra")): 0.340,
    }
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", page.document(report, root))).split())
    for told in (words, markdown.document(report).replace(" | ", " ")):
        assert beside_ivra.TITLE in told and "by the readings of docs/ivra.md" in told
        assert "0.300 ± 0.050 (2) 0.273" in told and "91.23 ± 0.00 (1) 92.80" in told


def test_a_module_of_another_cell_gains_beside_any_model_and_is_none_of_the_papers(found, asked):
    asked["module"] = "0123456789ab"
    scores = both(COMP, [0.2, 0.2], [0.3, 0.3])
    report, _ = found(("imdb", {"model": ELECTRA}, scores), ("esnli", {"model": ELECTRA, "reg": Ivra()}, scores))
    assert [round(row.average, 9) for row in rows_of(report)] == [0.5, 0.5]
    assert {one.name.attribution for one in beside_ivra.beside(report.evidence)} == {"attention"}
    assert "modules of cell 0123456789ab; question" in markdown.document(report)


def test_made_up_data_never_stands_beside_the_papers(found):
    report, _ = found(("imdb", {"model": ELECTRA}, [{COMP.format("attention"): 0.2}]), source="demo")
    assert beside_ivra.grid(report.evidence, only_demo=True) is None


def test_the_papers_numbers_are_six_methods_by_three_measures_by_two_datasets():
    printed = beside_ivra._printed()
    assert len(printed) == 36 and all(0 < value < 1 for value in printed.values())
    best = {
        (measure, dataset): max((value, *key[2:]) for key, value in printed.items() if key[:2] == (measure, dataset))
        for measure, dataset, *_ in printed
    }
    assert set(best.values()) == {
        (0.944, "ivra", "sparsemax"),
        (0.939, "ivra", "sparsemax"),
        (0.323, "ivra", "softmax"),
        (0.427, "ivra", "softmax"),
        (0.378, "ivra", "softmax"),
        (0.357, "ivra", "sparsemax"),
    }
    assert math.isclose(sum(printed.values()), 5.364 + 5.317 + 1.255 + 1.516 + 2.020 + 1.740)
