"""A model's head, its widest layer, and what of the last hidden states it is given.

The model itself computes all that is before and after it (T5's scale, Gemma's soft cap, Cohere's `logit_scale`, BART's
bias): only rows of the head's input are chosen, by a hook of PyTorch's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from caref.models import modules
from caref.models.rows import NotInRows

# How far rounding may take a logit, as a share of the largest: a product of other rows adds in another order.
_ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}


@contextmanager
def given(model: nn.Module, rows: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """In the block the head is given `rows` of the last hidden states, (B, T, D), instead; where there is one."""
    head = model.get_output_embeddings()
    if head is None:
        yield
        return
    hook = head.register_forward_pre_hook(lambda module, args: (rows(args[0]), *args[1:]))
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def precise(model: nn.Module) -> Iterator[None]:
    """In the block the output of the head, a classifier's too, is float32's, where it would be one of half precision.

    A logit of 40 has steps of 0.25 in bfloat16. Where a model holds several tokens nearly as likely, and the more so
    the flatter it was trained to be, they then share the first place, and the one of the smallest number gets it. The
    head is copied once a block, as it then is: put one around all that is read of a model, and train nothing in it.

    What it is given is laid out as a whole first: of a slice (`logits_to_keep`) PyTorch's product in bfloat16 takes a
    hundred times as long on a CPU.
    """
    own = model.get_base_model() if hasattr(model, "get_base_model") else model  # PEFT's lies around it
    of_classes = modules.head(own)
    head = own.get_submodule(of_classes[-1]) if of_classes else model.get_output_embeddings()
    if head is None:
        yield
        return
    weights: dict[str, Tensor] = {}  # float32's, once a block
    inside = False

    def again(module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
        nonlocal inside
        if inside or output.dtype not in (torch.bfloat16, torch.float16):
            return None
        weights.update({name: one.float() for name, one in module.named_parameters()} if not weights else {})
        inside = True
        try:
            with torch.autocast(output.device.type, enabled=False):
                return torch.func.functional_call(module, weights, (args[0].float(), *args[1:]))
        finally:
            inside = False

    hook = head.register_forward_hook(again)
    try:
        with given(model, torch.Tensor.contiguous):
            yield
    finally:
        hook.remove()


def at(places: Tensor | None, shape: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """What the head is given for logits at some places alone: (B, T, D) -> (1, N, D).

    Args:
        places: (N,) of the flattened (B, T); None for all, as they are.
        shape: (B, T); what has another is let through as it is.
    """

    def rows(hidden: Tensor) -> Tensor:
        if places is None or hidden.shape[:-1] != shape:
            return hidden
        return hidden.flatten(end_dim=-2).index_select(0, places).unsqueeze(0)

    return rows


def chooses(model: nn.Module, compute: Callable[[], Tensor], places: Tensor) -> bool:
    """Whether the model's logits at these places are the same, up to rounding, where its head is given no others.

    Args:
        compute: calls the model, the same each time: (B, T, V), or fewer where the head is given fewer.
        places: (N,) of the flattened (B, T).
    """
    whole = compute()
    try:
        with given(model, at(places, whole.shape[:-1])):
            chosen = compute()
    except (NotInRows, IndexError):  # the head is trained in a pack, or takes its input by name
        return False
    if chosen.shape != (1, len(places), whole.shape[-1]):
        return False
    whole = whole.flatten(end_dim=-2).index_select(0, places)
    apart = (whole - chosen.squeeze(0)).abs().max()
    return bool(apart <= _ROUNDING[whole.dtype] * whole.abs().max())
