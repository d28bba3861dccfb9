"""Figures of what a distance is made of: the images, the layers, the channels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dps.explain import Explained, View
from dps.images import Pixels
from dps.report.figure_style import INK, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (INK, "#2a8fc7", "#d0702f")
"""Of the original, the distorted image and the reference: read on a light and on a dark page."""

HEAT = "inferno"
"""Black is nothing, bright is much; the same in print."""

WIDTH, SIDE = 7.2, 1.25
"""Of a figure, and of one small picture in a grid, in inches."""


def percent(share: float) -> str:
    """A share as a person says it: ``61 %``, ``4.2 %``, ``under 0.1 %``."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def share(part: float, whole: float) -> float:
    """A part of a whole, 0 of nothing."""
    return part / whole if whole else 0.0


def images(explained: Explained) -> "Figure":
    """Draw the images with their distances and, below, where in them the distances come from.

    The lower row is left out where the form has no places. Both maps have one scale.
    """
    maps = [explained.map(image) for image in range(len(explained.names))]
    shown = [each for each in maps if each is not None]
    columns, rows = len(explained.pictures), 2 if shown else 1
    side = min(2.1, WIDTH / 3)
    figure = blank(side * columns, (side + 0.28) * rows)
    grid = figure.subplots(
        rows, columns, squeeze=False, gridspec_kw=_grid(left=0.01, right=0.99, top=1 - 0.25 / rows / side, bottom=0.01)
    )
    titles = ["original", *map(title, explained.names)]
    distances = ["", *(f" {distance:.5g}" for distance in explained.distances)]
    for axes, name, distance, picture in zip(grid[0], titles, distances, explained.pictures, strict=True):
        _picture(axes, picture.pixels)
        _title(axes, f"{name}{distance and ':'}{distance}", 8)
    if shown:
        most = max(float(each.max()) for each in shown) or 1.0
        grid[1, 0].axis("off")
        grid[1, 0].text(0.98, 0.5, "where the distance\ncomes from", ha="right", va="center", color=INK, fontsize=8)
        for axes, each in zip(grid[1, 1:], shown, strict=True):
            _bare(axes)
            axes.imshow(each / most, cmap=HEAT, vmin=0, vmax=1, interpolation="none")
    return figure


def layers(explained: Explained) -> "Figure":
    """Draw what each layer gives to each distance; of a sum, each term's part."""
    terms, count = explained.terms, len(explained.layers[0])
    figure = blank(WIDTH, 0.75 + 0.42 * count)
    height = figure.get_figheight()
    axes = figure.add_axes((0.2, 0.42 / height, 0.72, 1 - 0.72 / height))
    thick = 0.8 / len(explained.names)
    for image, (name, color) in enumerate(zip(explained.names, COLORS[1:], strict=False)):
        at = np.arange(count) + (image - (len(explained.names) - 1) / 2) * thick
        start = np.zeros(count)
        for number, term in enumerate(terms):
            parts = np.array([view.parts[image].distance for view in explained.of_term(term)])
            label = title(name) + (f", {term}" if len(terms) > 1 else "")
            axes.barh(
                at, parts, 0.9 * thick, left=start, color=color, alpha=1 - 0.55 * number / len(terms), label=label
            )
            start += parts
        for y, part in zip(at, start, strict=True):
            text = f" {part:.4g}: {percent(share(part, explained.distances[image]))}"
            axes.text(part, y, text, va="center", fontsize=6.5, color=INK)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_xlim(0, 1.18 * max(part for parts in explained.layers for part in parts))
    axes.set_yticks(range(count), [explained.layer_name(layer) for layer in range(1, count + 1)])
    axes.set_xlabel("part of the distance to the original", color=INK, fontsize=7)
    _plain(axes)
    figure.legend(
        loc="upper left", ncols=2 * len(terms), fontsize=7, frameon=False, labelcolor=INK, bbox_to_anchor=(0.19, 1.0)
    )
    return figure


def features(explained: Explained, view: View) -> "Figure | None":
    """Draw the channels that give most: of every image a row, beside the picture; each channel on a scale of its own.

    Where positions have a place in the image, the maps are what is subtracted, and a last column shows where the
    layer's distance comes from. None where the form's channels are not the features'.
    """
    maps = view.forms.reshape(*view.forms.shape[:2], *view.size) if view.placed else view.features
    if maps is None:
        return None
    rows, columns = len(maps), 1 + len(view.shown) + int(view.placed)
    side = min(SIDE, WIDTH / columns)
    head = 0.42
    figure = blank(side * columns, side * rows + head)
    grid = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw=_grid(left=0.03, right=0.995, top=1 - head / figure.get_figheight(), bottom=0.005),
    )
    for axes, name, picture in zip(
        grid[:, 0], ["original", *map(title, explained.names)], explained.pictures, strict=True
    ):
        _picture(axes, picture.pixels)
        axes.set_ylabel(_short(name), color=INK, fontsize=7, labelpad=2)
    for column, channel in enumerate(view.shown, start=1):
        of_channel = maps[:, column - 1]
        for axes, each in zip(grid[:, column], of_channel, strict=True):
            _bare(axes)
            axes.imshow(each, cmap="gray", vmin=min(0, of_channel.min()), vmax=_most(of_channel), interpolation="none")
        _title(grid[0, column], channel_title(view, channel))
    if view.placed:
        grid[0, -1].axis("off")
        heats = [part.positions.reshape(view.size) for part in view.parts]
        for axes, heat in zip(grid[1:, -1], heats, strict=True):
            _bare(axes)
            axes.imshow(heat, cmap=HEAT, vmin=0, vmax=_most(np.array(heats)), interpolation="none")
        _title(grid[1, -1], "squared gap,\nall channels")
    return figure


