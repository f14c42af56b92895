"""A job that runs in seconds, whole, on a random tiny model and the demo data."""

import pytest

from caref.running import jobs

SMALL = (
    "source=demo",
    "bertscore=minilm",
    "dataset.eval_size=6",
    "dataset.train_size=6",
    "train.epochs=1",
    "evaluation.max_new_tokens=12",
    "evaluation.batch_size=4",
)


@pytest.fixture
def run(composed, tmp_path):
    """A function: run a job of these overrides in this test's folder; its records by split and its cell's folder."""

    def run_job(*overrides: str, results: str = "results"):
        job = composed(*SMALL, f"results_dir={tmp_path / results}", *overrides)
        records = jobs.run(job)
        return records, jobs.plan(job).cell

    return run_job
