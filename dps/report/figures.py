"""Figures of a run, drawn with Matplotlib: pass fractions, ratios of distances, and curves by severity."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dps import files
from dps.report import pass_fractions, strata, tables, thresholds_table
from dps.report.figure_style import FAILS, INK, PASSES, WIDTH, as_file, default_style, new_figure, remove_frame
from dps.report.pass_fractions import Count
from dps.report.strata import Points
from dps.rows import Document, VariantKey, finite, variant_key

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

ROW, BELOW_ROWS = 0.17, 0.5
"""Height of a variant's row and of the space below the rows, in inches."""

PANEL, ABOVE_PANELS, BELOW_PANELS = 1.7, 0.2, 0.85
"""Height of a row of panels and of the space above and below the panels, in inches."""

LARGEST_RATIO = 100
"""Ratios of distances are clipped to the range from 1 over this to this."""

LEAST, MOST = 1e-3, 1e2
"""Relative distances are clipped to this range."""

LOOKS = (
    ("#0072b2", "o", "-"),
    ("#d55e00", "s", "--"),
    ("#009e73", "^", "-"),
    ("#cc79a7", "D", "--"),
    ("#e69f00", "v", "-"),
    ("#56b4e9", "X", "--"),
)
"""Color, marker and line style of each metric in turn; the colors are Okabe and Ito's, safe for color-blind readers."""

Look: TypeAlias = tuple[str, str, str]
"""A color, a marker and a line style."""

Plot: TypeAlias = "Callable[[Document, str], Figure | None]"
"""Draws results.json for one probe or distortion, by name; None if there is nothing to draw."""


@default_style()
def draw_outcome(document: Document, probe: str) -> "Figure | None":
    """Draw each variant's pass fraction with its 95 % interval, and right of it the ratios of distances.

    The ratio is the nearest reference's distance over the distorted image's; above 1 the case passes. Shown are the
    range over all cases, the middle half and the median. Cases that could not be measured are left out.
    """
    counts = pass_fractions.count(row for row in document["cases"] if row["probe"] == probe)
    variants = [variant for variant in counts.variants if counts.get(variant, probe).cases]
    if not variants:
        return None
    labels = [label if len(label := variant.label) <= 38 else f"…{label[-37:]}" for variant in variants]
    height = BELOW_ROWS + ROW * (1 + len(variants))
    figure = new_figure(WIDTH, height)
    left = min(0.35, 0.065 * max(map(len, labels)) / WIDTH + 0.02)
    fractions, ratios = figure.subplots(
        1, 2, gridspec_kw={"left": left, "right": 0.98, "top": 1, "bottom": BELOW_ROWS / height, "wspace": 0.1}
    )
    _draw_fractions(fractions, [counts.get(variant, probe) for variant in variants])
    _draw_ratios(ratios, _ratios(document, probe), variants)
    for place, label in enumerate(labels):  # as texts: tick labels take three times as long
        fractions.text(-0.015, place, label, transform=fractions.get_yaxis_transform(), ha="right", va="center")
    for axes in (fractions, ratios):
        axes.set(yticks=[], ylim=(len(variants), -1))
        remove_frame(axes, "x")
    return figure


@default_style()
def draw_severity(document: Document, probe: str) -> "Figure | None":
    """Draw relative distances by severity: a panel for each network and normalization.

    Each dot is a case; each line connects the medians of cases of similar severity. Below 1 a case passes. A metric
    without a network is in all panels. A vertical line marks people's detection threshold, with its source.

    Returns:
        The figure; None if the probe declares no severity, or all cases have the same.
    """
    curves = strata.curves(document, probe)
    if len({severity for points in curves.values() for severity, _ in points}) < 2:
        return None
    declared = document["run"]["severity"][probe]
    by, unit = declared["by"].replace("_", " "), declared["unit"]
    labels = by if by == unit else f"{by} ({unit})", "distance: distorted image / nearest reference"
    axes = _draw_panels(curves, _draw_medians, 1, labels, (declared["detection_threshold"], declared["source"]))
    axes.set_yscale("log")
    _set_log_ticks(axes.yaxis, (1, 3))
    return axes.figure  # type: ignore[return-value]  # not a subfigure


@default_style()
def draw_threshold(document: Document, distortion: str) -> "Figure | None":
    """Draw psychometric curves: pass fractions by severity, a panel for each network and normalization."""
    rows = [row for row in document.get("thresholds", []) if row["distortion"] == distortion and row["cases"]]
    if not rows:
        return None
    points = {
        variant_key(row): [
            (level, 100 * count / row["cases"]) for level, count in zip(row["levels"], row["passed"], strict=True)
        ]
        for row in rows
    }
    curves = {variant: points[variant] for variant in tables.sort_variants(points)}
    labels = f"{distortion} ({rows[0]['unit']})", "scenes passed, percent"
    axes = _draw_panels(curves, _draw_line, 50, labels, (rows[0]["people"], rows[0]["source"]))
    axes.set(xscale="log", ylim=(-4, 104), yticks=range(0, 101, 25))
    _set_log_ticks(axes.xaxis, (1, 2, 5))
    return axes.figure  # type: ignore[return-value]  # not a subfigure


PLOTS: dict[str, Plot] = {"outcome": draw_outcome, "severity": draw_severity}
"""Figures of each probe by name, in the order of the page."""

THRESHOLD_PLOTS: dict[str, Plot] = {"threshold": draw_threshold}
"""Figures of each graded distortion by name."""


