"""Definitions of metrics: sums of comparisons on any network, and metrics of images."""

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
"""The names of a comparison and a normalization: the unit measured once for all metrics that contain it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One comparison of a sum.

    Attributes:
        name: the comparison's name.
        comparison: the function.
        weight: factor of the term's distance.
        normalization: used if that of the variant is `MIXED`.
        layer_weights: a further factor for each layer; empty for factors of 1.
    """

    name: str
    comparison: Comparison = field(repr=False, compare=False)
    weight: float = 1.0
    normalization: str = "none"
    layer_weights: tuple[float, ...] = ()

    def part(self, normalization: str) -> Part:
        """Return the part to measure in a variant with a normalization."""
        return self.name, self.normalization if normalization == MIXED else normalization

    def weight_at(self, layer: int) -> float:
        """Return the factor of the term's distance at a layer, counted from 0."""
        return self.weight * self.layer_weights[layer] if self.layer_weights else self.weight

    @property
    def built_in(self) -> bool:
        """Return whether the comparison is built in."""
        return COMPARISONS.get(self.name) is self.comparison

    def represent(self, features: Tensor) -> Tensor:
        """Return the checked representation of features, ``(batch, channel, position)``, float32 or float64.

        Raises:
            MetricError: the comparison returned the wrong shape or type, or changed the features.
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
    """A deep perceptual similarity metric: a weighted sum of at least one comparison, on any network.

    Attributes:
        fitted: for a tuned metric, the metric for each network that it was fitted to, by the network's name; it has
            no terms itself.
        fitted_to: for a metric in `fitted`, the layers of its network and the digest of the weights.
    """

    name: str
    terms: tuple[Term, ...] = ()
    fitted: Mapping[str, "FeatureMetric"] = field(default_factory=dict, repr=False, compare=False)
    fitted_to: tuple[tuple[str, ...], str] | None = field(default=None, repr=False)

    @property
    def built_in(self) -> bool:
        """Return whether all comparisons are built in."""
        return all(term.built_in for term in self.terms)

    def select(self, network: str, normalization: str) -> "FeatureMetric | None":
        """Return the metric for a network and normalization; None if it is not defined for them."""
        if normalization == MIXED:
            return self.fitted.get(network)
        return None if self.fitted else self

    def check(self, network: Network, reduction: str) -> None:
        """Raise a UsageError if a fitted metric was fitted to another network or reduction."""
        if self.fitted_to is None:
            return
        layers, sha256 = self.fitted_to
        tune = f"fit a metric to this network with: dps tune --network {network.name} --out FILE.yaml"
        for name, actual, fitted, remedy in (
            ("layers", "+".join(network.layers), "+".join(layers), tune),
            ("weights, SHA-256 of the tensors,", network.sha256[:16], sha256[:16], tune),
            ("reduction", reduction, "sum", f"leave --reduction {reduction} out."),
        ):
            if actual != fitted:
                raise UsageError(
                    f"metric {self.name!r}: {network.name} has the {name} {actual or 'none'}, but was fitted with "
                    f"{fitted or 'none'}; {remedy}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of images, without a network of dps.

    Attributes:
        distance: a function of two batches of RGB images, ``(batch, 3, height, width)`` in `input_range`, that returns
            distances or similarities, ``(batch,)``.
        similarity_at_identity: if `distance` returns similarities, that of two equal images; the distance is this
            minus the similarity. None for distances.
        input_range: the range of the image values.
        name: as in ids and tables.
        smallest: the smallest accepted height and width, in pixels.
        symmetric: the distance should be symmetric; checked by `suites/test_invariants.py`.
        provenance: packages and weights, with versions and digests; empty for metrics known by their source.
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
        """Return whether the metric is built in."""
        return IMAGE_METRICS.get(self.name) is self

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the checked distances of pairs of images.

        Args:
            a, b: originals and the images compared with them, RGB in [0, 1], ``(batch, 3, height, width)``.

        Returns:
            Distances, ``(batch,)``, float64, on the CPU.

        Raises:
            ImageError: the images are too small.
            MetricError: the metric changed its input, or returned the wrong shape or type.
        """
        self.check_size(min(a.shape[-2:]))
        if self.built_in:
            return self.distance(a, b)
        with (
            torch.inference_mode(mode=False),
            torch.no_grad(),
        ):  # tensors loaded in the first call must support gradients
            return self.differentiable(a, b)

    def differentiable(self, a: Tensor, b: Tensor) -> Tensor:
        """Return distances as a call does, with gradients if the images require them."""
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
        """Raise an ImageError if images, whose shorter side has `size` pixels, are too small."""
        if size < self.smallest:
            raise ImageError(
                f"images of {size} pixels are too small for {self.name}, which needs {self.smallest} or more."
            )


AnyMetric: TypeAlias = FeatureMetric | Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A metric on a network with a normalization; both are None for metrics of images."""

    metric: AnyMetric
    network: str | None
    normalization: str | None

    @property
    def backbone(self) -> str | None:
        """Return the network without ``@LAYERS``; variants of one backbone are measured at once."""
        return None if self.network is None else backbone_of(self.network)

    @property
    def key(self) -> VariantKey:
        """Return the names of network, normalization and metric, as in rows of results."""
        return VariantKey(self.network, self.normalization, self.metric.name)

    def __str__(self) -> str:
        return self.key.label


def pixel_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared difference of the pixels, the paper's pixel-wise metric.

    The distances are ``(batch,)``, float64.
    """
    return (a.double() - b.double()).square().mean(dim=(1, 2, 3)).cpu()


IMAGE_METRICS: dict[str, Metric] = {"pixel": Metric(name="pixel", distance=pixel_distance)}


def metric_error(name: str, error: BaseException) -> MetricError:
    """Return an exception that a metric under test raised as a MetricError with the metric's name."""
    kind = type(error) if isinstance(error, MetricError) else MetricError
    return kind(f"metric {name!r}: {error if isinstance(error, MetricError) else one_line(error)}")


def variants(metrics: Sequence[AnyMetric], networks: Iterable[str], normalizations: Sequence[str]) -> list[Variant]:
    """Return every metric on every network with every normalization, ordered by network.

    A tuned metric has one variant for each network that it was fitted to. Metrics of images have one each, at the end.
    """
    on_features = [
        Variant(metric=selected, network=network, normalization=normalization)
        for network in networks
        for normalization in (*normalizations, MIXED)
        for metric in metrics
        if isinstance(metric, FeatureMetric) and (selected := metric.select(network, normalization))
    ]
    on_images = [Variant(metric=m, network=None, normalization=None) for m in metrics if isinstance(m, Metric)]
    return on_features + on_images
