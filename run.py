"""The one entry point: Hydra composes a job from conf/, caref.running.jobs runs it."""

import os
import sys
from pathlib import Path
from statistics import fmean

os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra hands errors on instead of printing them its own way

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from caref import composition
from caref.errors import UserError, piped, reported
from caref.running import command_line

composition.register()
INTERRUPTED = "interrupted: finished splits are kept, and the same line typed again goes on"


@hydra.main(config_path=str(Path(__file__).parent / "conf"), config_name="config", version_base="1.3")
def main(job: DictConfig) -> float | None:
    from caref.running import forecast, jobs

    settings = HydraConfig.get()
    if settings.mode is RunMode.MULTIRUN:  # a sweep's job: how it ended is the sweep's to tell
        with reported():
            command_line.check_job(job, settings)
        with piped():
            records = jobs.run(job).values()
            # A model that explains nothing has no nBERT.
            return fmean(record["scores"].get("nbert", record["scores"]["accuracy"]) for record in records)
    with reported(INTERRUPTED):
        command_line.check(settings, sweep=False, job=job)
        if job.dry_run:
            print(forecast.told([jobs.plan(job)]))
        else:
            jobs.run(job)


if __name__ == "__main__":
    with reported(INTERRUPTED):
        sys.argv[1:] = command_line.readable(sys.argv[1:])
        try:
            main()
        except Exception as error:
            if refusal := command_line.told(error, sys.argv[1:]):
                raise UserError(refusal) from None
            raise
