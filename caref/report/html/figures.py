"""A figure in the page."""

from html import escape

from caref.report.figures.drawing import Figure


def drawn(figure: Figure) -> str:
    """The drawing, its title and its caption."""
    return (
        f'<figure aria-label="{escape(figure.title)}">{figure.svg}<figcaption><b>{escape(figure.title)}.</b> '
        f"{escape(figure.caption)}</figcaption></figure>"
    )
