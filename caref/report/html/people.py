"""The page's section on what people said of the explanations."""

from html import escape

from caref.analysis.grid import titled
from caref.report.findings import DEMO_BANNER
from caref.report.judgement import Judgement, grids


def section(judgement: Judgement) -> str:
    """What people said of the explanations."""
    banner = [f'<p class="banner">{escape(DEMO_BANNER)}</p>'] if judgement.demo else []
    blocks = map(titled, grids(judgement))
    notes = "".join(f"<li>{escape(note)}</li>" for note in judgement.notes)
    return "".join([*banner, *blocks, f"<ul>{notes}</ul>" if notes else ""])
