"""One explained case: in words, as PNGs, and as a self-contained HTML page (no external requests)."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

import dps
from dps import files
from dps.errors import UsageError
from dps.explain import Explanation, LayerView, fewest, percent
from dps.report.figure_style import INK, WIDTH, as_file, as_svg, default_style, new_figure, remove_frame
from dps.report.page import asset, environment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAYERS_SHOWN = 2
"""How many layers are shown where none are named: those that give most."""


COLORS = (INK, "#2a8fc7", "#d0702f")
"""Of the original, the distorted image and the reference: legible on a light and on a dark page."""

HEAT = "inferno"
"""Black is nothing, bright is much; the same in print."""

IN_A_ROW = 3
"""How many curves stand side by side."""

Panel: TypeAlias = "tuple[str, str, str, Figure]"
"""The name of a figure's file (without the suffix), its section of the page, what it shows, and the figure."""


def write(explanation: Explanation, layers: Sequence[int], command: str, weights: str, folder: Path) -> list[Path]:
    """Write the page and figures of some layers, or of those that give most, into a folder; it is made if needed.

    Returns:
        The files, the page first.

    Raises:
        UsageError: the network has no such layer.
    """
    panels = list(_panels(explanation, _choose(explanation, layers)))
    sections: dict[str, list[tuple[str, str]]] = {}
    for _, section, about, figure in panels:
        sections.setdefault(section, []).append((about, as_svg(figure)))
    names = dict.fromkeys(view.name for view in explanation.views if view.layer)
    rows = list(zip(names, zip(*explanation.layers, strict=True), strict=True))
    html = environment().get_template("explain.html.j2").render(
        explanation=explanation,
        words=as_sentences(explanation),
        sections=sections,
        rows=[*rows, ("all", explanation.distances)],
        percent=percent,
        command=command,
        weights=weights,
        versions=f"dps {dps.__version__}, PyTorch {torch.__version__}",
        css=asset("page.css"),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    contents = {folder / f"{name}.png": as_file(figure, "png") for name, _, _, figure in panels}
    for path, content in contents.items():
        files.write(path, content)
    files.write(page := folder / "explain.html", html.encode())
    return [page, *contents]


def _choose(explanation: Explanation, layers: Sequence[int]) -> list[int]:
    """Return the layers to show: those that are named, or those that give most of the distances."""
    variant, count = explanation.variant, len(explanation.layers[0])
    if layers and not count:
        raise UsageError(f"{variant} has no layers; leave --layers out.")
    for layer in layers:
        if not 1 <= layer <= count:
            raise UsageError(f"--layers {layer}: {variant.network} has layers 1 to {count}.")
    if layers or not count:
        return sorted(set(layers)) or [0]
    shares = [
        sum(part / total for part, total in zip(parts, explanation.distances, strict=True) if total)
        for parts in zip(*explanation.layers, strict=True)
    ]
    return sorted(sorted(range(1, count + 1), key=lambda layer: -shares[layer - 1])[:LAYERS_SHOWN])


def _panels(explanation: Explanation, layers: Sequence[int]) -> Iterator[Panel]:
    """Draw the images, and each term of the chosen layers."""
    about = "The images with their distances to the original."
    if explanation.placed_terms:
        about += " Below, where in the image these come from: dark is nothing, bright is much, both on one scale."
    yield "images", "The images", about, _draw_images(explanation)
    for view in explanation.views:
        if view.layer not in layers:
            continue
        section = view.name.capitalize() if view.layer else "Colors"
        term = re.sub(r"\W+", "-", view.term).strip("-")[-50:]  # no name of a file is too long
        name = f"layer-{view.layer}-{term}" if view.layer else "colors"
        shares = "above each, its share of the layer's distance to the distorted image"
        shares += " | to the reference." if len(view.distances) > 1 else "."
        if (figure := _draw_features(explanation, view)) is not None:
            about = f"{view.term}: the channels that give most; {shares}"
            if view.placed and view.normalization == "unit":
                about += " Their maps after unit normalization."
            yield name, section, about, figure
        if (figure := _draw_curves(explanation, view)) is not None:
            about = f"{view.term}: the values that are subtracted, by channel; the difference is squared; {shares}"
            yield f"{name}-values", section, about, figure


# ------------------------------------------------------------------------------------------- in words


def as_sentences(explanation: Explanation) -> list[str]:
    """Describe in sentences from which terms, layers, channels and places the distances come."""
    verdict, distance = explanation.verdict, explanation.distances[0]
    first = f"the distorted image is at {distance:.5g} from the original"
    if verdict is not None:
        first = f"the case {'passed' if verdict.passed else 'failed'}: {verdict}"
    parts = [*_layers(explanation), *_channels(explanation), *_places(explanation)]
    return [
        f"{text[:1].upper()}{text[1:]}." for text in (first, *(parts if distance else ["a distance of 0 has no parts"]))
    ]


def _layers(explanation: Explanation) -> Iterator[str]:
    """Describe the parts of terms, where there are several, and of layers."""
    if len(by_term := explanation.by_term) > 1:
        yield _shares(
            explanation, {term: np.sum([view.distances for view in views], axis=0) for term, views in by_term.items()}
        )
    by_layer = {f"layer {n}": parts for n, parts in enumerate(zip(*explanation.layers, strict=True), start=1)}
    if len(by_layer) < 2:
        return
    largest = sorted(by_layer, key=lambda layer: -by_layer[layer][0])[:2]
    yield _shares(explanation, {layer: by_layer[layer] for layer in largest})
    if len(explanation.names) > 1:
        closer: list[list[str]] = [[], []]
        used = {layer: distances for layer, distances in by_layer.items() if any(distances)}
        for layer, (distorted, reference) in used.items():
            closer[distorted >= reference].append(layer)
        yield ", ".join(
            f"at {'every layer' if len(layers) == len(used) else ' and '.join(layers)} {name} is closer"
            for name, layers in zip(explanation.names, closer, strict=True)
            if layers
        )


def _channels(explanation: Explanation) -> Iterator[str]:
    """Describe, for each term, the layer that gives most of it."""
    for term, views in explanation.by_term.items():
        view = max(views, key=lambda view: view.distances[0])
        channels = view.channel_parts[0]
        largest = int(channels.argmax())
        if channels[largest]:
            of_layer = f" of layer {view.layer}" if view.layer else ""
            by = f" ({term})" if len(explanation.by_term) > 1 else ""
            yield (
                f"{view.channel_name(largest)}{of_layer} alone gives "
                f"{percent(channels[largest], explanation.distances[0])} of the distance to the distorted image{by}; "
                f"half of {'that layer' if view.layer else 'the distance'} comes from {fewest(channels, 0.5)} of its "
                f"{len(channels)} channels"
            )


def _places(explanation: Explanation) -> Iterator[str]:
    """Describe where in the image, and where in the order of activations, the distances come from."""
    placed = explanation.placed_terms
    maps = [explanation.map(image) for image in range(len(explanation.names))]
    areas = [percent(fewest(heat, 0.8), heat.size) for heat in maps if heat is not None]
    if areas:
        some = f"what {' and '.join(placed)} {'give' if len(placed) > 1 else 'gives'}"
        of = "the distance" if len(placed) == len(explanation.by_term) else some
        of_reference = f"; to {explanation.names[1]}, in {areas[1]}" if len(areas) > 1 else ""
        yield f"80 % of {of} to the distorted image lies in {areas[0]} of the image's area{of_reference}"
    for term, views in explanation.by_term.items():
        if term in placed:
            continue
        total = sum(view.distances[0] for view in views)
        if all(view.ascending for view in views) and total:
            tenths = [view.position_parts[0, -max(1, view.position_parts.shape[1] // 10) :].sum() for view in views]
            strongest = percent(sum(tenths), total)
            yield f"the strongest tenth of each channel's values gives {strongest} of what {term} gives"
        yield f"{term} has no map: its values have no place in the image"
        if any(view.features is None for view in views):
            yield f"{term} has no feature maps: its channels are not those of the network"


def _shares(explanation: Explanation, parts: Mapping[str, Sequence[float]]) -> str:
    """Say ``layer 2 gives 61 % of the distance to the distorted image, layer 3 20 %; to reference 'a', ...``."""
    shares = [
        [percent(of_images[image], total) for of_images in parts.values()]
        for image, total in enumerate(explanation.distances)
    ]
    (first, *others), (share, *further) = parts, shares[0]
    text = f"{first} gives {share} of the distance to {explanation.names[0]}"
    text += "".join(f", {name} {part}" for name, part in zip(others, further, strict=True))
    for name, of_reference in zip(explanation.names[1:], shares[1:], strict=True):
        text += f"; to {name}, {' and '.join(of_reference)}"
    return text


# ------------------------------------------------------------------------------------------- figures


@default_style()
def _draw_images(explanation: Explanation) -> "Figure":
    """Draw the images with their distances and, below, where in them the distances come from.

    The lower row is left out where the representation has no places. Both maps have one scale.
    """
    maps = [heat for image in range(len(explanation.names)) if (heat := explanation.map(image)) is not None]
    columns, rows = len(explanation.images), 2 if maps else 1
    figure = new_figure(WIDTH / 3 * columns, (WIDTH / 3 + 0.2) * rows, "compressed")
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


@default_style()
def _draw_features(explanation: Explanation, view: LayerView) -> "Figure | None":
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
    figure = new_figure(side * columns, side * rows + 0.42, "compressed")
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


@default_style()
def _draw_curves(explanation: Explanation, view: LayerView) -> "Figure | None":
    """Draw each channel's values in order where these have no places; else return None."""
    if view.placed:
        return None
    names = _titles(explanation)
    titles = [_channel_title(view, channel) for channel in view.channels]
    rows = -(-len(titles) // IN_A_ROW)
    figure = new_figure(WIDTH, 0.55 + 1.5 * rows, "constrained")
    grid = figure.subplots(rows, IN_A_ROW, squeeze=False)
    for axes in grid.flat[len(titles) :]:
        axes.axis("off")
    positions = np.arange(view.representations.shape[-1])
    for axes, title, values in zip(grid.flat, titles, view.representations.swapaxes(0, 1), strict=False):
        axes.fill_between(positions, values[0], values[1], color=COLORS[1], alpha=0.25, linewidth=0)
        for curve, color, name in zip(values, COLORS, names, strict=False):
            axes.plot(positions, curve, color=color, linewidth=1.1, marker="o" if len(curve) == 1 else "", label=name)
        axes.set_title(title.replace("\n", ": "), fontsize=7)
        if len(positions) == 1:
            axes.set_xticks([0])
        remove_frame(axes, "both")
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
