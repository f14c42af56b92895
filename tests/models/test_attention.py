"""Fused attention on CPU: what PyTorch composes, masks of dropout and all, and the same to the bit in any company."""

import platform

import pytest
import torch

from caref import compiled
from caref.models import attention, masks
from caref.models.attention import Targets, fused, takes, with_bias_apart
from caref.models.dropout import attention_weights

SHAPES = ((5, 7, 8), (1, 45, 16), (37, 50, 24), (16, 16, 64), (1, 3, 3), (130, 9, 1))


def sides(queries: int, keys: int, size: int, dtype: torch.dtype, shared_by: int = 1) -> list[torch.Tensor]:
    """Query, key and value of 4 rows and 4 heads, laid out in memory as models lay them out."""
    drawn = []
    for length, heads in ((queries, 4), (keys, 4 // shared_by), (keys, 4 // shared_by)):
        drawn.append(torch.randn(4, length, heads, size, dtype=dtype).transpose(1, 2).requires_grad_())
    return drawn


def composed(query, key, value, mask, bias, hashed, p, is_causal, scale):
    key, value = (side.repeat_interleave(query.shape[1] // side.shape[1], dim=1) for side in (key, value))
    weights = attention_weights(query, key, bias if mask is None else mask, is_causal, scale)
    return (masks.drop(weights, hashed, p) if p else weights) @ value


@pytest.mark.parametrize("kind", ("none", "mask", "mask of every query", "bias", "causal"))
@pytest.mark.parametrize("p", (0.0, 0.3))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shared_by", (1, 2))
def test_values_and_gradients_are_those_of_pytorchs_own_operations(shape, p, kind, shared_by):
    queries, keys, _ = shape
    mask = bias = None
    if kind.startswith("mask"):
        mask = torch.rand(4, 1, queries if kind == "mask of every query" else 1, keys) > 0.4
        mask[..., 0] = True
        mask[0, ..., keys // 2 :] = False
    elif kind == "bias":
        bias = torch.randn(1, 4, queries, keys, dtype=torch.float64)
    hashed = next(masks.hashes([7004, 3639], "cpu"))
    inputs = sides(*shape, torch.float64, shared_by)
    settings = mask, bias, hashed if p else None, p, kind == "causal", 0.7
    ours, theirs = fused(*inputs, *settings), composed(*inputs, *settings)
    slope = torch.randn_like(theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for own, other in zip(*(torch.autograd.grad(out, inputs, slope) for out in (ours, theirs)), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_float32_it_is_as_near_to_float64_as_pytorch_is(shape):
    inputs = sides(*shape, torch.float32)
    hashed = next(masks.hashes([7004], "cpu"))
    settings = None, None, hashed, 0.1, False, None
    slope = torch.randn_like(inputs[0])

    def results(compute, dtype):
        own = [side.detach().to(dtype).requires_grad_() for side in inputs]
        out = compute(*own, *settings)
        return [out, *torch.autograd.grad(out, own, slope.to(dtype))]

    exact = results(composed, torch.float64)
    for ours, theirs, truth in zip(results(fused, torch.float32), results(composed, torch.float32), exact, strict=True):
        allowed = 4 * (theirs - truth).abs().max() + 1e-6 * truth.abs().max()
        assert (ours - truth).abs().max() <= allowed


def test_bias_and_mask_together_are_the_bias_where_it_is_looked_at():
    inputs = sides(9, 12, 8, torch.float64)
    mask, bias = torch.rand(4, 1, 9, 12) > 0.4, torch.randn(1, 4, 9, 12, dtype=torch.float64)
    mask[..., 3] = True
    one = torch.where(mask, bias, torch.finfo(torch.float64).min)
    torch.testing.assert_close(fused(*inputs, mask, bias), composed(*inputs, None, one, None, 0.0, False, None))


def test_a_query_that_looks_nowhere_looks_everywhere_alike_as_in_pytorch():
    inputs = sides(6, 5, 8, torch.float64)
    mask = torch.zeros(4, 1, 6, 5, dtype=torch.bool)
    expected = inputs[2].mean(dim=2, keepdim=True).expand(4, 4, 6, 8)
    torch.testing.assert_close(fused(*inputs, mask), expected)


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
def test_a_mask_that_is_added_may_hold_the_lowest_number_there_is(dtype):
    inputs = sides(6, 20, 8, dtype)
    mask = torch.rand(4, 1, 6, 20) > 0.4
    mask[:, :, :5, 0], mask[:, :, 5] = True, False  # the last query looks nowhere
    added = torch.zeros(4, 1, 6, 20, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
    torch.testing.assert_close(fused(*inputs, None, added), composed(*inputs, None, added, None, 0.0, False, None))


@pytest.mark.parametrize("p", (0.0, 0.1))
def test_neither_padding_nor_company_nor_threads_show_in_a_bit(p, monkeypatch):
    query, key, value = sides(300, 300, 8, torch.float32)
    mask = torch.ones(4, 1, 1, 300, dtype=torch.bool)
    mask[..., 211:] = False
    drawn = next(masks.hashes([7004, 3639], "cpu"))
    hashed = drawn if p else None

    def grads(*inputs, mask, hashed, slope):
        inputs = [side.detach().requires_grad_() for side in inputs]
        out = fused(*inputs, mask, None, hashed, p)
        return [out, *torch.autograd.grad(out, inputs, slope)]

    slope = torch.randn(4, 4, 300, 8)
    slope[:, :, 211:] = 0
    whole = grads(query, key, value, mask=mask, hashed=hashed, slope=slope)
    short = grads(
        *(side[:, :, :211] for side in (query, key, value)), mask=None, hashed=hashed, slope=slope[:, :, :211]
    )
    alone = grads(
        *(side[2:] for side in (query, key, value)), mask=mask[2:], hashed=drawn[1:] if p else None, slope=slope[2:]
    )
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    threaded = grads(query, key, value, mask=mask, hashed=hashed, slope=slope)
    for of_whole, of_short, of_alone, of_threads in zip(whole, short, alone, threaded, strict=True):
        assert torch.equal(of_short, of_whole[:, :, :211])
        assert torch.equal(of_alone, of_whole[2:])
        assert torch.equal(of_threads, of_whole)


@pytest.mark.parametrize("p", (0.0, 0.3))
@pytest.mark.parametrize("is_causal", (False, True))
def test_what_is_not_asked_is_given_nothing_and_gives_no_gradient(p, is_causal):
    inputs = sides(21, 21, 8, torch.float64)
    real = torch.arange(21) < torch.tensor([[21], [16], [7], [0]])
    mask, bias = real[:, None, None], torch.randn(1, 4, 21, 21, dtype=torch.float64)
    settings = mask, bias, next(masks.hashes([7004, 3639], "cpu")) if p else None, p, is_causal
    expected = fused(*inputs, *settings).masked_fill(~real[:, None, :, None], 0.0)
    out = fused(*inputs, *settings, asked=real.sum(1))
    slope = torch.randn_like(out)
    assert torch.equal(out, expected)
    for own, other in zip(*(torch.autograd.grad(each, inputs, slope) for each in (out, expected)), strict=True):
        assert torch.equal(own, other)


def test_a_query_alone_that_is_not_asked_is_given_nothing():
    inputs = sides(1, 9, 8, torch.float64)
    out = fused(*inputs, asked=torch.tensor([0, 1, 0, 1]))
    expected = fused(*inputs) * torch.tensor([0.0, 1.0, 0.0, 1.0])[:, None, None, None]
    assert torch.equal(out, expected)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are those of x86-64")
@pytest.mark.parametrize("flag", ("-mno-avx512f", "-march=x86-64"))
@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
def test_on_a_lesser_processor_it_computes_the_same(flag, dtype, monkeypatch):
    inputs = sides(37, 50, 24, dtype)
    hashed = next(masks.hashes([7004, 3639], "cpu"))
    slope = torch.randn_like(inputs[0])

    def results():
        out = fused(*inputs, hashed=hashed, p=0.3)
        return out, *torch.autograd.grad(out, inputs, slope)

    here = results()
    monkeypatch.setattr(compiled, "FLAGS", (*compiled.FLAGS, flag))
    attention._library.cache_clear()
    try:
        assert takes(*inputs)  # it compiles
        there = results()
    finally:
        monkeypatch.undo()
        attention._library.cache_clear()
    for own, other in zip(here, there, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)


def test_an_encoders_padding_is_left_out_of_attention(backbone, monkeypatch):
    encoder = backbone("tiny_t5", torch.float64).model.encoder
    encoder.requires_grad_(False)
    real = torch.arange(20) < torch.tensor([[20], [14], [9]])
    inputs = {"input_ids": torch.randint(3, 259, (3, 20)), "attention_mask": real.long()}
    given = []
    monkeypatch.setattr(attention, "fused", lambda *tensors: given.append(fused(*tensors)) or given[-1])
    with with_bias_apart():
        states = encoder(**inputs).last_hidden_state
    assert len(given) == 2  # layers
    for out in given:
        assert not out[~real[:, None].expand(3, 4, 20)].any() and out[real[:, None].expand(3, 4, 20)].all()
    torch.testing.assert_close(states[real], encoder(**inputs).last_hidden_state[real], rtol=1e-10, atol=1e-10)


def test_what_a_decoder_pads_changes_nothing_where_it_is_left_out(backbone):
    network = backbone("tiny_t5", torch.float64).model
    trained = [own for name, own in network.named_parameters() if "relative_attention_bias" not in name]
    network.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_()
    tokens, written = torch.randint(3, 259, (3, 20)), torch.randint(3, 259, (3, 11))
    inputs = {"input_ids": tokens, "attention_mask": (torch.arange(20) < torch.tensor([[20], [14], [9]])).long()}
    lengths = torch.tensor([11, 4, 7])
    labelled = torch.arange(11) < lengths.unsqueeze(1)

    def results(targets):
        with with_bias_apart(targets=targets):
            logits = network(**inputs, decoder_input_ids=written).logits
            return logits, logits[labelled], *torch.autograd.grad(logits[labelled].square().sum(), trained)

    (of_all, *left_out), (of_all_too, *computed) = results(Targets(lengths)), results(None)
    assert not torch.allclose(of_all, of_all_too)  # it was left out
    for own, other in zip(left_out, computed, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-10)


def test_nan_in_one_row_stays_in_it():
    query, key, value = sides(13, 13, 8, torch.float32)
    with torch.no_grad():
        query[1, 2, 5] = torch.nan
    out = fused(query, key, value)
    grads = torch.autograd.grad(out.sum(), (query, key, value))
    expected = torch.zeros(4, 4, 13, dtype=torch.bool)
    expected[1, 2, 5] = True
    assert torch.equal(out.isnan().any(-1), expected)
    for grad in grads:
        touched = grad.isnan().flatten(2).any(-1)
        assert not touched[[0, 2, 3]].any() and not touched[1, [0, 1, 3]].any()


def test_it_leaves_to_pytorch_what_it_does_not_compute():
    query, key, value = sides(5, 7, 8, torch.float32)
    assert takes(query, key, value)
    assert not takes(query.bfloat16(), key.bfloat16(), value.bfloat16())
    assert not takes(query, key.double(), value)
    assert not takes(query.to("meta"), key.to("meta"), value.to("meta"))
    assert not takes(query, key, value[..., :4])
    assert not takes(query, key, value, bias=torch.zeros(1, 4, 5, 7, requires_grad=True))
    assert not takes(query, key, value, mask=torch.zeros(1, 1, 1, 7))
    assert not takes(query[:, :, :0], key, value)
    assert not takes(query, key, value, p=1.0)


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama", "tiny_bart"))
def test_with_the_bias_apart_a_model_computes_what_it_computed(model, backbone):
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    network = backbone(model, torch.float64).model.eval()
    tokens = torch.randint(3, 259, (3, 20))
    inputs = {"input_ids": tokens, "attention_mask": (torch.arange(20) < torch.tensor([[20], [14], [9]])).long()}
    if network.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.randint(3, 259, (3, 11))
    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    expected = network(**inputs).logits
    with with_bias_apart():
        logits = network(**inputs).logits
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
