"""One explained case: in words, as PNGs, and as a self-contained HTML page (no external requests)."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

import dps
from dps import files
from dps.errors import UsageError
from dps.explain import Explanation, LayerView, parts_needed, percent
from dps.report.figure_style import INK, WIDTH, as_file, as_svg, default_style, new_figure, remove_frame
from dps.report.page import environment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAYERS_SHOWN = 2
"""Number of layers shown by default: those with the largest parts of the distances."""

COLORS = (INK, "#2a8fc7", "#d0702f")
"""Colors of the original, the distorted image and the reference: legible on a light and on a dark page."""

HEAT = "inferno"
"""Color map from dark (0) to bright; the same in print."""

CURVES_IN_A_ROW = 3


def write(explanation: Explanation, layers: Sequence[int], command: str, weights: str, folder: Path) -> list[Path]:
    """Write the page and the figures of some layers, by default the largest, into a folder; create it if needed.

    Returns:
        The files, the page first.

    Raises:
        UsageError: the network has no such layer.
    """
    panels = list(_panels(explanation, _select_layers(explanation, layers)))
    sections: dict[str, list[tuple[str, str]]] = {}
    for _, section, caption, figure in panels:
        sections.setdefault(section, []).append((caption, as_svg(figure)))
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
    )  # fmt: skip
    contents = {folder / "explain.html": html.encode()}
    contents |= {folder / f"{name}.png": as_file(figure, "png") for name, _, _, figure in panels}
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        files.write(path, content)
    return list(contents)


def _select_layers(explanation: Explanation, layers: Sequence[int]) -> list[int]:
    """Check the requested layers, or select those with the largest parts of the distances; 0 without a network."""
    variant, count = explanation.variant, len(explanation.layers[0])
    if layers and not count:
        raise UsageError(f"{variant} has no layers; leave --layers out.")
    for layer in layers:
        if not 1 <= layer <= count:
            raise UsageError(f"--layers {layer}: {variant.network} has layers 1 to {count}.")
    if layers or not count:
        return sorted(set(layers)) or [0]
    totals = np.array([total or np.inf for total in explanation.distances])
    shares = (np.array(explanation.layers) / totals[:, None]).sum(axis=0)
    return sorted((1 + np.argsort(-shares, kind="stable")[:LAYERS_SHOWN]).tolist())


def _panels(explanation: Explanation, layers: Sequence[int]) -> Iterator[tuple[str, str, str, "Figure"]]:
    """Draw the images, and each term at the given layers.

    Yields:
        The name of a figure's file without suffix, its section of the page, its caption, and the figure.
    """
    caption = "The images and their distances to the original."
    if explanation.localized_terms:
        caption += " Below, the part that each pixel contributes: dark is none, bright is much, on one scale."
    yield "images", "The images", caption, _draw_images(explanation)
    for view in explanation.views:
        if view.layer not in layers:
            continue
        section = view.name.capitalize() if view.layer else "Colors"
        term = re.sub(r"\W+", "-", view.term).strip("-")[-50:]  # names of files have a maximal length
        name = f"layer-{view.layer}-{term}" if view.layer else "colors"
        shares = "above each, its share of the layer's distance to the distorted image"
        shares += " | to the reference." if len(view.distances) > 1 else "."
        if (figure := _draw_features(explanation, view)) is not None:
            caption = f"{view.term}: the channels that contribute most; {shares}"
            if view.localized and view.normalization == "unit":
                caption += " Their maps after unit normalization."
            yield name, section, caption, figure
        if not view.localized:
            caption = f"{view.term}: the values that are subtracted, by channel; the difference is squared; {shares}"
            yield f"{name}-values", section, caption, _draw_curves(explanation, view)


# ------------------------------------------------------------------------------------------- in words


def as_sentences(explanation: Explanation) -> list[str]:
    """Describe in sentences which terms, layers, channels and places the distances come from."""
    verdict, distance = explanation.verdict, explanation.distances[0]
    first = f"the distorted image is at {distance:.5g} from the original"
    if verdict is not None:
        first = f"the case {'passed' if verdict.passed else 'failed'}: {verdict}"
    parts = [*_layer_sentences(explanation), *_channel_sentences(explanation), *_place_sentences(explanation)]
    sentences = [first, *(parts if distance else ["a distance of 0 has no parts"])]
    return [f"{text[:1].upper()}{text[1:]}." for text in sentences]


def _layer_sentences(explanation: Explanation) -> Iterator[str]:
    if len(by_term := explanation.by_term) > 1:
        sums = {term: np.sum([view.distances for view in views], axis=0) for term, views in by_term.items()}
        yield _shares_in_words(explanation, sums)
    by_layer = {f"layer {n}": parts for n, parts in enumerate(zip(*explanation.layers, strict=True), start=1)}
    if len(by_layer) < 2:
        return
    largest = sorted(by_layer, key=lambda layer: -by_layer[layer][0])[:2]
    yield _shares_in_words(explanation, {layer: by_layer[layer] for layer in largest})
    if len(explanation.names) > 1:
        used = [layer for layer, distances in by_layer.items() if any(distances)]
        first = [layer for layer in used if by_layer[layer][0] < by_layer[layer][1]]
        closer = (first, [layer for layer in used if layer not in first])
        yield ", ".join(
            f"at {'every layer' if len(layers) == len(used) else ' and '.join(layers)} {name} is closer"
            for name, layers in zip(explanation.names, closer, strict=True)
            if layers
        )


def _channel_sentences(explanation: Explanation) -> Iterator[str]:
    """Describe the channels of each term's largest layer."""
    for term, views in explanation.by_term.items():
        view = max(views, key=lambda view: view.distances[0])
        channels = view.channel_parts[0]
        largest = int(channels.argmax())
        if channels[largest]:
            layer = f" of layer {view.layer}" if view.layer else ""
            metric = f" ({term})" if len(explanation.by_term) > 1 else ""
            yield (
                f"{view.channel_name(largest)}{layer} alone contributes "
                f"{percent(channels[largest], explanation.distances[0])} of the distance to the distorted image"
                f"{metric}; half of {'that layer' if view.layer else 'the distance'} comes from "
                f"{parts_needed(channels, 0.5)} of its {len(channels)} channels"
            )


