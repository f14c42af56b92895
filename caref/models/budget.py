"""Trainable-parameter budgets: what each variant would train of a model, counted without its weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from caref.config.schema import Model
from caref.errors import UserError
from caref.models import method, modules, reach, shapes
from caref.models.queries_and_keys import attention, sites
from caref.models.trained import Counts, count

if TYPE_CHECKING:
    from caref.config.schema import Peft
    from caref.objectives.definition import Definition


def left_out(model: Model, pefts: Mapping[str, "Peft"]) -> list[str]:
    """Lines that say what of a model is not trained though one might think so, as a job says them."""
    network = shapes.skeleton(model)
    lines = [reach.told(network)]
    for choice, peft in pefts.items():
        chosen = method.build(peft)
        if isinstance(chosen, method.Adapter) and (line := chosen.left_out(network)):
            lines.append(f"{choice}: {line}")
    if head := modules.head(network):
        lines.append(f"trained by every variant: the head ({', '.join(head)}), here of {shapes.CLASSES} classes")
    return [line for line in lines if line]


def beside(model: Model, objective: "Definition") -> list[str]:
    """Lines that say how many weights the module has that an objective trains beside a model.

    Raises:
        UserError: the model has no attention that it could hear.
    """
    if not objective.asks:
        return []
    of_sites = sites(shapes.skeleton(model), objective.site)
    with torch.device("meta"):
        explainer = objective.explainer({site: attention(layers) for site, layers in of_sites.items()}, splits=1)
    own = {name: weight[0].numel() for name, weight in explainer.learned.items()}
    temperature = own.pop("log_temperature", None)
    heard = " and ".join("self-attention" if site == "self" else f"{site} attention" for site in of_sites)
    told = f"{objective.name}: {sum(own.values()):,} weights beside each variant, on {heard}"
    return [told + (", and a temperature" if temperature else "")]


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
