"""Decompose the distances of one case: by term, layer, channel and place in the image.

A layer's distance is a sum over channels and an average over positions, so every channel and every position has its
own part, and the parts add up to the distance. Nothing is estimated: these are the terms of the same sum.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dps import metrics
from dps.comparisons import divisor, normalized, spatial
from dps.errors import DpsError, MetricError, UsageError, check_known
from dps.images import Image, Triple, as_batch
from dps.measurement import Engine
from dps.metrics import FeatureMetric, Part, Term, Variant
from dps.probes import Case, Probe
from dps.rows import MIXED
from dps.verdicts import Verdict, judge

Array: TypeAlias = NDArray[np.float64]

CHANNELS_SHOWN = 3
"""How many channels are kept of each image that is compared: those that give most of its distance."""

COLORS = Term(name="pixel", comparison=spatial)
"""The pixel-wise distance, seen as one layer whose channels are red, green and blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerView:
    """One layer, as one term of the metric compares it.

    Attributes:
        layer: from 1; 0 for the image itself, where there is no network, and which has no module.
        normalization: of the representations.
        size: height and width of the layer's features.
        placed: the representation's positions are those of the features, so that a part has a place in the image.
        ascending: the values are in ascending order along the positions, as those of ``sort`` are.
        channel_parts: each channel's part of the distance of each compared image, ``(image, channel)``, with the term's
            weight in it.
        position_parts: the same for each position of the representation, ``(image, position)``; the sum is the same.
        channels: those that give most of one of these distances, by index.
        representations: of these channels, as they are subtracted, ``(image, channel, position)``; the original first.
        features: of these channels, as they left the network, ``(image, channel, height, width)``; None where the
            channels of the representation are not those of the network.
    """

    term: str
    layer: int
    module: str
    normalization: str
    size: tuple[int, int]
    placed: bool
    ascending: bool
    channel_parts: Array = field(repr=False)
    position_parts: Array = field(repr=False)
    channels: tuple[int, ...]
    representations: NDArray[np.float32] = field(repr=False)
    features: NDArray[np.float32] | None = field(repr=False)

    @property
    def distances(self) -> list[float]:
        """Return the layer's part of each compared image's distance, by this term."""
        return [float(total) for total in self.channel_parts.sum(axis=1)]

    @property
    def name(self) -> str:
        """Return the name of the layer; see `layer_name`."""
        return layer_name(self.layer, self.module) if self.layer else "the image"

    def channel_name(self, channel: int) -> str:
        """Return ``channel 37``; of the image itself, its color."""
        return f"channel {channel}" if self.layer else ("red", "green", "blue")[channel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One case with the parts of its distances.

    Attributes:
        name: the case's, or the original's file.
        names: of the images that are compared with the original: the distorted one and, if any, the nearest reference.
        images: the original, and these.
        distances, layers: of these to the original, as `Engine` measures them, and layer by layer.
        verdict: None where there is no reference.
        views: of every layer, by every term.
    """

    name: str
    variant: Variant
    names: tuple[str, ...]
    images: tuple[Image, ...] = field(repr=False)
    distances: tuple[float, ...]
    layers: tuple[tuple[float, ...], ...]
    verdict: Verdict | None
    views: tuple[LayerView, ...] = field(repr=False)

    @property
    def by_term(self) -> dict[str, list[LayerView]]:
        """Return the views of every layer by the name of their term."""
        return {
            term: [view for view in self.views if view.term == term]
            for term in dict.fromkeys(view.term for view in self.views)
        }

    @property
    def placed_terms(self) -> list[str]:
        """Return the terms whose parts have a place in the image, at every layer."""
        return [term for term, views in self.by_term.items() if all(view.placed for view in views)]

    def map(self, image: int) -> Array | None:
        """Return each pixel's part of an image's distance, ``(height, width)``, over all layers and `placed_terms`.

        The image is given by its index into `names`. A position's part is spread evenly over the pixels that it stands
        for; its receptive field is larger than that. None where no term has places.
        """
        terms = self.placed_terms
        height, width = self.images[0].pixels.shape[:2]
        maps = [
            spread(view.position_parts[image].reshape(view.size), height, width)
            for view in self.views
            if view.term in terms
        ]
        return np.sum(maps, axis=0, dtype=np.float64) if maps else None


def layer_name(number: int, module: str) -> str:
    """Return a layer's number, from 1, and its module: ``layer 2 (features.4)``."""
    return f"layer {number} ({module})"


def percent(part: float, whole: float = 1) -> str:
    """Return a part of a whole in percent, with as many digits as mean something: ``61 %``, ``4.2 %``."""
    share = part / whole if whole else 0.0
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def find(probes: Iterable[Probe], name: str) -> Case:
    """Find a case by its name, ``rotate/rings-002-45``; a UsageError names the nearest ones where there is none."""
    cases = {case.name: case for probe in probes for case in probe.cases}
    check_known("case", name, cases)
    return cases[name]


def explain(name: str, triple: Triple, variant: Variant, engine: Engine) -> Explanation:
    """Measure one case, with any number of references, by one variant, and decompose its distances.

    Raises:
        UsageError: the distance of this metric has no parts.
        MetricError: the metric failed, or a distance is not finite.
    """
    metric = variant.metric
    if not isinstance(metric, FeatureMetric) and metric.distance is not metrics.pixel_distance:
        raise UsageError(
            f"metric {metric.name!r} returns one number for two images, so its distance has no parts. "
            "Comparisons of features and pixel can be explained."
        )
    (outcome,) = (outcomes[variant] for outcomes in engine.measure([triple], [variant]))
    if isinstance(outcome, DpsError):
        raise outcome
    verdict = judge(outcome) if triple.references else None
    if verdict is not None and verdict.error:
        raise MetricError(f"{name}, {variant}: cannot be explained: {verdict.error}.")
    compared = {"the distorted image": triple.distorted}
    distances, layers = [outcome.distorted], [outcome.distorted_layers]
    if verdict is not None and verdict.nearest_reference is not None:
        nearest = verdict.nearest_reference
        compared[f"reference '{nearest}'"] = triple.references[nearest]
        distances.append(outcome.references[nearest])
        layers.append(outcome.reference_layers.get(nearest, ()))
    if not np.isfinite(distances).all():
        raise MetricError(f"{name}, {variant}: cannot be explained: the distance is {distances[0]}, not finite.")
    images = (triple.original, *compared.values())
    with torch.inference_mode():
        views = tuple(_views(images, variant, engine))
    return Explanation(
        name=name,
        variant=variant,
        names=tuple(compared),
        images=images,
        distances=tuple(distances),
        layers=tuple(layers),
        verdict=verdict,
        views=views,
    )


def fewest(parts: ArrayLike, share: float) -> int:
    """Return how many of the largest parts give a share, in [0, 1], of their sum; 0 where all are 0."""
    largest = np.sort(np.asarray(parts, dtype=np.float64), axis=None)[::-1]
    if not largest.any():
        return 0
    return int(np.argmax(np.cumsum(largest) >= share * largest.sum() * (1 - 1e-12))) + 1  # the sum may be rounded


def spread(parts: Array, height: int, width: int) -> Array:
    """Spread a grid of parts, ``(row, column)``, evenly over an image of that size in pixels; the sum is the same."""

    def overlap(pixels: int, cells: int) -> Array:
        """Return the share of each cell that lies in each pixel, ``(pixel, cell)``."""
        edges, borders = np.arange(pixels + 1)[:, None] / pixels, np.arange(cells + 1)[None] / cells
        common = np.minimum(edges[1:], borders[:, 1:]) - np.maximum(edges[:-1], borders[:, :-1])
        shares: Array = np.clip(common, 0, None) * cells
        return shares

    rows, columns = parts.shape
    return overlap(height, rows) @ parts @ overlap(width, columns).T


def _views(images: Sequence[Image], variant: Variant, engine: Engine) -> Iterator[LayerView]:
    """Run the network once more, and keep of each layer what the largest parts need."""
    batch = as_batch(image.pixels for image in images)
    if not isinstance(variant.metric, FeatureMetric):
        yield _view(batch.double(), COLORS, 0, "", "none", 1.0, "mean")
        return
    assert engine.extractor is not None
    assert variant.normalization is not None
    terms: dict[Part, list[Term]] = {}
    for term in variant.metric.terms:  # one that is written twice counts once, with both weights
        terms.setdefault(term.part(variant.normalization), []).append(term)
    layers = zip(engine.extractor.layers, engine.extractor.features(batch), strict=True)
    for layer, (module, features) in enumerate(layers, start=1):
        for (name, normalization), same in terms.items():
            weight = sum(term.weight_at(layer - 1) for term in same)
            label = f"{name} ({normalization})" if variant.normalization == MIXED else name
            view = _view(features, same[0], layer, module, normalization, weight, engine.reduction)
            yield replace(view, term=label)


def _view(
    features: Tensor, term: Term, layer: int, module: str, normalization: str, weight: float, reduction: str
) -> LayerView:
    """Return one layer as one term compares it; the original is the first of the features."""
    try:
        raw = term.represent(features)
        placed = _keeps_places(raw, term, tuple(features.shape[1:]))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's comparison may raise anything
        raise metrics.metric_error(term.name, error) from None
    representations = normalized(raw, normalization)
    channels, positions = representations.shape[1:]
    factor = weight / divisor(channels, positions, reduction)
    squares = (representations[1:] - representations[:1]).square()
    by_channel, by_position = (squares.sum(axis, dtype=torch.float64).cpu().numpy() * factor for axis in (2, 1))
    largest = np.argsort(-by_channel, axis=1, kind="stable")[:, :CHANNELS_SHOWN]
    chosen = list(dict.fromkeys(largest.ravel().tolist()))
    return LayerView(
        term=term.name,
        layer=layer,
        module=module,
        normalization=normalization,
        size=(int(features.shape[2]), int(features.shape[3])),
        placed=placed,
        ascending=positions > 1 and bool((raw.diff(dim=2) >= 0).all()),
        channel_parts=by_channel,
        position_parts=by_position,
        channels=tuple(chosen),
        representations=representations[:, chosen].float().cpu().numpy(),
        features=features[:, chosen].float().cpu().numpy() if channels == features.shape[1] else None,
    )


def _keeps_places(representation: Tensor, term: Term, shape: tuple[int, ...]) -> bool:
    """Return whether flipped features, of distinct values, give the representation flipped.

    A representation does not declare what its positions are, so this is tried for every comparison.
    """
    channels, height, width = shape
    if representation.shape[2] != height * width:
        return False
    distinct = torch.arange(channels * height * width, device=representation.device, dtype=torch.float32).add(1)
    features = distinct.view(1, channels, height, width) / distinct.numel()
    of_distinct = torch.unflatten(term.represent(features), 2, (height, width))
    return all(
        torch.allclose(term.represent(features.flip(axis)), of_distinct.flip(axis).flatten(2)) for axis in (2, 3)
    )
