"""Benchmarks that reach inside the package run through, on a tiny random model and demo data."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

SIZES = ("train.epochs=1", "dataset.eval_size=4", "evaluation.max_new_tokens=4", "dry_run=true")


@pytest.fixture
def benchmark(monkeypatch):
    """From a benchmark's name to its module, which knows the tiny workload too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    workloads = importlib.import_module("workloads")
    line = ("dataset=esnli", "source=demo", "dataset.train_size=6", "train.precision=fp32")
    tiny = workloads.Workload("tiny_t5", "a tiny random T5; demo data", line, least=1)
    monkeypatch.setitem(workloads.BY_MODEL, "tiny_t5", tiny)
    return importlib.import_module


def test_what_evidence_adds_to_a_split_is_told(benchmark):
    evidence = benchmark("evidence")
    tiny = benchmark("workloads").BY_MODEL["tiny_t5"]
    quick, full = evidence.split(tiny, ("quick", "full"), 1, SIZES)
    assert [figure.what.split(",")[0] for figure in (quick, full)] == ["evidence=quick", "evidence=full"]
    assert (quick.least, full.least) == (4, 0.5)


def test_packs_are_timed(benchmark):
    packed = benchmark("packed")
    asked = SimpleNamespace(epochs=1, eval_size=4, splits=2, sizes=[1, 2])
    bench, splits = packed.made_ready(asked, packed.BY_MODEL["tiny_t5"], "aq")
    alone, together = (packed.bench_of(bench, splits, size) for size in (1, 2))
    assert alone.written == together.written
    assert alone.seconds.keys() == together.seconds.keys() == set(packed.PHASES)


def test_where_time_goes_is_told(benchmark, monkeypatch, capsys):
    where = benchmark("where_time_goes")
    monkeypatch.setattr("sys.argv", ["where_time_goes.py", "--model", "tiny_t5", "--epochs", "1", "--eval-size", "4"])
    where.main()
    told = capsys.readouterr().out
    assert all(name in told for name in ("training", "generating", "scoring", "matrix products alone"))
