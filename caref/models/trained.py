"""The trained part of a model for one split: put on, trained, saved, and taken off without a trace.

A backbone serves all splits of a job. What a split trains are fresh float32 tensors in the place of the backbone's own
(sparse variants) or beside them (adapters); the backbone's own tensors are never written to, so that they are back, bit
for bit, when the split is over.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from caref.errors import UserError
from caref.models import adapters, modules, origin, reach
from caref.models.backbones import Backbone
from caref.models.method import Adapter, Sparse, build
from caref.models.places import Places, in_place, laid, precise

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from caref.config.schema import Peft

WEIGHTS = "trained.safetensors"
DESCRIPTION = "trained.json"


@dataclass(frozen=True)
class Counts:
    """How much is trained, of the whole model with its adapters."""

    trainable: int
    total: int

    @property
    def percent(self) -> float:
        return 100 * self.trainable / self.total


class TrainedPart(Protocol):
    """What one split trains.

    Attributes:
        model: to train, and to call `generate(input_ids=..., attention_mask=..., ...)` on, keywords only.
        parameters: what the optimiser gets; float32, whatever the backbone is.
    """

    model: nn.Module
    parameters: list[nn.Parameter]
    counts: Counts

    def after_step(self, step: int) -> None:
        """To be called after `optimizer.step()` number `step` (from 1) and before `zero_grad()`."""

    def extra_loss(self) -> torch.Tensor | None:
        """A term that the method itself adds to the objective; a scalar, or None."""

    def untrained(self) -> AbstractContextManager["PreTrainedModel"]:
        """In the block the backbone's model as it is without this part, to ask; on leaving, this part is on again."""

    def save(self, folder: Path | str) -> None:
        """Write what `load_trained` reads: PEFT's own format for adapters, safetensors for sparse variants."""


@contextmanager
def trained_part(backbone: Backbone, peft: "Peft", seed: int, total_steps: int) -> Iterator[TrainedPart]:
    """Put the trained part of one split on a backbone; on leaving the backbone is as before, bit for bit.

    Args:
        peft: as `method.build` takes it.
        seed: the split's; adapters are initialised from it alone, so that a split is the same in any company.
        total_steps: optimiser steps of the run, at least 1.

    Raises:
        UserError: if the model lacks what the method trains, or the method does not know the model.

    Example:
        >>> with trained_part(backbone, peft, seed=7004, total_steps=600) as part:       # doctest: +SKIP
        ...     optimizer = torch.optim.AdamW(part.parameters, lr=3e-5)
        ...     for step, batch in enumerate(batches, start=1):
        ...         with backbone.autocast():
        ...             loss = objective(part.model(**batch).logits)
        ...         if (extra := part.extra_loss()) is not None:
        ...             loss = loss + extra
        ...         loss.backward()
        ...         optimizer.step()
        ...         part.after_step(step)
        ...         optimizer.zero_grad()
    """
    method = build(peft)
    with _as_before(backbone.model):
        if isinstance(method, Sparse):
            with _sparse(backbone, method) as part:
                yield part
        else:
            with _adapter(backbone, method, seed, total_steps) as part:
                yield part


@contextmanager
def load_trained(backbone: Backbone, folder: Path | str) -> Iterator[nn.Module]:
    """The backbone's model with a saved trained part on it, in evaluation mode; on leaving, the backbone as before.

    Raises:
        UserError: if the folder holds no trained part, or one of another model.
    """
    folder = Path(folder)
    origin.check(folder, backbone.name, backbone.model.parameters())
    with _as_before(backbone.model) as model:
        if (folder / "adapter_config.json").is_file():
            adapted = adapters.restored(model, folder)
            try:
                yield adapted.eval()
            finally:
                _take_off(adapted)
        elif (folder / DESCRIPTION).is_file():
            # What requires gradients is as it was in training: PyTorch chooses its kernels by it, even under no_grad.
            model.requires_grad_(False)
            with in_place(model, _read(model, folder)):
                yield model.eval()
        else:
            raise UserError(f"{folder}: holds no trained part (neither adapter_config.json nor {DESCRIPTION})")


def count(model: "PreTrainedModel", peft: "Peft") -> Counts:
    """What `trained_part` would train on this model, which may lie on the meta device.

    Raises:
        UserError: as `trained_part` does.
    """
    backbone = Backbone(model.config.model_type, model, tokenizer=None)
    with torch.device(model.device), trained_part(backbone, peft, seed=0, total_steps=100) as part:
        return part.counts


