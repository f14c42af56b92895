"""Raters cannot tell the cells: pages and sheets are a function of the texts, the seed and the rater alone."""

import csv
import html
import io
import re

import pytest

from .conftest import FORMULA, HTML, explains

SHEETS = [f"rater-{number}.{kind}" for number in (1, 2, 3) for kind in ("html", "csv")]


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(two_cells, ratings, tmp_path):
    for out, seed in (("one", 0), ("two", 0), ("three", 1)):
        ratings("sample", tmp_path / "results", "--seed", seed, "--out", tmp_path / out)
    one, two, three = (contents(tmp_path / out) for out in ("one", "two", "three"))
    assert set(one) == {*SHEETS, "key.csv"} and one == two
    assert all(one[name] != three[name] for name in one)


def test_cells_that_swap_what_they_wrote_leave_every_page_and_sheet_as_it_was(make_cell, ratings, tmp_path):
    """Name, order, length and metadata of the files can tell nothing that does not change when the cells do."""
    for folder, first, second in (("as is", "first", "second"), ("swapped", "second", "first")):
        root = tmp_path / folder
        make_cell(first, overrides=("reg=sced",), root=root)
        make_cell(second, overrides=("reg=none", "train.lr=0.5"), root=root)
        ratings("sample", root, "--out", tmp_path / f"{folder} ratings")
    as_is, swapped = contents(tmp_path / "as is ratings"), contents(tmp_path / "swapped ratings")
    assert all(as_is[name] == swapped[name] for name in SHEETS)
    assert as_is["key.csv"] != swapped["key.csv"]


def test_no_sheet_holds_a_name_of_a_cell(two_cells, ratings, tmp_path):
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out")
    files = contents(tmp_path / "out")
    for word in (*two_cells, "tiny", "SCED", "AQ", "gold", "nbert", str(tmp_path), "split"):
        for name in SHEETS:
            assert word.lower().encode() not in re.sub(rb"<style>.*</style>", b"", files[name], flags=re.S).lower(), (
                word
            )
    assert len({len(files[name]) for name in SHEETS if name.endswith("html")}) == 1
    assert len({len(files[name]) for name in SHEETS if name.endswith("csv")}) == 1


def test_capitals_and_spaces_do_not_tell_who_wrote(make_cell, ratings, tmp_path):
    make_cell("x", says=lambda split, number: f"A Model  Shouts\n{number}")
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--no-checks")
    explanations = [row["explanation"] for row in rows(contents(tmp_path / "out")["rater-1.csv"])]
    assert all(text == text.lower() and "  " not in text and "\n" not in text for text in explanations)


def test_every_cell_is_judged_on_the_same_inputs_and_gold_beside(two_cells, ratings, tmp_path):
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out")
    key = rows(contents(tmp_path / "out")["key.csv"])
    inputs = {
        who: {(row["input"], row["split"]) for row in key if (row["cell"] or row["kind"]) == who}
        for who in (*two_cells, "gold")
    }
    assert inputs[two_cells[0]] == inputs[two_cells[1]] == inputs["gold"] and len(inputs["gold"]) == 30
    sheet = {row["item"]: row for row in rows(contents(tmp_path / "out")["rater-2.csv"])}
    assert set(sheet) == {row["item"] for row in key}


def test_raters_get_one_set_in_different_orders_and_an_input_does_not_return_soon(two_cells, ratings, tmp_path):
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--no-checks")
    files = contents(tmp_path / "out")
    orders = [[row["item"] for row in rows(files[f"rater-{number}.csv"])] for number in (1, 2, 3)]
    assert len({tuple(order) for order in orders}) == 3 and len({frozenset(order) for order in orders}) == 1
    for number in (1, 2, 3):
        inputs = [row["input"] for row in rows(files[f"rater-{number}.csv"])]
        assert len(inputs) == 90
        for place, one in enumerate(inputs):
            assert one not in inputs[place + 1 : place + 15]


def test_explanations_that_read_the_same_are_one_screen(make_cell, ratings, tmp_path):
    for reg in ("sced", "none"):
        make_cell("both", overrides=(f"reg={reg}",))
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--no-gold", "--no-checks")
    files = contents(tmp_path / "out")
    assert len(rows(files["rater-1.csv"])) == 30 and len(rows(files["key.csv"])) == 60


def test_a_right_answer_without_an_explanation_is_not_shown_but_counted(make_cell, ratings, tmp_path):
    make_cell("x", says=lambda split, number: "" if number % 2 else explains("x", number))
    done = ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--no-gold", "--no-checks")
    files = contents(tmp_path / "out")
    unasked = [row for row in rows(files["key.csv"]) if not row["item"]]
    assert len(rows(files["rater-1.csv"])) + len(unasked) == 30 and 0 < len(unasked) < 30
    assert f"{len(unasked)} right answers come without an explanation" in done.stdout


def test_checks_and_gold_can_be_turned_off(two_cells, ratings, tmp_path):
    ratings("sample", tmp_path / "results", "--out", tmp_path / "all", "--each", "5")
    ratings("sample", tmp_path / "results", "--out", tmp_path / "few", "--each", "5", "--no-gold", "--no-checks")
    kinds = {out: [row["kind"] for row in rows(contents(tmp_path / out)["key.csv"])] for out in ("all", "few")}
    assert [kinds["all"].count(kind) for kind in ("cell", "gold", "check")] == [10, 5, 2]
    assert kinds["few"] == ["cell"] * 10


def test_nothing_in_a_sheet_or_key_is_a_formula(make_cell, ratings, tmp_path):
    says = [FORMULA, "@SUM(A1)", "-1+1", "+1", "ok; =1+1", "ok,@x", "\t=1", "＝1+1"]
    make_cell("x", says=lambda split, number: f"{says[number % len(says)]} {number}")
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out")
    files = contents(tmp_path / "out")
    for name in ("rater-1.csv", "key.csv"):
        text = files[name].decode("utf-8-sig")
        for separator in ",;\t":
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
                for cell in row:
                    assert cell[:1] not in tuple("=+@＝＋＠\t\r") or cell == "", (name, separator, cell)
                    assert not re.match(r"-(?!1$)", cell), cell  # -1 itself is a number
    shown = {row["explanation"] for row in rows(files["rater-1.csv"])}
    assert any(text.startswith("'=hyperlink(") for text in shown)


def test_html_in_a_generation_is_escaped_in_the_page(make_cell, ratings, tmp_path):
    make_cell("x", says=lambda split, number: f"{HTML} {number}")
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out")
    page = (tmp_path / "out" / "rater-1.html").read_text()
    assert page.count("<script") == 2 and page.count("</script") == 2 and "<img" not in page
    assert "\\u003cscript>document.title=" in html.unescape(page)


@pytest.mark.parametrize("mark", ["%STYLE%", "%DATA%", "%SCRIPT%"])
def test_a_text_that_looks_like_a_mark_of_the_page_stays_a_text(make_cell, ratings, tmp_path, mark):
    make_cell("x", says=lambda split, number: f"{mark.lower()} {mark} {number}")
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--each", "3")
    assert f"{mark.lower()} {mark.lower()}" in (tmp_path / "out" / "rater-1.html").read_text()
