"""model.dropout sets every rate of what a text is passed through, wherever a family keeps it."""

import pytest
import torch
from families import SHAPES
from transformers import GotOcr2Config

from caref.config.schema import Model
from caref.errors import UserError
from caref.models import backbones, shapes


def spread(model: Model, texts) -> float:
    """How far two passes in training mode are apart."""
    backbone = backbones.load(model)
    inputs = {"input_ids": texts[0]} | ({"decoder_input_ids": texts[0]} if backbone.encoder_decoder else {})
    backbone.model.train()
    torch.manual_seed(1)
    first, second = (backbone.model(**inputs).logits for _ in range(2))
    return (first - second).abs().max().item()


@pytest.mark.parametrize("name", ("tiny_t5", "tiny_llama", "tiny_bart", "tiny_gpt2"))
def test_dropout_sets_every_rate(name, configured, texts):
    assert spread(configured(f"model={name}", "model.dropout=0.0").model, texts) == 0
    assert spread(configured(f"model={name}", "model.dropout=0.5").model, texts) > 0


@pytest.mark.parametrize("family", ("t5gemma", "t5gemma2", "gemma3"))
def test_dropout_sets_the_rates_of_nested_configurations(family, texts):
    config = {"model_type": family} | SHAPES[family]
    assert spread(Model(name="x", tokenizer="byte", dropout=0.0, config=config), texts) == 0
    assert spread(Model(name="x", tokenizer="byte", dropout=0.5, config=config), texts) > 0


def test_dropout_of_what_sees_is_none_of_a_model_that_reads():
    config = GotOcr2Config()
    del config.text_config.attention_dropout
    with pytest.raises(UserError, match=r"model\.dropout=0\.1: got_ocr2 has no dropout"):
        shapes.set_dropout(config, 0.1)
    config = GotOcr2Config()
    shapes.set_dropout(config, 0.1)
    assert (config.text_config.attention_dropout, config.vision_config.attention_dropout) == (0.1, 0.0)


def test_dropout_of_a_model_without_any_is_refused():
    mamba = {"model_type": "mamba", "vocab_size": 384, "hidden_size": 32, "num_hidden_layers": 1}
    with pytest.raises(UserError, match=r"model\.dropout=0\.1: mamba has no dropout"):
        backbones.load(Model(name="x", tokenizer="byte", dropout=0.1, config=mamba))
