"""A job's splits side by side: the same records whatever the pack, through kills, want of memory and bad splits."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_job import SMALL

from caref import training
from caref.config.schema import Train
from caref.data.batches import Encoded
from caref.errors import SplitFailed, UserError
from caref.models import backbones
from caref.models.packed import packed_part
from caref.objectives.definition import Definition, Term
from caref.objectives.objective import Objective
from caref.results import evidence, store
from caref.running import jobs

ROOT = Path(__file__).parents[2]
# In float32, where the company of a split shows in no prediction.
EXACT = ("model=tiny_t5", "dataset=comve", "train.epochs=2", "train.lr=0.01", "train.precision=fp32")


@pytest.fixture
def run(run):
    """The same, of such jobs."""
    return lambda *overrides, **where: run(*EXACT, *overrides, **where)


def kept(cell: Path) -> dict[str, bytes]:
    """What a cell's folder holds of every split, byte for byte, without what differs from run to run."""
    told = {path.name: path.read_bytes() for path in (cell / "predictions").iterdir()}
    for path in (cell / "splits").iterdir():
        record = json.loads(path.read_text())
        told[path.name] = json.dumps({key: record[key] for key in record if key not in ("run", "checksum")}).encode()
    return told


@pytest.mark.parametrize("peft", ("aq", "lora_r4"))
def test_records_are_the_same_whatever_the_pack(run, peft):
    cells = {}
    for pack in ("1", "2", "3", "auto"):
        records, cells[pack] = run("splits=0:5", f"peft={peft}", f"pack={pack}", results=pack)
        sizes = [records[split]["run"]["pack"] for split in range(5)]
        assert sizes == {"1": [1] * 5, "2": [2, 2, 2, 2, 1], "3": [3, 3, 3, 2, 2], "auto": [1] * 5}[pack]
    for cell in cells.values():
        assert kept(cell) == kept(cells["1"])


# In bfloat16, where it does: with these, all predictions of a split were others in a pack of three.
ROUNDED = ("peft=aqkv", "train.epochs=12", "train.lr=0.02", "train.precision=bf16", "dataset.eval_size=40")


def test_where_the_pack_shows_a_split_is_trained_again_in_one_of_its_size(run):
    _, cell = run(*ROUNDED, "splits=0:2", "pack=1")
    before = kept(cell)
    records, cell = run(*ROUNDED, "splits=0:4", "pack=3", "evidence=quick")
    assert [records[split]["run"]["pack"] for split in range(4)] == [1, 1, 2, 2]
    assert before.items() <= kept(cell).items()
    (found,) = evidence.of_cell(cell)
    assert sorted(found.records) == [0, 1, 2, 3]


def test_a_split_that_comes_out_otherwise_in_another_pack_is_told_so(run):
    _, cell = run("splits=0:2", "pack=2", "train.precision=bf16")
    predictions = store.read_predictions(cell, 0)
    predictions[0]["generation"] += " as a pack of two rounds"
    store.write_split(cell, {}, store.read_record(cell, 0), predictions)
    told = "now of 1, which shows in bfloat16; pack=2 in another results_dir"
    with pytest.raises(SplitFailed, match=rf"split 0: .*it was one of 2 side by side, {told}"):
        run("splits=0", "train.precision=bf16", "evidence=quick")


def test_pack_is_no_part_of_the_signature(composed):
    cells = {jobs.plan(composed(*SMALL, *EXACT, f"pack={pack}")).signature for pack in ("auto", "1", "8")}
    assert len(cells) == 1


@pytest.mark.parametrize("pack", ("0", "-2", "2.5", "many", "true", "null"))
def test_a_pack_that_is_none_is_refused(composed, pack):
    with pytest.raises(
        UserError, match=f"pack={'None' if pack == 'null' else pack.title() if pack == 'true' else pack}"
    ):
        jobs.plan(composed(*SMALL, *EXACT, f"pack={pack}"))


@pytest.mark.parametrize("peft", ("base", "adalora"))
def test_what_cannot_be_packed_runs_one_by_one_and_says_so_once(run, capsys, peft):
    records, _ = run("splits=0:3", f"peft={peft}", "pack=3")
    assert [record["run"]["pack"] for record in records.values()] == [1, 1, 1]
    assert capsys.readouterr().err.count("splits run one by one: ") == 1


def test_every_split_of_a_pack_has_its_line_and_its_saved_part(run, capsys):
    _, cell = run("splits=0:3", "pack=3", "train.save=true")
    err = capsys.readouterr().err
    assert all(f"{done}/3 splits" in err for done in (1, 2, 3))
    assert sorted(folder.name for folder in (cell / "trained").iterdir()) == ["000", "001", "002"]


def test_losses_that_are_not_finite_fail_their_splits_with_the_step(run, tmp_path):
    # Weights that large overflow in the second step of any split.
    with pytest.raises(SplitFailed, match="2 of 2 splits failed"):
        run("splits=0:2", "pack=2", "train.lr=1e36", "train.warmup_steps=0")
    (cell,) = store.cells(tmp_path / "results")
    assert all("step" in cell.failed[split]["error"] and "ce" in cell.failed[split]["error"] for split in (0, 1))


