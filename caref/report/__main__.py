"""The report of a results folder: tables, tests, claims and figures.

    python -m caref.report RESULTS [--out DIR] [--ratings DIR]

Writes report.html (one self-contained page), report.md, table1.tex, pairs.csv, chosen.csv, table1.csv, tests.csv,
cells.csv and the figures as PNG and PDF into DIR, RESULTS/report unless said otherwise. The same records give the same
bytes.
"""

import argparse
import gc
from pathlib import Path

from caref.errors import reported
from caref.report.files import write


@reported()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m caref.report", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="a results folder, as run.py writes it")
    parser.add_argument("--out", type=Path, help="folder for the report (default: RESULTS/report)")
    parser.add_argument("--ratings", type=Path, help="what agree wrote (default: RESULTS/ratings/agreement, if there)")
    arguments = parser.parse_args()
    gc.disable()  # a short process that keeps what it reads: looking for garbage in 40,000 records finds none
    paths = write(arguments.results, arguments.out or arguments.results / "report", arguments.ratings)
    print("\n".join(map(str, paths)))


if __name__ == "__main__":
    main()
