"""The look of figures: Matplotlib's own defaults with our colors and sizes, and how a figure becomes SVG or PNG."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PASSES, FAILS = "#010203", "#0b6e9e", "#b3541f"
"""Colors of text, of what passes and of what fails; on a page they become its own."""

WIDTH = 7.2
"""Of a figure, in inches."""

_SETTINGS = {
    **{f"{name}color": INK for name in ("text.", "axes.label", "axes.edge", "xtick.", "ytick.", "grid.")},
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.titlepad": 3,
    "axes.labelsize": 8,
    "axes.axisbelow": True,
    **{f"{axis}tick.{name}": value for axis in "xy" for name, value in (("labelsize", 7), ("major.size", 0))},
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "text.parse_math": False,  # a name with two dollar signs is a name
    "svg.hashsalt": "dps",
}


@contextmanager
def defaults() -> Iterator[None]:
    """Draw from Matplotlib's defaults and our settings, whatever else has been set; warnings are ignored.

    A user's style changes no figure, and a glyph that the font lacks costs no report.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import matplotlib as mpl

        settings: dict[Any, Any] = {**mpl.rcParamsDefault, **_SETTINGS}
        del settings["backend"]  # is not restored, and not used
        with mpl.rc_context(settings):
            yield


def blank(width: float, height: float, layout: str | None = None) -> "Figure":
    """Return an empty figure, in inches; its canvas depends on no backend that is selected."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]  # one of Matplotlib's words


def plain(axes: "Axes", grid: str) -> None:
    """Remove the frame; draw a grid across ``x``, ``y`` or ``both``."""
    axes.grid(axis=grid)  # type: ignore[arg-type]  # one of three words
    axes.spines[:].set_visible(False)


@defaults()
def as_svg(figure: "Figure") -> str:
    """Return a figure as SVG for a page: text stays text, in the page's colors; the same bytes every time."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(text, format="svg", backend="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for color, variable in ((INK, "currentColor"), (PASSES, "var(--good)"), (FAILS, "var(--bad)")):
        svg = svg.replace(color, variable)
    return svg


@defaults()
def as_file(figure: "Figure", suffix: str) -> bytes:
    """Return a figure as a file: ``svg``, with text as outlines, or ``png``; the same bytes every time."""
    file = io.BytesIO()
    backend = {"svg": "svg", "png": "agg"}[suffix]
    figure.savefig(file, format=suffix, backend=backend, dpi=200, metadata={"Date": None} if suffix == "svg" else {})
    return file.getvalue()
