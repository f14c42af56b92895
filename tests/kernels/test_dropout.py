"""Dropout masks: a share p, decided by seed and place alone, the same compiled and as defined."""

import pytest
import torch
from torch.nn import functional

from caref.kernels import masks
from caref.kernels.dropout import attention_weights, own_masks


def first(*seeds: int) -> torch.Tensor:
    return next(masks.Hashes(seeds, "cpu"))


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64, torch.bfloat16))
@pytest.mark.parametrize("p", (0.1, 0.5, 0.999))
@pytest.mark.parametrize("shape", ((6, 7), (6, 5, 33), (4, 3, 17, 19), (2, 1, 1, 1)))
def test_the_compiled_dropout_is_the_defined_one_bit_for_bit(shape, p, dtype):
    values, hashed = torch.randn(shape).to(dtype), first(7004, 3639)
    expected = values.masked_fill(masks.dropped(hashed, shape, p), 0.0) * (1 / (1 - p))
    assert torch.equal(masks.drop(values, hashed, p), expected)


def test_threads_change_nothing(monkeypatch):
    values, hashed = torch.randn(8, 3, 50, 400), first(1, 2)
    alone = masks.drop(values, hashed, 0.1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(masks.drop(values, hashed, 0.1), alone)


def test_the_gradient_is_dropped_where_the_value_was():
    values = torch.randn(4, 9, 11, dtype=torch.float64, requires_grad=True)
    hashed = first(7004)
    assert torch.autograd.gradcheck(lambda x: masks.drop(x, hashed, 0.3), values)
    assert torch.autograd.gradgradcheck(lambda x: masks.drop(x, hashed, 0.3) ** 2, values)


def test_padding_moves_no_mask():
    hashed = first(7004, 3639)
    short, long = masks.dropped(hashed, (4, 3, 10, 12), 0.1), masks.dropped(hashed, (4, 3, 15, 20), 0.1)
    assert torch.equal(long[:, :, :10, :12], short)


def test_company_moves_no_mask():
    both = masks.dropped(first(7004, 3639), (8, 10, 12), 0.1)
    assert torch.equal(both[:4], masks.dropped(first(7004), (4, 10, 12), 0.1))
    assert torch.equal(both[4:], masks.dropped(first(3639), (4, 10, 12), 0.1))


@pytest.mark.parametrize("p", (0.05, 0.1, 0.5))
def test_a_share_p_is_dropped_along_every_dimension_and_neighbours_are_independent(p):
    mask = masks.dropped(first(7004, 3639), (40, 50, 500), p).double()
    within = 5 * (p * (1 - p)) ** 0.5
    assert abs(mask.mean() - p) < within / mask.numel() ** 0.5
    for dims in ((0, 1), (0, 2), (1, 2)):
        means = mask.mean(dims)
        assert (means - p).abs().max() < within * (len(means) / mask.numel()) ** 0.5
    centred = mask - p
    for dim in range(3):
        for apart in (1, 2, 7):
            product = centred.narrow(dim, 0, mask.shape[dim] - apart) * centred.narrow(
                dim, apart, mask.shape[dim] - apart
            )
            assert abs(product.mean()) < 5 * p * (1 - p) / product.numel() ** 0.5


def test_no_two_dropouts_of_a_training_share_a_mask():
    hashes = masks.Hashes([7004], "cpu")
    drawn = [masks.dropped(next(hashes), (1, 64), 0.5) for _ in range(2100)]  # past the ones made at once
    assert len({tuple(mask.flatten().tolist()) for mask in drawn}) == len(drawn)


def test_everything_is_dropped_at_1_and_rows_must_be_of_equal_splits():
    assert not masks.drop(torch.ones(2, 3), first(1), 1.0).any()
    with pytest.raises(ValueError, match="2 splits"):
        masks.drop(torch.ones(3, 3), first(1, 2), 0.1)


@pytest.mark.parametrize("kind", ("none", "bool", "float", "causal"))
def test_attention_that_is_dropped_out_is_pytorchs_own_but_for_the_masks(kind):
    query, key, value = (torch.randn(2, 4, size, 8, dtype=torch.float64) for size in (5, 7, 7))
    mask = {"bool": torch.rand(2, 1, 5, 7) > 0.3, "float": torch.randn(2, 4, 5, 7, dtype=torch.float64)}.get(kind)
    if kind == "bool":
        mask[..., 0] = True
    expected = functional.scaled_dot_product_attention(query, key, value, mask, is_causal=kind == "causal", scale=0.7)
    torch.testing.assert_close(attention_weights(query, key, mask, kind == "causal", 0.7) @ value, expected)


@pytest.mark.parametrize("gqa", (False, True))
def test_in_the_block_both_ways_to_drop_attention_out_take_the_splits_masks(gqa):
    query = torch.randn(2, 4, 5, 8)
    key, value = (torch.randn(2, 2 if gqa else 4, 7, 8) for _ in range(2))
    repeated = [side.repeat_interleave(2, dim=1) if gqa else side for side in (key, value)]
    before = functional.dropout, functional.scaled_dot_product_attention
    with own_masks([7004, 3639], torch.device("cpu")):
        fused = functional.scaled_dot_product_attention(query, key, value, dropout_p=0.2, enable_gqa=gqa)
        untouched = functional.scaled_dot_product_attention(query, *repeated)
        assert torch.equal(functional.dropout(query, 0.2, training=False), query)
    with own_masks([7004, 3639], torch.device("cpu")):
        weights = functional.dropout(attention_weights(query, repeated[0], None, False, None), 0.2)
    assert (functional.dropout, functional.scaled_dot_product_attention) == before
    torch.testing.assert_close(fused, weights @ repeated[1])
    torch.testing.assert_close(untouched, functional.scaled_dot_product_attention(query, *repeated))
    assert (weights == 0).double().mean() == pytest.approx(0.2, abs=0.08)