@dataclass
class SparsePart:
    """Some of the model's own parameters."""

    model: "PreTrainedModel"
    named: dict[str, nn.Parameter]
    counts: Counts
    description: Mapping[str, object]
    places: Places
    own: list[nn.Parameter]

    @property
    def parameters(self) -> list[nn.Parameter]:
        return list(self.named.values())

    def after_step(self, step: int) -> None:
        pass

    def extra_loss(self) -> None:
        return None

    @contextmanager
    def untrained(self) -> Iterator["PreTrainedModel"]:
        with laid([(module, name, own, fresh) for module, name, fresh, own in self.places]):
            yield self.model

    def save(self, folder: Path | str) -> None:
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: parameter.detach().contiguous() for name, parameter in self.named.items()}, folder / WEIGHTS)
        (folder / DESCRIPTION).write_text(json.dumps(self.description, indent=2) + "\n", encoding="utf-8")
        origin.note(folder, self.description["model"], self.own)


@dataclass
class AdapterPart:
    """An adapter of PEFT's."""

    model: "PeftModel"
    parameters: list[nn.Parameter]
    counts: Counts
    method: Adapter
    name: str
    own: list[nn.Parameter]

    def after_step(self, step: int) -> None:
        self.method.after_step(self.model, step)

    def extra_loss(self) -> torch.Tensor | None:
        return self.method.extra_loss(self.model)

    @contextmanager
    def untrained(self) -> Iterator["PreTrainedModel"]:
        gradients = [(parameter, parameter.requires_grad) for parameter in self.model.parameters()]
        try:
            with self.model.disable_adapter():
                yield self.model.get_base_model()
        finally:
            for parameter, requires_grad in gradients:  # PEFT would have the whole adapter require them
                parameter.requires_grad_(requires_grad)

    def save(self, folder: Path | str) -> None:
        adapters.save(self.model, folder)
        origin.note(Path(folder), self.name, self.own)


@contextmanager
def _sparse(backbone: Backbone, method: Sparse) -> Iterator[SparsePart]:
    model = backbone.model
    total = sum(parameter.numel() for parameter in model.parameters())
    own = dict(model.named_parameters())
    lost = reach.unreached(model)
    names = dict.fromkeys([*method.parameters(model), *_of_head(model)])
    fresh = {name: nn.Parameter(precise(own[name]).clone()) for name in names if name not in lost}
    counts = Counts(sum(parameter.numel() for parameter in fresh.values()), total)
    description = {"model": backbone.name, "peft": method.name, "method": method.method, "trainable": counts.trainable}
    model.requires_grad_(False)
    with in_place(model, fresh) as places:
        yield SparsePart(model, fresh, counts, description, places, list(own.values()))


@contextmanager
def _adapter(backbone: Backbone, method: Adapter, seed: int, total_steps: int) -> Iterator[AdapterPart]:
    model = backbone.model
    own = list(model.parameters())
    total = sum(parameter.numel() for parameter in own)
    copied = sum(model.get_parameter(name).numel() for name in _of_head(model))  # in whose place another is trained
    adapted = adapters.wrapped(model, method, seed, total_steps)
    try:
        parameters = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
        trainable = sum(parameter.numel() for parameter in parameters)
        counts = Counts(trainable, total + trainable - copied)
        yield AdapterPart(adapted, parameters, counts, method, backbone.name, own)
    finally:
        _take_off(adapted)


def _of_head(model: "PreTrainedModel") -> list[str]:
    """Names of a classifier's head's parameters."""
    return [
        f"{part}.{name}" for part in modules.head(model) for name, _ in model.get_submodule(part).named_parameters()
    ]


def _take_off(adapted: "PeftModel") -> None:
    if adapted.active_peft_config.is_prompt_learning:  # a prefix lies beside the model, not in it
        return
    model = adapted.get_base_model()
    for name in modules.head(model):  # where PEFT would leave the copy that was trained
        setattr(model, name, model.get_submodule(name).original_module)
    adapted.unload()


@contextmanager
def _as_before(model: "PreTrainedModel") -> Iterator["PreTrainedModel"]:
    """On leaving, everything of a model but its weights as it was: what requires gradients, modes, attributes."""
    gradients = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    attributes = dict(vars(model))
    try:
        yield model
    finally:
        vars(model).clear()
        vars(model).update(attributes)
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in gradients:
            parameter.requires_grad_(requires_grad)
            parameter.grad = None


def _read(model: nn.Module, folder: Path) -> dict[str, nn.Parameter]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        saved = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder / WEIGHTS}: cannot be read: {error}") from None
    own = dict(model.named_parameters())
    for name, tensor in saved.items():
        if name not in own or own[name].shape != tensor.shape:
            raise UserError(f"{folder / WEIGHTS}: {name} {tuple(tensor.shape)} is no parameter of this model")
    return {name: nn.Parameter(tensor.to(own[name].device)) for name, tensor in saved.items()}
