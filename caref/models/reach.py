"""Which of a model's parameters no text reaches: a vision tower's, say. They get no gradient, and are not trained."""

import types
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from caref.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_found: "WeakKeyDictionary[nn.Module, tuple[frozenset[str], Mapping[str, int]]]" = WeakKeyDictionary()


def unreached(model: "PreTrainedModel") -> frozenset[str]:
    """Names of the parameters on which what a model says of a text does not depend."""
    return _passed_through(model)[0]


def called(model: "PreTrainedModel") -> Mapping[str, int]:
    """How often a text is passed through a module, by its name; those through which it is not are left out.

    An adapter on one whose weight is only read does nothing.
    """
    return _passed_through(model)[1]


def a_text(model: "PreTrainedModel", rows: int) -> dict[str, torch.Tensor]:
    """Inputs that any model of text takes: `rows` times the same eight tokens."""
    ids = torch.arange(3, 11, device=model.device).repeat(rows, 1) % model.get_input_embeddings().num_embeddings
    return {"input_ids": ids} | ({"decoder_input_ids": ids[:, :5]} if model.config.is_encoder_decoder else {})


def _passed_through(model: "PreTrainedModel") -> tuple[frozenset[str], Mapping[str, int]]:
    """Both, found by passing a text through the model.

    The model may lie on the meta device: shapes are enough to see what depends on what. Found once a model, with
    nothing trained on it; dropout and layers dropped at random are off, and of a router's experts all are taken.

    Raises:
        UserError: the model does not read texts alone.
    """
    if model not in _found:
        passed: Counter[str] = Counter()
        with _plain(model), _noted(model, passed):
            try:
                reached = _leaves(model(**a_text(model, 2), use_cache=False).logits)
            except Exception as error:
                told = f"{type(error).__name__}: {error}".partition("\n")[0]
                raise UserError(f"{model.config.model_type}: no text can be passed through it: {told}") from error
            lost = {name for name, parameter in model.named_parameters() if id(parameter) not in reached}
        _found[model] = frozenset(lost), passed
    return _found[model]


def told(model: "PreTrainedModel") -> str | None:
    """One line of what no text reaches, by the outermost modules that hold nothing else; None where it is nothing."""
    lost = unreached(model)
    if not lost:
        return None
    whole: list[str] = []
    for path, module in model.named_modules():
        names = [f"{path}.{name}" for name, _ in module.named_parameters()]
        inside = any(path.startswith(f"{outer}.") for outer in whole)
        if path and names and not inside and lost.issuperset(names):
            whole.append(path)
    size = sum(parameter.numel() for name, parameter in model.named_parameters() if name in lost)
    named = ", ".join(whole[:3]) + (f" and {len(whole) - 3} more" if len(whole) > 3 else "")
    return f"not trained, since no text reaches it: {named or ', '.join(sorted(lost)[:3])} ({size:,} parameters)"


@contextmanager
def _noted(model: nn.Module, passed: Counter[str]) -> Iterator[None]:
    """In the block the calls of modules are counted, by name."""
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, path=path: passed.update([path]))
        for path, module in model.named_modules()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _plain(model: "PreTrainedModel") -> Iterator[None]:
    """In the block a model computes without chance, every parameter is in the graph, and meta tensors may be asked."""
    kept = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    routed = [module for module in model.modules() if _routes(module)]
    experts = model.get_experts_implementation()
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        if model.device.type == "meta":
            stack.enter_context(torch.fx.experimental._config.patch(meta_nonzero_assume_all_nonzero=True))
            stack.enter_context(_Unasked())
        try:
            model.eval()
            for parameter, _ in kept:
                parameter.requires_grad_(parameter.is_floating_point())
            for module in routed:
                module.forward = types.MethodType(_all_members, module)
            if model._can_set_experts_implementation():
                model.set_experts_implementation("batched_mm")  # the others ask how many tokens an expert is given
            yield
        finally:
            model.set_experts_implementation(experts)
            for module in routed:
                del module.forward
            for module, training in modes:
                module.training = training
            for parameter, requires in kept:
                parameter.requires_grad_(requires)


def _routes(module: nn.Module) -> bool:
    """Whether a module gives tokens to some of its members only, as a container that computes does."""
    return isinstance(module, nn.ModuleList | nn.ModuleDict) and type(module).forward is not nn.Module.forward


def _all_members(experts: nn.ModuleDict, hidden: torch.Tensor, *others, **named) -> torch.Tensor:
    members = experts.values() if isinstance(experts, nn.ModuleDict) else experts
    return sum(member(hidden) for member in members) * sum(one.sum() for one in others if one.is_floating_point())


class _Unasked(TorchDispatchMode):
    """Answers no, or 0, to whoever asks a meta tensor for its number: most ask whether a mask could be left out."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return torch.zeros((), dtype=args[0].dtype, device="cpu").item()
        return function(*args, **(kwargs or {}))


def _leaves(value: torch.Tensor) -> set[int]:
    """The ids of the parameters that a value was computed from."""
    seen, waiting, found = set(), [value.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        waiting += [before for before, _ in node.next_functions]
    return found
