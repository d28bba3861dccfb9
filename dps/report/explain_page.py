"""One case, looked into: in words, as PNGs, and as a page that asks nothing of any other address."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import dps
from dps import files
from dps.errors import UsageError
from dps.explain import Explained, View, fewest
from dps.report import explain_figures, figure_style
from dps.report.explain_figures import percent, share
from dps.report.page import asset, environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "explain.html"

MOST_LAYERS = 2
"""How many layers are shown where none are named: those that give most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A figure with what it shows.

    Attributes:
        name: of its file, without the suffix.
        section: what it belongs to.
        about: what it shows, in a sentence.
    """

    name: str
    section: str
    about: str
    figure: "Figure"


def write(explained: Explained, layers: Sequence[int], command: str, weights: str, folder: Path) -> list[Path]:
    """Write the page and its figures.

    Args:
        explained: the case.
        layers: which ones are shown; those that give most if empty.
        command: as it was given.
        weights: where they are from, with their digest; empty without a network.
        folder: where the files go; made if it is not there.

    Returns:
        The files, the page first.

    Raises:
        UsageError: there is no such layer.
        OSError: a file cannot be written.
    """
    chosen = choose(explained, layers)
    shown = list(draw(explained, chosen))
    html = render(explained, shown, command, weights)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / PAGE]
    for each in shown:
        written.append(folder / f"{each.name}.png")
        files.write(written[-1], figure_style.as_file(each.figure, written[-1].suffix.removeprefix(".")))
    files.write(written[0], html.encode())
    return written


def choose(explained: Explained, layers: Sequence[int]) -> list[int]:
    """The layers to show: those asked for, or those that give most of the distances.

    Raises:
        UsageError: one is not there.
    """
    count = len(explained.layers[0])
    if not count:
        if layers:
            raise UsageError(f"{explained.variant} has no layers; leave --layers out.")
        return [0]
    for layer in layers:
        if not 1 <= layer <= count:
            raise UsageError(f"--layers {layer}: {explained.variant.network} has layers 1 to {count}.")
    if layers:
        return sorted(set(layers))
    shares = [
        sum(share(parts[layer], total) for parts, total in zip(explained.layers, explained.distances, strict=True))
        for layer in range(count)
    ]
    return sorted(sorted(range(1, count + 1), key=lambda layer: -shares[layer - 1])[:MOST_LAYERS])


def draw(explained: Explained, layers: Sequence[int]) -> Iterator[Shown]:
    """Draw all figures: of the images, of the layers, and of the chosen layers by each term."""
    about = "The images with their distances to the original."
    if explained.map(0) is not None:
        about += " Below, where in the image these come from: dark is nothing, bright is much, both on one scale."
    yield Shown(name="images", section="The images", about=about, figure=explain_figures.images(explained))
    if len(explained.layers[0]) > 1:
        about = "What each layer gives to the distances"
        about += ", the terms side by side." if len(explained.terms) > 1 else "."
        yield Shown(name="layers", section="Layer by layer", about=about, figure=explain_figures.layers(explained))
    for view in explained.views:
        if view.layer in layers:
            yield from _of_view(explained, view)


def _of_view(explained: Explained, view: View) -> Iterator[Shown]:
    section = explained.layer_name(view.layer).capitalize() if view.layer else "Colors"
    name = f"layer-{view.layer}-{_slug(view.term)}" if view.layer else "colors"
    shares = "above each, its share of the layer's distance to the distorted image"
    shares += " | to the reference." if len(view.parts) > 1 else "."
    if (figure := explain_figures.features(explained, view)) is not None:
        about = f"{view.term}: the channels that give most; {shares}"
        if view.placed and explained.variant.normalization == "unit":
            about += " Their maps after unit normalization."
        yield Shown(name=name, section=section, about=about, figure=figure)
    if (figure := explain_figures.curves(explained, view)) is not None:
        what = "the values of these channels" if view.positions == 1 else "what is subtracted, channel by channel"
        about = f"{view.term}: {what}; the gap is what is squared; {shares}"
        yield Shown(name=f"{name}-values", section=section, about=about, figure=figure)


def _slug(term: str) -> str:
    """A term as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", term).strip("-")


# ------------------------------------------------------------------------------------------- in words


def in_words(explained: Explained) -> list[str]:
    """Say what is seen, in numbers."""
    return [*_verdict(explained), *_terms(explained), *_layers(explained), *_channels(explained), *_places(explained)]


def _verdict(explained: Explained) -> Iterator[str]:
    verdict = explained.verdict
    if verdict is None:
        yield f"The distorted image is at {explained.distances[0]:.5g} from the original."
    else:
        yield f"The case {'passes' if verdict.passed else 'is missed'}: {verdict}."
    if not explained.distances[0]:
        yield "A distance of 0 has no parts."


def _terms(explained: Explained) -> Iterator[str]:
    if len(explained.terms) > 1:
        by_term = {
            term: [sum(view.parts[i].distance for view in explained.of_term(term)) for i in _images(explained)]
            for term in explained.terms
        }
        yield _by_image(explained, list(by_term.items()))


