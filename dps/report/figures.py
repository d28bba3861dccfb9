"""Figures of a run, drawn with Matplotlib: how many cases pass, and by how much."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dps.report.results import Row
from dps.report.table1 import FEWER_THAN_HALF, Table
from dps.report.tables import Key

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, PASSES, MISSES = "#010203", "#0a6e9e", "#b3541e"
"""Colors; `INK` becomes the color of the text around the figure."""

WIDTH, A_ROW, BELOW = 7.2, 0.17, 0.5
"""Of a figure, of a variant's row, and below the rows, in inches."""


def label(key: Key) -> str:
    """A variant in a figure: ``sort, none, vgg16``."""
    metric, network, normalization = key
    return ", ".join(part for part in (metric, normalization, network) if part)


def of_probe(table: Table, rows: Iterable[Row], probe: str) -> "Figure":
    """Draw one probe: the pass fraction of each variant with its 95 % interval, and beside it how clear-cut it was.

    The second part shows how many times farther the nearest reference is than the distorted image: the range over all
    cases, the middle half, and the median. Right of 1 is a pass, so a near miss is seen apart from a disaster.

    Args:
        table: counts by variant and probe.
        rows: case rows of results.json; those of other probes are left out.
        probe: which one.
    """
    from matplotlib.figure import Figure

    keys = [key for key in table.variants if (key, probe) in table.counts]
    figure = Figure(figsize=(WIDTH, BELOW + A_ROW * len(keys)))
    bottom, left = BELOW / figure.get_figheight(), min(0.35, 0.07 * max(len(label(key)) for key in keys) / WIDTH + 0.02)
    fraction, ratio = figure.subplots(
        1, 2, sharey=True, gridspec_kw={"left": left, "right": 0.98, "top": 1, "bottom": bottom, "wspace": 0.06}
    )
    counts = [table.counts[key, probe] for key in keys]
    for fails, color, marker in ((False, PASSES, "o"), (True, MISSES, "s")):
        at = [place for place, count in enumerate(counts) if fails == (count.fraction < FEWER_THAN_HALF)]
        ends = [counts[place].interval for place in at]
        fraction.hlines(at, [100 * low for low, _ in ends], [100 * high for _, high in ends], color=color)
        fraction.scatter([100 * counts[place].fraction for place in at], at, s=18, c=color, marker=marker)
    found = _ratios(rows, probe)
    at = [place for place, key in enumerate(keys) if key in found]
    if at:
        least, quarter, median, three_quarters, most = np.array([_five_numbers(found[keys[place]]) for place in at]).T
        ratio.hlines(at, least, most, color=INK, linewidth=0.8)
        ratio.hlines(at, quarter, three_quarters, color=PASSES, linewidth=5, alpha=0.55)
        ratio.scatter(median, at, s=14, c=INK, marker="|", linewidths=1.5)
    ratio.axvline(1, color=INK, linewidth=0.8, linestyle=":")
    ratio.set_xscale("log")
    ratio.xaxis.set_major_formatter("{x:g}")
    ratio.minorticks_off()
    fraction.set(xlim=(-3, 103), yticks=range(len(keys)), yticklabels=[label(key) for key in keys])
    fraction.set_ylim(len(keys) - 0.5, -0.5)
    fraction.set_xlabel("cases passed, percent")
    ratio.set_xlabel("nearest reference / distorted image")
    for axes in (fraction, ratio):
        _plain(axes)
    return figure


def as_svg(figure: "Figure") -> str:
    """A figure as SVG to stand inside a page: text stays text, in the page's color; the same bytes every time."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "dps", "svg.fonttype": "none"}):
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as the file's suffix says: ``.svg`` or ``.png``.

    Raises:
        OSError: it cannot be written.
    """
    figure.savefig(path, dpi=200)


def _ratios(rows: Iterable[Row], probe: str) -> Mapping[Key, Sequence[float]]:
    """Reference over distorted, of all cases that have both, by variant; kept within what can be drawn."""
    found: dict[Key, list[float]] = {}
    for row in rows:
        margin = row["margin"]
        if row["probe"] == probe and margin is not None and math.isfinite(margin) and margin > -1:
            key = row["metric"], row["network"], row["normalization"]
            found.setdefault(key, []).append(min(max(1 + margin, 0.01), 100))
    return found


def _five_numbers(ratios: Sequence[float]) -> list[float]:
    """Smallest, quartiles and largest."""
    five: list[float] = np.quantile(ratios, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return five


def _plain(axes: object) -> None:
    """No frame, small text, in the page's color."""
    axes.tick_params(colors=INK, labelsize=7, length=2)  # type: ignore[attr-defined]
    axes.xaxis.label.set(color=INK, fontsize=8)  # type: ignore[attr-defined]
    axes.grid(axis="x", color=INK, alpha=0.15, linewidth=0.6)  # type: ignore[attr-defined]
    for spine in axes.spines.values():  # type: ignore[attr-defined]
        spine.set_visible(False)


def blank(width: float, height: float) -> "Figure":
    """An empty figure, in inches: Matplotlib's door for other figures."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))
