"""`python -m caref.published`: the csv that SparseFit's authors published, as cells of a results folder."""

import csv
import hashlib
import re

import pytest

from caref.data.splits import SEEDS
from caref.results import store

HEAD = ",dev_acc,dev_bertscore_correct_normalized,model_type,task_name,seed,n_shots,io_format"
# By hand: whose authors' summary is not the mean and deviation of the seeds, each once.
COUNTS_REPEATED = {
    "published-sparsefit-results-out_all-allenai-unifiedqa-t5-base-ecqa",
    "published-sparsefit-results-out_all_ffn-allenai-unifiedqa-t5-base-ecqa",
    "published-sparsefit-results-out_setting9-allenai-unifiedqa-t5-base-ecqa",
}
OF_OTHER_ROWS = {
    "published-sparsefit-results-out_setting11-t5-large-esnli",
    "published-sparsefit-results-out_setting11-allenai-unifiedqa-t5-base-sbic",
    "published-sparsefit-results-out_setting11-allenai-unifiedqa-t5-large-sbic",
    "published-sparsefit-results-out_setting11-allenai-unifiedqa-t5-base-comve",
}


@pytest.fixture(scope="module")
def folder(data_root):
    folder = data_root / "published" / "sparsefit"
    if not folder.is_dir():
        pytest.skip("no published results in CAREF_DATA")
    return folder


@pytest.fixture(scope="module")
def read(folder, command, tmp_path_factory):
    """All that is published, read and reported: the output, the results folder, and the lines of cells.csv by cell."""
    root = tmp_path_factory.mktemp("published")
    done = command("-m", "caref.published", "sparsefit", str(folder), "--out", str(root / "results"))
    assert done.returncode == 0, done.stderr
    reported = command("-m", "caref.report", str(root / "results"), "--out", str(root / "report"))
    assert reported.returncode == 0, reported.stderr
    with open(root / "report" / "cells.csv", encoding="utf-8", newline="") as file:
        return done.stdout, root, {line["signature"]: line for line in csv.DictReader(file)}


def theirs(folder):
    """The authors' summaries by cell: mean and deviation of accuracy, then of nBERT; read off the files' columns."""
    found = {}
    for path in folder.rglob("results_with_std.csv"):
        setting = path.parent.relative_to(folder).as_posix().replace("/", "-")
        for line in path.read_text().splitlines():
            if re.match("esnli|ecqa|sensemaking|sbic", line):
                task, model, _, _, *figures = line.split(",")
                dataset = task.replace("sensemaking", "comve")
                name = f"published-sparsefit-{setting}-{model.replace('/', '-')}-{dataset}"
                found[name] = [float(figure) for figure in figures[:4]]
    return found


def test_the_reports_means_and_deviations_are_the_authors_own_but_where_the_output_says_otherwise(folder, read):
    output, _, lines = read
    columns = ("accuracy_mean", "accuracy_std", "nbert_mean", "nbert_std")
    apart = {}
    for name, figures in theirs(folder).items():
        if name in lines:
            ours = [float(lines[name][column]) for column in columns]
            apart[name] = max(abs(a - b) for a, b in zip(ours, figures, strict=True))
    assert len(apart) == len(lines) == 85
    assert {name for name, far in apart.items() if far > 1e-9} == COUNTS_REPEATED | OF_OTHER_ROWS
    notes = dict(re.findall(r"(published-\S+): the authors' summary (.*)", output))
    assert notes.keys() == COUNTS_REPEATED | OF_OTHER_ROWS
    assert all(("counts the repeated rows" in note) == (name in COUNTS_REPEATED) for name, note in notes.items())
    unfounded = re.findall(r"(\S+), (\S+) is summarised, but has no row a seed", output)
    assert len(unfounded) == 4 and {task for task, _ in unfounded} == {"ecqa", "sensemaking"}


