"""Sheets as people hand them back: told or refused, nothing guessed, nothing lost."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from caref.ratings import sheets
from caref.ratings.study import Study
from caref.report import judgement

from .conftest import FORMULA


@pytest.fixture
def study(two_cells, ratings, tmp_path) -> Path:
    """The folder of a study of 12 inputs: sheets of three raters and the key."""
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--each", "12")
    return tmp_path / "out"


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def write(path: Path, content: list[dict[str, str]], separator: str = ",", encoding: str = "utf-8") -> None:
    with open(path, "w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, content[0].keys(), delimiter=separator)
        writer.writeheader()
        writer.writerows(content)


def expected(study: Path) -> dict[str, str]:
    return {row["item"]: row["expected"] for row in rows(study / "key.csv") if row["kind"] == "check"}


def fill(study: Path, rater: str, answer: Callable[[int, dict], str], **how) -> Path:
    """Fill in a rater's sheet; checks are answered as they ask."""
    sheet, checks = study / f"{rater}.csv", expected(study)
    content = rows(sheet)
    for place, row in enumerate(content):
        row["rating"] = checks.get(row["item"]) or answer(place, row)
    write(sheet, content, **how)
    return sheet


def everyone(study: Path) -> list[Path]:
    for rater in (1, 2, 3):
        fill(
            study, f"rater-{rater}", lambda place, row, r=rater: ["yes", "weak yes", "no"][(len(row["input"]) + r) % 3]
        )
    return sorted(study.glob("*.csv"))


def test_the_key_among_the_sheets_is_passed_over_and_found(study, ratings):
    done = ratings("agree", *everyone(study))
    assert "unfinished" not in done.stdout and "attention" not in done.stdout
    assert {path.name for path in (study / "agreement").iterdir()} == {
        "judgement.json",
        "ratings.csv",
        "figure1c.png",
        "figure1c.pdf",
    }
    found = rows(study / "agreement" / "ratings.csv")
    # two cells and gold on 12 inputs by three raters
    assert len(found) == 3 * 3 * 12 and {row["kind"] for row in found} == {"cell", "gold"}


def test_the_same_sheets_give_the_same_bytes(study, ratings, tmp_path):
    sheets = everyone(study)
    ratings("agree", *sheets, "--out", tmp_path / "one")
    ratings("agree", *reversed(sheets), "--key", study / "key.csv", "--out", tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(("separator", "encoding"), [(";", "cp1252"), ("\t", "utf-8-sig"), (";", "utf-8-sig")])
def test_what_spreadsheets_make_of_a_sheet_is_read(study, ratings, separator, encoding):
    sheets = everyone(study)
    plain = ratings("agree", *sheets).stdout
    content = rows(study / "rater-2.csv")
    for row in content:
        row["rating"] = f" {row['rating'].capitalize()} "
        row["answer"] += " é"
    write(study / "rater-2.csv", content, separator, encoding)
    assert ratings("agree", *sheets).stdout == plain


def test_rows_that_a_spreadsheet_left_blank_are_passed_over(study, ratings):
    sheets = everyone(study)
    plain = ratings("agree", *sheets).stdout
    content = {name: rows(study / f"{name}.csv") for name in ("key", "rater-1")}
    for name, of in content.items():
        of[2:2] = [dict.fromkeys(of[0], " ")]
        write(study / f"{name}.csv", [*of, {}, {}], ";")
    assert ratings("agree", *sheets).stdout == plain
    content["rater-1"][4]["rating"] = "maybe"
    write(study / "rater-1.csv", content["rater-1"], ";")
    assert "row 6: rating 'maybe'" in ratings("agree", *sheets, code=2).stderr  # as a spreadsheet counts


def test_unfinished_and_empty_sheets_are_told_and_used_as_far_as_they_go(study, ratings):
    fill(study, "rater-1", lambda place, row: "weak no")
    half = fill(study, "rater-2", lambda place, row: "yes" if place < 10 else "")
    content = rows(half)
    content[30] |= {"rating": "", "skipped": "The answer is wrong"}
    write(half, content)
    told = ratings("agree", study).stdout
    assert told == ratings("agree", *sorted(study.glob("*.csv"))).stdout
    (study / "empty").mkdir()
    assert "no csv file in this folder" in ratings("agree", study / "empty", code=2).stderr
    assert "rater-3.csv: nothing is answered in it; left out" in told
    rated = sum(bool(row["rating"]) for row in content)
    assert f"rater-2: unfinished, {rated} of {len(content)} rated" in told and "rater-2: 1 skipped" in told


def test_raters_who_fail_checks_are_named_and_still_counted(study, ratings):
    sheets = everyone(study)
    content = rows(study / "rater-2.csv")
    checks = expected(study)
    for row in content:
        if row["item"] in checks:
            row["rating"] = "yes" if checks[row["item"]] != "yes" else "no"
    write(study / "rater-2.csv", content)
    told = ratings("agree", *sheets).stdout
    assert "rater-2 fails 2 of 2 attention checks; still counted" in told
    assert "rater-1 fails" not in told and "rater-3 fails" not in told


def test_a_rater_who_rated_twice_is_told_where_both_agree_and_refused_where_not(study, ratings, tmp_path):
    sheets = everyone(study)
    again = tmp_path / "rater-1 (1).csv"
    content = rows(study / "rater-1.csv")
    write(again, content[:20])  # an earlier export of the same
    assert "rater-1: 2 files that agree" in ratings("agree", *sheets, again).stdout
    content[3]["rating"] = "weak no"
    write(again, content[:20])
    told = ratings("agree", *sheets, again, code=2).stderr
    assert f"rater-1 answered {content[3]['item']} twice and differently" in told
    assert str(again) in told and str(study / "rater-1.csv") in told


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [("cell", None, "0123456789ab"), ("kind", "gold", "cell"), ("scores", None, "{}"), ("seed", "0", "1")],
)
def test_an_edited_key_is_refused(study, ratings, column, before, after):
    sheets = everyone(study)
    key = rows(study / "key.csv")
    changed = next(row for row in key if before is None or row[column] == before)
    changed[column] = after
    write(study / "key.csv", key)
    assert "edited since `sample` wrote it" in ratings("agree", *sheets, code=2).stderr
    write(study / "key.csv", [row for row in rows(study / "key.csv") if row is not changed][:-1])
    assert "edited since `sample` wrote it" in ratings("agree", *sheets, code=2).stderr


