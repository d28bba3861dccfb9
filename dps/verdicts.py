"""From the distances of one case to its verdict. Nothing here knows where a distance comes from."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist

from dps.rows import describe, finite


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDistances:
    """Distances of the images of one case from its original, by one metric.

    Attributes:
        itself: of the original to itself.
        distorted: of the distorted image.
        references: of each reference, by its name.
        alone: of the distorted image, measured a second time in a batch of its own; None where it was not.
        distorted_layers: each layer's contribution to `distorted`, in order; empty without a network.
        reference_layers: the same for each reference.
    """

    itself: float
    distorted: float
    references: Mapping[str, float]
    alone: float | None = None
    distorted_layers: tuple[float, ...] = ()
    reference_layers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to one case by one metric.

    Attributes:
        passed: the distorted image is closer than every reference.
        distance: of the distorted image; None where the case could not be measured, as all numbers below are then.
        nearest_reference: the reference that is closest to the original, by name.
        nearest_reference_distance: its distance.
        margin: nearest reference distance / distance - 1; positive when it passes; without a unit. None where the
            distance is 0 or a distance breaks a rule.
        error: what went wrong, in one line; empty if nothing did.
        layers, nearest_reference_layers: each layer's contribution to the two distances.
        passed_by_layer: by the layer's contribution alone, the distorted image is closer than every reference; None
            where all contributions are 0, as at a layer without weight.
    """

    passed: bool
    distance: float | None = None
    nearest_reference: str | None = None
    nearest_reference_distance: float | None = None
    margin: float | None = None
    error: str = ""
    layers: tuple[float, ...] = ()
    nearest_reference_layers: tuple[float, ...] = ()
    passed_by_layer: tuple[bool | None, ...] = ()

    def __str__(self) -> str:
        return describe(asdict(self))


SELF_TOLERANCE = 1e-6
"""How far from 0 an image's distance to itself may be, as a share of the largest reference distance.

On either side: 1 less a similarity that was rounded in float32 may be below 0.
"""

BATCH_TOLERANCE = 1e-4
"""How much what is computed of an image may differ alone and in a batch, as a share of the largest of its kind."""


def judge(distances: CaseDistances) -> Verdict:
    """Apply the strict rule.

    A case passes when the distorted image is strictly closer to the original than every reference, every
    distance is finite and not negative, the original's distance to itself is zero, and the distorted image has the
    same distance alone as in a batch.

    Args:
        distances: with at least one reference.

    Returns:
        The verdict. Where a distance is not finite, the case could not be measured: see `not_measured`. Where
        another rule is broken, it was measured and failed, without a margin; `error` says which rule.
    """
    values = {"the distorted image": distances.distorted, **distances.references}
    more = {"itself": distances.itself, "the distorted image, alone in a batch,": distances.alone or 0.0}
    for name, value in (values | more).items():
        if not math.isfinite(value):
            return not_measured(f"the distance of the original to {name} is {value}: not finite, so not a distance")
    nearest = min(distances.references, key=lambda name: distances.references[name])
    nearest_distance = distances.references[nearest]
    error = _fault(distances, values)
    return Verdict(
        passed=not error and distances.distorted < nearest_distance,
        distance=distances.distorted,
        nearest_reference=nearest,
        nearest_reference_distance=nearest_distance,
        margin=None if error else margin(distances.distorted, nearest_distance),
        error=error,
        layers=distances.distorted_layers,
        nearest_reference_layers=distances.reference_layers.get(nearest, ()),
        passed_by_layer=tuple(
            (not error and own < min(references)) if own or any(references) else None
            for own, *references in zip(distances.distorted_layers, *distances.reference_layers.values(), strict=True)
        ),
    )


def not_measured(error: str) -> Verdict:
    """Return the verdict on a case that could not be drawn or measured: no number, and what went wrong."""
    return Verdict(passed=False, error=error)


def margin(distance: float, nearest_reference_distance: float) -> float | None:
    """Return reference / distorted - 1, from -1: how much farther the nearest reference is; None where not finite."""
    return None if distance == 0 else finite(nearest_reference_distance / distance - 1)


def wilson(passed: int, cases: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a pass fraction.

    Args:
        passed: how many cases passed, from 0 to `cases`.
        cases: at least one.

    Returns:
        Lower and upper end, in [0, 1].

    Source:
        Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    z = NormalDist().inv_cdf(0.975)
    fraction, spread = passed / cases, z**2 / cases
    middle = (fraction + spread / 2) / (1 + spread)
    half = math.sqrt(fraction * (1 - fraction) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def _fault(distances: CaseDistances, values: Mapping[str, float]) -> str:
    """Say which rule of distances is broken; empty if none is."""
    for name, value in values.items():
        if value < 0:
            return f"the distance of the original to {name} is {value:.5g}: negative, so not a distance"
    largest = max(distances.references.values())
    if abs(distances.itself) > SELF_TOLERANCE * largest:
        return (
            f"the distance of the original to itself is {distances.itself:.5g}, not 0 "
            f"(to {SELF_TOLERANCE:g} of the largest reference distance, {largest:.5g})"
        )
    alone, together = distances.alone, distances.distorted
    if alone is not None and abs(alone - together) > BATCH_TOLERANCE * max(together, largest):
        return f"the distance of the original to the distorted image is {together:.5g} in a batch and {alone:.5g} alone"
    return ""
