"""Figures of a run, drawn with Matplotlib: how many cases pass, by how much, and at which severity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dps import files
from dps.report import strata, tables, thresholds_table
from dps.report.figure_style import FAILS, INK, PASSES, WIDTH, as_file, blank, defaults, plain
from dps.report.pass_fractions import Count, PassCounts
from dps.report.strata import Points
from dps.rows import Document, VariantKey, finite, variant_key

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, BELOW = 0.17, 0.5
"""Height of a variant's row, and of what is below the rows, in inches."""

PANEL, ABOVE_PANELS, BELOW_PANELS = 1.7, 0.2, 0.85
"""Height of a row of severity curves, and of what is above and below them, in inches."""

LARGEST_RATIO = 100
"""Ratios of distances are drawn from one over this to this; what lies beyond stands at the edge."""

LEAST_SHOWN = 1.5
"""Ratios from one over this to this are always shown."""

LEAST, MOST = 1e-3, 1e2
"""Relative distances beyond these are drawn at the edge."""

LONGEST_LABEL = 38
"""Of a longer label, the end is shown."""

LOOKS = (
    ("#0072b2", "o", "-"),
    ("#d55e00", "s", "--"),
    ("#009e73", "^", "-"),
    ("#cc79a7", "D", "--"),
    ("#e69f00", "v", "-"),
    ("#56b4e9", "X", "--"),
)
"""Color, marker and line of each metric in turn; the colors are Okabe and Ito's, safe for color-blind readers."""

Look: TypeAlias = tuple[str, str, str]
"""A color, a marker and a line."""

Plot: TypeAlias = "Callable[[Document, PassCounts, str], Figure | None]"
"""Of results.json, its pass counts and a probe's name, a figure; None where there is nothing to draw."""


@defaults()
def draw_outcome(document: Document, counts: PassCounts, probe: str) -> "Figure | None":
    """Draw each variant's pass fraction with its 95 % interval, and right of it the ratios of distances.

    The right part shows how many times farther the nearest reference is than the distorted image: the range over all
    cases, the middle half, and the median. Right of 1 is a pass. Cases that could not be measured are left out.
    """
    variants = [variant for variant in counts.variants if counts.of(variant, probe).cases]
    if not variants:
        return None
    labels = [variant.label for variant in variants]
    labels = [label if len(label) <= LONGEST_LABEL else "…" + label[1 - LONGEST_LABEL :] for label in labels]
    height = BELOW + ROW * (1 + len(variants))
    figure = blank(WIDTH, height)
    left = min(0.35, 0.065 * max(map(len, labels)) / WIDTH + 0.02)
    fractions, ratios = figure.subplots(
        1, 2, gridspec_kw={"left": left, "right": 0.98, "top": 1, "bottom": BELOW / height, "wspace": 0.1}
    )
    _draw_fractions(fractions, [counts.of(variant, probe) for variant in variants])
    _draw_ratios(ratios, _ratios(document, probe), variants)
    for place, label in enumerate(labels):  # as texts: ticks take three times as long
        fractions.text(-0.015, place, label, transform=fractions.get_yaxis_transform(), ha="right", va="center")
    for axes in (fractions, ratios):
        axes.set(yticks=[], ylim=(len(variants), -1))
        plain(axes, "x")
    return figure


@defaults()
def draw_severity(document: Document, _counts: PassCounts, probe: str) -> "Figure | None":
    """Draw relative distances by severity: a panel for each network and normalization.

    Each case is a dot; each line goes through the medians of cases of about the same severity. Below 1 a case passes.
    A metric without a network is in all panels. People's detection threshold is a line, with its source. None where
    the probe declares no severity, or all cases have the same.
    """
    from matplotlib.ticker import LogLocator

    curves, declaration = strata.curves(document, probe), strata.severity(document, probe)
    if declaration is None or len({value for points in curves.values() for value, _ in points}) < 2:
        return None
    declared, _ = declaration
    figure, panels = _draw_panels(curves, _draw_curve, declared["detection_threshold"], declared["source"])
    for axes in panels:
        axes.axhline(1, color=INK, linewidth=0.8, alpha=0.6)
    panels[0].set_yscale("log")
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    panels[0].yaxis.set_major_formatter("{x:g}")
    panels[0].minorticks_off()
    figure.supylabel("distance: distorted image / nearest reference", fontsize=8, x=0.01)
    by, unit = declared["by"].replace("_", " "), declared["unit"]
    figure.supxlabel(by if by == unit else f"{by} ({unit})", fontsize=8, y=0.5 / figure.get_figheight())
    return figure


