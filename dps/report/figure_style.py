"""What figures are drawn on: Matplotlib's blank figures, their colors and size, and how they become SVG and files."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PASSES, FAILS = "#010203", "#0b6e9e", "#b3541f"
"""Colors of text, of what passes and of what fails; on a page they become its own."""

WIDTH = 7.2
"""Of a figure, in inches."""


def blank(width: float, height: float) -> "Figure":
    """An empty figure, in inches: Matplotlib's door for other figures."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def plain(axes: "Axes", grid: str) -> None:
    """No frame, small text, in the page's color; a grid across ``x``, ``y`` or ``both``."""
    axes.tick_params(colors=INK, labelsize=7, length=0)
    axes.xaxis.label.set(color=INK, fontsize=8)
    axes.grid(axis=grid, color=INK, alpha=0.15, linewidth=0.6)  # type: ignore[arg-type]  # one of three words
    for spine in axes.spines.values():
        spine.set_visible(False)


def as_svg(figure: "Figure") -> str:
    """A figure as SVG to stand inside a page: text stays text, in the page's colors; the same bytes every time."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "dps", "svg.fonttype": "none"}):
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for color, here in ((INK, "currentColor"), (PASSES, "var(--good)"), (FAILS, "var(--bad)")):
        svg = svg.replace(color, here)
    return svg


def as_file(figure: "Figure", suffix: str) -> bytes:
    """A figure as a file of its own: ``svg``, with text as outlines, or ``png``; the same bytes every time."""
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "dps"}):
        figure.savefig(file, format=suffix, dpi=200, metadata={"Date": None} if suffix == "svg" else {})
    return file.getvalue()
