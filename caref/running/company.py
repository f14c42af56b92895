"""Whether splits side by side compute what each computes alone, found by trying rather than by knowing the family."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from caref import training
from caref.config.schema import Train
from caref.data.batches import Encoded
from caref.errors import UserError
from caref.kernels.dropout import own_masks
from caref.models.backbones import Backbone
from caref.models.packed import packed_part
from caref.objectives.objective import Objective

if TYPE_CHECKING:
    from caref.config.schema import Peft
    from caref.models.method import Adapter

_ONE_PASS = Train()
_ROWS = 2  # examples of each split that is tried
# How far rounding may take a gradient: a share of the parameter's own norm, and of the norm of all.
_OWN = {torch.float32: 1e-2, torch.bfloat16: 0.15}
_ALL = {torch.float32: 1e-3, torch.bfloat16: 0.015}
_REPEATED = 1e-4  # and where the same is computed twice, on a device that adds in any order


def why_alone(
    backbone: Backbone, peft: "Peft", objective: Objective, examples: Sequence[Encoded], seed: int
) -> str | None:
    """Why splits side by side would not be what they are alone; None where they would.

    Two splits, one of the shortest and one of the longest of these examples, are taken through the first step of a
    training, dropout included: together, and each alone. A model that puts time before the batch, or lays both out in
    one dimension, or draws random numbers for all rows at once gives other gradients, or refuses. It costs four small
    steps, and leaves random states as they were.

    Args:
        examples: of one split.
        seed: the split's.
    """
    if (reason := objective.definition.why_alone()) is not None:
        return reason
    by_length = _by_length(examples)
    batches, seeds = [by_length[:_ROWS], by_length[-_ROWS:]], [seed, seed + 1]
    try:
        alone = [_gradients(backbone, peft, objective, [own], [one]) for own, one in zip(batches, seeds, strict=True)]
        again = _gradients(backbone, peft, objective, batches[:1], seeds[:1], stream=seeds[1])
        if _apart(alone[0], again, _REPEATED, _REPEATED) is not None:
            return "the model draws random numbers of its own, for all rows of a batch at once"
        together = _gradients(backbone, peft, objective, batches, seeds)
    except Exception as error:  # alone it may do well; if not, the split itself will say so
        return _told(error)
    for place, own in enumerate(alone):
        packed = {name: gradient[place].view_as(own[name]) for name, gradient in together.items()}
        apart = _apart(own, packed, _OWN[backbone.dtype], _ALL[backbone.dtype])
        if apart is not None:
            return f"in company of another the gradient of {apart} is not what it is alone"
    return None


def why_not(
    backbone: Backbone, peft: "Peft", objective: Objective, examples: Sequence[Encoded], seed: int, settings: Train
) -> str | None:
    """Why a batch in parts, or layers computed again, would not come to the gradients of one pass; None where it would.

    Found on the first step of a training with the shortest of these examples, as `why_alone` finds it.

    Args:
        examples: of one split, two at least.
        seed: the split's.
        settings: how a step is to be computed.
    """
    if objective.asks and settings.gradient_accumulation > 1:
        return "the objective asks the model about whole batches"
    few = [_by_length(examples)[:_ROWS]]
    once = replace(settings, gradient_accumulation=1, gradient_checkpointing=False)
    expected = _gradients(backbone, peft, objective, few, [seed], settings=once)
    try:
        found = _gradients(backbone, peft, objective, few, [seed], settings=settings)
    except UserError:
        raise
    except Exception as error:
        return _told(error)
    apart = _apart(expected, found, _OWN[backbone.dtype], _ALL[backbone.dtype])
    return apart and f"the gradient of {apart} is not what it is in one pass"


def idle(
    backbone: Backbone, adapter: "Adapter", objective: Objective, examples: Sequence[Encoded], seed: int, option: str
) -> bool:
    """Whether an option of PEFT's changes neither what is trained nor its first gradients.

    Args:
        adapter: with this option among its `options`.
        examples: of one split.
        seed: the split's.
    """
    few = [_by_length(examples)[:_ROWS]]
    options = {name: value for name, value in adapter.options.items() if name != option}
    found = _gradients(backbone, adapter, objective, few, [seed])
    without = _gradients(backbone, replace(adapter, options=options), objective, few, [seed])
    shapes, others = ({name: one.shape for name, one in each.items()} for each in (found, without))
    return shapes == others and _apart(found, without, _REPEATED, 0.0) is None


def _by_length(examples: Sequence[Encoded]) -> list[Encoded]:
    return sorted(examples, key=lambda example: len(example.prompt) + len(example.target))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _gradients(
    backbone: Backbone,
    peft: "Peft",
    objective: Objective,
    batches: Sequence[Sequence[Encoded]],
    seeds: Sequence[int],
    stream: int | None = None,
    settings: Train = _ONE_PASS,
) -> dict[str, torch.Tensor]:
    """By name, the first gradients of splits side by side, (K, ...) each; of one split without that dimension.

    Args:
        stream: the seed of what is drawn beside dropout and starting points; by default the first split's.
    """
    cuda = [backbone.device] if backbone.device.type == "cuda" else []
    together = packed_part(backbone, peft, seeds, total_steps=100, objective=objective)
    with torch.random.fork_rng(devices=cuda), together as part:
        torch.manual_seed(seeds[0] if stream is None else stream)
        part.model.train()
        with own_masks(seeds, backbone.device) as masks, training.recomputing(backbone, settings, masks):
            examples = [example for own in batches for example in own]
            training.backward(part, backbone, objective, examples, settings, masks, len(batches))
        trained = {**dict(zip(part.names, part.parameters, strict=True)), **part.explaining}
        return {
            name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for name, parameter in trained.items()
        }


def _apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], of_own: float, of_all: float) -> str | None:
    """The name of the first gradient that differs by more than these shares of its norm and of the norm of all."""
    norms = torch.stack([gradient.norm() for gradient in one.values()]).double().tolist()
    apart = torch.stack([(one[name] - other[name]).norm() for name in one]).double().tolist()
    whole = sum(norm**2 for norm in norms) ** 0.5
    for name, norm, distance in zip(one, norms, apart, strict=True):
        if not distance <= of_own * norm + of_all * whole:  # nor may either be NaN
            return name
    return None
