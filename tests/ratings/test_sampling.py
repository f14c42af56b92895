"""What is drawn: inputs that all cells answer correctly, evenly over splits; what cannot be drawn is refused."""

import csv
import io
import shutil
from collections import Counter

import pytest

from caref.data import sources
from caref.data.examples import Example
from caref.data.prompts import text
from caref.ratings.question import fields
from caref.results import store


def key_of(folder) -> list[dict[str, str]]:
    content = (folder / "key.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_only_inputs_on_which_every_cell_is_right(make_cell, ratings, tmp_path):
    rights = {"sced": lambda split, number: number % 2 == 0, "none": lambda split, number: number % 3 == 0}
    for reg, right in rights.items():
        make_cell(reg, overrides=(f"reg={reg}",), right=right)
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--each", "11")
    examples = sources.load("esnli", "validation", "demo", None).examples
    numbers = {text("esnli", example).source: number for number, example in enumerate(examples[:70])}
    drawn = {numbers[row["input"]] for row in key_of(tmp_path / "out")}
    assert len(drawn) == 11 and all(number % 6 == 0 for number in drawn)
    told = ratings("sample", tmp_path / "results", "--out", tmp_path / "more", "--each", "13", code=2).stderr
    assert "right on 12 different inputs of the 4 splits" in told and not (tmp_path / "more").exists()


def test_splits_take_turns_and_no_input_comes_twice(make_cell, ratings, tmp_path):
    make_cell("x", splits=range(6))
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--each", "24", "--no-gold", "--no-checks")
    key = key_of(tmp_path / "out")
    assert set(Counter(row["split"] for row in key).values()) == {4}
    assert len({row["input"] for row in key}) == 24


def test_only_splits_that_every_cell_has_finished(make_cell, ratings, tmp_path):
    make_cell("x", splits=(0, 1, 2), overrides=("reg=sced",))
    make_cell("y", splits=(2, 3), overrides=("reg=none",))
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--no-checks")
    assert {row["split"] for row in key_of(tmp_path / "out")} == {"2"}


def test_datasets_are_drawn_by_themselves(make_cell, ratings, tmp_path):
    for dataset in ("esnli", "comve", "ecqa"):
        make_cell("x", dataset)
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--dataset", "ecqa,esnli", "--each", "7")
    count = Counter(row["dataset"] for row in key_of(tmp_path / "out") if row["kind"] == "gold")
    assert count == {"ecqa": 7, "esnli": 7}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--cells", "nothing"], "--cells nothing: no such cell"),
        (["--dataset", "snli"], "--dataset snli: no cell of it"),
        (["--dataset", "comve", "--cells", "ESNLI"], "--dataset comve: no cell of it"),
        (["--dataset", "comve", "--cells", "ESNLI,COMVE"], "leave one of both"),
        (["--each", "0"], "--each 0"),
        (["--raters", "0"], "--raters 0"),
        (["--each", "500"], "--each 500: 1 cells of"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(make_cell, ratings, tmp_path, line, says):
    name = make_cell("x", "esnli")
    other = make_cell("x", "comve")
    line = [part.replace("ESNLI", name).replace("COMVE", other) for part in line]
    assert says in ratings("sample", tmp_path / "results", *line, "--out", tmp_path / "out", code=2).stderr
    assert not (tmp_path / "out").exists()


def test_many_cells_must_be_named(make_cell, ratings, tmp_path):
    names = [make_cell("x", overrides=(f"train.lr={lr}",)) for lr in (0.1, 0.2, 0.3, 0.4, 0.5)]
    told = ratings("sample", tmp_path / "results", "--out", tmp_path / "out", code=2).stderr
    assert all(name in told for name in names)
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--each", "3", "--cells", ",".join(names))


@pytest.mark.parametrize("kind", ["published", "unknown"])
def test_cells_without_texts_or_a_configuration_are_passed_over_or_refused_by_name(make_cell, ratings, tmp_path, kind):
    name = make_cell("x")
    other = make_cell("x", overrides=("train.lr=0.1",))
    folder = tmp_path / "results" / other
    if kind == "unknown":
        (folder / "config.yaml").unlink()
    else:
        shutil.rmtree(folder)
        config = {
            **{part: {} for part in ("bertscore", "train", "evaluation")},
            **{"model": {"name": "t5-large"}, "peft": {"method": "unstated"}, "reg": {"term": "unstated"}},
            "dataset": {"name": "esnli"},
        }
        store.write_split(folder, config, {"split": 0, "seed": 7004, "scores": {}, "source": "published"}, [])
    told = ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--cells", other, code=2).stderr
    assert f"--cells {other}: it" in told and "leave it out" in told
    ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--each", "5")
    assert {row["cell"] for row in key_of(tmp_path / "out")} == {name, ""}


def test_a_damaged_record_is_named(make_cell, ratings, tmp_path):
    name = make_cell("x")
    for file in (tmp_path / "results" / name / "predictions").iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    told = ratings("sample", tmp_path / "results", "--out", tmp_path / "out", code=2).stderr
    assert "not what its record names" in told


def test_sheets_with_ratings_in_them_are_not_written_over(make_cell, ratings, tmp_path):
    make_cell("x")
    line = ["sample", tmp_path / "results", "--out", tmp_path / "out", "--each", "3"]
    ratings(*line)
    ratings(*line)  # the same again is no loss
    sheet = tmp_path / "out" / "rater-2.csv"
    filled = sheet.read_bytes().replace(b'"",""\r\n', b'"yes",""\r\n', 1)
    sheet.write_bytes(filled)
    assert "rater-2.csv is there and differs" in ratings(*line, code=2).stderr
    assert "key.csv is there and differs" in ratings(*line, "--seed", "1", code=2).stderr
    assert sheet.read_bytes() == filled


@pytest.mark.parametrize("dataset", ["esnli", "comve", "ecqa", "cos_e"])
def test_raters_see_the_fields_and_not_the_prompt(dataset):
    for example in sources.load(dataset, "validation", "demo", None).examples[:200]:
        shown = dict(fields(dataset, text(dataset, example).source, example.choices))
        assert not any("explain" in value.split()[:1] or "\\n" in value for value in shown.values())
        names = {"sent0": "choice1", "sent1": "choice2"}
        for name, value in example.fields.items():
            assert shown[names.get(name, name)].lower() == " ".join(value.lower().split())


def test_a_source_that_fits_no_template_is_shown_whole():
    assert fields("esnli", "something  else", ()) == (("input", "something else"),)


def test_a_question_that_looks_like_its_own_choices_is_parted_at_the_last():
    example = Example("1", {"question": "which is (A) first \\n (A) a (B) b"}, ("a", "b"), 0, ("e",))
    shown = dict(fields("ecqa", text("ecqa", example).source, example.choices))
    assert shown == {"question": "which is (a) first \\n (a) a (b) b", "choices": "(a) a (b) b"}
