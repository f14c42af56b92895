"""Tokenizers that do not fit their model in something: made to fit where no text can tell, else refused in one line."""

from dataclasses import replace

import pytest
import tokenizers
import torch
from families import SHAPES
from transformers import AddedToken, LlamaConfig, PreTrainedTokenizerFast, ProphetNetConfig, ProphetNetTokenizer

from caref.config.schema import Model
from caref.data.batches import encode
from caref.data.prompts import Text
from caref.errors import UserError
from caref.evaluation.generate import generate
from caref.models import backbones

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
}
WORDS = ("yes", "no", "because", "a", "question")


@pytest.fixture
def tokenizer_folder(tmp_path):
    """A function: save a tokenizer of some words with these tokens added, and say where."""

    def save(*added: AddedToken, **special: object) -> str:
        known = ["<pad>", "</s>", "<unk>", "a", "question", "image", "<", ">"]
        words = tokenizers.models.WordLevel({word: place for place, word in enumerate(known)}, unk_token="<unk>")
        backend = tokenizers.Tokenizer(words)
        backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        backend.add_tokens([*added])
        named = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"} | special
        PreTrainedTokenizerFast(tokenizer_object=backend, **named).save_pretrained(tmp_path)
        LlamaConfig().save_pretrained(tmp_path)
        return str(tmp_path)

    return save


@pytest.mark.parametrize("named", ({}, {"extra_special_tokens": {"image_token": "<image>"}}), ids=("added", "named"))
def test_a_special_token_that_the_model_has_no_row_for_is_never_read(tokenizer_folder, named):
    folder = tokenizer_folder(AddedToken("<image>", special=True), **named)
    whole = backbones.load(Model(name="x", tokenizer=folder, config=LLAMA | {"vocab_size": 9}))
    with pytest.warns(UserWarning, match=f"model.tokenizer={folder}: the model has no row for <image>; where a text"):
        short = backbones.load(Model(name="x", tokenizer=folder, config=LLAMA | {"vocab_size": 8}))
    assert whole.tokenizer("a <image> question").input_ids == [3, 8, 4]
    assert short.tokenizer("a <image> question").input_ids == [3, 6, 5, 7, 4]
    assert short.tokenizer("a question </s>").input_ids == whole.tokenizer("a question </s>").input_ids == [3, 4, 1]
    assert len(short.tokenizer) == 8
    ids = torch.tensor([short.tokenizer("a <image> question").input_ids])
    assert short.model(ids).logits.shape == (1, 5, 8)


@pytest.mark.parametrize(
    ("added", "special", "rows"),
    [
        (AddedToken("answer", special=False), {}, 8),  # which its texts are to hold
        (AddedToken("<empty>", special=True), {"pad_token": "<empty>"}, 8),
        (AddedToken("<image>", special=True), {}, 7),
    ],
    ids=("a word", "padding", "a word beneath"),
)
def test_a_token_that_is_read_and_that_the_model_has_no_row_for_is_refused(tokenizer_folder, added, special, rows):
    folder = tokenizer_folder(added, **special)
    with pytest.raises(UserError, match=rf"its 9 tokens do not fit the model's vocabulary of {rows} \(vocab_size\)"):
        backbones.load(Model(name="x", tokenizer=folder, config=LLAMA | {"vocab_size": rows}))


@pytest.fixture
def without_end(tmp_path) -> Model:
    """A ProphetNet, whose tokenizer names no end: a text's ends with its separator."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[X_SEP]", *WORDS]
    (tmp_path / "prophetnet.tokenizer").write_text("\n".join(words) + "\n")
    ProphetNetTokenizer(tmp_path / "prophetnet.tokenizer").save_pretrained(tmp_path)
    ProphetNetConfig().save_pretrained(tmp_path)
    return Model(name="x", tokenizer=str(tmp_path), config={"model_type": "prophetnet"} | SHAPES["prophetnet"])


def test_an_end_that_the_tokenizer_does_not_name_is_the_models(without_end):
    backbone = backbones.load(replace(without_end, config={**without_end.config, "eos_token_id": 3}))
    encoded = encode(Text("a question", "yes because no", {}), backbone.tokenizer, encoder_decoder=True)
    assert encoded.prompt == (9, 10, 3) and encoded.target == (6, 8, 7, 3)
    with torch.no_grad():
        backbone.model.lm_head.weight.zero_()
    assert generate(backbone.model, backbone, [encoded], 1, max_new_tokens=3) == [""]  # of equals the first, padding


@pytest.mark.parametrize("end", (None, [1, 2], 99))
def test_a_generator_without_an_end_is_refused(without_end, end):
    with pytest.raises(UserError, match=r"model\.tokenizer=.*: has no end token, and prophetnet names no one token"):
        backbones.load(replace(without_end, config={**without_end.config, "eos_token_id": end}))
