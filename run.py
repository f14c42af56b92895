"""The one entry point: Hydra composes a job from conf/, caref.running.jobs runs it."""

import difflib
import os
import re
from pathlib import Path

os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra hands errors on instead of printing them its own way

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from caref import composition
from caref.errors import UserError, reported

composition.register()


@hydra.main(config_path=str(Path(__file__).parent / "conf"), config_name="config", version_base="1.3")
def main(job: DictConfig) -> None:
    from caref.running import forecast, jobs

    if HydraConfig.get().mode is RunMode.MULTIRUN:  # the sweep planned it, and tells at its end what failed
        jobs.run(job)
        return
    with reported():
        if job.dry_run:
            print(forecast.told([jobs.plan(job)]))
        else:
            jobs.run(job)


def _told(error: Exception) -> str:
    """What Hydra says of a command line it cannot compose, in the project's words: one line, with the mend."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={choice}: there is no such choice; choose one of {', '.join(error.options)}"
    told = " ".join(str(error).split())
    if unknown := re.search(r"Could not override '([^']+)'", told):
        known = composition.known_keys()
        close = difflib.get_close_matches(unknown[1], known, n=1)
        return f"{unknown[1]}: there is no such key; " + (f"did you mean {close[0]}?" if close else "see run.py --help")
    return told


if __name__ == "__main__":
    try:
        main()
    except (HydraException, OmegaConfBaseException) as error:
        with reported():
            raise UserError(_told(error)) from None