def curves(explained: Explained, view: View) -> "Figure | None":
    """Draw forms that have no places: of each channel the values in order; with one position, the values as bars.

    None where there are places.
    """
    if view.placed:
        return None
    names = ["original", *map(title, explained.names)]
    if view.positions == 1:
        return _bars(view, names)
    figure = blank(WIDTH, 0.55 + 1.5 * -(-len(view.shown) // 3))
    grid = figure.subplots(-(-len(view.shown) // 3), 3, squeeze=False, sharex=True)
    bottom, top = 0.42 / figure.get_figheight(), 1 - 0.42 / figure.get_figheight()
    figure.subplots_adjust(left=0.07, right=0.99, top=top, bottom=bottom, wspace=0.25, hspace=0.5)
    for axes in grid.flat[len(view.shown) :]:
        axes.axis("off")
    at = np.arange(view.positions)
    for axes, channel, of_channel in zip(grid.flat, view.shown, view.forms.swapaxes(0, 1), strict=False):
        axes.fill_between(at, of_channel[0], of_channel[1], color=COLORS[1], alpha=0.25, linewidth=0)
        for values, color, name in zip(of_channel, COLORS, names, strict=False):
            axes.plot(at, values, color=color, linewidth=1.1, label=name)
        _title(axes, channel_title(view, channel).replace("\n", ": "))
        _plain(axes)
        axes.tick_params(labelbottom=True)
    order = "positions in ascending order of activation" if view.ascending else "the form's values, in its order"
    figure.supxlabel(order, color=INK, fontsize=7, y=0.01)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", ncols=3, fontsize=7, frameon=False, labelcolor=INK)
    return figure


def _bars(view: View, names: Sequence[str]) -> "Figure":
    figure = blank(WIDTH, 2.1)
    axes = figure.add_axes((0.07, 0.2, 0.92, 0.65))
    thick = 0.8 / len(names)
    for image, (name, color) in enumerate(zip(names, COLORS, strict=False)):
        at = np.arange(len(view.shown)) + (image - (len(names) - 1) / 2) * thick
        axes.bar(at, view.forms[image, :, 0], 0.9 * thick, color=color, label=name)
    axes.set_xticks(range(len(view.shown)), [channel_title(view, channel) for channel in view.shown])
    _plain(axes)
    figure.legend(loc="upper left", ncols=3, fontsize=7, frameon=False, labelcolor=INK)
    return figure


def channel_title(view: View, channel: int) -> str:
    """A channel with its share of the layer's distance to each image."""
    shares = [percent(share(float(part.channels[channel]), part.distance)) for part in view.parts]
    return f"{channel_name(view, channel)}\n{' | '.join(shares)}"


def channel_name(view: View, channel: int) -> str:
    """``channel 37``; of the image itself, its color."""
    return f"channel {channel}" if view.layer else ("red", "green", "blue")[channel]


def title(name: str) -> str:
    """An image's name in a figure: ``distorted``, ``reference 'white'``."""
    return name.removeprefix("the ").removesuffix(" image")


def _short(name: str, most: int = 20) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _most(values: "np.ndarray[tuple[int, ...], np.dtype[np.floating]]") -> float:
    return float(values.max()) or 1.0


def _grid(**edges: float) -> dict[str, float]:
    return {"wspace": 0.05, "hspace": 0.05, **edges}


def _picture(axes: "Axes", pixels: Pixels) -> None:
    _bare(axes)
    axes.imshow(pixels, interpolation="none")


def _bare(axes: "Axes") -> None:
    """No ticks, a hair around the picture, so that a white one has an edge."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(edgecolor=INK, alpha=0.35, linewidth=0.5)


def _title(axes: "Axes", text: str, size: float = 7) -> None:
    axes.set_title(text, color=INK, fontsize=size, pad=3)


def _plain(axes: "Axes") -> None:
    axes.tick_params(colors=INK, labelsize=7, length=2)
    axes.grid(color=INK, alpha=0.12, linewidth=0.5)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