def _layers(explained: Explained) -> Iterator[str]:
    count = len(explained.layers[0])
    if count < 2 or not explained.distances[0]:
        return
    best = sorted(range(count), key=lambda layer: -explained.layers[0][layer])[:2]
    yield _by_image(explained, [(f"layer {layer + 1}", [parts[layer] for parts in explained.layers]) for layer in best])
    if len(explained.layers) > 1:
        distorted, reference = explained.layers
        nearer = [layer for layer in range(1, count + 1) if distorted[layer - 1] < reference[layer - 1]]
        if len(nearer) in (0, count):
            yield f"At every layer {explained.names[0 if nearer else 1]} is the nearer one."
        else:
            other = [layer for layer in range(1, count + 1) if layer not in nearer]
            yield (
                f"At {_numbered(nearer)} {explained.names[0]} is the nearer one, "
                f"at {_numbered(other)} {explained.names[1]}."
            )


def _channels(explained: Explained) -> Iterator[str]:
    """For each term, at the layer that gives most of it."""
    for term in explained.terms:
        view = max(explained.of_term(term), key=lambda view: view.parts[0].distance)
        part = view.parts[0]
        if not part.distance:
            continue
        most = int(part.channels.argmax())
        at = f" of layer {view.layer}" if view.layer else ""
        name = explain_figures.channel_name(view, most)
        alone = percent(share(float(part.channels[most]), explained.distances[0]))
        count, half = len(part.channels), fewest(part.channels, 0.5)
        few = f"half of {'what this layer gives' if view.layer else 'it'} comes from {half} of its {count} channels"
        by = f" ({term})" if len(explained.terms) > 1 else ""
        yield f"{name.capitalize()}{at} alone gives {alone} of the distance to the distorted image{by}; {few}."


def _places(explained: Explained) -> Iterator[str]:
    """Where in the image, and where in the order of activations."""
    placed = [term for term in explained.terms if explained.has_places(term)]
    if placed and explained.distances[0]:
        area = []
        for image in _images(explained):
            parts = explained.map(image)
            assert parts is not None
            area.append(percent(fewest(parts, 0.8) / parts.size))
        of = "the distance" if len(placed) == len(explained.terms) else f"what {' and '.join(placed)} gives"
        also = f"; to {explained.names[1]}, in {area[1]}" if len(area) > 1 else ""
        yield f"80 % of {of} to the distorted image lies in {area[0]} of the image's area{also}."
    for term in explained.terms:
        views = explained.of_term(term)
        total = sum(view.parts[0].distance for view in views)
        if not explained.has_places(term) and all(view.ascending for view in views) and total:
            top = sum(float(view.parts[0].positions[-max(1, view.positions // 10) :].sum()) for view in views)
            yield f"The strongest tenth of each channel's values gives {percent(top / total)} of what {term} gives."
        if not explained.has_places(term):
            yield f"{term} has no map: its values have no place in the image."
        if not explained.has_places(term) and any(view.features is None for view in views):
            yield f"{term} has no feature maps: its channels are not those of the network."


def _by_image(explained: Explained, parts: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Layer 2 gives 61 % of the distance to the distorted image, layer 3 20 %; to the reference, 12 % and 40 %."""
    shares = [
        [percent(share(each[image], explained.distances[image])) for _, each in parts] for image in _images(explained)
    ]
    (first, _), *others = parts
    text = f"{first[:1].upper()}{first[1:]} gives {shares[0][0]} of the distance to {explained.names[0]}"
    text += "".join(f", {name} {part}" for (name, _), part in zip(others, shares[0][1:], strict=True))
    for name, of_image in zip(explained.names[1:], shares[1:], strict=True):
        text += f"; to {name}, {' and '.join(of_image)}"
    return f"{text}."


def _images(explained: Explained) -> range:
    return range(len(explained.names))


def _numbered(layers: Sequence[int]) -> str:
    """``layer 2``, ``layers 1, 2 and 4``."""
    *first, last = map(str, layers)
    return f"layers {', '.join(first)} and {last}" if first else f"layer {last}"


# ------------------------------------------------------------------------------------------- the page


def render(explained: Explained, shown: Sequence[Shown], command: str, weights: str) -> str:
    """Make the page: HTML with everything in it."""
    from markupsafe import Markup

    sections: dict[str, list[dict[str, Any]]] = {}
    for each in shown:
        svg = Markup(figure_style.as_svg(each.figure))  # noqa: S704 - escaped by Matplotlib
        sections.setdefault(each.section, []).append({"about": each.about, "svg": svg})
    count = len(explained.layers[0])
    html: str = (
        environment()
        .get_template("explain.html.j2")
        .render(
            explained=explained,
            words=in_words(explained),
            sections=sections,
            layers=[
                {
                    "name": explained.layer_name(layer + 1),
                    "parts": [
                        (f"{parts[layer]:.5g}", percent(share(parts[layer], total)))
                        for parts, total in zip(explained.layers, explained.distances, strict=True)
                    ],
                }
                for layer in range(count)
            ],
            totals=[f"{distance:.5g}" for distance in explained.distances],
            command=command,
            weights=weights,
            versions=f"dps {dps.__version__}, PyTorch {torch.__version__}",
            css=asset("page.css"),
        )
    )
    return html
