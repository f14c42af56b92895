"""Several splits side by side on one backbone: what each trains, stacked, and applied to its own rows of a batch.

A batch of K splits holds the rows of the first, then those of the second, and so on. What is frozen sees one large
batch. Every module that holds something trained is replaced by a twin with K copies of it; a linear layer's twin is a
batched matrix product, any other module's is the module itself, vectorised over its copies. So no split's rows ever
meet another's tensors, and each computes what it would compute alone, up to the rounding of sums.

That holds where a module is given the batch's rows in their order, and treats each by itself. A twin knows how many
rows the batch has and refuses anything else; the rest is found by `caref.running.company`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call

from caref.models.asking import Beside, beside
from caref.models.backbones import Backbone
from caref.models.method import build
from caref.models.pupil import Pupil, of_pupils, pupil
from caref.models.rows import Rows
from caref.models.trained import Counts, TrainedPart, trained_part

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from caref.config.schema import Peft
    from caref.objectives.objective import Objective

_RANDOM_DEPTH = ("layerdrop", "encoder_layerdrop", "decoder_layerdrop")


def drops_layers(backbone: Backbone) -> bool:
    """Whether a step may leave out any of the model's layers, all of them at worst."""
    return any(getattr(backbone.model.config, key, 0) for key in _RANDOM_DEPTH)


def why_alone(backbone: Backbone, peft: "Peft") -> str | None:
    """Why the splits of a variant have to be trained one by one; None where they can be packed."""
    if drops_layers(backbone):
        return "the model drops whole layers at random, all rows of a batch at once"
    return build(peft).why_alone()


@dataclass
class PackedPart:
    """What K splits train; for K = 1 the split's own part as it is.

    Attributes:
        parameters: float32, (K, ...) each; where K = 1 without that dimension.
        names: of each, as the model of one split calls it.
        beside: the module that the objective trains beside the model, (K, ...) each of its weights, or None.
        pupil: a student that may be taught to foresee the model; None where none is asked for.
        lent: a module that was trained elsewhere, to explain this model in place of `beside`; None where none is.
    """

    alone: TrainedPart
    parameters: list[nn.Parameter]
    names: list[str]
    twins: "_Twins"
    beside: Beside | None = None
    pupil: Pupil | None = None
    lent: Beside | None = None

    @property
    def model(self) -> nn.Module:
        return self.alone.model

    @property
    def counts(self) -> Counts:
        """Of one split, what is trained beside the model included."""
        own, more = self.alone.counts, 0 if self.beside is None else self.beside.explainer.count
        return Counts(own.trainable + more, own.total + more)

    @property
    def explains(self) -> Beside | None:
        """The module whose explanation is read."""
        return self.beside if self.lent is None else self.lent

    @property
    def explaining(self) -> dict[str, nn.Parameter]:
        """What is trained beside the model, by name."""
        return {} if self.beside is None else self.beside.explainer.learned

    def after_step(self, step: int) -> None:
        self.alone.after_step(step)

    def extra_loss(self) -> Tensor | None:
        return self.alone.extra_loss()

    @contextmanager
    def untrained(self) -> Iterator["PreTrainedModel"]:
        """See `TrainedPart`; it is the same for all splits."""
        with self.twins.taken_off(), self.alone.untrained() as model:
            yield model

    def save(self, folder: Path | str, split: int = 0) -> None:
        """Write one split's part, as `TrainedPart.save` does.

        Args:
            split: which, by its place in the pack.
        """
        if not self.twins.places:
            self.alone.save(folder)
        else:
            with self.twins.taken_off(), torch.no_grad():
                for own, stacked in zip(self.alone.parameters, self.parameters, strict=True):
                    own.copy_(stacked[split])
                self.alone.save(folder)
        if self.beside is not None:
            self.beside.save(folder, split)


