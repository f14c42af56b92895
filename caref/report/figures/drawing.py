"""How figures look and how they are saved; what they show is said beside it.

A drawing is saved three times. PNG and PDF are for papers and slides, on white. The SVG is for the HTML page:
its ink and its series colours are CSS variables, so that the page shows it light or dark. No file holds a date
or a machine's name, so the same records give the same bytes.
"""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Okabe and Ito's colours (2008): told apart with every kind of colour vision.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
INK, FAINT, PAPER = "#1a1a19", "#d9d9d6", "#fffffe"
_VARIABLES = {INK: "--ink", FAINT: "--line", PAPER: "--paper"} | {
    colour: f"--s{place}" for place, colour in enumerate(SERIES, start=1)
}
_STYLE = {
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # a model's name may hold a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Figure:
    """A finished drawing and what is said below it."""

    name: str  # file name without its ending
    title: str
    caption: str
    png: bytes
    pdf: bytes
    svg: str

    def save(self, folder: Path) -> list[Path]:
        """Write NAME.png and NAME.pdf into a folder that exists; returns their paths."""
        paths = [folder / f"{self.name}.png", folder / f"{self.name}.pdf"]
        paths[0].write_bytes(self.png)
        paths[1].write_bytes(self.pdf)
        return paths


@contextmanager
def style(name: str) -> Iterator[None]:
    """Draw in the project's style, without a display; `name` keeps the ids of two SVGs on one page apart."""
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield


BARS: dict[str, Any] = {"ms": 6.5, "capsize": 2.5, "elinewidth": 1.1, "capthick": 1.1}  # of errors


def canvas(width: float, height: float, panels: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure of `width` x `height` inches, and its axes (an array of them where there are several panels)."""
    from matplotlib.figure import Figure as Canvas

    plot = Canvas(figsize=(width, height), layout="constrained")
    return plot, plot.subplots(1, panels, **options)


def counted(counts: Iterable[int]) -> str:
    """How many splits, items or the like each of what is drawn rests on: "60", "12 to 60"."""
    few, many = min(found := list(counts)), max(found)
    return f"{few}" if few == many else f"{few} to {many}"


def watermark(plot: Any) -> None:
    """Write across the drawing that its data was made up, so that no cropped copy hides it."""
    look = {"fontsize": 54, "color": "#808080", "alpha": 0.16, "rotation": 24, "zorder": 9}
    plot.text(0.5, 0.5, "demo data", ha="center", va="center", gid="watermark", **look)


def finished(plot: Any, name: str, title: str, caption: str) -> Figure:
    """Save a drawing in its three forms."""
    plot.draw_without_rendering()
    plot.set_layout_engine("none")  # laid out once, for all three
    return Figure(name, title, caption, png(plot), _saved(plot, "pdf"), _themed(_saved(plot, "svg").decode()))


def png(plot: Any) -> bytes:
    return _saved(plot, "png", dpi=200)


def _saved(plot: Any, kind: str, **options: Any) -> bytes:
    undated = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]
    file = io.BytesIO()
    plot.savefig(file, format=kind, metadata=undated, transparent=kind == "svg", **options)
    return file.getvalue()


def _themed(svg: str) -> str:
    """The bare <svg> element, as wide as its place, its colours named."""
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1var(--sans)", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
