"""Other parameters in the places of a model's own, for a while."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

Places = list[tuple[nn.Module, str, nn.Parameter, nn.Parameter]]  # with what lies there inside a block, and outside


@contextmanager
def in_place(model: nn.Module, fresh: Mapping[str, nn.Parameter]) -> Iterator[Places]:
    """Other parameters in the places of the named ones, everywhere a tied one lies; on leaving, the model's own."""
    own = dict(model.named_parameters())
    by_own = {id(own[name]): parameter for name, parameter in fresh.items()}
    places = []
    for module in model.modules():
        held = list(module.named_parameters(recurse=False, remove_duplicate=False))
        if not any(id(parameter) in by_own for _, parameter in held):
            continue
        for name, parameter in held:
            if id(parameter) not in by_own:
                # A trained weight's frozen neighbour (a norm's bias) has to be of its type: CPU kernels mix no types.
                by_own[id(parameter)] = nn.Parameter(precise(parameter), requires_grad=False)
            places.append((module, name, by_own[id(parameter)], parameter))
    with laid(places):
        yield places


@contextmanager
def laid(places: Places) -> Iterator[None]:
    for module, name, inside, _ in places:
        setattr(module, name, inside)
    try:
        yield
    finally:
        for module, name, _, outside in places:
            setattr(module, name, outside)


def precise(parameter: nn.Parameter) -> torch.Tensor:
    """In float32, or in what is more precise still."""
    return parameter.detach().to(torch.promote_types(parameter.dtype, torch.float32))
