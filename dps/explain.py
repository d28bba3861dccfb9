"""Decompose the distances of one case: by term, layer, channel and place in the image.

A layer's distance is a sum over channels and a mean over positions, so it is also the sum of one part for each channel,
and of one part for each position. The parts are exact, not estimated.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dps import metrics
from dps.comparisons import divisor, normalize, spatial
from dps.errors import DpsError, MetricError, UsageError, check_known
from dps.images import Image, Triple, as_batch
from dps.measurement import Engine
from dps.metrics import FeatureMetric, Part, Term, Variant
from dps.probes import Case, Probe
from dps.rows import MIXED
from dps.verdicts import Verdict, judge

Array: TypeAlias = NDArray[np.float64]

CHANNELS_SHOWN = 3
"""Number of channels kept for each compared image: those with the largest parts of its distance."""

COLORS = Term(name="pixel", comparison=spatial)
"""The pixel-wise distance as one layer whose channels are red, green and blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerView:
    """One layer, as one term of the metric compares it.

    Attributes:
        layer: from 1; 0 for the image itself, where there is no network.
        module: the layer's module; empty for the image itself.
        normalization: of the representations.
        size: height and width of the layer's features.
        localized: whether the representation's positions are those of the features, so that each has a place in the
            image.
        ascending: whether the values ascend along the positions, as those of ``sort`` do.
        channel_parts: each channel's part of each compared image's distance, ``(image, channel)``; the term's weight is
            included.
        position_parts: the same for each position of the representation, ``(image, position)``.
        channels: indices of the channels with the largest parts of any of these distances.
        representations: those channels before subtraction, ``(image, channel, position)``; the original comes first.
        features: those channels as the network returned them, ``(image, channel, height, width)``; None where the
            representation has other channels than the network.
    """

    term: str
    layer: int
    module: str
    normalization: str
    size: tuple[int, int]
    localized: bool
    ascending: bool
    channel_parts: Array = field(repr=False)
    position_parts: Array = field(repr=False)
    channels: tuple[int, ...]
    representations: NDArray[np.float32] = field(repr=False)
    features: NDArray[np.float32] | None = field(repr=False)

    @property
    def distances(self) -> list[float]:
        """Return the part of each compared image's distance that this term and layer contribute."""
        return [float(total) for total in self.channel_parts.sum(axis=1)]

    @property
    def name(self) -> str:
        """Return the name of the layer; see `layer_name`."""
        return layer_name(self.layer, self.module) if self.layer else "the image"

    def channel_name(self, channel: int) -> str:
        """Return ``channel 37``, or the color if the view is of the image itself."""
        return f"channel {channel}" if self.layer else ("red", "green", "blue")[channel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One case with the parts of its distances.

    Attributes:
        name: of the case, or of the image files.
        names: of the compared images: the distorted image and, if there are references, the nearest one.
        images: the original, then the compared images.
        distances: of the compared images to the original.
        layers: each layer's part of these, ``(image, layer)``.
        verdict: None where there is no reference.
        views: of every layer and term.
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
        """Return the views of all layers by term."""
        terms = dict.fromkeys(view.term for view in self.views)
        return {term: [view for view in self.views if view.term == term] for term in terms}

    @property
    def localized_terms(self) -> list[str]:
        """Return the terms that are localized at every layer."""
        return [term for term, views in self.by_term.items() if all(view.localized for view in views)]

    def heat_map(self, image: int) -> Array | None:
        """Return each pixel's part of a compared image's distance, ``(height, width)``; None if no term is localized.

        The image is given by its index into `names`. Parts are summed over layers and `localized_terms`. Each
        position's part is spread evenly over the pixels of its grid cell; its receptive field is larger.
        """
        terms = self.localized_terms
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
    """Return a part of a whole in percent, with two significant digits below 10: ``61 %``, ``4.2 %``."""
    share = part / whole if whole else 0.0
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def find(probes: Iterable[Probe], name: str) -> Case:
    """Find a case by name, such as ``rotate/rings-002-45``; a UsageError suggests similar names."""
    cases = {case.name: case for probe in probes for case in probe.cases}
    check_known("case", name, cases)
    return cases[name]


def explain(name: str, triple: Triple, variant: Variant, engine: Engine) -> Explanation:
    """Measure one case, with any number of references, by one variant, and decompose its distances.

    Raises:
        UsageError: the metric is not a sum over features or pixels.
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
    error = "" if np.isfinite(outcome.distorted) else f"the distance is {outcome.distorted}, not finite"
    if error := verdict.error if verdict is not None else error:
        raise MetricError(f"{name}, {variant}: cannot be explained: {error}.")
    compared = {"the distorted image": triple.distorted}
    distances, layers = [outcome.distorted], [outcome.distorted_layers]
    if verdict is not None and (nearest := verdict.nearest_reference) is not None:
        compared[f"reference '{nearest}'"] = triple.references[nearest]
        distances.append(outcome.references[nearest])
        layers.append(outcome.reference_layers.get(nearest, ()))
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


def parts_needed(parts: ArrayLike, share: float) -> int:
    """Return the smallest number of parts that make up a share, in [0, 1], of their sum; 0 if all are 0."""
    sums = np.cumsum(np.sort(np.asarray(parts, dtype=np.float64), axis=None)[::-1])
    return int(np.argmax(sums >= share * sums[-1] * (1 - 1e-12))) + 1 if sums[-1] else 0  # sums are rounded


def spread(parts: Array, height: int, width: int) -> Array:
    """Spread a grid of parts, ``(row, column)``, evenly over ``(height, width)`` pixels; the sum stays the same."""

    def overlap(pixels: int, cells: int) -> Array:
        """Return the share of each cell that lies in each pixel, ``(pixel, cell)``."""
        edges, borders = np.arange(pixels + 1)[:, None] / pixels, np.arange(cells + 1)[None] / cells
        common: Array = np.minimum(edges[1:], borders[:, 1:]) - np.maximum(edges[:-1], borders[:, :-1])
        return np.clip(common, 0, None) * cells

    rows, columns = parts.shape
    return overlap(height, rows) @ parts @ overlap(width, columns).T


def _views(images: Sequence[Image], variant: Variant, engine: Engine) -> Iterator[LayerView]:
    """Run the network once more, and yield a view of each layer and term."""
    batch = as_batch(image.pixels for image in images)
    if not isinstance(variant.metric, FeatureMetric):
        yield _view(batch.double(), [COLORS], "pixel", 0, "", "none", "mean")
        return
    assert engine.extractor is not None
    assert variant.normalization is not None
    terms: dict[Part, list[Term]] = {}
    for term in variant.metric.terms:  # equal terms share a view; their weights add up
        terms.setdefault(term.part(variant.normalization), []).append(term)
    layers = zip(engine.extractor.layers, engine.extractor.features(batch), strict=True)
    for layer, (module, features) in enumerate(layers, start=1):
        for (name, normalization), equal_terms in terms.items():
            label = f"{name} ({normalization})" if variant.normalization == MIXED else name
            yield _view(features, equal_terms, label, layer, module, normalization, engine.reduction)


def _view(
    features: Tensor, terms: Sequence[Term], label: str, layer: int, module: str, normalization: str, reduction: str
) -> LayerView:
    """Return one layer as equal terms compare it; the original comes first in the features."""
    term = terms[0]
    try:
        raw = term.represent(features)
        localized = _is_localized(raw, term, tuple(features.shape[1:]))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's comparison may raise anything
        raise metrics.metric_error(term.name, error) from None
    representations = normalize(raw, normalization)
    channels, positions = representations.shape[1:]
    factor = sum(term.weight_at(layer - 1) for term in terms) / divisor(channels, positions, reduction)
    squares = (representations[1:] - representations[:1]).square()
    by_channel, by_position = (squares.sum(axis, dtype=torch.float64).cpu().numpy() * factor for axis in (2, 1))
    order = np.argsort(-by_channel, axis=1, kind="stable")
    largest = list(dict.fromkeys(order[:, :CHANNELS_SHOWN].ravel().tolist()))
    return LayerView(
        term=label,
        layer=layer,
        module=module,
        normalization=normalization,
        size=(int(features.shape[2]), int(features.shape[3])),
        localized=localized,
        ascending=positions > 1 and bool((raw.diff(dim=2) >= 0).all()),
        channel_parts=by_channel,
        position_parts=by_position,
        channels=tuple(largest),
        representations=representations[:, largest].float().cpu().numpy(),
        features=features[:, largest].float().cpu().numpy() if channels == features.shape[1] else None,
    )


def _is_localized(representation: Tensor, term: Term, shape: tuple[int, ...]) -> bool:
    """Return whether flipping features of distinct values flips their representation.

    Comparisons do not declare the meaning of their positions, so each one is tested.
    """
    channels, height, width = shape
    if representation.shape[2] != height * width:
        return False
    distinct = torch.arange(channels * height * width, device=representation.device, dtype=torch.float32).add(1)
    features = distinct.view(1, channels, height, width) / distinct.numel()
    unflipped = torch.unflatten(term.represent(features), 2, (height, width))
    return all(torch.allclose(term.represent(features.flip(axis)), unflipped.flip(axis).flatten(2)) for axis in (2, 3))
