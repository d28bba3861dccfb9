"""The verdict on one case, from its distances, however these were measured."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist

from dps.rows import describe, finite


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDistances:
    """Distances from the original to each image of a case, by one metric.

    Attributes:
        itself: to the original.
        distorted: to the distorted image.
        references: to each reference, by name.
        alone: to the distorted image, measured again in a batch of size 1; None where this was not done.
        distorted_layers: contribution of each layer to `distorted`, in order; empty without a network.
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
    """The result of one case for one metric.

    Attributes:
        passed: the distorted image is closer to the original than every reference.
        distance: to the distorted image; None, like all numbers below, where the case could not be measured.
        nearest_reference: name of the reference closest to the original.
        nearest_reference_distance: its distance.
        margin: nearest reference distance / distance - 1, without unit; positive for a passed case. None where the
            distance is 0 or a distance is invalid.
        error: one line; empty without an error.
        layers, nearest_reference_layers: contribution of each layer to the two distances.
        passed_by_layer: the same verdict by the contribution of each layer alone; None where all contributions are 0,
            as at a layer without weight.
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
"""Largest absolute distance of an image to itself, as a share of the largest reference distance.

It may be negative: 1 minus a similarity that was rounded to float32.
"""

BATCH_TOLERANCE = 1e-4
"""Largest difference between results for an image alone and in a batch, as a share of the largest result."""


def judge(distances: CaseDistances) -> Verdict:
    """Judge a case by the strict rule.

    A case passes when the distorted image is strictly closer to the original than every reference, every
    distance is finite and not negative, the original's distance to itself is zero, and the distorted image has the
    same distance alone as in a batch.

    Args:
        distances: with at least one reference.

    Returns:
        The verdict. With a distance that is not finite, the case could not be measured: see `not_measured`. With an
        otherwise invalid one, it was measured and failed, without a margin; `error` names the violated rule.
    """
    compared = {"the distorted image": distances.distorted, **distances.references}
    checks = {"itself": distances.itself, "the distorted image, alone in a batch,": distances.alone or 0.0}
    for name, value in (compared | checks).items():
        if not math.isfinite(value):
            return not_measured(f"the distance of the original to {name} is {value}: not finite, so not a distance")
    nearest = min(distances.references, key=lambda name: distances.references[name])
    nearest_distance = distances.references[nearest]
    error = _violated_rule(distances, compared)
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
            (not error and distorted < min(references)) if distorted or any(references) else None
            for distorted, *references in zip(
                distances.distorted_layers, *distances.reference_layers.values(), strict=True
            )
        ),
    )


def not_measured(error: str) -> Verdict:
    """Return the verdict on a case that could not be drawn or measured."""
    return Verdict(passed=False, error=error)


def margin(distance: float, nearest_reference_distance: float) -> float | None:
    """Return nearest reference distance / distance - 1, at least -1; None where it is not finite."""
    return None if distance == 0 else finite(nearest_reference_distance / distance - 1)


def wilson(passed: int, cases: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a pass fraction.

    Args:
        passed: number of passed cases, from 0 to `cases`.
        cases: number of cases, at least 1.

    Returns:
        Lower and upper bound, in [0, 1].

    Source:
        Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    z = NormalDist().inv_cdf(0.975)
    fraction, spread = passed / cases, z**2 / cases
    middle = (fraction + spread / 2) / (1 + spread)
    half = math.sqrt(fraction * (1 - fraction) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def _violated_rule(distances: CaseDistances, compared: Mapping[str, float]) -> str:
    """Describe the first violated rule of distances in one line; empty where all hold."""
    for name, value in compared.items():
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
