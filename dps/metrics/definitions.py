"""What can be measured: a sum of comparisons on any network, or a metric of the images themselves."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from dps.comparisons import COMPARISONS, Comparison
from dps.errors import ImageError, MetricError, UsageError, one_line
from dps.networks import Network
from dps.rows import MIXED, VariantKey, backbone_of
from dps.user_code import guest

Part: TypeAlias = tuple[str, str]
"""A comparison and a normalization, by name: measured once for all metrics that contain it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One comparison of a sum.

    Attributes:
        name: what identifies it.
        comparison: the function.
        weight: what its distance is multiplied with.
        normalization: its own, where that of the variant is `MIXED`.
        layer_weights: what its distance at each layer is multiplied with, besides; empty for 1.
    """

    name: str
    comparison: Comparison = field(repr=False, compare=False)
    weight: float = 1.0
    normalization: str = "none"
    layer_weights: tuple[float, ...] = ()

    def part(self, normalization: str) -> Part:
        """Return what is measured of it in a variant with a normalization."""
        return self.name, self.normalization if normalization == MIXED else normalization

    def weight_at(self, layer: int) -> float:
        """Return what its distance at a layer, from 0, is multiplied with."""
        return self.weight * self.layer_weights[layer] if self.layer_weights else self.weight

    @property
    def built_in(self) -> bool:
        """Return whether its comparison is built in."""
        return COMPARISONS.get(self.name) is self.comparison

    def represent(self, features: Tensor) -> Tensor:
        """Return the representation of features, ``(batch, channel, position)``, float32 or float64, and check it.

        Raises:
            MetricError: the comparison returned another shape or type, or changed the features.
        """
        if self.built_in:
            return self.comparison(features)
        representation = guest.call(self.comparison, features)
        if not isinstance(representation, Tensor):
            raise MetricError(f"must return a tensor, got {type(representation).__name__}")
        shape = tuple(representation.shape)
        if len(shape) != 3 or shape[0] != len(features) or 0 in shape:
            raise MetricError(
                f"must return (batch, channel, position) for features {tuple(features.shape)}, got {shape}"
            )
        if not representation.is_floating_point():
            raise MetricError(f"must return floating point, got {representation.dtype}")
        precise = representation.dtype in (torch.float32, torch.float64)
        return (representation if precise else representation.float()).contiguous()  # strides may differ by call


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMetric:
    """A deep perceptual similarity metric: a weighted sum of comparisons, at least one, on any network.

    Attributes:
        fitted: of a tuned metric, which is on no other networks, the metric on each by the network's name; it has no
            terms itself.
        fitted_to: the layers and the digest of the weights of a fitted metric's network.
    """

    name: str
    terms: tuple[Term, ...] = ()
    fitted: Mapping[str, "FeatureMetric"] = field(default_factory=dict, repr=False, compare=False)
    fitted_to: tuple[tuple[str, ...], str] | None = field(default=None, repr=False)

    @property
    def built_in(self) -> bool:
        """Return whether all of its comparisons are built in."""
        return all(term.built_in for term in self.terms)

    def on(self, network: str, normalization: str) -> "FeatureMetric | None":
        """Return the metric on a network with a normalization; None where it is not measured so."""
        if normalization == MIXED:
            return self.fitted.get(network)
        return None if self.fitted else self

    def check(self, network: Network, reduction: str) -> None:
        """Refuse a network or reduction that a metric was not fitted to, with a UsageError."""
        if self.fitted_to is None:
            return
        for what, found, fitted in (
            ("layers", "+".join(network.layers), "+".join(self.fitted_to[0])),
            ("weights, SHA-256 of the tensors,", network.sha256[:16], self.fitted_to[1][:16]),
            ("reduction", reduction, "sum"),
        ):
            if found != fitted:
                remedy = f"fit one to what is here with: dps tune --network {network.name} --out FILE.yaml"
                if what == "reduction":
                    remedy = f"leave --reduction {found} out."
                was = f"{network.name} has the {what} {found or 'none'}, but was fitted with {fitted or 'none'}"
                raise UsageError(f"metric {self.name!r}: {was}; {remedy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of images as they are, with no network of ours.

    Attributes:
        distance: from two batches of RGB images, ``(batch, 3, height, width)`` in `input_range`, to
            ``(batch,)``; or a similarity, see below.
        similarity_at_identity: where `distance` is a similarity, its value for two equal images: the
            distance is this less the similarity. None where it is a distance.
        input_range: the range of its images' values.
        name: what identifies it.
        smallest: the smallest height and width that it can measure, in pixels.
        symmetric: whether both directions are meant to have one distance; `suites/test_invariants.py` checks it then.
        provenance: packages and weights, with versions and digests; empty where the source tells it.
    """

    distance: Callable[[Tensor, Tensor], Tensor] = field(repr=False, compare=False)
    similarity_at_identity: float | None = None
    input_range: tuple[float, float] = (0.0, 1.0)
    name: str = ""
    smallest: int = 1
    symmetric: bool = True
    provenance: str = ""

    @property
    def built_in(self) -> bool:
        """Return whether it is built in."""
        return IMAGE_METRICS.get(self.name) is self

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure pairs, and check the distances.

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
        if self.built_in:
            return self.distance(a, b)
        with torch.inference_mode(mode=False), torch.no_grad():  # what it loads at its first call must have gradients
            return self.differentiable(a, b)

    def differentiable(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure pairs as a call does, with gradients where the images require them."""
        low, high = self.input_range
        distances = guest.call(self.distance, *((images * (high - low) + low).contiguous() for images in (a, b)))
        if not isinstance(distances, Tensor):
            raise MetricError(f"must return a tensor of shape {(len(a),)}, got {type(distances).__name__}")
        shape = tuple(distances.shape)
        if shape[:1] != (len(a),) or any(size != 1 for size in shape[1:]):
            raise MetricError(f"must return shape {(len(a),)} for {len(a)} pairs, got {shape}")
        if distances.is_complex():
            raise MetricError(f"must return real numbers, got {distances.dtype}")
        distances = distances.reshape(-1).to("cpu", torch.float64)
        return distances if self.similarity_at_identity is None else self.similarity_at_identity - distances

    def check_size(self, size: int) -> None:
        """Refuse images whose shorter side is too small, with an ImageError that names the smallest that works."""
        if size < self.smallest:
            raise ImageError(
                f"images of {size} pixels are too small for {self.name}, which needs {self.smallest} or more."
            )


AnyMetric: TypeAlias = FeatureMetric | Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A metric on a network with a normalization; the last two None without a network."""

    metric: AnyMetric
    network: str | None
    normalization: str | None

    @property
    def backbone(self) -> str | None:
        """Return the network without its choice of layers: variants of one backbone are measured at once."""
        return None if self.network is None else backbone_of(self.network)

    @property
    def key(self) -> VariantKey:
        """Return the names by which rows of results have it."""
        return VariantKey(self.network, self.normalization, self.metric.name)

    def __str__(self) -> str:
        return self.key.label


def pixel_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared difference of images, ``(batch,)``: the paper's pixel-wise metric."""
    return (a.double() - b.double()).square().mean(dim=(1, 2, 3)).cpu()


IMAGE_METRICS: dict[str, Metric] = {"pixel": Metric(name="pixel", distance=pixel_distance)}


def metric_error(name: str, error: BaseException) -> MetricError:
    """Return what a metric under test raised, as its own failure."""
    kind = type(error) if isinstance(error, MetricError) else MetricError
    return kind(f"metric {name!r}: {error if isinstance(error, MetricError) else one_line(error)}")


def variants(metrics: Sequence[AnyMetric], networks: Iterable[str], normalizations: Sequence[str]) -> list[Variant]:
    """Return every metric on every network with every normalization, network by network.

    Tuned metrics stand once on each network that they are fitted to, metrics without a network once, last.
    """
    on_features = [
        Variant(metric=on_network, network=network, normalization=normalization)
        for network in networks
        for normalization in (*normalizations, MIXED)
        for metric in metrics
        if isinstance(metric, FeatureMetric) and (on_network := metric.on(network, normalization))
    ]
    on_images = [Variant(metric=m, network=None, normalization=None) for m in metrics if isinstance(m, Metric)]
    return on_features + on_images
