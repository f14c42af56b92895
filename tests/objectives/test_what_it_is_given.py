"""Logits, labels and parameters that an objective is given: of any width, or refused."""

import math
from types import SimpleNamespace

import pytest
import torch
from small_batch import REGS, reg

from caref import CarefLoss
from caref.errors import UserError
from caref.objectives.objective import build


def test_a_batch_without_a_target_is_refused(batch):
    nothing = torch.full_like(batch.labels, -100)
    with pytest.raises(ValueError, match="no target token"):
        CarefLoss()(batch.logits, nothing)
    with pytest.raises(ValueError, match="no target token"):
        build(reg("sced"))(batch, batch.labels, nothing)
    half = torch.cat([batch.labels[:2], nothing[2:]])
    with pytest.raises(ValueError, match="no target token"):
        build(reg("sced"))(batch, half, groups=2)


@pytest.mark.parametrize(
    "bad",
    [
        {"alpha": 0.5},
        {"alpha": math.nan},
        {"beta": -1.0},
        {"beta": math.inf},
        {"lambda_sced": -0.1},
        {"lambda_kl": -1},
    ],
)
def test_a_parameter_out_of_range_is_named(bad):
    (name,) = bad
    with pytest.raises(ValueError, match=f"^{name}="):
        CarefLoss(**bad)
    with pytest.raises(UserError, match=f"^reg.{name}="):
        build({"term": "sced", "alpha": 2, "beta": 1, "lambda_sced": 0.1, "lambda_kl": 0.1} | bad)


@pytest.mark.parametrize("label", [-1, 50])
def test_a_label_outside_the_vocabulary_is_refused(batch, label):
    batch.labels[3, 3] = label
    with pytest.raises(ValueError, match=f"label {label} is outside the vocabulary of 50"):
        CarefLoss()(batch.logits, batch.labels)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
def test_labels_are_whole_numbers_of_any_width(dtype):
    logits, labels = torch.randn(3, 300), torch.tensor([1, 2, 100])
    for loss in (CarefLoss(ignore_index=2), CarefLoss()):  # -100 is 156 to a uint8
        assert loss(logits, labels.to(dtype)).loss == loss(logits, labels).loss
    if dtype is torch.uint8:
        assert CarefLoss()(logits, torch.tensor([1, 2, 156]).to(dtype)).loss.isfinite()
        assert CarefLoss()(logits[:1], torch.tensor([156]).to(dtype)).ce > 0


@pytest.mark.parametrize("name", REGS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.complex64])
def test_labels_that_are_no_whole_numbers_are_refused(name, dtype):
    output, labels = SimpleNamespace(logits=torch.randn(2, 3, 8)), torch.ones(2, 3).to(dtype)
    with pytest.raises(TypeError, match="expected labels of dtype int64, but got"):
        build(reg(name))(output, labels)


@pytest.mark.parametrize("name", REGS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_logits_that_are_no_floating_numbers_are_refused(name, dtype):
    output, labels = SimpleNamespace(logits=torch.ones(2, 3, 8).to(dtype)), torch.ones(2, 3).long()
    with pytest.raises(TypeError, match="expected logits of a floating dtype, but got"):
        build(reg(name))(output, labels)


@pytest.mark.parametrize("count", [0, -3, math.nan, torch.tensor(0)])
def test_a_count_that_is_none_is_refused(batch, count):
    with pytest.raises(ValueError, match=r"count=.* must be above 0"):
        CarefLoss()(batch.logits, batch.labels, count=count)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_rows_are_no_target(dtype):
    with pytest.raises(ValueError, match="no target token"):
        CarefLoss()(torch.randn(0, 64, dtype=dtype), torch.zeros(0, dtype=torch.long))


def test_a_tensor_of_another_class_is_right_or_refused():
    class Named(torch.Tensor):
        pass

    logits, labels = torch.randn(2, 8), torch.tensor([1, 2])
    expected = CarefLoss()(logits, labels).loss
    assert CarefLoss()(logits.as_subclass(Named), labels).loss == expected
    import torch.distributed as dist
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    mesh = init_device_mesh("cpu", (1,))
    with pytest.raises((RuntimeError, NotImplementedError)):
        CarefLoss()(distribute_tensor(logits, mesh, [Shard(0)]), distribute_tensor(labels, mesh, [Shard(0)]))


def test_shapes_that_do_not_fit_are_refused(batch):
    with pytest.raises(ValueError, match="do not fit"):
        CarefLoss()(batch.logits[:, 1:], batch.labels)
