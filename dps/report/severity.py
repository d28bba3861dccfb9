"""How distances grow, and passes end, the farther images are distorted; beside what people notice."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dps.report import strata, tables
from dps.report.figure_style import INK, WIDTH, blank, plain
from dps.report.pass_fractions import PassCounts
from dps.report.results import Row
from dps.rows import VariantKey, variant_key

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points: TypeAlias = list[tuple[float, float]]
"""Of each case: how far it is distorted, and the distorted image's distance over the nearest reference's."""

ABOVE, A_ROW, BELOW = 0.2, 1.7, 0.85
"""Above the panels, of a row of them, and below, in inches."""

LEAST, MOST = 1e-3, 1e2
"""Ratios beyond are drawn there."""

LOOKS = (
    ("#0072b2", "o", "-"),
    ("#d55e00", "s", "--"),
    ("#009e73", "^", "-"),
    ("#cc79a7", "D", "--"),
    ("#e69f00", "v", "-"),
    ("#56b4e9", "X", "--"),
)
"""Color, marker and line of each metric in turn; the colors are Okabe and Ito's, told apart by all eyes."""


def of(document: Row, probe: str) -> Row | None:
    """What says how far a probe's cases are distorted: ``by``, ``unit``, ``notice`` and ``source``, if anything does.

    Args:
        document: results.json.
        probe: its name.
    """
    found: Row | None = document["run"].get("severity", {}).get(probe)
    return found if found and _severities(document, probe, found["by"]) else None


def curves(document: Row, probe: str) -> dict[VariantKey, Points]:
    """How far each case is distorted, and how far that is for each variant, in the order of the tables.

    The second number is the distance of the distorted image divided by that of the nearest reference; below 1 is a
    pass. To the left is as far as to the right: of numbers below 0, the size counts. Cases without a distance are left
    out.
    """
    about = of(document, probe)
    if about is None:
        return {}
    far = _severities(document, probe, about["by"])
    found: dict[VariantKey, Points] = {}
    for row in document["cases"]:
        distance, nearest = row["distance"], row["nearest_reference_distance"]
        key = f"{row['probe']}/{row['case']}"
        if row["probe"] == probe and key in far and distance is not None and nearest:
            found.setdefault(variant_key(row), []).append((far[key], distance / nearest))
    return {key: sorted(found[key]) for key in tables.in_order(found)}


def passed(document: Row, probe: str) -> PassCounts | None:
    """How many cases pass, the farther they are distorted: a column for each value, or range of values."""
    about = of(document, probe)
    if about is None:
        return None
    by = about["by"]
    far = {key: {by: value} for key, value in _severities(document, probe, by).items()}
    return strata.count(document["cases"], far, probe, by)


def in_words(document: Row, probe: str) -> list[str]:
    """Where each metric gives up that does not fail everywhere: where fewer than half of the cases pass."""
    table, about = passed(document, probe), of(document, probe)
    if table is None or about is None:
        return []
    alike: dict[tuple[str, str | None, str], list[str | None]] = {}
    for key in table.variants:
        network, normalization, metric = key
        counts = {label: table.counts[key, label] for label in table.probes if (key, label) in table.counts}
        failed = [label for label, count in counts.items() if count.fails]
        if 0 < len(failed) < len(counts):
            alike.setdefault((metric, normalization, " and ".join(failed)), []).append(network)
    return [
        f"{metric if normalization is None else f'{metric} ({normalization}) on {_and(networks)}'} passes fewer than "
        f"half of {probe} at {where} {about['unit']}."
        for (metric, normalization, where), networks in alike.items()
    ]


