"""The look of figures: Matplotlib's own defaults with our colors and sizes, and their export as SVG or PNG."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PASSES, FAILS = "#010203", "#0b6e9e", "#b3541f"
"""Colors of text, of passed and of failed cases; on a page they are replaced by the page's own."""

WIDTH = 7.2
"""Figure width in inches."""

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
    "text.parse_math": False,  # names may contain dollar signs
    "svg.hashsalt": "dps",
}


@contextmanager
def default_style() -> Iterator[None]:
    """Apply Matplotlib's defaults and our settings, independent of the user's style; warnings are ignored.

    A glyph that the font lacks causes a warning, which must not end a run that turns warnings into errors.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import matplotlib as mpl

        settings: dict[Any, Any] = {**mpl.rcParamsDefault, **_SETTINGS}
        del settings["backend"]  # neither used nor restored
        with mpl.rc_context(settings):
            yield


def new_figure(width: float, height: float, layout: str | None = None) -> "Figure":
    """Return an empty figure of a size in inches, independent of the selected backend."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]  # one of Matplotlib's words


def remove_frame(axes: "Axes", grid: str) -> None:
    """Remove the frame of axes and draw a grid along ``x``, ``y`` or ``both``."""
    axes.grid(axis=grid)  # type: ignore[arg-type]  # one of three words
    axes.spines[:].set_visible(False)


@default_style()
def as_svg(figure: "Figure") -> str:
    """Return a figure as SVG for a page, with selectable text in the page's colors; byte-identical for equal input."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(text, format="svg", backend="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for color, variable in ((INK, "currentColor"), (PASSES, "var(--good)"), (FAILS, "var(--bad)")):
        svg = svg.replace(color, variable)
    return svg


@default_style()
def as_file(figure: "Figure", suffix: str) -> bytes:
    """Return a figure as ``svg``, with text as outlines, or ``png``; byte-identical for equal input."""
    file = io.BytesIO()
    backend = {"svg": "svg", "png": "agg"}[suffix]
    figure.savefig(file, format=suffix, backend=backend, dpi=200, metadata={"Date": None} if suffix == "svg" else {})
    return file.getvalue()
