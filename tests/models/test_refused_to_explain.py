"""Models and tokenizers that a trained explanation, or gradients, would be wrong of: refused by name, each with why."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from caref.config.schema import Model
from caref.data.demo import generate
from caref.errors import UserError
from caref.evidence.reading import Reading, question
from caref.models import backbones
from caref.models.asking import beside
from caref.models.queries_and_keys import sites
from caref.objectives import objective
from caref.objectives.terms.ivra import Ivra

PEGASUS = {"model_type": "pegasus", "d_model": 32, "encoder_layers": 1, "decoder_layers": 1}
PEGASUS |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": 512}
PEGASUS |= {"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "decoder_start_token_id": 0, "pad_token_id": 0}
ALBERT = {"model_type": "albert", "embedding_size": 16, "hidden_size": 32, "intermediate_size": 64}
ALBERT |= {"num_hidden_layers": 4, "num_attention_heads": 4}
GPT_NEO = {"model_type": "gpt_neo", "hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 8}
GPT_NEO |= {"attention_types": [[["global", "local"], 1]], "max_position_embeddings": 512}

_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_SMALL |= {"num_key_value_heads": 2, "head_dim": 8}
QWEN3 = {"model_type": "qwen3", **_SMALL}
GEMMA2 = {"model_type": "gemma2", **_SMALL}


def described(config, classes=None):
    kind = "classifier" if classes else "generator"
    config = config | {"vocab_size": 384, "eos_token_id": 1}
    return backbones.load(Model(name="x", tokenizer="byte", kind=kind, config=config), classes=classes)


@pytest.mark.parametrize(
    ("model", "overrides", "told"),
    [
        ("tiny_t5", ("reg.site=self",), "reg.site=self: t5 has no such attention to explain by; choose cross, encoder"),
        ("tiny_llama", ("reg.site=cross",), "reg.site=cross: llama has no such attention to explain by; choose self"),
        ("tiny_classifier", ("reg.site=cross",), "bert has no such attention to explain by; choose encoder or self"),
        ("tiny_t5", ("peft=prefix",), "choose another peft"),
    ],
)
def test_what_cannot_be_heard(composed, model, overrides, told):
    job = composed(f"model={model}", "reg=ivra", "peft=lora_r4", *overrides)
    backbone = backbones.load(job.model, classes=2 if model == "tiny_classifier" else None)
    with pytest.raises(UserError, match=told):
        beside(backbone, job.peft, objective.build(job.reg))


@pytest.mark.parametrize("scaled", [True, False])
def test_a_model_that_changes_its_embeddings_after_looking_them_up(composed, scaled):
    """Words are erased from embeddings, and gradients taken by them: it would be another text that is read."""
    backbone, job = described(PEGASUS | {"scale_embedding": scaled}), composed("reg=ivra", "peft=lora_r4")

    def refused(who):
        return pytest.raises(UserError, match=f"{who}: pegasus changes its embeddings") if scaled else nullcontext()

    with refused("reg.criteria"):
        beside(backbone, job.peft, objective.build(job.reg))
    asked = question("comve", generate("comve", "validation")[0], backbone)
    with refused("evidence.attributions"):
        Reading(backbone.model, backbone, [[asked]]).word_scores("saliency")


def test_a_model_that_computes_several_layers_by_one():
    with pytest.raises(UserError, match=r"reg: albert computes 4 layers by one \("):
        sites(described(ALBERT, classes=2).model, None)


@pytest.mark.parametrize("config", [GPT_NEO, QWEN3, GEMMA2], ids=lambda config: config["model_type"])
@pytest.mark.parametrize("reg", ["ivra", "smat"])
def test_smat_of_a_model_whose_logits_are_not_known_from_queries_and_keys(composed, reg, config):
    """GPT-Neo says no scale, Qwen3 norms both, Gemma 2 bounds the logits; IvRA's module is none the wiser of it."""
    job = composed(f"reg={reg}", "peft=lora_r4")
    with pytest.raises(UserError, match="reg=smat: how this model comes") if reg == "smat" else nullcontext():
        beside(described(config), job.peft, objective.build(job.reg))


def test_a_tokenizer_without_any_token_to_mask_a_word_by(composed):
    job = composed("model=tiny_llama", "peft=lora_r4")
    words = Tokenizer(WordLevel({"<eos>": 0, "a": 1}))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>")
    bare = replace(backbones.load(job.model), tokenizer=tokenizer)
    with pytest.raises(
        UserError, match=r"reg\.erased=mask: the tokenizer has no token to mask .* use reg\.erased=zero"
    ):
        beside(bare, job.peft, objective.Objective(Ivra()))
    for other in (Ivra(erased="zero"), Ivra(criteria=["cons"]), Ivra(criteria=[])):
        assert beside(bare, job.peft, objective.Objective(other))
