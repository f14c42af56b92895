"""Trainable parameters of every variant of a model, without its weights.

python -m caref.budget flan_t5_large
python -m caref.budget google/flan-t5-xl --peft aq lora_r4
python -m caref.budget flan_t5_large --reg ivra          # and of the module that a regulariser trains beside it
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from caref import composition
from caref.config import schema
from caref.errors import UserError, reported

if TYPE_CHECKING:
    from caref.config.schema import Model, Peft
    from caref.models.trained import Counts
    from caref.objectives.definition import Definition

CONF = Path(__file__).parents[1] / "conf"

# The paper's order; choices that are not in it follow by name.
_ORDER = ("base", "dec", "aqkv", "laq", "aq", "lora_r4", "lora_r128", "adalora", "dora", "ia3", "prefix")


@reported()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m caref.budget", description=__doc__.partition("\n")[0])
    parser.add_argument("model", metavar="MODEL", help="a choice of conf/model, a folder, or a hub id")
    parser.add_argument("--peft", nargs="+", metavar="CHOICE", help="choices of conf/peft; all of them if left out")
    parser.add_argument("--reg", metavar="CHOICE", help="of conf/reg; whose own module is counted too")
    options = parser.parse_args(arguments)
    model, pefts = composed(options.model, options.peft)
    reg = regulariser(options.reg) if options.reg else None
    from caref.models.budget import beside, budgets, left_out

    print(table(options.model, pefts, budgets(model, pefts)))
    for line in left_out(model, pefts) + (beside(model, reg) if reg else []):
        print(line)


def composed(model: str, pefts: Sequence[str] | None = None) -> tuple["Model", dict[str, "Peft"]]:
    """The configurations that `run.py` would compose for a model and for each peft choice, in the paper's order.

    Args:
        model: a choice of conf/model; anything else is taken for a path.
        pefts: choices of conf/peft, or None for all.

    Raises:
        UserError: if the model or a choice of conf/peft does not exist.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    if not CONF.is_dir():
        raise UserError(f"{CONF}: no such folder; run this from a checkout of the repository")
    known = sorted(
        choices("peft"), key=lambda choice: (_ORDER.index(choice) if choice in _ORDER else len(_ORDER), choice)
    )
    unknown = [choice for choice in pefts or () if choice not in known]
    if unknown:
        raise UserError(f"--peft {unknown[0]}: must be some of {', '.join(known)}")
    chosen = [choice for choice in known if pefts is None or choice in pefts]
    composition.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        of_choice = {choice: compose(f"peft/{choice}").peft for choice in chosen}
        named = compose("config", [f"model={model}"]).model if model in choices("model") else None
    if named is None:
        _refuse_unless_found(model)
    of_choice = {choice: OmegaConf.to_object(peft) for choice, peft in of_choice.items()}
    return OmegaConf.to_object(named) if named else schema.Model(name=model, path=model), of_choice


def regulariser(choice: str) -> "Definition":
    """The objective of a choice of conf/reg.

    Raises:
        UserError: there is no such choice.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    if choice not in choices("reg"):
        raise UserError(f"--reg {choice}: must be one of {', '.join(choices('reg'))}")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_object(compose(f"reg/{choice}").reg)


def _refuse_unless_found(model: str) -> None:
    from caref.models.checkpoints import locate

    try:
        locate(model, key="MODEL")
    except UserError as error:
        raise UserError(f"{error}; conf/model offers {', '.join(choices('model'))}") from None


def choices(group: str) -> list[str]:
    """What conf/ offers for a group."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def table(model: str, pefts: Mapping[str, "Peft"], budgets: Mapping[str, "Counts | UserError"]) -> str:
    """A line a variant: name, choice, trainable parameters, their share; then what the model lacks, and why."""
    counted = {choice: counts for choice, counts in budgets.items() if not isinstance(counts, UserError)}
    lines = [
        (pefts[choice].name, f"peft={choice}", f"{counts.trainable:,}", f"{counts.total:,}", f"{counts.percent:.2f}")
        for choice, counts in counted.items()
    ]
    head = ("variant", "choice", "trainable", "of", "%")
    widths = [max(len(cell) for cell in column) for column in zip(head, *lines, strict=True)]
    aligned = [
        "  ".join(cell.ljust(width) if place < 2 else cell.rjust(width) for place, (cell, width) in enumerate(row))
        for row in (list(zip(line, widths, strict=True)) for line in (head, *lines))
    ]
    refused = [
        f"{choice}: refused: {str(reason).removeprefix(f'peft ({pefts[choice].name}): ')}"
        for choice, reason in budgets.items()
        if choice not in counted
    ]
    return "\n".join([model, "", *(aligned if lines else []), *([""] if refused and lines else []), *refused])


if __name__ == "__main__":
    main()
