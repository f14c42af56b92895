"""The files of a report, written from a results folder."""

from pathlib import Path

from caref.errors import UserError
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
    from caref.report import findings, judgement, latex, markdown, spreadsheets
    from caref.report.html import page

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
