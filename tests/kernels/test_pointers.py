"""C++ is handed the address of numbers that are there, of the type and shape that it reads; all else is refused."""

import pytest
import torch

from caref.kernels import masks, row_terms, row_terms_cpu
from caref.kernels.pointers import holds_its_numbers, pointer


def distributed(tensor):
    """The tensor as a DTensor of a mesh of one process."""
    import torch.distributed as dist
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    return distribute_tensor(tensor, init_device_mesh("cpu", (1,)), [Shard(0)])


def emptied(tensor):
    """Its storage given back, as FSDP leaves a parameter between two uses."""
    tensor = tensor.clone()
    tensor.untyped_storage().resize_(0)
    return tensor


NOT_THERE = {
    "another type": lambda t: t.double(),
    "another device": lambda t: t.to("meta"),
    "not in one piece": lambda t: t.repeat(1, 2)[:, ::2],
    "sparse": lambda t: t.to_sparse(),
    "a DTensor": distributed,
    "a sign that no memory holds": torch._neg_view,
    "zeros that no memory holds": lambda t: torch._efficientzerotensor(t.shape),
    "storage given back": emptied,
}


@pytest.mark.parametrize("how", NOT_THERE)
def test_what_does_not_lie_in_memory_as_it_says_has_no_pointer(how):
    with pytest.raises(TypeError, match="expected"):
        pointer(NOT_THERE[how](torch.randn(2, 8)), torch.float32)


def test_what_lies_in_memory_has_its_pointer_whatever_class_names_it():
    class Named(torch.Tensor):
        pass

    plain = torch.randn(2, 8)
    for tensor in (plain, torch.nn.Parameter(plain), plain.as_subclass(Named), plain[1:]):
        assert holds_its_numbers(tensor)
        assert pointer(tensor, torch.float32, torch.bfloat16) == tensor.data_ptr()
    assert pointer(torch.empty(0, 3), torch.float32) == 0


@pytest.mark.parametrize("how", [how for how in NOT_THERE if how not in ("another type", "not in one piece")])
def test_the_backends_refuse_what_they_cannot_read(how):
    logits, labels = torch.randn(2, 8), torch.tensor([1, 2])
    if how == "another device":
        with pytest.raises(TypeError, match="one device"):
            row_terms.row_terms(logits, labels.to("meta"), backend=row_terms_cpu)
        return
    with pytest.raises(TypeError, match="expected"):
        row_terms_cpu.forward(NOT_THERE[how](logits), labels, 2.0, 1.0, -100)


def test_a_negated_view_is_read_with_its_sign():
    logits, labels = torch.randn(2, 8), torch.tensor([1, 2])
    expected = row_terms.row_terms(-logits, labels, 2.0, 1.0)
    torch.testing.assert_close(row_terms.row_terms(torch._neg_view(logits), labels, 2.0, 1.0), expected)


@pytest.mark.parametrize("dtype", (torch.float16, torch.float64, torch.int64, torch.complex64))
def test_other_logits_and_other_labels_are_refused_by_the_kernels(dtype):
    with pytest.raises(TypeError, match="expected float32 or bfloat16 and int64 labels, but got"):
        row_terms.row_terms(torch.ones(2, 8).to(dtype), torch.tensor([1, 2]))
    with pytest.raises(TypeError, match="expected float32 or bfloat16 and int64 labels, but got"):
        row_terms.linear_row_terms(torch.ones(2, 8).to(dtype), torch.ones(9, 8), torch.tensor([1, 2]))
    with pytest.raises(TypeError, match="but got float32 and int32"):
        row_terms.row_terms(torch.ones(2, 8), torch.tensor([1, 2], dtype=torch.int32))


def test_dropout_reads_a_negated_view_with_its_sign_and_leaves_a_dtensor_to_pytorch():
    values, hashed = torch.randn(4, 8), next(masks.Hashes([7004, 3639], "cpu"))
    expected = masks.drop(values, hashed, 0.5)
    assert torch.equal(masks.drop(torch._neg_view(values), hashed, 0.5), -expected)
    with pytest.raises(TypeError, match="expected a tensor on cpu"):
        masks.drop(values, hashed.to("meta"), 0.5)


def test_the_default_dtype_changes_nothing():
    logits, labels = torch.randn(2, 8), torch.tensor([1, 2])
    expected = row_terms.row_terms(logits, labels, 2.0, 1.0)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(row_terms.row_terms(logits, labels, 2.0, 1.0), expected)
    finally:
        torch.set_default_dtype(torch.float32)
