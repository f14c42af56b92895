"""A table in words, for a terminal, Markdown or HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Grid:
    """A table in words.

    Attributes:
        left: how many of its first columns hold words.
        kinds: of each row, what it looks like in HTML: "better", "worse" or nothing; none of any.
    """

    title: str
    note: str
    head: list[str]
    body: list[list[str]]
    left: int
    kinds: Sequence[str] = ()


def table(grid: Grid) -> str:
    """The table itself in HTML, without title and note."""
    places = [' class="text"' if place < grid.left else "" for place in range(len(grid.head))]
    head = "".join(f'<th scope="col"{place}>{escape(name)}</th>' for name, place in zip(grid.head, places, strict=True))
    kinds = grid.kinds or [""] * len(grid.body)
    body = "\n".join(
        f'<tr class="{kind}">'
        + "".join(f"<td{at}>{escape(text)}</td>" for text, at in zip(row, places, strict=True))
        + "</tr>"
        for row, kind in zip(grid.body, kinds, strict=True)
    )
    return (
        f'<div class="scroll"><table class="list grid"><thead><tr>{head}</tr></thead><tbody>\n{body}\n'
        "</tbody></table></div>"
    )


def titled(grid: Grid) -> str:
    """Title, note and table in HTML."""
    note = f'<p class="legend">{escape(grid.note)}</p>' if grid.note else ""
    return f"<h3>{escape(grid.title)}</h3>{note}{table(grid)}"
