"""What tracker=wandb leaves to do: upload the runs that were kept offline, and make a report of them on W&B.

python -m caref.tracking sync RESULTS [options of `wandb sync`]
python -m caref.tracking compare --entity TEAM --project caref [RESULTS]
"""

import argparse
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from caref.errors import UserError, reported
from caref.tracking.offline import pending

_AT_ONCE = 500  # runs in one command line
_SECONDS = 15  # for W&B's server to answer at all; wandb itself would try again for hours


def sync(results_dir: Path, options: list[str]) -> int:
    """Hand every offline run of a results folder to `wandb sync`, which leaves out those it has uploaded before.

    A run's table lies under the path where it was written: sync a folder where its runs were made.

    Args:
        results_dir: with a folder a signature in it.
        options: for `wandb sync`, --project, --entity and --dry-run among them.

    Returns:
        The exit code: 0 where everything is uploaded.

    Raises:
        UserError: where there is no such folder, or W&B's server cannot be reached.
    """
    if not results_dir.is_dir():
        raise UserError(f"{results_dir}: no such results folder; run.py tracker=wandb makes one")
    runs = [run for folder in sorted(results_dir.glob("*/wandb")) for run in pending(folder)]
    print(f"{results_dir}: {len(runs)} runs of {len({run.parent for run in runs})} signatures to upload", flush=True)
    dry = "--dry-run" in options
    if runs and not dry:
        _check_server()
    for start in range(0, len(runs), _AT_ONCE):
        done = subprocess.run(
            [sys.executable, "-m", "wandb", "sync", *options, *map(str, runs[start : start + _AT_ONCE])], check=False
        )
        if done.returncode:
            return done.returncode
    if dry or not runs:
        return 0
    left = sum(len(pending(folder)) for folder in {run.parent for run in runs})
    print(f"{results_dir}: {len(runs) - left} of {len(runs)} uploaded")
    if left:
        raise UserError(f"{results_dir}: {left} are still offline; the same line uploads them")
    return 0


def _check_server() -> None:
    from wandb.sdk import wandb_setup

    address = wandb_setup.singleton().settings.base_url
    try:
        urllib.request.urlopen(address, timeout=_SECONDS).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{address}: cannot be reached ({reason}); nothing is uploaded, nothing lost") from None


@reported("interrupted; the same line typed again uploads the rest")
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m caref.tracking", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    upload = commands.add_parser("sync", help="upload the runs that were kept offline")
    upload.add_argument("results", type=Path, help="the folder of a job's results_dir; options go to `wandb sync`")
    compare = commands.add_parser("compare", help="make a W&B report that compares signatures; needs the network")
    compare.add_argument("--entity", required=True, help="team or user that owns the project")
    compare.add_argument("--project", default="caref")
    compare.add_argument("results", type=Path, nargs="?", help="a results folder whose evidence the report shows too")
    arguments, options = parser.parse_known_args()
    if arguments.command == "sync":
        if not arguments.results.is_dir() and (folders := [one for one in options if Path(one).is_dir()]):
            parser.error(f"{folders[-1]}: the results folder stands before the options of `wandb sync`")
        sys.exit(sync(arguments.results, options))
    if options:
        parser.error(f"unrecognized arguments: {' '.join(options)}")
    from caref.tracking.comparison import save

    print(save(arguments.project, arguments.entity, arguments.results))


if __name__ == "__main__":
    main()
