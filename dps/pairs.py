"""A few images of one's own, measured by one variant: what ``dps distance`` and ``dps explain`` begin with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dps import images, metrics, networks
from dps.comparisons import REDUCTIONS
from dps.errors import DpsError, ImageError, MetricError
from dps.images import Image, Triple
from dps.measurement import IMAGES_AT_ONCE, Engine
from dps.metrics import Metric, Variant
from dps.session.configuration import check_device, check_name
from dps.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One variant, checked; its network is not loaded yet.

    Attributes:
        variant: what measures.
        weights: of its network; None without one.
        reduction, device: as the options of those names.
    """

    variant: Variant
    weights: Weights | None
    reduction: str
    device: str

    def engine(self) -> Engine:
        """What measures; loads the network."""
        extractor = None if self.weights is None else networks.load(self.weights, self.device)
        return Engine(extractor, self.reduction)

    @property
    def made_of(self) -> str:
        """Where the weights are from, with their digest; empty without a network."""
        if self.weights is None:
            return ""
        return f"{self.weights.network} from {self.weights.source}, SHA-256 {self.weights.sha256[:16]}"

    def check_size(self, shape: tuple[int, ...]) -> None:
        """Refuse images that the network or metric cannot take.

        Args:
            shape: begins with height and width, in pixels.

        Raises:
            ImageError: with the smallest size that works.
        """
        if self.variant.network is not None:
            networks.check_size(self.variant.network, min(shape[:2]))
        if isinstance(self.variant.metric, Metric):
            self.variant.metric.check_size(min(shape[:2]))


def ask(
    metric: str,
    network: str,
    normalization: str,
    *,
    reduction: str = "sum",
    device: str = "cpu",
    weights: str = "pypi",
) -> Asked:
    """Turn options into one variant.

    Args:
        metric, network, normalization, reduction, device, weights: as the options of those names.

    Raises:
        DpsError: a name that does not exist, or weights that are missing.
    """
    networks.named(network)
    check_name("reduction", reduction, REDUCTIONS)
    check_device(device)
    made = metrics.named(metric, weights=weights, device=device)
    (variant,) = metrics.variants([made], [network], [metrics.check_normalization(normalization)])
    found = None if variant.network is None else networks.find_weights(network, weights)
    return Asked(variant=variant, weights=found, reduction=reduction, device=device)


def read(paths: Sequence[Path]) -> list[Image]:
    """Read image files of one size.

    Raises:
        ImageError: one is no image, or of another size than the first.
    """
    pictures = [images.make_image(images.read(path)) for path in paths]
    for path, each in zip(paths, pictures, strict=True):
        if each.pixels.shape != pictures[0].pixels.shape:
            sizes = " and ".join(
                f"{width} x {height}" for height, width, _ in (pictures[0].pixels.shape, each.pixels.shape)
            )
            raise ImageError(f"{paths[0]} and {path} measure {sizes} pixels; they must have one size.")
    return pictures


def as_triple(paths: Sequence[Path]) -> Triple:
    """Image files as one question.

    Args:
        paths: the original, the distorted image, and any number of references.

    Raises:
        ImageError: as for `read`.
    """
    original, distorted, *references = read(paths)
    return Triple(
        original=original,
        distorted=distorted,
        references=dict(zip(map(str, paths[2:]), references, strict=True)),
    )


def distances(asked: Asked, original: Path, others: Sequence[Path]) -> list[tuple[float, tuple[float, ...]]]:
    """Measure image files against one of them.

    Args:
        asked: what measures.
        original: an image file.
        others: at least one file of the same size.

    Returns:
        For each of the others its distance and each layer's contribution, in order.

    Raises:
        DpsError: a file that is no image or of another size, a metric that broke, or a distance that is not finite.
    """
    mine, *rest = read([original, *others])
    asked.check_size(mine.pixels.shape)
    engine = asked.engine()
    pairs = [Triple(original=mine, distorted=each, references={}) for each in rest]
    found: list[tuple[float, tuple[float, ...]]] = []
    for start in range(0, len(pairs), IMAGES_AT_ONCE):  # a batch has the original once, whatever its pairs
        for by_variant in engine.measure(pairs[start : start + IMAGES_AT_ONCE], [asked.variant]):
            outcome = by_variant[asked.variant]
            if isinstance(outcome, DpsError):
                raise outcome
            if not math.isfinite(outcome.distorted):
                raise MetricError(
                    f"{asked.variant}: the distance of {original} to {others[len(found)]} is {outcome.distorted}: "
                    "not finite, so not a distance."
                )
            found.append((outcome.distorted, outcome.distorted_layers))
    return found
