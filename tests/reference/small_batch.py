"""A batch of logits and labels, and the objectives that conf/ names."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from caref.composition import register

CONF = Path(__file__).parents[2] / "conf"
ASKING = {"ivra", "smat"}  # of the model more than logits: tests/models/test_asking.py
REGS = sorted({file.stem for file in (CONF / "reg").glob("*.yaml")} - ASKING)


@pytest.fixture
def batch():
    """Logits (4, 6, 50) in float64, labels with padding in front, inside and at the end, answer labels."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 6, 50, generator=generator, dtype=torch.float64) * 2
    labels = torch.randint(50, (4, 6), generator=generator)
    labels[0, 4:] = labels[1, :2] = labels[2, 3] = -100
    answers = labels.clone()
    answers[:, 3:] = -100
    return SimpleNamespace(logits=logits.requires_grad_(), labels=labels, answers=answers)


def reg(name, *overrides):
    """The reg group as the command line composes it."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=[f"+reg={name}", *overrides]).reg
