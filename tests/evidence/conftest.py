"""Questions of real text for tiny models, and those models, trained a little so that their choices differ."""

from functools import cache

import pytest
import torch

from caref.data.demo import generate
from caref.models import backbones

SEEDS = (7004, 3639, 6290, 9428)


@pytest.fixture(scope="session")
def configured(composed):
    """A function: the job that these overrides compose."""
    return cache(lambda *overrides: composed(*overrides))


@pytest.fixture(scope="session")
def backbone(configured):
    """A function: a tiny backbone."""

    def load(name: str, *overrides: str, dtype: torch.dtype = torch.float32) -> backbones.Backbone:
        return backbones.load(configured(f"model={name}", *overrides).model, dtype=dtype)

    return load


@pytest.fixture(scope="session")
def peft(configured):
    return lambda choice: configured(f"peft={choice}").peft


@pytest.fixture(scope="session")
def examples():
    """A function: the first examples of a demo dataset's validation split."""
    return cache(lambda dataset, count=6: generate(dataset, "validation")[:count])


@pytest.fixture(scope="session")
def mamba(backbone):
    """A function: a tiny model without attention."""
    no_heads = ("num_attention_heads", "num_key_value_heads", "max_position_embeddings")
    line = ("model.config.model_type=mamba", *(f"~model.config.{key}" for key in no_heads))
    return lambda **options: backbone("tiny_llama", *line, **options)
