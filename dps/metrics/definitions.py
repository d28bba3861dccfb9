"""What can be measured: a sum of comparisons on any network, or a metric of the images themselves."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from dps.comparisons import COMPARISONS, NORMALIZATIONS, Comparison
from dps.errors import ImageError, MetricError, UsageError, unknown
from dps.rows import VariantKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One comparison of a sum.

    Attributes:
        name: as written on the command line.
        comparison: the function.
        weight: what its distance is multiplied with.
    """

    name: str
    comparison: Comparison = field(repr=False, compare=False)
    weight: float = 1.0

    @property
    def built_in(self) -> bool:
        """Whether its comparison is one of ours."""
        return COMPARISONS.get(self.name) is self.comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMetric:
    """A deep perceptual similarity metric: a weighted sum of comparisons, on any network.

    Attributes:
        name: as written on the command line.
        terms: at least one.
    """

    name: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of images as they are, with no network of ours.

    Attributes:
        distance: from two batches of RGB images, ``(batch, 3, height, width)`` in `input_range`, to
            ``(batch,)``; or a similarity, see below.
        similarity_at_identity: where `distance` is a similarity, its value for two equal images: the
            distance is this less the similarity. None where it is a distance.
        input_range: what its images range over.
        name: as written on the command line.
        smallest: height and width, in pixels, below which it cannot measure.
        symmetric: whether the way back is meant to be as far; `suites/test_invariants.py` then asks it.
        made_of: packages and weights, with versions and digests; empty for what is told by its source.
    """

    distance: Callable[[Tensor, Tensor], Tensor] = field(repr=False, compare=False)
    similarity_at_identity: float | None = None
    input_range: tuple[float, float] = (0.0, 1.0)
    name: str = ""
    smallest: int = 1
    symmetric: bool = True
    made_of: str = ""

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure pairs, and check what comes out.

        Args:
            a: originals, RGB in [0, 1], ``(batch, 3, height, width)``.
            b: what they are compared with.

        Returns:
            Distances, ``(batch,)``, float64, on the CPU.

        Raises:
            ImageError: the images are too small.
            MetricError: the metric changed its input, or returned another shape or type.
        """
        self.check_size(min(a.shape[-2:]))
        low, high = self.input_range
        ours = [(images * (high - low) + low).contiguous() for images in (a, b)]
        with torch.inference_mode(mode=False), torch.no_grad():  # what it loads at its first call must have gradients
            theirs = [images.clone() for images in ours]
            found = self.distance(*theirs)
        if not isinstance(found, Tensor):
            raise MetricError(f"must return a tensor, got {type(found).__name__}")
        if found.shape != (len(a),):
            raise MetricError(f"must return shape {(len(a),)} for {len(a)} pairs, got {tuple(found.shape)}")
        if not all(torch.equal(mine, given) for mine, given in zip(ours, theirs, strict=True)):
            raise MetricError("changed the images it was given; it must leave them as they are")
        found = found.detach().to("cpu", torch.float64)
        return found if self.similarity_at_identity is None else self.similarity_at_identity - found

    def check_size(self, size: int) -> None:
        """Refuse images that are too small.

        Args:
            size: the shorter side, in pixels.

        Raises:
            ImageError: with the smallest size that works.
        """
        if size < self.smallest:
            raise ImageError(
                f"images of {size} pixels are too small for {self.name}, which needs {self.smallest} or more."
            )


AnyMetric: TypeAlias = FeatureMetric | Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What is measured: a metric on a network with a normalization; the last two None without a network."""

    metric: AnyMetric
    network: str | None
    normalization: str | None

    @property
    def key(self) -> VariantKey:
        """The names that rows of results have of it."""
        return VariantKey(self.network, self.normalization, self.metric.name)

    def __str__(self) -> str:
        return self.key.label


def pixel_distance(a: Tensor, b: Tensor) -> Tensor:
    """The mean squared difference of images, ``(batch,)``: the pixel-wise metric of the paper."""
    return (a.double() - b.double()).square().mean(dim=(1, 2, 3))


IMAGE_METRICS: dict[str, Metric] = {"pixel": Metric(name="pixel", distance=pixel_distance)}


def variants(metrics: Sequence[AnyMetric], networks: Iterable[str], normalizations: Iterable[str]) -> list[Variant]:
    """Every metric on every network with every normalization, network by network.

    Metrics without a network stand once, last.
    """
    normalizations = list(normalizations)
    deep = [
        Variant(metric=metric, network=network, normalization=normalization)
        for network in networks
        for normalization in normalizations
        for metric in metrics
        if isinstance(metric, FeatureMetric)
    ]
    plain = [
        Variant(metric=metric, network=None, normalization=None) for metric in metrics if isinstance(metric, Metric)
    ]
    return deep + plain


def check_normalization(name: str) -> str:
    """Pass a normalization's name through.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in NORMALIZATIONS:
        raise UsageError(unknown("normalization", name, NORMALIZATIONS))
    return name