def figure(document: Row, probe: str) -> "Figure | None":
    """Draw how the distance of the distorted image grows with how far it is distorted, next to the nearest reference's.

    A panel for each network and normalization; each case is a dot, each line goes through the medians of cases that are
    distorted about as far. Below 1 a case passes. A metric without a network is in all panels. Where people notice the
    change is a line, with its source.

    Args:
        document: results.json.
        probe: its name.

    Returns:
        None where nothing says how far the probe's cases are distorted, or they all are as far.
    """
    from matplotlib.ticker import LogLocator

    found, about = curves(document, probe), of(document, probe)
    if about is None or len({far for points in found.values() for far, _ in points}) < 2:
        return None
    networks = list(dict.fromkeys(key.network for key in found if key.network)) or [""]
    normalizations = list(dict.fromkeys(key.normalization or "" for key in found if key.network)) or [""]
    looks = _looks(found)
    figure = blank(WIDTH, BELOW + ABOVE + A_ROW * len(normalizations))
    height = figure.get_figheight()
    panels = figure.subplots(len(normalizations), len(networks), sharex=True, sharey=True, squeeze=False)
    figure.subplots_adjust(left=0.1, right=0.99, top=1 - ABOVE / height, bottom=BELOW / height, wspace=0.06, hspace=0.2)
    for row, normalization in zip(panels, normalizations, strict=True):
        for axes, network in zip(row, networks, strict=True):
            for key, points in found.items():
                if key[:2] in ((network, normalization), (None, None)):
                    _curve(axes, points, looks[key.metric], key.metric)
            axes.axhline(1, color=INK, linewidth=0.8, alpha=0.6)
            title = ", ".join(part for part in (network, normalization) if part)
            axes.set_title(title, fontsize=8, color=INK, pad=3, y=1)  # without y its place is searched for, slowly
            plain(axes, "both")
    panels[0][0].set_yscale("log")
    panels[0][0].yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    panels[0][0].yaxis.set_major_formatter("{x:g}")
    panels[0][0].minorticks_off()
    figure.supylabel("distance: distorted image / nearest reference", fontsize=8, color=INK, x=0.01)
    by, unit = about["by"].replace("_", " "), about["unit"]
    figure.supxlabel(by if by == unit else f"{by} ({unit})", fontsize=8, color=INK, y=0.5 / height)
    metrics = {name: line for axes in panels.flat for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    _legend(figure, metrics, 0.3 / height)
    if about["detection_threshold"] is not None:
        lines = [
            axes.axvline(about["detection_threshold"], color=INK, linewidth=1, linestyle="-.") for axes in panels.flat
        ]
        _legend(figure, {f"people notice it from {about['notice']:g} on: {about['source']}": lines[0]}, 0.1 / height)
    return figure


def _and(names: Sequence[str | None]) -> str:
    return " and ".join(str(name) for name in names)


def _severities(document: Row, probe: str, by: str) -> dict[str, float]:
    """How far each case of a probe is distorted, by ``probe/case``."""
    return {
        key: abs(values[by])
        for key, values in document["drawn"].items()
        if key.partition("/")[0] == probe and isinstance(values.get(by), int | float)
    }


def _looks(found: Mapping[VariantKey, Points]) -> dict[str, tuple[str, str, str]]:
    """How each metric is drawn; what has no network is dotted, in the color of text."""
    with_network = dict.fromkeys(key.metric for key in found if key.network)
    without = [metric for metric in dict.fromkeys(key.metric for key in found) if metric not in with_network]
    looks = {metric: LOOKS[place % len(LOOKS)] for place, metric in enumerate(with_network)}
    return looks | {metric: (INK, LOOKS[place % len(LOOKS)][1], ":") for place, metric in enumerate(without)}


def _curve(axes: "Axes", points: Points, look: tuple[str, str, str], name: str) -> None:
    """One metric's cases, and a line through their medians."""
    color, marker, line = look
    far, ratios = np.array(points).T
    ratios = np.clip(ratios, LEAST, MOST)
    axes.plot(far, ratios, linestyle="none", color=color, marker=marker, markersize=2.2, markeredgewidth=0, alpha=0.3)
    groups = [np.isin(far, group) for group in strata.grouped(far.tolist(), at_least=2)]
    middles = [(np.median(far[group]), np.median(ratios[group])) for group in groups]
    axes.plot(
        *zip(*middles, strict=True),
        color=color,
        marker=marker,
        linestyle=line,
        markersize=3.5,
        linewidth=1.1,
        label=name,
    )


def _legend(figure: "Figure", lines: Mapping[str, "Artist"], middle: float) -> None:
    """One row of names below the panels."""
    figure.legend(
        list(lines.values()),
        list(lines),
        loc="center",
        bbox_to_anchor=(0.5, middle),
        ncols=7,
        fontsize=7,
        frameon=False,
        labelcolor=INK,
    )