@defaults()
def draw_threshold(document: Document, _counts: PassCounts, distortion: str) -> "Figure | None":
    """Draw psychometric curves: pass fractions by severity, a panel for each network and normalization."""
    from matplotlib.ticker import LogLocator

    rows = [row for row in document.get("thresholds", []) if row["distortion"] == distortion and row["cases"]]
    if not rows:
        return None
    points = {
        variant_key(row): [
            (level, 100 * count / row["cases"]) for level, count in zip(row["levels"], row["passed"], strict=True)
        ]
        for row in rows
    }
    curves = {variant: points[variant] for variant in tables.in_order(points)}
    figure, panels = _draw_panels(curves, _draw_line, rows[0]["people"], rows[0]["source"])
    for axes in panels:
        axes.axhline(50, color=INK, linewidth=0.8, alpha=0.6)
    panels[0].set(xscale="log", ylim=(-4, 104), yticks=range(0, 101, 25))
    panels[0].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[0].xaxis.set_major_formatter("{x:g}")
    panels[0].minorticks_off()
    figure.supylabel("scenes passed, percent", fontsize=8, x=0.01)
    figure.supxlabel(f"{distortion} ({rows[0]['unit']})", fontsize=8, y=0.5 / figure.get_figheight())
    return figure


def _draw_panels(
    curves: Mapping[VariantKey, Points],
    draw: "Callable[[Axes, Points, Look, str], None]",
    people: float | None,
    source: str,
) -> "tuple[Figure, list[Axes]]":
    """Draw each variant in the panel of its network and normalization; below them names, and people's threshold."""
    with_network = [variant for variant in curves if variant.network] or list(curves)
    networks = list(dict.fromkeys(variant.network for variant in with_network))
    normalizations = list(dict.fromkeys(variant.normalization for variant in with_network))
    looks = _looks(curves)
    height = BELOW_PANELS + ABOVE_PANELS + PANEL * len(normalizations)
    figure = blank(WIDTH, height)
    panels = figure.subplots(len(normalizations), len(networks), sharex=True, sharey=True, squeeze=False)
    figure.subplots_adjust(
        left=0.1, right=0.99, top=1 - ABOVE_PANELS / height, bottom=BELOW_PANELS / height, wspace=0.06, hspace=0.2
    )
    for row, normalization in zip(panels, normalizations, strict=True):
        for axes, network in zip(row, networks, strict=True):
            for variant, points in curves.items():
                if variant.network is None or variant[:2] == (network, normalization):
                    draw(axes, points, looks[variant.metric], variant.metric)
            title = "-".join(part for part in (network, normalization) if part)
            axes.set_title(title, y=1)  # without y its place is searched for, slowly
            plain(axes, "both")
    lines = {name: line for axes in panels.flat for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    _draw_legend(figure, lines, 0.3 / height)
    if people is not None:
        thresholds = [axes.axvline(people, color=INK, linewidth=1, linestyle="-.") for axes in panels.flat]
        _draw_legend(figure, {f"people's detection threshold, {people:g}: {source}": thresholds[0]}, 0.1 / height)
    return figure, list(panels.flat)


PLOTS: dict[str, Plot] = {"outcome": draw_outcome, "severity": draw_severity}
"""What is drawn of each probe, by name, in this order: on the page, and into files."""

THRESHOLD_PLOTS: dict[str, Plot] = {"threshold": draw_threshold}
"""What is drawn of each graded distortion, likewise."""


def write(document: Document, counts: PassCounts, folder: Path) -> Iterator[Path]:
    """Write every figure of each counted probe and distortion as ``PROBE-FIGURE.svg`` and ``.png``; yield the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [(probe, *each) for probe in counts.probes for each in PLOTS.items()]
    drawn += [(d, *each) for d in thresholds_table.distortions(document) for each in THRESHOLD_PLOTS.items()]
    for probe, name, plot in drawn:
        if (figure := plot(document, counts, probe)) is None:
            continue
        for suffix in ("svg", "png"):
            path = folder / f"{files.safe_name(probe)}-{name}.{suffix}"
            files.write(path, as_file(figure, suffix))
            yield path


def _draw_fractions(axes: "Axes", counts: Sequence[Count]) -> None:
    for fails, color, marker in ((False, PASSES, "o"), (True, FAILS, "s")):
        places = [place for place, count in enumerate(counts) if count.fails == fails]
        low, high = np.array([counts[place].interval for place in places]).reshape(-1, 2).T
        axes.hlines(places, 100 * low, 100 * high, color=color)
        fractions = [100 * counts[place].fraction for place in places]
        axes.scatter(fractions, places, s=18, c=color, marker=marker, zorder=3)
    axes.set(xlim=(-3, 103), xticks=range(0, 101, 25), xlabel="cases passed, percent")


def _draw_ratios(axes: "Axes", ratios: Mapping[VariantKey, list[float]], variants: Sequence[VariantKey]) -> None:
    from matplotlib.ticker import LogLocator

    places = [place for place, variant in enumerate(variants) if variant in ratios]
    low, high = 1 / LEAST_SHOWN, LEAST_SHOWN
    if places:
        logarithms = [np.log(ratios[variants[place]]) for place in places]
        five = np.exp([np.quantile(each, [0, 0.25, 0.5, 0.75, 1]) for each in logarithms]).T
        low, high = min(low, float(five[0].min())), max(high, float(five[4].max()))
        axes.hlines(places, five[0], five[4], color=INK, linewidth=0.8)
        axes.hlines(places, five[1], five[3], color=PASSES, linewidth=5, alpha=0.55)
        axes.scatter(five[2], places, s=18, c=INK, marker="|", linewidths=1.6, zorder=3)
    edge = (high / low) ** 0.04
    axes.axvspan(low / edge, 1, color=FAILS, alpha=0.08, linewidth=0)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=":")
    axes.set(xscale="log", xlim=(low / edge, high * edge), xlabel="nearest reference / distorted image")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


def _ratios(document: Document, probe: str) -> dict[VariantKey, list[float]]:
    """Return reference over distorted of all cases that have a margin, by variant, within `LARGEST_RATIO`."""
    ratios: dict[VariantKey, list[float]] = {}
    for row in document["cases"]:
        margin = finite(row.get("margin"))
        if row["probe"] == probe and margin is not None and margin > -1:
            ratio = min(max(1 + margin, 1 / LARGEST_RATIO), LARGEST_RATIO)
            ratios.setdefault(variant_key(row), []).append(ratio)
    return ratios


def _looks(curves: Mapping[VariantKey, Points]) -> dict[str, Look]:
    """Return each metric's color, marker and line; what has no network is dotted, in the color of text."""
    with_network = dict.fromkeys(variant.metric for variant in curves if variant.network)
    without = [metric for metric in dict.fromkeys(variant.metric for variant in curves) if metric not in with_network]
    looks = {metric: LOOKS[place % len(LOOKS)] for place, metric in enumerate(with_network)}
    return looks | {metric: (INK, LOOKS[place % len(LOOKS)][1], ":") for place, metric in enumerate(without)}


def _draw_curve(axes: "Axes", points: Points, look: Look, name: str) -> None:
    """Draw one metric's cases, and a line through their medians."""
    color, marker, line = look
    severities, ratios = np.array(points).T
    ratios = np.clip(ratios, LEAST, MOST)
    axes.plot(
        severities, ratios, linestyle="none", color=color, marker=marker, markersize=2.2, markeredgewidth=0, alpha=0.3
    )
    groups = [np.isin(severities, group) for group in strata.grouped(severities.tolist(), at_least=2)]
    x, y = zip(*((np.median(severities[group]), np.median(ratios[group])) for group in groups), strict=True)
    axes.plot(x, y, color=color, marker=marker, linestyle=line, markersize=3.5, linewidth=1.1, label=name)


def _draw_line(axes: "Axes", points: Points, look: Look, name: str) -> None:
    """Draw one metric's psychometric curve."""
    color, marker, line = look
    axes.plot(*zip(*points, strict=True), color=color, marker=marker, linestyle=line, markersize=3, label=name)


def _draw_legend(figure: "Figure", lines: Mapping[str, "Artist"], middle: float) -> None:
    """Draw one row of names below the panels."""
    figure.legend(list(lines.values()), list(lines), loc="center", bbox_to_anchor=(0.5, middle), ncols=7)
