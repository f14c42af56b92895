"""A job that is tracked computes what it computes untracked."""

import subprocess
import sys
from pathlib import Path

import pytest
from told import final, held, of_kind

from caref.config import schema
from caref.config.signature import described
from caref.running import jobs, sweeps

ROOT = Path(__file__).parents[2]


def test_a_job_tells_of_what_it_trained_and_its_second_run_of_nothing_more(composed, tmp_path):
    small = ("dataset.train_size=6", "dataset.eval_size=6", "train.epochs=2", "evaluation.max_new_tokens=4")
    chosen = (*small, "model=tiny_t5", "source=demo", "bertscore=minilm", f"results_dir={tmp_path}")
    jobs.run(composed(*chosen, "splits=0"))
    sweeps.sweep([(*chosen, "splits=0", "tracker=wandb")], lambda cell: composed(*cell), pytest.fail, shards=1)
    (cell,) = [found for found in tmp_path.iterdir() if found.is_dir()]
    assert held(cell).keys() == {f"{cell.name}-000", f"{cell.name}-summary"}
    records = jobs.run(composed(*chosen, "splits=0:2", "tracker=wandb"))
    runs = held(cell)
    assert runs.keys() == {f"{cell.name}-{end}" for end in ("000", "001", "summary")}
    assert not any("train/loss" in row["item"] for row in of_kind(runs[f"{cell.name}-000"], "history"))
    rows = [row["item"] for row in of_kind(runs[f"{cell.name}-001"], "history")]
    losses = [row["train/loss"] for row in rows]
    assert len(losses) == records[1]["counts"]["steps"] == 4
    # the mean of the last epoch, to the four digits that a record keeps
    assert records[1]["training"]["loss"] == pytest.approx(sum(losses[2:]) / 2, rel=5e-4)
    assert {"train/ce", "train/sced", "train/kl"} <= rows[0].keys()
    assert final(runs[f"{cell.name}-001"])["predictions.nrows"] == 6
    jobs.run(composed(*chosen, "splits=0:2", "tracker=wandb"))
    assert held(cell) == runs


def test_a_job_that_only_answers_tells_of_accuracy_and_of_no_score_of_explanations(composed, tmp_path):
    small = ("dataset.train_size=6", "dataset.eval_size=6", "train.epochs=1", "evaluation.max_new_tokens=4")
    told = ("model=tiny_t5", "source=demo", "dataset.target=answer", "tracker=wandb", f"results_dir={tmp_path}")
    jobs.run(composed(*small, *told, "splits=0:2"))
    (cell,) = [found for found in tmp_path.iterdir() if found.is_dir()]
    runs = held(cell)
    split, summary = (final(runs[f"{cell.name}-{end}"]) for end in ("000", "summary"))
    assert "accuracy" in split and "accuracy/mean" in summary and split["predictions.nrows"] == 6
    absent = ("nbert", "similarity", "broken", "floor", "explanation_length", "distinct")
    assert not [key for key in (*split, *summary) if key.startswith(absent)]


def test_wandb_is_loaded_for_those_who_ask_for_it_alone():
    code = "import sys, caref.running.jobs, caref.tracking.tracker; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_tracking_draws_no_random_number_that_training_draws(tell):
    import random

    import numpy as np
    import torch

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    tell(0)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_the_tracker_is_no_part_of_a_signature(composed):
    plain, tracked = composed("source=demo"), composed("source=demo", "tracker=wandb", "tracker.mode=online")
    assert described(schema.plain(plain), "f", {}) == described(schema.plain(tracked), "f", {})
