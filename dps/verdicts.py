"""From distances to verdicts. Plain mathematics; nothing here knows where a distance comes from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """How far one metric finds the images of one case from its original.

    Attributes:
        itself: of the original to itself.
        distorted: of the distorted image.
        references: of each reference, by its name.
        distorted_layers: each layer's contribution to `distorted`, in order; empty without a network.
        reference_layers: the same for each reference.
    """

    itself: float
    distorted: float
    references: Mapping[str, float]
    distorted_layers: tuple[float, ...] = ()
    reference_layers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a metric finds the distorted image closer than every reference.

    Attributes:
        passed: the answer.
        distance: of the distorted image.
        nearest_reference: the reference that is closest to the original, by name.
        nearest_reference_distance: its distance.
        margin: nearest reference distance / distance - 1; positive when it passes; without a unit. Missing
            where a distance is, or where the distance is 0.
        error: what broke, in one line; empty if nothing did.
        layers, nearest_reference_layers: each layer's contribution to the two distances.
    """

    passed: bool
    distance: float | None = None
    nearest_reference: str | None = None
    nearest_reference_distance: float | None = None
    margin: float | None = None
    error: str = ""
    layers: tuple[float, ...] = ()
    nearest_reference_layers: tuple[float, ...] = ()

    def __str__(self) -> str:
        if self.error:
            return self.error
        margin = "no margin" if self.margin is None else f"margin {self.margin:+.1%}"
        but = "and" if self.passed else "but"
        return (
            f"distorted at {self.distance:.5g}, {but} reference {self.nearest_reference!r} "
            f"at {self.nearest_reference_distance:.5g} ({margin})"
        )


SELF_TOLERANCE = 1e-6
"""How far an image may be from itself, as a share of the largest reference distance."""


def judge(distances: Distances) -> Verdict:
    """Apply the strict rule.

    A case passes when the distorted image is strictly closer to the original than every reference, every
    distance is finite and not negative, and the original's distance to itself is zero.

    Args:
        distances: with at least one reference.

    Returns:
        The verdict; what makes a distance unusable is its `error`.
    """
    named = {"itself": distances.itself, "the distorted image": distances.distorted, **distances.references}
    nearest = min(distances.references, key=lambda name: _or_infinity(distances.references[name]))
    nearest_distance = distances.references[nearest]
    broken = _first_fault(named) or _self_distance_fault(distances)
    return Verdict(
        passed=not broken and distances.distorted < nearest_distance,
        distance=_finite(distances.distorted),
        nearest_reference=nearest if math.isfinite(nearest_distance) else None,
        nearest_reference_distance=_finite(nearest_distance),
        margin=None if broken else margin(distances.distorted, nearest_distance),
        error=broken,
        layers=distances.distorted_layers,
        nearest_reference_layers=distances.reference_layers.get(nearest, ()),
    )


def broken(error: str) -> Verdict:
    """The verdict on a case that could not be drawn or measured."""
    return Verdict(passed=False, error=error)


def margin(distance: float, nearest_reference_distance: float) -> float | None:
    """How much farther the nearest reference is than the distorted image: reference / distorted - 1.

    Returns:
        A number from -1; None where it has no finite value.
    """
    if distance == 0:
        return None
    return _finite(nearest_reference_distance / distance - 1)


def _first_fault(named: Mapping[str, float]) -> str:
    for name, distance in named.items():
        if not math.isfinite(distance):
            return f"the distance of the original to {name} is {distance}: not finite, so not a distance"
        if distance < 0:
            return f"the distance of the original to {name} is {distance:.5g}: negative, so not a distance"
    return ""


def _self_distance_fault(distances: Distances) -> str:
    largest = max(distances.references.values())
    if distances.itself > SELF_TOLERANCE * largest:
        return (
            f"the distance of the original to itself is {distances.itself:.5g}, not 0 "
            f"(to {SELF_TOLERANCE:g} of the largest reference distance, {largest:.5g})"
        )
    return ""


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _or_infinity(number: float) -> float:
    return number if math.isfinite(number) else math.inf
