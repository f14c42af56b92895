"""What Hydra composes a job of: the schema, with every kind of peft and reg that there is a file of."""

from caref.config.kinds import kinds
from caref.config.schema import (
    BertScore,
    Cells,
    Dataset,
    Evidence,
    Job,
    Model,
    NoTracker,
    Peft,
    Reg,
    Source,
    WandbTracker,
)
from caref.models import methods
from caref.objectives import terms


def register() -> None:
    """Make the schemas known to Hydra: `job_schema`, and `schema/GROUP/KIND` for each kind of a group."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    # Hydra deep-copies its sources at every look into a group, and with them this store, of which there is but one and
    # which hands out copies itself: two thirds of the time that --help takes.
    ConfigStore.__deepcopy__ = lambda store, memo: store
    store = ConfigStore.instance()
    store.store(name="job_schema", node=Job)
    store.store(group="hydra/sweeper", name="cells_schema", node=Cells)
    for group, schemas in groups().items():
        for kind, schema in schemas.items():
            node = OmegaConf.structured(schema)
            if "options" in node:  # PEFT says which there are
                OmegaConf.set_struct(node.options, False)
            store.store(group=f"schema/{group}", name=kind, node=node)


def groups() -> dict[str, dict[str, type]]:
    """The kinds of each group that `conf/` fills in."""
    return {
        "model": {"model": Model},
        "dataset": {"dataset": Dataset},
        "source": {"source": Source},
        "bertscore": {"bertscore": BertScore},
        "peft": kinds(methods, Peft),
        "reg": kinds(terms, Reg),
        "evidence": {"evidence": Evidence},
        "tracker": {"none": NoTracker, "wandb": WandbTracker},
    }
