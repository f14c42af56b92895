"""The one entry point: Hydra composes a job from conf/, caref.jobs runs it."""

import os
from pathlib import Path

os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra hands errors on instead of printing them its own way

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from caref import config
from caref.errors import UserError, reported

config.register()


@hydra.main(config_path=str(Path(__file__).parent / "conf"), config_name="config", version_base="1.3")
def main(job: DictConfig) -> None:
    from caref import forecast, jobs

    if HydraConfig.get().mode is RunMode.MULTIRUN:  # the sweep validated it, and tells at its end what failed
        jobs.run(job)
        return
    with reported():
        config.validate(job)
        if job.dry_run:
            print(forecast.told([jobs.plan(job)]))
        else:
            jobs.run(job)


if __name__ == "__main__":
    try:
        main()
    except (HydraException, OmegaConfBaseException) as error:
        with reported():
            raise UserError(str(error)) from None
