"""Gradients in closed form, which are not differentiated again."""

from torch import Tensor
from torch.autograd import Function


def not_twice(gradient: Tensor, *differentiated: Tensor) -> Tensor:
    """A gradient as it is; whoever differentiates it by what it was taken by is told that this cannot be.

    PyTorch's `once_differentiable` does so only where the incoming gradient itself requires one; where it is constant,
    as that of a loss is, the second order would be lost without a word.
    """
    return _NotTwice.apply(gradient, *differentiated)


def differentiated_once(tensor: Tensor) -> Tensor:
    """A tensor as it is; the gradient that comes back to it is `not_twice`'s, whoever computed it."""
    return _Once.apply(tensor)


class _Once(Function):
    @staticmethod
    def forward(ctx, tensor):
        ctx.save_for_backward(tensor)
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx, gradient):
        return not_twice(gradient, *ctx.saved_tensors)


class _NotTwice(Function):
    @staticmethod
    def forward(ctx, gradient, *differentiated):
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx, _):
        raise RuntimeError("the objective's gradient is a closed form that cannot be differentiated a second time")
