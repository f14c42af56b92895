"""Examples come from where `source` says, or a line tells why not."""

import csv
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caref.data import comve, cos_e, ecqa, esnli, hub, releases, sources
from caref.data.releases import Hub
from caref.errors import UserError


def refusal(*arguments) -> str:
    with pytest.raises(UserError) as error:
        sources.load(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def no_hub(monkeypatch):
    """A hub that nobody answers for: a port of this machine that was free a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_unknown_dataset_split_and_source():
    assert "dataset=nli: no such dataset; choose one of comve, cos_e, cos_e_v1.11, ecqa, esnli, fever, imdb" in refusal(
        "nli", "train", "demo"
    )
    assert "dataset=files" in refusal("files", "train", "demo")
    assert "cos_e has no split test, only train, validation" in refusal("cos_e", "test", "demo")
    assert "source=web: no such source; choose auto, files, hub or demo" in refusal("esnli", "train", "web")


def test_missing_folders_are_told_with_the_command_that_fills_them(tmp_path):
    fetch = f"python -m caref.download esnli --root {tmp_path}"
    told = refusal("esnli", "train", "files", str(tmp_path / "nowhere"))
    assert told.startswith(f"source.root={tmp_path}/nowhere: no such folder; {fetch}/nowhere")
    told = refusal("esnli", "train", "files", str(tmp_path))
    assert told.startswith(f"source.root={tmp_path}: it has no folder esnli; {fetch}")
    (tmp_path / "esnli").mkdir()
    told = refusal("esnli", "train", "files", str(tmp_path))
    assert f"esnli's train split needs esnli_train_1.csv, esnli_train_2.csv; {fetch}" in told
    assert "source.root is not given" in refusal("esnli", "train", "files", None)


def test_only_what_is_missing_is_named(tmp_path):
    (tmp_path / "ecqa" / "author_split").mkdir(parents=True)
    for name in ("ecqa.jsonl", "author_split/train_ids.txt"):
        (tmp_path / "ecqa" / name).touch()
    told = refusal("ecqa", "train", "files", str(tmp_path))
    assert "needs cqa/train_rand_split.jsonl, cqa/dev_rand_split.jsonl;" in told
    (tmp_path / "ecqa2").mkdir()
    (tmp_path / "ecqa").rename(tmp_path / "old")
    (tmp_path / "ecqa2").rename(tmp_path / "ecqa")
    (tmp_path / "ecqa" / "cqa_data_val.csv").touch()
    assert "needs cqa_data_train.csv;" in refusal("ecqa", "train", "files", str(tmp_path))


def test_demo_and_hub_read_no_folder(tmp_path):
    assert f"source.root={tmp_path}: source=demo reads no folder" in refusal("esnli", "train", "demo", str(tmp_path))
    assert f"source.root={tmp_path}: source=hub reads no folder" in refusal("esnli", "train", "hub", str(tmp_path))


def test_auto_takes_the_files_where_they_are(data_root, no_hub):
    loaded = sources.load("esnli", "test", "auto", str(data_root))
    assert loaded == sources.load("esnli", "test", "files", str(data_root))
    assert loaded.source == "files"


def test_auto_takes_no_split_from_another_place_than_its_neighbours(tmp_path, data_root, no_hub):
    (tmp_path / "esnli").mkdir()
    (tmp_path / "esnli" / "esnli_dev.csv").symlink_to(data_root / "esnli" / "esnli_dev.csv")
    assert sources.load("esnli", "validation", "auto", str(tmp_path)).source == "files"
    assert "esnli_train_1.csv" in refusal("esnli", "train", "auto", str(tmp_path))


def test_auto_without_files_and_without_hub_tells_both(tmp_path, no_hub):
    told = refusal("esnli", "train", "auto", str(tmp_path))
    assert "python -m caref.download esnli" in told and "cannot be reached" in told


def test_a_hub_out_of_reach_is_told_within_seconds(no_hub):
    started = time.monotonic()
    told = refusal("esnli", "train", "hub", None)
    assert time.monotonic() - started < 15  # the hub library's own retries take half a minute
    assert "source=hub" in told and "cannot be reached" in told and "source=files" in told


def test_a_hub_that_accepts_and_says_nothing_is_given_up(monkeypatch, no_hub):
    monkeypatch.setattr(hub, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "cannot be reached" in refusal("cos_e", "train", "hub", None)


def test_comve_has_no_hub_copy():
    told = refusal("comve", "train", "hub", None)
    assert "no copy of comve" in told and "python -m caref.download comve" in told and "source=files" in told
    assert comve.HUB is None


def as_parquet(folder: Path, rows: list[dict]) -> str:
    """The rows as the hub keeps a dataset: a folder of parquet files."""
    import pyarrow
    import pyarrow.parquet

    (folder / "data").mkdir(parents=True)
    path = folder / "data" / "validation-00000-of-00001.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return str(folder)


@pytest.fixture
def from_hub(monkeypatch, tmp_path):
    """A function: load a dataset's validation split from rows in the hub's columns, by the real `datasets`."""
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def load(module, rows: list[dict]) -> sources.Loaded:
        monkeypatch.setattr(module, "HUB", Hub(as_parquet(tmp_path / module.__name__, rows)))
        return sources.load(module.__name__.rpartition(".")[2], "validation", "hub", None)

    return load


def test_the_hubs_columns_give_what_the_files_give(data_root, from_hub):
    with (data_root / "ecqa" / "cqa_data_val.csv").open(encoding="utf-8", newline="") as file:
        loaded = from_hub(ecqa, list(csv.DictReader(file)))
    assert loaded.source == "hub"
    assert loaded.examples == sources.load("ecqa", "validation", "files", str(data_root)).examples

    files = sources.load("esnli", "validation", "files", str(data_root)).examples[:300]
    rows = [
        {**example.fields, "label": example.label}
        | {f"explanation_{n}": text for n, text in enumerate(example.explanations, 1)}
        for example in files
    ]
    rows.append({**rows[0], "label": -1})
    loaded = from_hub(esnli, rows)
    assert loaded.dropped == {"no gold label": 1}
    content = [(e.fields, e.choices, e.label, e.explanations) for e in files]
    assert [(e.fields, e.choices, e.label, e.explanations) for e in loaded.examples] == content

    files = sources.load("cos_e", "validation", "files", str(data_root)).examples[:300]
    rows = [
        {
            "id": example.id,
            "question": example.fields["question"],
            "choices": list(example.choices),
            "answer": example.answer,
            "abstractive_explanation": example.explanations[0],
            "extractive_explanation": "".join(example.fields["question"][s.start : s.end] for s in example.rationale),
        }
        for example in files
    ]
    assert from_hub(cos_e, rows).examples == files


def test_a_hub_label_outside_its_set_is_refused(from_hub):
    row = {
        "premise": "p",
        "hypothesis": "h",
        "label": 3,
        "explanation_1": "e",
        "explanation_2": "",
        "explanation_3": "",
    }
    with pytest.raises(UserError, match=r"\(validation\), row 0: label is 3, not 0, 1 or 2"):
        from_hub(esnli, [row])


def test_a_copy_that_is_not_in_the_cache_is_told(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(cos_e, "HUB", Hub(str(Path("no-such-folder") / "at" / "all")))
    assert "cannot be loaded" in refusal("cos_e", "train", "hub", None)


def test_a_split_is_shown_as_the_model_sees_it(data_root, command):
    line = ("-m", "caref.data", "cos_e", "--source", "files", "--root", str(data_root), "--split", "2", "--number", "2")
    shown = command(*line, COLUMNS="200")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "cos_e · split 2 (seed 6290) · source files" in shown.stdout
    assert "samples      FEB's own\n" in shown.stdout
    assert "48 of train: 16 (A), 17 (B), 15 (C); 7,610 usable, none dropped" in shown.stdout
    assert shown.stdout.count("\nsource       explain ") == shown.stdout.count("\ntarget       ") == 2
    assert "[" in shown.stdout and "]" in shown.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--split", "60"), "splits=60"),
        (("--split", "0:2"), "--split 0:2: name one split"),
        (("--eval-size", "5000"), "dataset.eval_size=5000: too little data"),
        (("--eval-size", "0"), "--eval-size 0"),
        (("--number", "-1"), "--number -1: must be at least 0"),
        (("--train-split", "validation"), "dataset.train_split=validation: feb takes nothing out"),
        (("--train-split", "dev"), "cos_e has no split dev"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(data_root, command, options, told):
    ended = command("-m", "caref.data", "cos_e", "--source", "files", "--root", str(data_root), *options)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1 and told in ended.stderr


def test_a_dataset_is_shown_with_the_splits_that_its_jobs_have(data_root, command):
    shown = command("-m", "caref.data", "imdb", "--source", "files", "--root", str(data_root), "--number", "0")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "evaluate on  350 of test" in shown.stdout


def test_looking_at_data_loads_nothing_heavy():
    check = (
        "import sys, caref.data.__main__, caref.download, caref.data.esnli;"
        "print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, env=environment, check=True)
    assert shown.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["auto", "files", "hub", "demo"])
@pytest.mark.parametrize("dataset", releases.names())
def test_every_choice_of_conf_composes(composed, dataset, name, monkeypatch):
    monkeypatch.delenv("CAREF_DATA", raising=False)
    job = composed(f"dataset={dataset}", f"source={name}")
    assert (job.dataset.name, job.dataset.train_size, job.dataset.eval_size) == (dataset, 48, 350)
    assert (job.source.name, job.source.root) == (name, "data" if name in ("auto", "files") else None)
    monkeypatch.setenv("CAREF_DATA", "/somewhere")
    job = composed(f"dataset={dataset}", f"source={name}")
    assert job.source.root == ("/somewhere" if name in ("auto", "files") else None)
