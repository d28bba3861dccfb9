"""References: metrics whose parts are known, so that mistakes can be applied to them."""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from dps import networks
from dps.comparisons import COMPARISONS, layer_distances, normalize
from dps.errors import DpsError, MetricError
from dps.metrics import FeatureMetric, Metric, Term, Variant, third_party
from dps.metrics.third_party import INSTALL, THIRD_PARTY_METRICS
from dps.networks import Extractor, Network
from dps.networks.definitions import IMAGENET_MEAN, IMAGENET_STD
from dps.rows import MIXED

Distance: TypeAlias = Callable[[Tensor, Tensor], Any]
"""From two batches of images, ``(batch, 3, height, width)``, to distances, ``(batch,)``."""

Heads: TypeAlias = Sequence[Tensor]
"""For each layer the non-negative weights of its channels, ``(channel,)``."""

ROUNDED = 5e-2
"""Fraction of a similarity at identity below which a distance, its difference from it, has too few digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayeredDistance:
    """A sum of comparisons on a network, with attributes that mistakes can change.

    Attributes:
        heads: weights of each layer's squared differences, as in LPIPS; empty for no weights.
        older_heads: those of an earlier version.
        over_positions: ``mean`` or ``sum``.
    """

    network: Network
    metric: FeatureMetric
    normalization: str
    reduction: str = "sum"
    device: str = "cpu"
    heads: Heads = field(default=(), repr=False)
    older_heads: Heads = field(default=(), repr=False)
    over_positions: str = "mean"

    @torch.inference_mode()
    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Return distances, ``(batch,)``, of images in any range."""
        extractor = _extractor(self.network, self.device)
        layers = []
        for place, pair in enumerate(zip(extractor.features(a), extractor.features(b), strict=True)):
            for term in self.metric.terms:
                normalization = term.part(self.normalization)[1]
                x, y = (normalize(term.represent(features), normalization) for features in pair)
                if self.heads:
                    weights = self.heads[place].to(x).sqrt().view(1, -1, 1)
                    x, y = x * weights, y * weights
                distances = term.weight_at(place) * layer_distances(x, y, self.reduction)
                layers.append(distances * (x.shape[2] if self.over_positions == "sum" else 1))
        return torch.stack(layers).sum(dim=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A metric that mistakes can be applied to.

    Attributes:
        core: its distance, of images in `input_range`.
        outer: converts a core to the validated distance of RGB in [0, 1].
        mean, std: of the network's normalization of RGB in [0, 1].
        has_network: modules with weights run in it.
        layered: the same distance by layers; None if its parts are unknown.
        others: the same metric on other networks, by name.
        identity: the similarity of two equal images, for a distance taken as a similarity.
        least: minimum denominator of relative deviations, since 1 less a similarity is rounded.
    """

    core: Distance
    outer: Callable[[Distance], Distance]
    input_range: tuple[float, float] = (0.0, 1.0)
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    has_network: bool = True
    layered: LayeredDistance | None = None
    others: Mapping[str, "Reference"] = field(default_factory=dict)
    identity: float = 1.0
    least: float = 0.0

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Return distances, ``(batch,)``."""
        distances: Tensor = self.outer(self.core)(a, b)
        return distances


def reference_of(
    variant: Variant, networks_of_run: Mapping[str, Network], reduction: str, device: str, weights: str
) -> Reference:
    """Return a variant as a reference; the other arguments are those of the run."""
    metric = variant.metric
    others: dict[str, Reference] = {}
    if isinstance(metric, Metric):
        about = THIRD_PARTY_METRICS[metric.name].about if metric.name in THIRD_PARTY_METRICS else None
        for name, other in THIRD_PARTY_METRICS.items():
            if name != metric.name and other.about == about:
                with contextlib.suppress(DpsError):  # its weights may be missing
                    others[name] = _of_images(third_party.named(name, weights=weights, device=device), device, weights)
        return replace(_of_images(metric, device, weights), others=others)
    assert variant.network is not None
    assert variant.normalization is not None
    layered = LayeredDistance(
        network=networks_of_run[variant.network],
        metric=metric,
        normalization=variant.normalization,
        reduction=reduction,
        device=device,
    )
    for name in networks.BUILT_IN:
        if name != variant.network and variant.normalization != MIXED:  # a tuned metric has one network
            with contextlib.suppress(DpsError):
                others[name] = _of_layers(replace(layered, network=networks.named(name, weights)))
    return replace(_of_layers(layered), others=others)


def _of_layers(layered: LayeredDistance) -> Reference:
    mean, std = layered.network.mean, layered.network.std
    return Reference(core=layered, outer=lambda core: core, mean=mean, std=std, layered=layered)


def lenient(metric: Metric) -> Metric:
    """Return a metric without checks of its contract, except that it returns numbers.

    A single number is the distance of every pair in the batch; changed inputs are not detected.
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        value = metric.distance(a.clone(), b.clone())
        try:
            distances = torch.as_tensor(value).detach()
        except (TypeError, ValueError, RuntimeError):
            raise MetricError(f"must return one number for each pair, got {type(value).__name__}") from None
        return distances.reshape(-1).expand(len(a)) if distances.numel() == 1 else distances

    return replace(metric, distance=distance)


def _of_images(metric: Metric, device: str, weights: str) -> Reference:
    similarity = metric.similarity_at_identity
    return Reference(
        core=metric.distance,
        outer=lambda core: lenient(replace(metric, distance=core)),
        input_range=metric.input_range,
        has_network=_runs_modules(metric),
        layered=_calibrated(metric.name, device, weights),
        identity=1.0 if similarity is None else similarity,
        least=ROUNDED * abs(similarity or 0.0),
    )


def _calibrated(name: str, device: str, weights: str) -> LayeredDistance | None:
    """Return a third-party metric as a layered distance if it is an LPIPS."""
    other = THIRD_PARTY_METRICS.get(name)
    if other is None or other.older_weights is None:
        return None
    assert other.weights is not None
    assert other.network is not None
    heads = [_heads(file.find(name, INSTALL).state) for file in (other.weights, other.older_weights)]
    return LayeredDistance(
        network=networks.named(other.network, weights),
        metric=FeatureMetric(name=name, terms=(Term(name="spatial", comparison=COMPARISONS["spatial"]),)),
        normalization="unit",
        device=device,
        heads=heads[0],
        older_heads=heads[1],
    )


def _heads(state: Mapping[str, Tensor]) -> Heads:
    return tuple(state[f"lin{place}.model.1.weight"].flatten() for place in range(len(state)))


def _runs_modules(metric: Metric) -> bool:
    """Return whether modules with weights run in a metric; also True if the metric raises."""
    modules: list[nn.Module] = []
    image = torch.zeros(1, 3, *[max(metric.smallest, 64)] * 2)
    handle = nn.modules.module.register_module_forward_pre_hook(lambda module, _: modules.append(module))
    try:
        metric(image, image)
    except (Exception, SystemExit):  # noqa: BLE001 - a user's metric may raise anything
        return True
    finally:
        handle.remove()
    return any(parameter.ndim > 1 for module in modules for parameter in module.parameters(recurse=False))


@functools.lru_cache(maxsize=6)
def _extractor(network: Network, device: str) -> Extractor:
    return Extractor(network, device=device, check=lambda _images: None)