def write(document: Document, probes: Iterable[str], folder: Path) -> Iterator[Path]:
    """Write the figures of probes and all distortions as ``PROBE-FIGURE.svg`` and ``.png``; yield the files."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = [(probe, *plot) for probe in probes for plot in PLOTS.items()]
    distortions = thresholds_table.distortions(document.get("thresholds", []))
    plots += [(name, *plot) for name in distortions for plot in THRESHOLD_PLOTS.items()]
    for subject, name, draw in plots:
        if (figure := draw(document, subject)) is None:
            continue
        for suffix in ("svg", "png"):
            path = folder / f"{files.safe_name(subject)}-{name}.{suffix}"
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
    places = [place for place, variant in enumerate(variants) if variant in ratios]
    low, high = 1 / 1.5, 1.5  # at least this range is shown
    if places:
        logarithms = [np.log(np.clip(ratios[variants[place]], 1 / LARGEST_RATIO, LARGEST_RATIO)) for place in places]
        quartiles = np.exp([np.quantile(values, [0, 0.25, 0.5, 0.75, 1]) for values in logarithms]).T
        low, high = min(low, float(quartiles[0].min())), max(high, float(quartiles[4].max()))
        axes.hlines(places, quartiles[0], quartiles[4], color=INK, linewidth=0.8)
        axes.hlines(places, quartiles[1], quartiles[3], color=PASSES, linewidth=5, alpha=0.55)
        axes.scatter(quartiles[2], places, s=18, c=INK, marker="|", linewidths=1.6, zorder=3)
    padding = (high / low) ** 0.04
    axes.axvspan(low / padding, 1, color=FAILS, alpha=0.08, linewidth=0)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=":")
    axes.set(xscale="log", xlim=(low / padding, high * padding), xlabel="nearest reference / distorted image")
    _set_log_ticks(axes.xaxis, (1, 2, 5) if high / low < 200 else (1,))


def _ratios(document: Document, probe: str) -> dict[VariantKey, list[float]]:
    """Return the nearest reference's distance over the distorted image's, of each case with a margin."""
    ratios: dict[VariantKey, list[float]] = {}
    for row in document["cases"]:
        margin = finite(row.get("margin"))
        if row["probe"] == probe and margin is not None and margin > -1:
            ratios.setdefault(variant_key(row), []).append(1 + margin)
    return ratios


def _set_log_ticks(axis: "Axis", subs: Sequence[float]) -> None:
    """Label the multiples `subs` of each power of ten, as plain numbers."""
    from matplotlib.ticker import LogLocator

    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.axes.minorticks_off()


def _draw_panels(
    curves: Mapping[VariantKey, Points],
    draw: "Callable[[Axes, Points, Look, str], None]",
    level: float,
    labels: tuple[str, str],
    people: tuple[float | None, str],
) -> "Axes":
    """Draw each variant in the panel of its network and normalization, with a legend below and a line at `level`.

    `labels` name the x and the y axis; `people` is people's detection threshold, if published, and its source.
    Returns the first panel, whose axes the others share.
    """
    with_network = [variant for variant in curves if variant.network] or list(curves)
    networks = list(dict.fromkeys(variant.network for variant in with_network))
    normalizations = list(dict.fromkeys(variant.normalization for variant in with_network))
    looks = _looks(curves)
    height = BELOW_PANELS + ABOVE_PANELS + PANEL * len(normalizations)
    figure = new_figure(WIDTH, height)
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
            axes.set_title(title, y=1)  # without y Matplotlib searches for its place, slowly
            remove_frame(axes, "both")
    lines = {name: line for axes in panels.flat for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    _draw_legend(figure, lines, 0.3 / height)
    threshold, source = people
    if threshold is not None:
        marks = [axes.axvline(threshold, color=INK, linewidth=1, linestyle="-.") for axes in panels.flat]
        _draw_legend(figure, {f"people's detection threshold, {threshold:g}: {source}": marks[0]}, 0.1 / height)
    for axes in panels.flat:
        axes.axhline(level, color=INK, linewidth=0.8, alpha=0.6)
    figure.supxlabel(labels[0], fontsize=8, y=0.5 / height)
    figure.supylabel(labels[1], fontsize=8, x=0.01)
    first: Axes = panels[0, 0]
    return first


def _looks(curves: Mapping[VariantKey, Points]) -> dict[str, Look]:
    """Return each metric's look; metrics without a network are dotted, in the color of text."""
    looks: dict[str, Look] = {}
    for variant in curves:
        color, marker, line = LOOKS[len(looks) % len(LOOKS)]
        looks.setdefault(variant.metric, (color, marker, line) if variant.network else (INK, marker, ":"))
    return looks


def _draw_medians(axes: "Axes", points: Points, look: Look, name: str) -> None:
    """Draw one metric's cases, and a line through the medians of cases of similar severity."""
    color, marker, line = look
    severities, ratios = np.array(points).T
    ratios = np.clip(ratios, LEAST, MOST)
    axes.plot(
        severities, ratios, linestyle="none", color=color, marker=marker, markersize=2.2, markeredgewidth=0, alpha=0.3
    )
    groups = [np.isin(severities, group) for group in strata.group_numbers(severities.tolist(), min_cases=2)]
    x, y = zip(*((np.median(severities[group]), np.median(ratios[group])) for group in groups), strict=True)
    axes.plot(x, y, color=color, marker=marker, linestyle=line, markersize=3.5, linewidth=1.1, label=name)


def _draw_line(axes: "Axes", points: Points, look: Look, name: str) -> None:
    color, marker, line = look
    axes.plot(*zip(*points, strict=True), color=color, marker=marker, linestyle=line, markersize=3, label=name)


def _draw_legend(figure: "Figure", lines: Mapping[str, "Artist"], middle: float) -> None:
    figure.legend(list(lines.values()), list(lines), loc="center", bbox_to_anchor=(0.5, middle), ncols=7)
