"""A regulariser's numbers chosen on half of the splits and scored on the other half, beside the grid's maximum.

    python -m caref.choose RESULTS [--by nbert] [--repeats 1000] [--seed 0]

Cells that differ in nothing but the numbers of one regulariser are a grid; `python run.py -m +sweeps=objective`
makes one.
"""

import argparse
import textwrap
from pathlib import Path

from caref.errors import UserError, reported
from caref.results import store


def text(results_dir: Path, metric: str, repeats: int, seed: int) -> str:
    """The table of all grids, and what of the folder is in none.

    Raises:
        UserError: an unknown measure, or no grid of two cells with splits enough in common.
    """
    from caref.analysis import choosing
    from caref.analysis.every_cell import lines
    from caref.report import tables
    from caref.results.measures import MEASURES

    usable = [name for name, measure in MEASURES.items() if measure.up is not None]
    if metric not in usable:
        why = "neither more nor less of it is better" if metric in MEASURES else "no such measure"
        raise UserError(f"--by {metric}: {why}; choose one of {', '.join(usable)}")
    for option, value, least in (("repeats", repeats, 1), ("seed", seed, 0)):
        if value < least:
            raise UserError(f"--{option} {value}: must be at least {least}")
    found = lines(store.cells(results_dir))
    chosen, remarks = choosing.choices(found, metric, repeats, seed), choosing.remarks(found, metric)
    if not chosen:
        why = "; ".join(remarks) or "it holds no cell with a regulariser"
        raise UserError(f"{results_dir}: nothing to choose from ({why}); +sweeps=objective makes a grid")
    grid = choosing.grid_of(chosen, repeats)
    table = tables.aligned([row[:-1] for row in (grid.head, *grid.body)])
    often = [f"{choice.title}: chosen {choice.chosen()}" for choice in chosen]
    amiss = [f"{line.cell.signature}: {told}" for line in found for told in (line.refused, *line.warnings) if told]
    return "\n".join([table, "", *often, "", textwrap.fill(grid.note, 120), *remarks, *amiss])


@reported()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m caref.choose", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="a results folder, as run.py writes it")
    parser.add_argument("--by", default="nbert", help="the measure to choose by and to score in (default: nbert)")
    parser.add_argument("--repeats", type=int, default=1000, help="how often the splits are halved (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the halvings; the same, the same figures (default: 0)")
    arguments = parser.parse_args()
    print(text(arguments.results, arguments.by, arguments.repeats, arguments.seed))


if __name__ == "__main__":
    main()
