"""One explained case: in words, as PNGs, and as a self-contained HTML page (no external requests)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

import dps
from dps import files
from dps.errors import UsageError
from dps.explain import Explanation, fewest, percent
from dps.report import explain_figures, figure_style
from dps.report.page import asset, environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS_SHOWN = 2
"""How many layers are shown where none are named: those that give most."""


class Panel(NamedTuple):
    """A figure with the name of its file (without the suffix), its section of the page, and what it shows."""

    name: str
    section: str
    about: str
    figure: "Figure"


def write(explanation: Explanation, layers: Sequence[int], command: str, weights: str, folder: Path) -> list[Path]:
    """Write the page and its figures.

    Args:
        explanation: of the case.
        layers: which ones are shown; those that give most if empty.
        command: as it was typed.
        weights: where they are from, with their digest; empty without a network.
        folder: where the files go; made if it is not there.

    Returns:
        The files, the page first.

    Raises:
        UsageError: the network has no such layer.
        OSError: a file cannot be written.
    """
    panels = list(_panels(explanation, _choose(explanation, layers)))
    sections: dict[str, list[tuple[str, str]]] = {}
    for panel in panels:
        sections.setdefault(panel.section, []).append((panel.about, figure_style.as_svg(panel.figure)))
    names = dict.fromkeys(view.name for view in explanation.views if view.layer)
    rows = list(zip(names, zip(*explanation.layers, strict=True), strict=True))
    html = environment().get_template("explain.html.j2").render(
        explanation=explanation,
        words=in_words(explanation),
        sections=sections,
        rows=[*rows, ("all", explanation.distances)],
        percent=percent,
        command=command,
        weights=weights,
        versions=f"dps {dps.__version__}, PyTorch {torch.__version__}",
        css=asset("page.css"),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    contents = {folder / f"{panel.name}.png": figure_style.as_file(panel.figure, "png") for panel in panels}
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
    """Draw the images, the layers, and each term of the chosen layers."""
    about = "The images with their distances to the original."
    if explanation.placed_terms:
        about += " Below, where in the image these come from: dark is nothing, bright is much, both on one scale."
    yield Panel("images", "The images", about, explain_figures.images(explanation))
    if len(explanation.layers[0]) > 1:
        about = "What each layer gives to the distances"
        about += ", the terms side by side." if len(explanation.by_term) > 1 else "."
        yield Panel("layers", "Layer by layer", about, explain_figures.layers(explanation))
    for view in explanation.views:
        if view.layer not in layers:
            continue
        section = view.name.capitalize() if view.layer else "Colors"
        term = re.sub(r"\W+", "-", view.term).strip("-")[-50:]  # no name of a file is too long
        name = f"layer-{view.layer}-{term}" if view.layer else "colors"
        shares = "above each, its share of the layer's distance to the distorted image"
        shares += " | to the reference." if len(view.distances) > 1 else "."
        if (figure := explain_figures.features(explanation, view)) is not None:
            about = f"{view.term}: the channels that give most; {shares}"
            if view.placed and explanation.variant.normalization == "unit":
                about += " Their maps after unit normalization."
            yield Panel(name, section, about, figure)
        if (figure := explain_figures.curves(explanation, view)) is not None:
            about = f"{view.term}: the values that are subtracted, by channel; the difference is squared; {shares}"
            yield Panel(f"{name}-values", section, about, figure)


# ------------------------------------------------------------------------------------------- in words


def in_words(explanation: Explanation) -> list[str]:
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
        for layer, (distorted, reference) in by_layer.items():
            closer[distorted >= reference].append(layer)
        yield ", ".join(
            f"at {'every layer' if len(layers) == len(by_layer) else ' and '.join(layers)} {name} is closer"
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
        of = "the distance" if len(placed) == len(explanation.by_term) else f"what {' and '.join(placed)} gives"
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
