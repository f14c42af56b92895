"""Trainable-parameter budgets: what each variant would train of a model, counted without its weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from caref.config.schema import Model
from caref.errors import UserError
from caref.models import method, reach, shapes
from caref.models.trained import Counts, count

if TYPE_CHECKING:
    from caref.config.schema import Peft


def left_out(model: Model, pefts: Mapping[str, "Peft"]) -> list[str]:
    """Lines that say what of a model is not trained though one might think so, as a job says them."""
    network = shapes.skeleton(model)
    lines = [reach.told(network)]
    for choice, peft in pefts.items():
        chosen = method.build(peft)
        if isinstance(chosen, method.Adapter) and (line := chosen.left_out(network)):
            lines.append(f"{choice}: {line}")
    return [line for line in lines if line]


def budgets(model: Model, pefts: Mapping[str, "Peft"]) -> dict[str, Counts | UserError]:
    """The counts of each of `pefts` on a model, in their order, or why the model does not have it.

    The network is laid out on the meta device, from `model.config` or from the configuration file at `model.path`, and
    each trained part is really put on it: what is counted is what would be trained.

    Raises:
        UserError: if there is no such model.
    """
    network = shapes.skeleton(model)
    found: dict[str, Counts | UserError] = {}
    for choice, peft in pefts.items():
        try:
            found[choice] = count(network, peft)
        except UserError as refused:
            found[choice] = refused
    return found
