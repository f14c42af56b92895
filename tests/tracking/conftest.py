"""A cell, a tracker's settings, and a job that tells of its splits."""

import sys
from pathlib import Path

import pytest

from caref.config import schema
from caref.config.signature import described
from caref.results import store
from caref.tracking.tracker import tracking

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here can import what stands beside them

from told import HISTORY, SIGNATURE, predictions, record


@pytest.fixture
def description(composed) -> dict:
    return described(schema.plain(composed("model=tiny_t5", "source=demo", "bertscore=minilm")), "f" * 64, {})


@pytest.fixture
def cell(tmp_path) -> Path:
    return tmp_path / "results" / SIGNATURE


@pytest.fixture
def settings(composed):
    """A function: the tracker's settings as run.py composes them."""
    return lambda *overrides: composed("tracker=wandb", *overrides).tracker


@pytest.fixture
def tell(cell, description, settings):
    """A function: finish splits as a job does; returns their records."""

    def tell_of(*splits: int, history=HISTORY, overrides: tuple[str, ...] = (), **scores: float) -> list[dict]:
        told = []
        with tracking(settings(*overrides), cell, description) as tracker:
            for split in splits:
                written = store.write_split(cell, description, record(split, **scores), predictions(split))
                tracker.split(written, history)
                told.append(written)
        return told

    return tell_of