def test_an_error_of_one_split_costs_the_others_nothing(run, capsys, monkeypatch):
    from caref.evaluation import scores

    _, well = run("splits=0:3", "pack=3", results="well")
    unlucky = jobs.plan.__globals__["splits"].SEEDS[1]
    score = scores.score
    sampled = {}

    def failing(dataset, examples, generations, scorer):
        if examples == sampled[unlucky]:
            raise OSError("the disk burns")
        return score(dataset, examples, generations, scorer)

    from caref.running.workbench import Workbench

    work = Workbench.run

    def noting(self, splits, progress, *recorded):
        sampled.update({split.seed: split.evaluation for split in splits})
        return work(self, splits, progress, *recorded)

    monkeypatch.setattr(Workbench, "run", noting)
    sampled[unlucky] = None
    monkeypatch.setattr(scores, "score", failing)
    with pytest.raises(SplitFailed, match="1 of 3 splits failed - split 1: OSError: the disk burns"):
        run("splits=0:3", "pack=3", results="ill")
    assert "3 splits side by side: OSError: the disk burns; going on with 1 at a time" in capsys.readouterr().err
    monkeypatch.setattr(scores, "score", score)
    _, ill = run("splits=0:3", "pack=3", results="ill")
    assert kept(ill) == kept(well)


def started(results: Path, *overrides: str, before: str = "pass") -> subprocess.Popen:
    """run.py in a process of its own, after some Python of ours."""
    line = [str(ROOT / "run.py"), *SMALL, *EXACT, f"results_dir={results}", *overrides]
    code = f"import runpy, sys; sys.argv = {line!r}; {before}; runpy.run_path(sys.argv[0], run_name='__main__')"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def finished(results: Path) -> list[Path]:
    return sorted(results.glob("*/splits/*.json"))


def test_killed_in_the_middle_of_a_pack_it_resumes_and_ends_byte_identical(run, tmp_path):
    options = ("splits=0:6", "pack=3", "train.epochs=6")
    _, whole = run(*options, results="whole")
    killed = started(tmp_path / "killed", *options)
    deadline = time.monotonic() + 300
    while len(finished(tmp_path / "killed")) < 3 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)  # in the second pack: its records come together, at its end
    _, told = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, f"it ended before it could be killed: {told}"
    assert len(finished(tmp_path / "killed")) == 3, told
    records, cell = run(*options, results="killed")
    assert set(records) == set(range(6))
    assert kept(cell) == kept(whole)
    assert not list((cell / "locks").iterdir())


def test_processes_share_the_splits_of_a_cell(run, tmp_path):
    _, alone = run("splits=0:6", "pack=1", results="alone")
    both = [started(tmp_path / "shared", "splits=0:6", "pack=2") for _ in range(2)]
    for process in both:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told
        assert "6/6 splits" in told
    (cell,) = (tmp_path / "shared").iterdir()
    assert kept(cell) == kept(alone)


@pytest.mark.long
def test_when_memory_is_short_packs_halve_and_nothing_is_lost(run, tmp_path):
    # A large vocabulary makes the memory one of logits. The limit lets a pack of 2 through, and not one of 4.
    options = ("splits=0:4", "model.config.vocab_size=20000", "train.epochs=1", "evaluation.max_new_tokens=2")
    _, alone = run(*options, "pack=1", results="alone")
    heights = {}
    for pack in ("2", "4"):
        told = "import atexit; atexit.register(lambda: print(open('/proc/self/status').read()))"
        process = started(tmp_path / f"free{pack}", *options, f"pack={pack}", before=told)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        heights[pack] = next(int(line.split()[1]) * 1024 for line in out.splitlines() if line.startswith("VmPeak"))
    limit = (heights["2"] + heights["4"]) // 2
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))"
    process = started(tmp_path / "short", *options, "pack=4", before=limited)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "4 splits side by side: not enough memory; going on with 2 at a time" in err
    (cell,) = (tmp_path / "short").iterdir()
    assert kept(cell) == kept(alone)


STEEP = 77  # a token


class Steep(Definition):
    """A finite loss whose gradient, of one split's first label, is not: the root of 0."""

    by_position = True

    def terms(self, predicted):
        ce, zero = predicted.per_token().ce, 0 * predicted.logits.sum(-1)
        root = torch.where(predicted.labels == STEEP, zero, zero + 1).sqrt()
        return {"ce": Term(ce, 1.0, supervised=True), "root": Term(root, 1.0)}


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_split_whose_gradient_is_not_finite_fails_at_its_step_and_the_other_goes_on(composed, epochs):
    """Also at the last step, after which no loss would tell that its weights are no numbers."""
    job = composed("model=tiny_t5", "peft=lora_r4", "train.precision=fp32")
    backbone = backbones.load(job.model)
    settings = Train(epochs=epochs, batch_size=2, warmup_steps=0)
    well, steep = ([Encoded((5, 6, 7), (8, last), 2), Encoded((9, 6), (8, 10), 2)] for last in (11, STEEP))
    of = Objective(Steep())
    with packed_part(backbone, job.peft, [7004, 3639], epochs) as part:
        ended = training.fit(part, backbone, of, [well, steep], settings, [7004, 3639])
        assert all(parameter.isfinite().all() for parameter in part.parameters)
    assert isinstance(ended[1], SplitFailed) and f"step 1 of {epochs}: " in str(ended[1])
    assert "gradient norm nan" in str(ended[1])
    assert math.isfinite(ended[0]["loss"])
