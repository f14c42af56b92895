"""Which modules and parameters the methods select, and what they refuse by name."""

import pytest

from caref.config.schema import Model
from caref.errors import UserError
from caref.models import modules, shapes
from caref.models.methods.decoder import Decoder
from caref.models.methods.projections import Projections


def network(**shape):
    return shapes.skeleton(Model(name="x", config=shape))


@pytest.fixture(scope="module")
def skeletons(configured):
    return {name: shapes.skeleton(configured(f"model={name}").model) for name in ("tiny_t5", "tiny_llama", "tiny_bart")}


def test_self_attention_is_taken_in_encoder_and_decoder(skeletons):
    assert modules.projections(skeletons["tiny_t5"], ["q"]) == [
        f"{stack}.block.{layer}.layer.0.SelfAttention.q" for stack in ("encoder", "decoder") for layer in (0, 1)
    ]


def test_scope_decoder_takes_its_self_and_cross_attention(skeletons):
    assert modules.projections(skeletons["tiny_t5"], ["q", "v"], "decoder") == [
        f"decoder.block.{layer}.layer.{place}.{attention}.{letter}"
        for layer in (0, 1)
        for place, attention in ((0, "SelfAttention"), (1, "EncDecAttention"))
        for letter in ("q", "v")
    ]
    bart = modules.projections(skeletons["tiny_bart"], ["q"], "decoder")
    assert bart == [
        f"model.decoder.layers.{layer}.{attention}.q_proj"
        for layer in (0, 1)
        for attention in ("self_attn", "encoder_attn")
    ]


def test_both_scopes_train_as_many_parameters(skeletons):
    model = skeletons["tiny_t5"]
    sizes = {
        scope: sum(model.get_parameter(name).numel() for name in Projections("AQ", scope=scope).parameters(model))
        for scope in ("self", "decoder")
    }
    assert sizes["self"] == sizes["decoder"] == 4 * 32 * 32


def test_the_output_projection_can_be_chosen_too(skeletons):
    assert len(modules.projections(skeletons["tiny_bart"], ["o"])) == 4
    assert len(modules.projections(skeletons["tiny_llama"], ["q", "k", "v", "o"])) == 8


def test_norms_are_every_layer_norm(skeletons):
    assert len(modules.norms(skeletons["tiny_t5"])) == 2 * 2 + 2 * 3 + 2
    assert len(modules.norms(skeletons["tiny_llama"])) == 2 * 2 + 1
    assert len(modules.norms(skeletons["tiny_bart"])) == 2 * 2 + 2 * 3 + 2


def test_linears_are_all_but_the_output_head(skeletons):
    for name, layers in (("tiny_t5", 2 * 7 + 2 * 11), ("tiny_llama", 2 * 7), ("tiny_bart", 2 * 6 + 2 * 10)):
        found = modules.linears(skeletons[name])
        assert len(found) == layers and "lm_head" not in found


@pytest.mark.parametrize("letter", "qkv")
def test_a_fused_projection_is_refused_by_name(letter, configured):
    gpt2 = shapes.skeleton(configured("model=tiny_gpt2").model)
    with pytest.raises(UserError, match=rf"peft \(AQ\): gpt2 fuses .*h\.0\.attn\.c_attn.*; {letter} cannot"):
        Projections("AQ", projections=[letter]).parameters(gpt2)


def test_a_model_without_attention_is_refused():
    mamba = network(model_type="mamba", vocab_size=384, hidden_size=32, num_hidden_layers=2)
    with pytest.raises(UserError, match="mamba has no q projection"):
        Projections("AQ").parameters(mamba)


def test_a_decoder_only_model_has_no_decoder_apart(skeletons):
    llama = skeletons["tiny_llama"]
    with pytest.raises(UserError, match=r"peft \(DEC\): llama is a decoder only"):
        Decoder("DEC").parameters(llama)
    with pytest.raises(UserError, match=r"peft \(AQ\): peft\.scope=decoder: llama"):
        Projections("AQ", scope="decoder").parameters(llama)


def test_unknown_projections_and_scopes_are_refused():
    for projections in (["x"], ["q", "qk"], []):
        with pytest.raises(ValueError, match=r"projections=.*must be some of q, k, v, o"):
            Projections("AQ", projections=projections)
    with pytest.raises(ValueError, match="scope=encoder: must be one of self, decoder"):
        Projections("AQ", scope="encoder")
