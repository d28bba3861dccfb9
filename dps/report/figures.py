"""Figures of a run, drawn with Matplotlib: how many cases pass, and by how much."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dps.report import severity
from dps.report.figure_style import FAILS, INK, PASSES, WIDTH, blank, plain
from dps.report.pass_fractions import PassCounts
from dps.report.results import Row
from dps.rows import VariantKey, variant_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

A_ROW, BELOW = 0.17, 0.5
"""Of a variant's row, and below the rows, in inches."""

FARTHEST = 100
"""Ratios of distances are drawn from one over this to this; what lies beyond stands at the edge."""

Plot: TypeAlias = "Callable[[Row, PassCounts, str], Figure | None]"
"""Of results.json, its Table 1 and a probe's name, a figure; None where there is nothing to draw."""


def outcome(document: Row, table: PassCounts, probe: str) -> "Figure":
    """Draw each variant's pass fraction with its 95 % interval, and beside it how clear-cut it was.

    The second part shows how many times farther the nearest reference is than the distorted image: the range over all
    cases, the middle half, and the median. Right of 1 is a pass, so a near miss is seen apart from a disaster.
    """
    keys = [key for key in table.variants if (key, probe) in table.counts]
    names = [label(key) for key in keys]
    height = BELOW + A_ROW * (1 + len(keys))
    figure = blank(WIDTH, height)
    left = min(0.35, 0.065 * max(map(len, names)) / WIDTH + 0.02)
    fraction, ratio = figure.subplots(
        1, 2, gridspec_kw={"left": left, "right": 0.98, "top": 1, "bottom": BELOW / height, "wspace": 0.1}
    )
    _draw_fractions(fraction, table, keys, probe)
    _draw_ratios(ratio, _ratios(document, probe), keys)
    for place, name in enumerate(names):  # as texts: ticks take three times as long
        beside = fraction.get_yaxis_transform()
        fraction.text(-0.015, place, name, transform=beside, ha="right", va="center", fontsize=7, color=INK)
    for axes in (fraction, ratio):
        axes.set_yticks([])
        axes.set_ylim(len(keys), -1)
        plain(axes, "x")
    return figure


def grows(document: Row, _: PassCounts, probe: str) -> "Figure | None":
    """How the distance grows with how far images are distorted, see `severity.figure`."""
    return severity.figure(document, probe)


PLOTS: dict[str, Plot] = {"outcome": outcome, "severity": grows}
"""What is drawn of each probe, by name, in this order: on the page, and into files."""


def of_probe(document: Row, table: PassCounts, probe: str) -> Iterator[tuple[str, "Figure"]]:
    """All figures of a probe, by the name of what they show."""
    for name, plot in PLOTS.items():
        if (figure := plot(document, table, probe)) is not None:
            yield name, figure


def label(key: VariantKey) -> str:
    """A variant in a figure: ``vgg16-none-sort``."""
    return key.label if len(key.label) <= LONGEST_LABEL else "…" + key.label[1 - LONGEST_LABEL :]


LONGEST_LABEL = 38
"""Of a longer name, a figure shows the end."""


def _draw_fractions(axes: "Axes", table: PassCounts, keys: Sequence[VariantKey], probe: str) -> None:
    counts = [table.counts[key, probe] for key in keys]
    for fails, color, marker in ((False, PASSES, "o"), (True, FAILS, "s")):
        at = [place for place, count in enumerate(counts) if fails == (count.fails)]
        if at:
            ends = [counts[place].interval for place in at]
            axes.hlines(at, [100 * low for low, _ in ends], [100 * high for _, high in ends], color=color)
            axes.scatter([100 * counts[place].fraction for place in at], at, s=18, c=color, marker=marker, zorder=3)
    axes.set(xlim=(-3, 103), xticks=range(0, 101, 25), xlabel="cases passed, percent")


def _draw_ratios(axes: "Axes", found: Mapping[VariantKey, Sequence[float]], keys: Sequence[VariantKey]) -> None:
    at = [place for place, key in enumerate(keys) if key in found]
    low, high = -LEAST_SHOWN, LEAST_SHOWN
    if at:
        five = np.array([np.quantile(found[keys[place]], [0, 0.25, 0.5, 0.75, 1]) for place in at]).T
        low, high = min(low, float(five[0].min())), max(high, float(five[4].max()))
        axes.hlines(at, five[0], five[4], color=INK, linewidth=0.8)
        axes.hlines(at, five[1], five[3], color=PASSES, linewidth=5, alpha=0.55)
        axes.scatter(five[2], at, s=18, c=INK, marker="|", linewidths=1.6, zorder=3)
    edge = 0.04 * (high - low)
    low, high = low - edge, high + edge
    axes.axvspan(low, 0, color=FAILS, alpha=0.08, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=":")
    ticks = _ticks(low, high)
    axes.set(xlim=(low, high), xlabel="nearest reference / distorted image")
    axes.set_xticks([math.log10(each) for each in ticks], [f"{each:g}" for each in ticks])


LEAST_SHOWN = math.log10(1.5)
"""The part about 1 that is always shown."""

TICKS = (1, 10, 0.1, 100, 0.01, 2, 0.5, 5, 0.2, 30, 0.03, 3, 0.3, 1.2, 0.8)
"""Ratios that are named where there is room, the first ones first."""


def _ticks(low: float, high: float) -> list[float]:
    chosen: list[float] = []
    for each in TICKS:
        place = math.log10(each)
        if low <= place <= high and all(abs(place - math.log10(other)) > 0.11 * (high - low) for other in chosen):
            chosen.append(each)
    return sorted(chosen)


def _ratios(document: Row, probe: str) -> Mapping[VariantKey, Sequence[float]]:
    """The logarithm of reference over distorted, of all cases that have both, by variant; kept in what is drawn."""
    found: dict[VariantKey, list[float]] = {}
    for row in document["cases"]:
        margin = row.get("margin")
        if row["probe"] == probe and margin is not None and math.isfinite(margin) and margin > -1:
            found.setdefault(variant_key(row), []).append(math.log10(min(max(1 + margin, 1 / FARTHEST), FARTHEST)))
    return found