@contextmanager
def packed_part(
    backbone: Backbone,
    peft: "Peft",
    seeds: Sequence[int],
    total_steps: int,
    objective: "Objective | None" = None,
    teaching: bool = False,
    lent: Beside | None = None,
) -> Iterator[PackedPart]:
    """Put the trained parts of several splits on a backbone at once; on leaving the backbone is as before.

    Args:
        seeds: one a split; each part starts as `trained_part` starts it from this seed.
        total_steps: optimiser steps of the run.
        objective: where it trains a module beside the model, that is there too.
        teaching: whether a student is to be taught to foresee it: what it starts from is kept.
        lent: see `PackedPart`.

    Raises:
        UserError: as `trained_part`, `beside` and `of_pupils` do.

    Example:
        >>> with packed_part(backbone, peft, seeds=(7004, 3639), total_steps=600) as part:    # doctest: +SKIP
        ...     logits = part.model(**batch_of_both).logits
    """
    module = beside(backbone, peft, objective, len(seeds))
    taught = of_pupils(backbone, peft, len(seeds)) if teaching else None
    starts = []
    for seed in seeds[:-1]:
        with trained_part(backbone, peft, seed, total_steps) as part:
            starts.append([parameter.detach().clone() for parameter in part.parameters])
    with trained_part(backbone, peft, seeds[-1], total_steps) as alone:
        called = {id(parameter): name for name, parameter in alone.model.named_parameters()}
        names = [called[id(parameter)] for parameter in alone.parameters]
        if not starts:
            yield PackedPart(alone, alone.parameters, names, _Twins([]), module, pupil(taught, alone.parameters), lent)
            return
        starts.append([parameter.detach() for parameter in alone.parameters])
        stacked = [nn.Parameter(torch.stack(copies)) for copies in zip(*starts, strict=True)]
        batch = Rows(len(seeds))
        twins = _Twins(_places(alone.model, dict(zip(map(id, alone.parameters), stacked, strict=True)), batch))
        twins.put_on()
        try:
            with batch.counted(backbone.model):
                yield PackedPart(alone, stacked, names, twins, module, pupil(taught, stacked), lent)
        finally:
            twins.take_off()


class PackedLinear(nn.Module):
    """K linear layers of one shape.

    Args:
        weight: (K, out, in).
        bias: (K, out), or None.
        batch: the rows that it is called with.
        path: of the module it stands for.
    """

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None, batch: Rows, path: str):
        super().__init__()
        self.weight, self.bias, self._batch, self._path = weight, bias, batch, path

    def forward(self, rows: Tensor) -> Tensor:
        """(K * B, ..., in) -> (K * B, ..., out): each layer on its own B rows."""
        of_splits = self._batch.by_split(rows, self._path).reshape(len(self.weight), -1, rows.shape[-1])
        if self.bias is None:
            product = torch.bmm(of_splits, self.weight.mT)
        else:
            product = torch.baddbmm(self.bias.unsqueeze(1), of_splits, self.weight.mT)
        return product.view(*rows.shape[:-1], -1)


class PackedModule(nn.Module):
    """K modules that differ in some parameters only: (K * B, ...) -> (K * B, ...), each on its own B rows.

    Args:
        module: treats every row by itself.
        stacked: what they differ in, by the module's own names for it, (K, ...) each.
        batch: the rows that it is called with.
        path: of the module.
    """

    def __init__(self, module: nn.Module, stacked: dict[str, nn.Parameter], batch: Rows, path: str):
        super().__init__()
        self.module, self.stacked, self._batch, self._path = module, stacked, batch, path
        self._apply_all = torch.vmap(lambda own, rows: functional_call(self.module, own, (rows,)))

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:  # a model looks up the dtype of its layers' weights
            return getattr(super().__getattr__("module"), name)

    def forward(self, rows: Tensor) -> Tensor:
        return self._apply_all(self.stacked, self._batch.by_split(rows, self._path)).flatten(0, 1)


@dataclass(frozen=True)
class _Place:
    """Where a module lies, and the twin that is to lie there."""

    parent: nn.Module
    name: str
    module: nn.Module
    twin: nn.Module


@dataclass(frozen=True)
class _Twins:
    places: list[_Place]

    def put_on(self) -> None:
        for place in self.places:
            place.twin.train(place.module.training)
            place.parent._modules[place.name] = place.twin

    def take_off(self) -> None:
        for place in self.places:
            place.parent._modules[place.name] = place.module

    @contextmanager
    def taken_off(self) -> Iterator[None]:
        self.take_off()
        try:
            yield
        finally:
            self.put_on()


def _places(model: nn.Module, stacked: dict[int, nn.Parameter], batch: Rows) -> list[_Place]:
    """Every place of a module that holds one of these parameters, keyed by the id of the one they are copies of."""
    held: dict[nn.Module, dict[str, nn.Parameter]] = {}
    paths: dict[nn.Module, str] = {}
    for path, module in model.named_modules():
        names = ""
        if isinstance(module, nn.ParameterDict):  # it computes nothing: its parent does
            path, _, name = path.rpartition(".")
            names = f"{name}."
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in stacked:
                holder = model.get_submodule(path)
                paths[holder] = path
                held.setdefault(holder, {})[names + name] = stacked[id(parameter)]
    twins = {module: _twin(module, own, batch, paths[module]) for module, own in held.items()}
    return [
        _Place(parent, name, child, twins[child])
        for parent in model.modules()
        for name, child in parent.named_children()
        if child in twins
    ]


def _twin(module: nn.Module, stacked: dict[str, nn.Parameter], batch: Rows, path: str) -> nn.Module:
    if type(module) is nn.Linear and (module.bias is None or "bias" in stacked):
        return PackedLinear(stacked["weight"], stacked.get("bias"), batch, path)
    return PackedModule(module, stacked, batch, path)