def test_a_key_that_a_spreadsheet_saved_unchanged_is_the_key(study, ratings):
    sheets = everyone(study)
    before = ratings("agree", *sheets).stdout
    write(study / "key.csv", rows(study / "key.csv"), ";", "utf-8-sig")
    assert ratings("agree", *sheets).stdout == before


def test_sheets_of_another_seed_are_refused(study, ratings, tmp_path):
    ratings("sample", tmp_path / "results", "--out", tmp_path / "other", "--each", "12", "--seed", "1")
    fill(tmp_path / "other", "rater-1", lambda place, row: "yes")
    sheets = [*everyone(study), tmp_path / "other" / "rater-1.csv"]
    told = ratings("agree", *sheets, "--key", study / "key.csv", code=2).stderr
    assert "other/rater-1.csv: of study" in told


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content[4].update(rating="maybe"), "row 6: rating 'maybe'; write one of: yes, weak yes"),
        (lambda content: content[4].update(item="i999"), "row 6: no item 'i999' in the key"),
        (lambda content: content[4].update(rater="rater-9"), "names more than one rater"),
        (
            lambda content: content[4].update(item=content[5]["item"], rating="weak no"),
            "answered twice and differently",
        ),
        (lambda content: [row.pop("rating") for row in content], "not a sheet of ratings"),
    ],
)
def test_a_sheet_that_cannot_be_what_was_handed_out_names_its_row(study, ratings, change, says):
    sheets = everyone(study)
    content = rows(study / "rater-1.csv")
    content[5]["rating"] = "yes"
    change(content)
    write(study / "rater-1.csv", content)
    assert says in ratings("agree", *sheets, code=2).stderr


def test_other_files_and_missing_ones_are_one_line(study, ratings, tmp_path):
    sheets = everyone(study)
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    assert "other.csv: not a sheet of ratings" in ratings("agree", *sheets, other, code=2).stderr
    assert "cannot be read" in ratings("agree", study / "nothing.csv", code=2).stderr
    nowhere = tmp_path / "elsewhere"  # no key beside it, which is not what is wrong
    assert f"{nowhere}: cannot be read" in ratings("agree", nowhere, code=2).stderr
    nowhere.mkdir()
    for name in ("notes.csv", "empty.csv"):
        (nowhere / name).write_text("some notes\n" * (name == "notes.csv"))
        assert f"{name}: not a sheet of ratings" in ratings("agree", nowhere / name, code=2).stderr
    assert "key.csv: cannot be read" in ratings("agree", *sheets, "--key", tmp_path / "key.csv", code=2).stderr
    assert "not a key" in ratings("agree", *sheets, "--key", sheets[1], code=2).stderr


def test_no_answer_at_all_is_one_line(study, ratings):
    assert "no sheet holds an answer" in ratings("agree", *sorted(study.glob("*.csv")), code=2).stderr


def test_two_cells_that_are_called_the_same_are_told_apart_by_their_signatures(make_cell, ratings, tmp_path):
    shapes = (("model.config.num_layers=1",), ("model.config.num_layers=3",))
    cells = [make_cell(f"system {place}", overrides=shape) for place, shape in enumerate(shapes)]
    out = tmp_path / "out"
    drawn = ratings("sample", tmp_path / "results", "--out", out, "--each", "12", "--no-gold", "--raters", "1").stdout
    systems = {row["cell"]: row["system"] for row in rows(out / "key.csv") if row["kind"] == "cell"}
    assert all(systems[cell].endswith(f" ({cell})") and systems[cell] in drawn for cell in cells)
    ratings("agree", fill(out, "rater-1", lambda place, row: "yes" if "system 0" in row["explanation"] else "no"))
    entries = sheets.read_key(out / "key.csv")[1]  # as `sample` once wrote it: both by the same name
    same = [replace(one, system=one.system.partition(" (")[0]) for one in entries]
    (study,) = {row["study"] for row in rows(out / "key.csv")}
    (tmp_path / "key.csv").write_bytes(sheets.key(Study(study, 0, (), tuple(same))))
    ratings("agree", out / "rater-1.csv", "--key", tmp_path / "key.csv", "--out", tmp_path / "same")
    for folder in (out / "agreement", tmp_path / "same"):
        kept = judgement.read(folder / "judgement.json").scores
        assert {one.system: one.mean for one in kept} == {systems[cells[0]]: 1, systems[cells[1]]: 0}
        assert {row["system"] for row in rows(folder / "ratings.csv")} == set(systems.values())


def test_what_agree_writes_is_no_formula_either(make_cell, ratings, tmp_path):
    make_cell("x", says=lambda split, number: f"{FORMULA} {number}")
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--each", "5")
    sheet = fill(tmp_path / "out", "rater-1", lambda place, row: "no")
    ratings("agree", sheet)
    for row in rows(tmp_path / "out" / "agreement" / "ratings.csv"):
        assert not any(value[:1] in tuple("=+@-") for value in row.values() if value)
