"""The report of a results folder: tables, tests, claims and figures.

    python -m caref.report RESULTS [--out DIR] [--ratings DIR]

Writes report.html (one self-contained page), report.md, table1.tex, table1.csv, tests.csv, cells.csv and the
figures as PNG and PDF into DIR, RESULTS/report unless said otherwise. The same records give the same bytes.
"""

import argparse
import gc
from pathlib import Path

from caref.errors import UserError, reported
from caref.results import store
from caref.results.writing import check_writable, refusal


def write(results_dir: Path, out: Path, ratings: Path | None = None) -> list[Path]:
    """Write the whole report; returns what was written, the page first.

    Args:
        ratings: what `caref.ratings agree` wrote; RESULTS/ratings/agreement where that is there.

    Raises:
        UserError: where the folder is missing or holds no cell, or `out` cannot be written.
    """
    cells = [cell for cell in store.cells(results_dir) if cell.records or cell.failed or cell.damaged or cell.unread]
    if not cells:
        raise UserError(f"{results_dir}: holds no results; a run writes them there with results_dir={results_dir}")
    check_writable(out, "--out ")
    # Only now, so that a mistyped folder is answered at once.
    from caref.results import findings, judgement, latex, markdown, page, spreadsheets

    usual = results_dir / "ratings" / "agreement" / "judgement.json"
    kept = ratings / "judgement.json" if ratings else usual if usual.exists() else None
    found = findings.gather(cells, judgement.read(kept) if kept else None, results_dir)
    texts = {
        "report.html": page.document(found, results_dir),
        "report.md": markdown.document(found),
        "table1.tex": latex.document(found),
        **spreadsheets.files(found),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = [out / name for name in texts]
        for path in paths:
            path.write_text(texts[path.name], encoding="utf-8")
        return [*paths, *(path for figure in found.figures() for path in figure.save(out))]
    except OSError as error:
        raise refusal(out, error, "--out ") from None


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
