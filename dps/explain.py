"""Looking inside one case: what a distance is made of, by term, layer, channel and place in the image.

A layer's distance is a sum over channels and an average over positions, so every channel and every position has its
own part, and the parts add up to the distance. Nothing is estimated: these are the terms of the same sum.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dps import metrics
from dps.comparisons import form_of, normalized, spatial
from dps.errors import DpsError, MetricError, UsageError, one_line
from dps.images import Image, Triple, as_batch
from dps.measurement import Engine
from dps.metrics import FeatureMetric, Term, Variant
from dps.networks import NETWORKS
from dps.probes import Case, Probe
from dps.verdicts import Verdict, judge

Array: TypeAlias = NDArray[np.float64]

MOST_SHOWN = 3
"""How many channels are kept of each image that is compared: those that give most of its distance."""

COLORS = Term(name="pixel", comparison=spatial)
"""The pixel-wise distance, seen as one layer whose channels are red, green and blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one image's distance to the original is made of, at one layer by one term of the metric.

    Attributes:
        channels: each channel's part, ``(channel,)``.
        positions: each position's part of the form, ``(position,)``.
    """

    channels: Array = field(repr=False)
    positions: Array = field(repr=False)

    @property
    def distance(self) -> float:
        """What both add up to; the term's weight is in it."""
        return float(self.channels.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One layer, as one term of the metric sees it.

    Attributes:
        term: the comparison's name.
        layer: from 1; 0 for the image itself, where there is no network.
        size: height and width of the layer's features.
        placed: the form's positions are those of the features, so that a part has a place in the image.
        ascending: the form's positions are in ascending order of the values, as those of ``sort`` are.
        parts: of the distorted image, and of the nearest reference where there is one.
        shown: the channels that give most of one of these distances, by index into the form's channels.
        forms: of these channels, as they are subtracted, ``(image, shown, position)``; the original first.
        features: of these channels, as they left the network, ``(image, shown, height, width)``; None where the
            form's channels are not the features'.
    """

    term: str
    layer: int
    size: tuple[int, int]
    placed: bool
    ascending: bool
    parts: tuple[Parts, ...]
    shown: tuple[int, ...]
    forms: NDArray[np.float32] = field(repr=False)
    features: NDArray[np.float32] | None = field(repr=False)

    @property
    def positions(self) -> int:
        """How many the form has."""
        return int(self.forms.shape[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One case, looked into.

    Attributes:
        name: the case's, or the original's file.
        variant: what measured it.
        names: of the images that are compared with the original: the distorted one and, if any, the nearest reference.
        pictures: the original, and these.
        distances: of these to the original, as `Engine` measures them.
        layers: the same layer by layer.
        verdict: None where there is no reference.
        views: of every layer, by every term.
    """

    name: str
    variant: Variant
    names: tuple[str, ...]
    pictures: tuple[Image, ...] = field(repr=False)
    distances: tuple[float, ...]
    layers: tuple[tuple[float, ...], ...]
    verdict: Verdict | None
    views: tuple[View, ...] = field(repr=False)

    @property
    def terms(self) -> tuple[str, ...]:
        """The comparisons that are added up."""
        return tuple(dict.fromkeys(view.term for view in self.views))

    def of_term(self, term: str) -> list[View]:
        """Every layer as one term sees it."""
        return [view for view in self.views if view.term == term]

    def layer_name(self, layer: int) -> str:
        """``layer 2 (features.4)``: with torchvision's index."""
        return layer_name(self.variant.network, layer)

    def map(self, image: int) -> Array | None:
        """Where in the image the distance comes from: of all layers and terms that have a place.

        A position's part is spread evenly over the pixels that it stands for. That is roughly where it looks: what
        is seen by a position reaches farther than that.

        Args:
            image: index into `names`.

        Returns:
            Each pixel's part, ``(height, width)``, which add up to these terms' part of the distance; None where no
            term has places.
        """
        placed = [view for term in self.terms for view in self.of_term(term) if self.has_places(term)]
        if not placed:
            return None
        height, width = self.pictures[0].pixels.shape[:2]
        total = np.zeros((height, width))
        for view in placed:
            total += spread(view.parts[image].positions.reshape(view.size), height, width)
        return total

    def has_places(self, term: str) -> bool:
        """Whether a term's parts have a place in the image, at every layer."""
        return all(view.placed for view in self.of_term(term))


def layer_name(network: str | None, layer: int) -> str:
    """``layer 2 (features.4)``: a layer's number from 1, with its module's index in torchvision's network."""
    return "the image" if network is None else f"layer {layer} (features.{NETWORKS[network].layers[layer - 1]})"


def find(asked: Iterable[Probe], name: str) -> Case:
    """Find a case by its name, ``rotate/rings-002-45``.

    Raises:
        UsageError: there is none of that name; the nearest ones are named.
    """
    known = {case.name: case for probe in asked for case in probe.cases}
    if name in known:
        return known[name]
    probe = name.partition("/")[0]
    of_probe = [each for each in known if each.startswith(f"{probe}/")]
    close = difflib.get_close_matches(name, of_probe or known, n=4, cutoff=0.4)
    meant = f" Did you mean {', '.join(close)}?" if close else ""
    raise UsageError(f"unknown case {name!r}.{meant} All {len(known):,}: dps probes list --ids")


def explain(name: str, triple: Triple, variant: Variant, engine: Engine) -> Explained:
    """Measure one case and take the distances apart.

    Args:
        name: what it is called.
        triple: with any number of references, also none.
        variant: what measures it.
        engine: with the variant's network, or without one.

    Raises:
        UsageError: the metric has no parts that could be looked at.
        MetricError: it broke, or a distance is not finite.
    """
    _check(variant)
    (measured,) = engine.measure([triple], [variant])
    outcome = measured[variant]
    if isinstance(outcome, DpsError):
        raise outcome
    verdict = judge(outcome) if triple.references else None
    if verdict is not None and verdict.error:
        raise MetricError(f"{name}, {variant}: nothing to take apart: {verdict.error}.")
    compared = {"the distorted image": triple.distorted}
    distances, layers = [outcome.distorted], [outcome.distorted_layers]
    if verdict is not None and verdict.nearest_reference is not None:
        nearest = verdict.nearest_reference
        compared[f"reference '{nearest}'"] = triple.references[nearest]
        distances.append(outcome.references[nearest])
        layers.append(outcome.reference_layers.get(nearest, ()))
    if not np.isfinite(distances).all():
        raise MetricError(f"{name}, {variant}: the distance is {distances[0]}, so there is nothing to take apart.")
    pictures = (triple.original, *compared.values())
    with torch.inference_mode():
        views = tuple(_views(pictures, variant, engine))
    return Explained(
        name=name,
        variant=variant,
        names=tuple(compared),
        pictures=pictures,
        distances=tuple(distances),
        layers=tuple(layers),
        verdict=verdict,
        views=views,
    )


def fewest(parts: ArrayLike, share: float) -> int:
    """How many of the largest parts are enough for a share of their sum, in [0, 1]; 0 where all are 0."""
    largest = np.sort(np.asarray(parts, dtype=np.float64), axis=None)[::-1]
    total = largest.sum()
    if total == 0:
        return 0
    enough = np.cumsum(largest) >= share * total * (1 - 1e-12)  # the sum may be rounded
    return int(np.argmax(enough)) + 1


def spread(parts: Array, height: int, width: int) -> Array:
    """Spread a grid of parts evenly over an image; the sum stays what it was.

    Args:
        parts: ``(rows, columns)``, which cover the image.
        height, width: of the image, in pixels.

    Returns:
        ``(height, width)``.
    """
    rows, columns = parts.shape
    return _overlap(height, rows) @ parts @ _overlap(width, columns).T


def _overlap(pixels: int, cells: int) -> Array:
    """Which part of each cell lies in each pixel, ``(pixel, cell)``; each cell's add up to 1."""
    low, high = np.arange(pixels)[:, None] / pixels, np.arange(1, pixels + 1)[:, None] / pixels
    start, end = np.arange(cells)[None] / cells, np.arange(1, cells + 1)[None] / cells
    overlap: Array = np.clip(np.minimum(high, end) - np.maximum(low, start), 0, None) * cells
    return overlap


def _check(variant: Variant) -> None:
    """See that the metric is one whose distance has parts.

    Raises:
        UsageError: it is not.
    """
    if isinstance(variant.metric, FeatureMetric) or variant.metric.distance is metrics.pixel_distance:
        return
    raise UsageError(
        f"metric {variant.metric.name!r} gives one number for two images: there is nothing to look inside. "
        "Comparisons of features and pixel can be explained."
    )


def _views(pictures: Sequence[Image], variant: Variant, engine: Engine) -> Iterator[View]:
    """Run the network once more, and keep of each layer what the largest parts need."""
    batch = as_batch(picture.pixels for picture in pictures)
    if not isinstance(variant.metric, FeatureMetric):
        yield _view(batch.double(), COLORS, 0, "none", "mean")
        return
    assert engine.extractor is not None
    assert variant.normalization is not None
    for layer, features in enumerate(engine.extractor.layers(batch), start=1):
        for term in _each_once(variant.metric.terms):
            yield _view(features, term, layer, variant.normalization, engine.reduction)


def _each_once(terms: Iterable[Term]) -> list[Term]:
    """The terms of a sum; one that stands in it twice, once with the sum of both weights."""
    by_name: dict[str, Term] = {}
    for term in terms:
        weight = term.weight + (by_name[term.name].weight if term.name in by_name else 0)
        by_name[term.name] = replace(term, weight=weight)
    return list(by_name.values())


def _view(features: Tensor, term: Term, layer: int, normalization: str, reduction: str) -> View:
    """One layer as one term sees it; the original is the first of the features."""
    try:
        raw = form_of(features, term.comparison, term.name)
        placed = _keeps_places(raw, term, tuple(features.shape[1:]))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's comparison may raise anything
        raise MetricError(
            f"metric {term.name!r}: {error if isinstance(error, MetricError) else one_line(error)}"
        ) from None
    forms = normalized(raw, normalization)
    channels, positions = forms.shape[1:]
    over = positions * (channels if reduction == "mean" else 1) / term.weight
    parts = []
    for form in forms[1:]:
        squares = (form - forms[0]).square()
        by_channel, by_position = (squares.sum(dim=dim, dtype=torch.float64).cpu().numpy() for dim in (1, 0))
        parts.append(Parts(channels=by_channel / over, positions=by_position / over))
    largest = [np.argsort(-each.channels, kind="stable")[:MOST_SHOWN].tolist() for each in parts]
    shown = list(dict.fromkeys(channel for of_one in largest for channel in of_one))
    return View(
        term=term.name,
        layer=layer,
        size=(int(features.shape[2]), int(features.shape[3])),
        placed=placed,
        ascending=positions > 1 and bool((raw.diff(dim=2) >= 0).all()),
        parts=tuple(parts),
        shown=tuple(shown),
        forms=forms[:, shown].float().cpu().numpy(),
        features=features[:, shown].float().cpu().numpy() if channels == features.shape[1] else None,
    )


def _keeps_places(form: Tensor, term: Term, shape: tuple[int, ...]) -> bool:
    """Whether a form has the features' own positions: turned features, of distinct values, give the form turned.

    Asked of every comparison, ours and others', since a form does not say what its positions are.
    """
    channels, height, width = shape
    if form.shape[2] != height * width:
        return False
    distinct = torch.arange(channels * height * width, device=form.device, dtype=torch.float32).add(1)
    features = distinct.view(1, channels, height, width) / distinct.numel()
    of_distinct = torch.unflatten(form_of(features, term.comparison, term.name), 2, (height, width))
    return all(
        torch.allclose(form_of(features.flip(axis), term.comparison, term.name), of_distinct.flip(axis).flatten(2))
        for axis in (2, 3)
    )
