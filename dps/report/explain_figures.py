"""Figures of what a distance is made of: the images, the layers, the channels."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dps.explain import Explanation, LayerView, percent
from dps.report.figure_style import INK, WIDTH, blank, defaults, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (INK, "#2a8fc7", "#d0702f")
"""Of the original, the distorted image and the reference: legible on a light and on a dark page."""

HEAT = "inferno"
"""Black is nothing, bright is much; the same in print."""

IN_A_ROW = 3
"""How many curves stand side by side."""


@defaults()
def images(explanation: Explanation) -> "Figure":
    """Draw the images with their distances and, below, where in them the distances come from.

    The lower row is left out where the representation has no places. Both maps have one scale.
    """
    maps = [heat for image in range(len(explanation.names)) if (heat := explanation.map(image)) is not None]
    columns, rows = len(explanation.images), 2 if maps else 1
    figure = blank(WIDTH / 3 * columns, (WIDTH / 3 + 0.2) * rows, "compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    distances = ["", *(f": {distance:.5g}" for distance in explanation.distances)]
    for axes, name, distance, image in zip(grid[0], _titles(explanation), distances, explanation.images, strict=True):
        _show(axes, image.pixels, name + distance)
    if maps:
        grid[1, 0].axis("off")
        grid[1, 0].text(0.98, 0.5, "where the distance\ncomes from", ha="right", va="center", fontsize=8)
        for axes, heat in zip(grid[1, 1:], maps, strict=True):
            _show(axes, heat, cmap=HEAT, vmin=0, vmax=_largest(maps))
    return figure


@defaults()
def layers(explanation: Explanation) -> "Figure":
    """Draw what each layer gives to each distance; of a sum, each term's part."""
    by_term, count = explanation.by_term, len(explanation.layers[0])
    figure = blank(WIDTH, 0.75 + 0.42 * count, "constrained")
    axes = figure.subplots()
    thickness = 0.8 / len(explanation.names)
    for image, (title, color) in enumerate(zip(_titles(explanation)[1:], COLORS[1:], strict=False)):
        places = np.arange(count) + (image - (len(explanation.names) - 1) / 2) * thickness
        ends = np.zeros(count)
        for number, (term, views) in enumerate(by_term.items()):
            parts = np.array([view.distances[image] for view in views])
            label = title + (f", {term}" if len(by_term) > 1 else "")
            alpha = 1 - 0.55 * number / len(by_term)
            axes.barh(places, parts, 0.9 * thickness, left=ends, color=color, alpha=alpha, label=label)
            ends += parts
        for place, end in zip(places, ends, strict=True):
            axes.text(end, place, f" {end:.4g}: {percent(end, explanation.distances[image])}", va="center")
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_xlim(0, 1.18 * _largest(explanation.layers))
    axes.set_yticks(range(count), list(dict.fromkeys(view.name for view in explanation.views)))
    axes.set_xlabel("part of the distance to the original")
    plain(axes, "x")
    figure.legend(loc="outside upper center", ncols=2 * len(by_term))
    return figure


@defaults()
def features(explanation: Explanation, view: LayerView) -> "Figure | None":
    """Draw the channels that give most: a row for every image, each channel on a scale of its own.

    Where positions have a place in the image, the maps are what is subtracted, and a last column shows where the
    layer's distance comes from. None where the channels of the representation are not those of the network.
    """
    shape = *view.representations.shape[:2], *view.size
    maps = view.representations.reshape(shape) if view.placed else view.features
    if maps is None:
        return None
    rows, columns = len(maps), 1 + len(view.channels) + int(view.placed)
    side = min(1.25, WIDTH / columns)
    figure = blank(side * columns, side * rows + 0.42, "compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, name, image in zip(grid[:, 0], _titles(explanation), explanation.images, strict=True):
        _show(axes, image.pixels)
        axes.set_ylabel(textwrap.shorten(name, 20, placeholder="…") if " " in name else name[:20], fontsize=7)
    for column, channel in enumerate(view.channels, start=1):
        of_channel = maps[:, column - 1]
        for axes, values in zip(grid[:, column], of_channel, strict=True):
            _show(axes, values, cmap="gray", vmin=min(0, of_channel.min()), vmax=_largest(of_channel))
        grid[0, column].set_title(_channel_title(view, channel), fontsize=7)
    if view.placed:
        heats = view.position_parts.reshape(-1, *view.size)
        for axes, heat in zip(grid[1:, -1], heats, strict=True):
            _show(axes, heat, cmap=HEAT, vmin=0, vmax=_largest(heats))
        grid[0, -1].axis("off")
        grid[0, -1].text(0.5, 0.02, "squared\ndifference,\nall channels", ha="center")
    return figure


@defaults()
def curves(explanation: Explanation, view: LayerView) -> "Figure | None":
    """Draw representations that have no places: each channel's values in order; of one position, the values as bars.

    None where there are places.
    """
    if view.placed:
        return None
    names = _titles(explanation)
    titles = [_channel_title(view, channel) for channel in view.channels]
    if view.representations.shape[-1] == 1:
        figure = blank(WIDTH, 2.1, "constrained")
        axes = figure.subplots()
        thickness = 0.8 / len(names)
        for image, (name, color) in enumerate(zip(names, COLORS, strict=False)):
            places = np.arange(len(titles)) + (image - (len(names) - 1) / 2) * thickness
            axes.bar(places, view.representations[image, :, 0], 0.9 * thickness, color=color, label=name)
        axes.set_xticks(range(len(titles)), titles)
        plain(axes, "y")
        figure.legend(loc="outside upper left", ncols=len(names))
        return figure
    rows = -(-len(titles) // IN_A_ROW)
    figure = blank(WIDTH, 0.55 + 1.5 * rows, "constrained")
    grid = figure.subplots(rows, IN_A_ROW, squeeze=False)
    for axes in grid.flat[len(titles) :]:
        axes.axis("off")
    positions = np.arange(view.representations.shape[-1])
    for axes, title, values in zip(grid.flat, titles, view.representations.swapaxes(0, 1), strict=False):
        axes.fill_between(positions, values[0], values[1], color=COLORS[1], alpha=0.25, linewidth=0)
        for curve, color, name in zip(values, COLORS, names, strict=False):
            axes.plot(positions, curve, color=color, linewidth=1.1, label=name)
        axes.set_title(title.replace("\n", ": "), fontsize=7)
        plain(axes, "both")
    order = "positions in ascending order of activation" if view.ascending else "positions of the representation"
    figure.supxlabel(order, fontsize=7)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=len(names))
    return figure


def _channel_title(view: LayerView, channel: int) -> str:
    """Return a channel's name with its share of the layer's distance to each image."""
    shares = map(percent, view.channel_parts[:, channel], view.distances)
    return f"{view.channel_name(channel)}\n{' | '.join(shares)}"


def _titles(explanation: Explanation) -> list[str]:
    """Return the images' names: ``original``, ``distorted``, ``reference 'white'``."""
    return ["original", *(name.removeprefix("the ").removesuffix(" image") for name in explanation.names)]


def _largest(values: Sequence[Any] | NDArray[Any]) -> float:
    return float(np.max(values)) or 1.0


def _show(axes: "Axes", values: NDArray[Any], title: str = "", **colors: Any) -> None:
    """Show an image or a map without ticks, with a thin frame, so that a white one has an edge."""
    axes.imshow(values, interpolation="none", **colors)
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set(alpha=0.35, linewidth=0.5)
