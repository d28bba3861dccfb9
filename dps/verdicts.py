"""From distances to verdicts. Plain mathematics; nothing here knows where a distance comes from."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDistances:
    """How far one metric finds the images of one case from its original.

    Attributes:
        itself: of the original to itself.
        distorted: of the distorted image.
        references: of each reference, by its name.
        alone: of the distorted image again, where it was measured a second time without the others.
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
"""How far from 0 an image's distance to itself may be, as a share of the largest reference distance.

On either side: 1 less a similarity that was rounded in float32 may come out below 0.
"""

ALIKE = 1e-4
"""How much what is computed of an image may differ alone and in a batch, as a share of the largest of its kind."""


def judge(distances: CaseDistances) -> Verdict:
    """Apply the strict rule.

    A case passes when the distorted image is strictly closer to the original than every reference, every
    distance is finite and not negative, the original's distance to itself is zero, and the distorted image
    is as far off alone as in a batch.

    Args:
        distances: with at least one reference.

    Returns:
        The verdict; what makes a distance unusable is its `error`.
    """
    named = {"the distorted image": distances.distorted, **distances.references}
    nearest = min(distances.references, key=lambda name: _or_infinity(distances.references[name]))
    nearest_distance = distances.references[nearest]
    broken = _first_fault(named) or _self_distance_fault(distances) or _alone_fault(distances)
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


def wilson(passed: int, cases: int) -> tuple[float, float]:
    """The 95 % confidence interval of a pass fraction.

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


def _first_fault(named: Mapping[str, float]) -> str:
    for name, distance in named.items():
        if not math.isfinite(distance):
            return f"the distance of the original to {name} is {distance}: not finite, so not a distance"
        if distance < 0:
            return f"the distance of the original to {name} is {distance:.5g}: negative, so not a distance"
    return ""


def _self_distance_fault(distances: CaseDistances) -> str:
    largest = max(distances.references.values())
    if not abs(distances.itself) <= SELF_TOLERANCE * largest:
        return (
            f"the distance of the original to itself is {distances.itself:.5g}, not 0 "
            f"(to {SELF_TOLERANCE:g} of the largest reference distance, {largest:.5g})"
        )
    return ""


def _alone_fault(distances: CaseDistances) -> str:
    alone, together = distances.alone, distances.distorted
    if alone is None or abs(alone - together) <= ALIKE * max(together, *distances.references.values()):
        return ""
    return f"the distance of the original to the distorted image is {together:.5g} in a batch and {alone:.5g} alone"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _or_infinity(number: float) -> float:
    return number if math.isfinite(number) else math.inf


# ---------------------------------------------------------------------------- agreement with people


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A score and how well it is known.

    Attributes:
        value: the score, in [0, 1], higher is better.
        standard_error: of the value; NaN where one observation alone cannot tell.
        count: how many triplets or pairs it rests on.
    """

    value: float
    standard_error: float
    count: int


def two_afc(distance_0: ArrayLike, distance_1: ArrayLike, judge: ArrayLike) -> Array:
    """Two alternative forced choice: how many people chose, of two images, the one that a metric finds closer.

    Args:
        distance_0, distance_1: of the first and the second image to the original, ``(triplet,)``.
        judge: which part of the people chose the second image, ``(triplet,)``, in [0, 1].

    Returns:
        Each triplet's score, ``(triplet,)``, in [0, 1]: ``1 - judge`` where the first image is closer,
        ``judge`` where the second one is, 0.5 where both are equally far; 0 where a distance is not
        finite, since that is no answer.

    Raises:
        ValueError: not three rows of one length, or a judgment outside [0, 1].

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 3.
    """
    first, second, chosen = _rows(distance_0, distance_1, judge)
    _check_shares("judge", chosen)
    agrees = np.where(first < second, 1 - chosen, np.where(first > second, chosen, 0.5))
    return np.where(np.isfinite(first) & np.isfinite(second), agrees, 0.0)


def human_two_afc(judge: ArrayLike) -> Array:
    """How often a person agrees with another one, drawn from the same judgments.

    Args:
        judge: which part of the people chose the second image, ``(triplet,)``, in [0, 1].

    Returns:
        Each triplet's score, ``(triplet,)``, in [0.5, 1]: ``judge ** 2 + (1 - judge) ** 2``.

    Raises:
        ValueError: a judgment outside [0, 1].

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 5, "human" in the tables.
    """
    (chosen,) = _rows(judge)
    _check_shares("judge", chosen)
    return chosen * chosen + (1 - chosen) * (1 - chosen)


def mean_score(scores: ArrayLike) -> Estimate:
    """The mean of independent scores, with the standard error of a mean.

    Args:
        scores: ``(observation,)``, at least one.

    Returns:
        The mean, summed exactly, so that it does not depend on the order; the sample's standard
        deviation over the root of the count.

    Raises:
        ValueError: there is none.
    """
    (rows,) = _rows(scores)
    if not len(rows):
        raise ValueError("a mean needs at least one score, got none")
    mean = math.fsum(rows) / len(rows)
    if len(rows) == 1:
        return Estimate(value=mean, standard_error=math.nan, count=1)
    squares = math.fsum((rows - mean) ** 2)
    return Estimate(value=mean, standard_error=math.sqrt(squares / (len(rows) - 1) / len(rows)), count=len(rows))


