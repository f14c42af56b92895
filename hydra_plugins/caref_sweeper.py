"""What Hydra needs of the project: where the experiments lie, and a sweeper that sees a sweep as cells of a table.

Hydra finds its plugins in packages named hydra_plugins on the import path; run.py's folder is on it.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ExperimentsPath(SearchPathPlugin):
    """Makes `+experiments=NAME` and `+sweeps=NAME` name files of those folders, beside conf/."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("caref", f"file://{Path(__file__).parents[1]}")


class CellSweeper(Sweeper):
    """Every combination of the command line's values, times each grid of an experiment; a cell shared by grids once.

    Args:
        grids: each a mapping from key to comma-separated values; the cells are the union of the grids. A key given
            on the command line takes the place of the grids' values for it.
        shards: into how many jobs each cell's splits are dealt, to be run side by side by a cluster's launcher.
    """

    def __init__(self, grids: Sequence[Mapping[str, Any]], shards: int):
        self._grids = [dict(grid) for grid in grids] or [{}]
        self._shards = shards

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self._context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from caref import sweeps

        parser = OverridesParser.create(config_loader=self._context.config_loader)
        cells = []
        for grid in self._grids:
            given = {override.split("=", 1)[0].lstrip("+~") for override in arguments}
            kept = [f"{key}={value}" for key, value in grid.items() if key not in given]
            cells += product(
                *(_alternatives(override) for override in parser.parse_overrides([*kept, *arguments]))
            )

        def compose(overrides: Sequence[str]) -> DictConfig:
            return self._context.config_loader.load_sweep_config(self.config, list(overrides))

        return sweeps.sweep(list(dict.fromkeys(cells)), compose, self.launcher.launch, self._shards)


def _alternatives(override) -> list[str]:
    if not override.is_sweep_override():
        return [override.input_line]
    if not override.is_discrete_sweep():
        raise ConfigCompositionException(f"{override.input_line}: a sweep needs a list of values")
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