def test_the_sixty_seeds_have_febs_numbers_and_their_rows_scores(folder, read):
    _, root, lines = read
    cell = store.read_cell(root / "results" / "published-sparsefit-results-out_default-t5-large-esnli")
    assert [cell.records[split]["seed"] for split in sorted(cell.records)] == list(SEEDS)
    counts = [int(line["n"]) for line in lines.values()]
    assert counts.count(60) == 70 and max(counts) == 60
    with open(folder / "results" / "out_default" / "results_all.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["task_name"], row["model_type"]) == ("esnli", "t5-large")]
    assert len(rows) == 120  # each twice
    for row in rows:
        scores = cell.records[SEEDS.index(int(row["seed"]))]["scores"]
        assert scores["accuracy"] == float(row["dev_acc"])
        assert scores["nbert"] == float(row["dev_bertscore_correct_normalized"])


def test_every_record_says_that_it_is_published_and_where(folder, read):
    _, root, lines = read
    assert all(line["source"] == "published" and "(published)" in line["model"] for line in lines.values())
    for cell in store.cells(root / "results"):
        assert not re.fullmatch("[0-9a-f]+", cell.signature) and not cell.damaged and not cell.unread
        for record in cell.records.values():
            origin = record["published"]
            assert record["source"] == "published" and "Solano" in origin["by"]
            assert hashlib.sha256((folder / origin["file"]).read_bytes()).hexdigest() == origin["sha256"]


def test_what_is_amiss_is_named(read):
    output, _, lines = read
    assert "out_sparsefit/results_all.csv: 9 conflict markers of git" in output
    assert "results/out_setting11/results_all.csv: 6 conflict markers of git" in output
    for size in ("base", "large"):
        name = f"published-sparsefit-results-out_setting11-allenai-unifiedqa-t5-{size}-sbic"
        assert f"{name}: left out, rows contradict each other on 21 seeds: 176, 588," in output
        assert lines[name]["n"] == "39"
    for setting in ("out_llama", "out_llama_full"):
        assert f"{setting}/results_all.csv: the folder says Llama, its rows say T5" in output
        assert lines[f"published-sparsefit-{setting}-t5-base-esnli"]["model"].startswith("Llama-2-7b, rows say t5-base")


def test_what_was_not_published_is_a_dash_and_no_damage(read):
    _, root, _ = read
    report = (root / "report" / "report.md").read_text()
    line = next(line for line in report.splitlines() if "`published-sparsefit-results-out-t5-large-esnli`" in line)
    assert "| – | 57 | 84.06 ± 2.26 | 77.00 ± 2.09 | – | 0.916 ± 0.002 | – |" in line
    assert "## Warnings" not in report and "damaged" not in report
    assert "0 cells, 0 finished splits. Beside them 85 published cells, not ours." in report
    assert "No cell fits a row of the paper's Table 1" in report


@pytest.fixture
def said(tmp_path, command):
    """A function: run the command on a folder with one csv of these lines; returns what it did and the cells."""

    def run(*lines: str):
        setting = tmp_path / "theirs" / "one"
        setting.mkdir(parents=True, exist_ok=True)
        (setting / "results_all.csv").write_text("\n".join(lines) + "\n")
        done = command("-m", "caref.published", "sparsefit", str(tmp_path / "theirs"), "--out", str(tmp_path / "out"))
        return done, store.cells(tmp_path / "out") if (tmp_path / "out").is_dir() else []

    return run


def row(seed, accuracy="80.0", nbert="70.0", task="esnli"):
    return f"0,{accuracy},{nbert},t5-base,{task},{seed},16,standard"


def test_equal_rows_are_one_and_contradictory_ones_none(said):
    done, (cell,) = said(HEAD, row(7004), "<<<<<<< HEAD", row(7004), row(3639, "81.0"), "=======", row(3639, "82.0"))
    assert done.returncode == 0, done.stderr
    assert sorted(cell.records) == [0]
    assert "1 rows say again" in done.stdout and "2 conflict markers" in done.stdout
    assert "rows contradict each other on 1 seeds: 3639" in done.stdout
    assert "one/results_with_std.csv: not there" in done.stdout


def test_rows_that_cannot_be_are_left_out_by_their_lines(said):
    done, (cell,) = said(HEAD, row(7004), row(1), row(3639, "nan"), row(6290, "180"), row("x"), "0,1", row(9428, "-1"))
    assert sorted(cell.records) == [0]
    assert "no seed of FEB's or no two scores from 0 to 100: lines 3, 4, 5, 6, 7, 8" in done.stdout


def test_reading_again_changes_no_byte(said, tmp_path):
    def contents():
        return {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    said(HEAD, row(7004), row(3639))
    before = contents()
    said(HEAD, row(7004), row(3639))
    assert before and contents() == before


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ((HEAD.replace("dev_acc", "acc"), row(7004)), "line 1: no column dev_acc"),
        ((row(7004),), "line 1: no column"),
    ],
)
def test_a_file_that_is_another_is_refused_in_a_line(said, lines, named):
    done, cells = said(*lines)
    assert done.returncode == 2 and named in done.stderr and len(done.stderr.splitlines()) == 1
    assert "results_all.csv" in done.stderr and cells == []


def test_a_folder_without_csv_is_refused_in_a_line(tmp_path, command):
    done = command("-m", "caref.published", "sparsefit", str(tmp_path), "--out", str(tmp_path / "out"))
    assert done.returncode == 2 and str(tmp_path) in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