def mean_of_subsets(estimates: Sequence[Estimate]) -> Estimate:
    """The unweighted mean over subsets, as in the "All" columns of the paper's Table 2.

    Args:
        estimates: of independent subsets, at least one.

    Returns:
        Each subset counts as much, however large it is. The standard error is that of a mean of independent
        estimates: the root of the sum of their squared standard errors, over their number.

    Raises:
        ValueError: there is none.
    """
    if not estimates:
        raise ValueError("a mean needs at least one subset, got none")
    return Estimate(
        value=math.fsum(each.value for each in estimates) / len(estimates),
        standard_error=math.hypot(*(each.standard_error for each in estimates)) / len(estimates),
        count=sum(each.count for each in estimates),
    )


RESAMPLES = 200
"""How many times a set of pairs is drawn anew for a standard error, which is then known to 5 %."""


def jnd_average_precision(distance: ArrayLike, same: ArrayLike) -> Estimate:
    """Just noticeable differences: how well small distances find the pairs that people take for the same.

    Pairs enter in order of their distance. What people found the same adds ``same`` true positives and
    ``1 - same`` false ones. Pairs of equal distance enter together, as one step: the order of files does
    not matter. Pairs whose distance is not finite never enter, and what they hold is never found.

    Args:
        distance: of each pair, ``(pair,)``, at least one.
        same: which part of the people said "same", ``(pair,)``, in [0, 1].

    Returns:
        The area under the interpolated precision-recall curve, in [0, 1]: at each recall the highest
        precision at that recall or beyond (Pascal VOC since 2010). 0 where nobody said "same".

        Its standard error is the standard deviation over `RESAMPLES` bootstrap samples from a fixed seed,
        drawn from the pairs in order of distance and judgment, so that it does not depend on the files'
        order either. (A jackknife would need as many areas as there are pairs, and is not consistent
        where the interpolation's maximum has a kink.) NaN for a single pair.

    Raises:
        ValueError: not two rows of one length, no pair at all, or a judgment outside [0, 1].

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 3; Everingham et al. 2010, "The Pascal Visual Object
        Classes (VOC) Challenge", for the curve.
    """
    distances, sames = _rows(distance, same)
    _check_shares("same", sames)
    if not len(distances):
        raise ValueError("an average precision needs at least one pair, got none")
    distances = np.where(np.isfinite(distances), distances, np.inf)
    order = np.lexsort((sames, distances))
    distances, sames = distances[order], sames[order]
    found = np.isfinite(distances)
    steps = np.flatnonzero(np.append(distances[1:] != distances[:-1], True) & found)
    value = float(_average_precision(sames, np.ones((1, len(sames))), steps)[0])
    if len(sames) == 1:
        return Estimate(value=value, standard_error=math.nan, count=1)
    resampled = _average_precision(sames, _resampled_counts(len(sames)), steps)
    return Estimate(value=value, standard_error=float(resampled.std(ddof=1)), count=len(sames))


def _average_precision(same: Array, counts: NDArray[np.floating], steps: NDArray[np.int64]) -> Array:
    """The area for each way to count the pairs.

    Args:
        same: of the pairs in order of distance, ``(pair,)``.
        counts: how often each pair is there, ``(way, pair)``.
        steps: where a step of equal distances ends, ``(step,)``.

    Returns:
        ``(way,)``.
    """
    if not len(steps):
        return np.zeros(len(counts))
    true = np.cumsum(counts * same, axis=1)
    everything = np.cumsum(counts, axis=1)[:, steps]
    positives = true[:, -1:]
    true = true[:, steps]
    precision = np.divide(true, everything, out=np.zeros_like(true), where=everything > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    gained = np.diff(true, axis=1, prepend=0.0)
    area = (gained * envelope).sum(axis=1, keepdims=True)
    share = np.divide(area, positives, out=np.zeros_like(area), where=positives > 0)
    averages: Array = np.minimum(share[:, 0], 1.0)  # a sum of shares may exceed 1 by its rounding
    return averages


@functools.lru_cache(maxsize=4)
def _resampled_counts(pairs: int) -> NDArray[np.float32]:
    """How often each pair is drawn, ``(RESAMPLES, pair)``; `Generator.integers` is stable across versions."""
    generator = np.random.default_rng(0)
    counts = np.empty((RESAMPLES, pairs), dtype=np.float32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, pairs, size=pairs), minlength=pairs)
    counts.setflags(write=False)
    return counts


def _rows(*values: ArrayLike) -> list[Array]:
    """Each as a row of numbers.

    Raises:
        ValueError: their lengths differ, or one is no row.
    """
    rows = [np.asarray(value, dtype=np.float64) for value in values]
    shapes = [row.shape for row in rows]
    if rows[0].ndim != 1 or any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"rows of one length are needed, got shapes {', '.join(map(str, shapes))}")
    return rows


def _check_shares(name: str, shares: Array) -> None:
    wrong = ~((shares >= 0) & (shares <= 1))
    if wrong.any():
        raise ValueError(f"{name} must be within [0, 1], got {shares[wrong][0]}")