def _place_sentences(explanation: Explanation) -> Iterator[str]:
    """Describe where in the image, or among the sorted activations, the distances come from."""
    localized = explanation.localized_terms
    maps = [explanation.heat_map(image) for image in range(len(explanation.names))]
    areas = [percent(parts_needed(heat, 0.8), heat.size) for heat in maps if heat is not None]
    if areas:
        distance = (
            "the distance" if len(localized) == len(explanation.by_term) else f"the {' and '.join(localized)} part"
        )
        reference = f"; to {explanation.names[1]}, in {areas[1]}" if len(areas) > 1 else ""
        yield f"80 % of {distance} to the distorted image lies in {areas[0]} of the image's area{reference}"
    for term, views in explanation.by_term.items():
        if term in localized:
            continue
        total = sum(view.distances[0] for view in views)
        if all(view.ascending for view in views) and total:
            tenths = [view.position_parts[0, -max(1, view.position_parts.shape[1] // 10) :].sum() for view in views]
            share = percent(sum(tenths), total)
            yield f"the strongest tenth of each channel's values contributes {share} of the {term} part"
        yield f"{term} has no map: its values have no place in the image"
        if any(view.features is None for view in views):
            yield f"{term} has no feature maps: its channels are not those of the network"


def _shares_in_words(explanation: Explanation, parts: Mapping[str, Sequence[float]]) -> str:
    """Return ``layer 2 contributes 61 % of the distance to the distorted image, layer 3 20 %; to reference ...``."""
    shares = [
        [percent(distances[image], total) for distances in parts.values()]
        for image, total in enumerate(explanation.distances)
    ]
    names, (first_share, *other_shares) = list(parts), shares[0]
    text = f"{names[0]} contributes {first_share} of the distance to {explanation.names[0]}"
    text += "".join(f", {name} {share}" for name, share in zip(names[1:], other_shares, strict=True))
    for name, reference_shares in zip(explanation.names[1:], shares[1:], strict=True):
        text += f"; to {name}, {' and '.join(reference_shares)}"
    return text


# ------------------------------------------------------------------------------------------- figures


@default_style()
def _draw_images(explanation: Explanation) -> "Figure":
    """Draw the images with their distances and, if a term is localized, their heat maps below, on one scale."""
    maps = [heat for image in range(len(explanation.names)) if (heat := explanation.heat_map(image)) is not None]
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
    """Draw the largest channels: a row for each image, a scale for each channel.

    If the view is localized, the maps are of the representation, and a last column shows each position's part of the
    distance; else they are of the features. None if these are of other channels.
    """
    shape = *view.representations.shape[:2], *view.size
    maps = view.representations.reshape(shape) if view.localized else view.features
    if maps is None:
        return None
    rows, columns = len(maps), 1 + len(view.channels) + int(view.localized)
    side = min(1.25, WIDTH / columns)
    figure = new_figure(side * columns, side * rows + 0.42, "compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, name, image in zip(grid[:, 0], _titles(explanation), explanation.images, strict=True):
        _show(axes, image.pixels)
        axes.set_ylabel(textwrap.shorten(name, 20, placeholder="…") if " " in name else name[:20], fontsize=7)
    for column, channel in enumerate(view.channels, start=1):
        channel_maps = maps[:, column - 1]
        for axes, values in zip(grid[:, column], channel_maps, strict=True):
            _show(axes, values, cmap="gray", vmin=min(0, channel_maps.min()), vmax=_largest(channel_maps))
        grid[0, column].set_title(_channel_title(view, channel), fontsize=7)
    if view.localized:
        heats = view.position_parts.reshape(-1, *view.size)
        for axes, heat in zip(grid[1:, -1], heats, strict=True):
            _show(axes, heat, cmap=HEAT, vmin=0, vmax=_largest(heats))
        grid[0, -1].axis("off")
        grid[0, -1].text(0.5, 0.02, "squared\ndifference,\nall channels", ha="center")
    return figure


@default_style()
def _draw_curves(explanation: Explanation, view: LayerView) -> "Figure":
    """Draw the values of each of the largest channels by position."""
    names = _titles(explanation)
    titles = [_channel_title(view, channel) for channel in view.channels]
    rows = -(-len(titles) // CURVES_IN_A_ROW)
    figure = new_figure(WIDTH, 0.55 + 1.5 * rows, "constrained")
    grid = figure.subplots(rows, CURVES_IN_A_ROW, squeeze=False)
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
    """Return a channel's name, and its share of the layer's distance to each image."""
    shares = map(percent, view.channel_parts[:, channel], view.distances)
    return f"{view.channel_name(channel)}\n{' | '.join(shares)}"


def _titles(explanation: Explanation) -> list[str]:
    """Return the images' names: ``original``, ``distorted``, ``reference 'white'``."""
    return ["original", *(name.removeprefix("the ").removesuffix(" image") for name in explanation.names)]


def _largest(values: Sequence[Any] | NDArray[Any]) -> float:
    return float(np.max(values)) or 1.0


def _show(axes: "Axes", values: NDArray[Any], title: str = "", **colors: Any) -> None:
    """Show an image or a map without ticks, in a thin frame that bounds white images."""
    axes.imshow(values, interpolation="none", **colors)
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set(alpha=0.35, linewidth=0.5)
