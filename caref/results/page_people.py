"""The page's section on what people said of the explanations."""

from html import escape

from caref.results.findings import DEMO_BANNER
from caref.results.judgement import Judgement, grids


def section(judgement: Judgement) -> str:
    """What people said of the explanations."""
    banner = [f'<p class="banner">{escape(DEMO_BANNER)}</p>'] if judgement.demo else []
    blocks = []
    for grid in grids(judgement):
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in grid.head)
        body = "\n".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in grid.body)
        blocks.append(
            f'<h3>{escape(grid.title)}</h3><p class="legend">{escape(grid.note)}</p><div class="scroll">'
            f'<table class="list"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
        )
    notes = "".join(f"<li>{escape(note)}</li>" for note in judgement.notes)
    return "".join([*banner, *blocks, f"<ul>{notes}</ul>" if notes else ""])
