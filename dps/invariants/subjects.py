"""A variant as the invariants ask it: how far pairs of images are apart, each question measured once."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps import reference
from dps.comparisons import Comparison
from dps.errors import DpsError
from dps.images import Pixels, as_batch
from dps.measurement import Engine
from dps.metrics import FeatureMetric, Metric, Variant
from dps.networks import NETWORKS, Extractor

Distances: TypeAlias = NDArray[np.float64]

MOST_KEPT, MOST_KEPT_FEATURES = 1000, 30
"""Of how many batches the distances are remembered, and of how many images the features."""

SMALLEST = 64
"""Height and width where nobody says what the smallest image is that a metric can take: BAPPS's."""


class Bench:
    """Measures pairs of images. All variants of a network are measured at once, since each is asked the same.

    Args:
        engine: what measures on a network, or without one.
        variants: what will be measured.
    """

    def __init__(self, engine: Callable[[str | None], Engine], variants: Sequence[Variant]) -> None:
        self._engine = engine
        self._variants = variants
        self._kept: dict[tuple[object, ...], dict[Variant, Distances | DpsError]] = {}
        self._features: dict[tuple[object, ...], list[Tensor]] = {}

    def subject(self, variant: Variant) -> "Subject":
        """One variant."""
        return Subject(self, variant)

    def extractor(self, variant: Variant) -> Extractor:
        """A variant's network."""
        found = self._engine(variant.network).extractor
        assert found is not None
        return found

    def features(self, variant: Variant, image: Pixels) -> list[Tensor]:
        """Of one image by a variant's network, layer by layer, ``(1, channel, height, width)``; not to be changed."""
        assert variant.network is not None
        key = (variant.network, image.shape, hashlib.sha256(image.tobytes()).digest())
        if key not in self._features:
            if len(self._features) >= MOST_KEPT_FEATURES:
                self._features.clear()
            with torch.no_grad():
                self._features[key] = list(self.extractor(variant).layers(as_batch([image])))
        return self._features[key]

    def reduction(self, variant: Variant) -> str:
        """How channels are put together."""
        return self._engine(variant.network).reduction

    def measure(self, variant: Variant, images: NDArray[np.uint8]) -> Distances:
        """Measure pairs in one batch; see `Engine.measure_stack`.

        Raises:
            DpsError: what the metric raised.
        """
        deep = isinstance(variant.metric, FeatureMetric)
        group = [each for each in self._variants if each.network == variant.network] if deep else [variant]
        digest = hashlib.sha256(images.tobytes()).digest()
        key = (variant.network if deep else variant, torch.get_num_threads(), images.shape, digest)
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = self._engine(variant.network).measure_stack(images, [_on_copies(each) for each in group])
        found = self._kept[key][variant]
        if isinstance(found, DpsError):
            raise found
        return found


class Subject:
    """One variant, with the questions that invariants are made of."""

    def __init__(self, bench: Bench, variant: Variant) -> None:
        self._bench = bench
        self.variant = variant

    @property
    def smallest(self) -> int:
        """Height and width of the smallest images that it is asked about."""
        metric, network = self.variant.metric, self.variant.network
        if network is not None:
            return NETWORKS[network].smallest
        assert isinstance(metric, Metric)
        return metric.smallest if metric.smallest > 1 else SMALLEST

    def distances(self, *pairs: tuple[Pixels, Pixels]) -> list[float]:
        """Of pairs of images of one size, measured in one batch.

        Raises:
            DpsError: what the metric raised.
        """
        found: list[float] = self._bench.measure(self.variant, np.stack([np.stack(each) for each in pairs]))[
            :, 0
        ].tolist()
        return found

    def features(self, image: Pixels) -> list[Tensor]:
        """Of one image by its network, layer by layer, ``(1, channel, height, width)``."""
        return self._bench.features(self.variant, image)

    def with_gradients(self, a: Tensor, b: Tensor) -> Tensor:
        """The distances of two batches of RGB images in [0, 1], ``(batch,)``, as an expression that has gradients.

        FeatureMetric metrics are those of `dps.reference`: the fast path has none.
        """
        metric = self.variant.metric
        if isinstance(metric, Metric):
            low, high = metric.input_range
            return metric.distance(a * (high - low) + low, b * (high - low) + low)
        assert self.variant.normalization is not None
        layers = list(self._bench.extractor(self.variant).layers(torch.cat([a, b])))
        of_a, of_b = ([layer[part] for layer in layers] for part in (slice(len(a)), slice(len(a), None)))
        return reference.distances(of_a, of_b, metric, self.variant.normalization, self._bench.reduction(self.variant))

    def changed(self, image: Pixels) -> str:
        """Which part of the variant changes what it is given; empty if none does."""
        metric = self.variant.metric
        with torch.inference_mode(mode=False), torch.no_grad():
            if isinstance(metric, Metric):
                low, high = metric.input_range
                given = as_batch([image, image]) * (high - low) + low
                a, b = given[:1].clone(), given[1:].clone()
                metric.distance(a, b)
                return "the images it is given" if not torch.equal(torch.cat([a, b]), given) else ""
            for features in self.features(image):
                for term in metric.terms:
                    given = features.clone()
                    term.comparison(given)
                    if not torch.equal(given, features):
                        return f"the features that {term.name} is given"
        return ""


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch compute on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _on_copies(variant: Variant) -> Variant:
    """The same variant, whose own functions may do to what they are given as they like.

    So that what changes its input breaks the invariant that says so, and no other.
    """
    metric = variant.metric
    if isinstance(metric, Metric):
        measure = metric.distance
        return replace(variant, metric=replace(metric, distance=lambda a, b: measure(a.clone(), b.clone())))
    terms = tuple(
        term if term.built_in else replace(term, comparison=_copying(term.comparison)) for term in metric.terms
    )
    return replace(variant, metric=replace(metric, terms=terms))


def _copying(comparison: Comparison) -> Comparison:
    return lambda features: comparison(features.clone())
