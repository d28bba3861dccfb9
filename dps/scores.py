"""Psychophysics statistics: how well distances agree with people's judgments, and how well that is known.

Nothing here knows where distances or judgments come from.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A score and how well it is known.

    Attributes:
        value: the score, in [0, 1].
        standard_error: of the value; NaN where there is one observation alone.
        count: how many triplets or pairs it rests on.
    """

    value: float
    standard_error: float
    count: int


def two_afc(distance_0: ArrayLike, distance_1: ArrayLike, judge: ArrayLike) -> Array:
    """Score triplets by two alternative forced choice: the share of people who chose the image that is closer.

    Args:
        distance_0, distance_1: of the first and the second image to the original, ``(triplet,)``.
        judge: the share of people who chose the second image, ``(triplet,)``, in [0, 1].

    Returns:
        Each triplet's score, ``(triplet,)``, in [0, 1]: ``1 - judge`` where the first image is closer,
        ``judge`` where the second one is, 0.5 where both are equally far; 0 where a distance is not
        finite, since that is not an answer.

    Raises:
        ValueError: not three rows of one length, or a judgment outside [0, 1].

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 3.
    """
    first, second, chosen = _rows(distance_0, distance_1, judge=judge)
    agrees = np.where(first < second, 1 - chosen, np.where(first > second, chosen, 0.5))
    return np.where(np.isfinite(first) & np.isfinite(second), agrees, 0.0)


def human_two_afc(judge: ArrayLike) -> Array:
    """Score triplets by how often a person agrees with another one, drawn from the same judgments.

    Args:
        judge: the share of people who chose the second image, ``(triplet,)``, in [0, 1].

    Returns:
        Each triplet's score, ``(triplet,)``, in [0.5, 1]: ``judge ** 2 + (1 - judge) ** 2``.

    Raises:
        ValueError: a judgment outside [0, 1].

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 5, "human" in the tables.
    """
    (chosen,) = _rows(judge=judge)
    return chosen * chosen + (1 - chosen) * (1 - chosen)


def rank_flips(before: ArrayLike, after: ArrayLike) -> Array:
    """Mark the triplets whose answer changes when the compared images are changed a little.

    Args:
        before, after: distances of the first and the second image to the original, ``(triplet, 2)``.

    Returns:
        ``(triplet,)``: 1 where the order of the two distances is another one, a tie counting as an order of its own;
        else 0.

    Source:
        Ghildyal and Liu 2022, arXiv:2207.13686, "rank flips".
    """
    orders = [np.sign(np.subtract(*np.asarray(pairs, dtype=np.float64).T)) for pairs in (before, after)]
    flips: Array = (orders[0] != orders[1]).astype(np.float64)
    return flips


def mean_score(scores: ArrayLike) -> Estimate:
    """Return the mean of independent scores, with the standard error of a mean.

    Args:
        scores: ``(observation,)``, at least one.

    Returns:
        The mean, summed exactly, so that it does not depend on the order; the sample's standard
        deviation over the root of the count.

    Raises:
        ValueError: there is none.
    """
    rows = np.asarray(scores, dtype=np.float64)
    count = len(rows)
    if not count:
        raise ValueError("a mean needs at least one score, got none")
    mean = math.fsum(rows) / count
    error = math.sqrt(math.fsum((rows - mean) ** 2) / (count - 1) / count) if count > 1 else math.nan
    return Estimate(value=mean, standard_error=error, count=count)


def mean_of_subsets(estimates: Sequence[Estimate]) -> Estimate:
    """Return the unweighted mean over subsets, as in the "All" columns of the paper's Table 2.

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
        value=math.fsum(estimate.value for estimate in estimates) / len(estimates),
        standard_error=math.hypot(*(estimate.standard_error for estimate in estimates)) / len(estimates),
        count=sum(estimate.count for estimate in estimates),
    )


RESAMPLES = 200
"""How many bootstrap samples a standard error is computed from, which is then known to 5 %."""


def jnd_average_precision(distance: ArrayLike, same: ArrayLike) -> Estimate:
    """Score pairs by just noticeable differences: how well small distances find the pairs that people call the same.

    Pairs enter in order of their distance. Each adds ``same`` true positives and ``1 - same`` false ones. Pairs of
    equal distance enter together, as one step: the order of files does not matter. Pairs whose distance is not
    finite never enter, so their true positives are missed.

    Args:
        distance: of each pair, ``(pair,)``, at least one.
        same: the share of people who said "same", ``(pair,)``, in [0, 1].

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
    distances, sames = _rows(distance, same=same)
    if not len(distances):
        raise ValueError("an average precision needs at least one pair, got none")
    distances = np.where(np.isfinite(distances), distances, np.inf)
    order = np.lexsort((sames, distances))
    distances, sames = distances[order], sames[order]
    steps = np.flatnonzero(np.append(distances[1:] != distances[:-1], True) & np.isfinite(distances))
    (value,) = _average_precision(sames, np.ones((1, len(sames))), steps)
    resampled = _average_precision(sames, _resampled_counts(len(sames)), steps)
    error = float(resampled.std(ddof=1)) if len(sames) > 1 else math.nan
    return Estimate(value=float(value), standard_error=error, count=len(sames))


def _average_precision(same: Array, counts: NDArray[np.floating], steps: NDArray[np.int64]) -> Array:
    """Return the area, ``(sample,)``.

    Args:
        same: of the pairs in order of distance, ``(pair,)``.
        counts: how often each pair stands in each sample, ``(sample, pair)``.
        steps: the last pair of each run of equal distances, ``(step,)``.
    """
    if not len(steps):
        return np.zeros(len(counts))
    true = np.cumsum(counts * same, axis=1)
    entered = np.cumsum(counts, axis=1)[:, steps]
    positives = true[:, -1:]
    true = true[:, steps]
    precision = np.divide(true, entered, out=np.zeros_like(true), where=entered > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    gained = np.diff(true, axis=1, prepend=0.0)
    area = (gained * envelope).sum(axis=1, keepdims=True)
    share = np.divide(area, positives, out=np.zeros_like(area), where=positives > 0)
    averages: Array = np.minimum(share[:, 0], 1.0)  # a sum of shares may exceed 1 by its rounding
    return averages


@functools.lru_cache(maxsize=4)
def _resampled_counts(pairs: int) -> NDArray[np.float32]:
    """Return how often each pair is drawn, ``(RESAMPLES, pair)``; `Generator.integers` is stable across versions."""
    generator = np.random.default_rng(0)
    counts = np.empty((RESAMPLES, pairs), dtype=np.float32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, pairs, size=pairs), minlength=pairs)
    counts.setflags(write=False)
    return counts


def _rows(*distances: ArrayLike, **judgments: ArrayLike) -> list[Array]:
    """Return each as a row; ValueError where lengths differ, one is not a row, or a judgment is outside [0, 1]."""
    rows = [np.asarray(values, dtype=np.float64) for values in (*distances, *judgments.values())]
    if rows[0].ndim != 1 or any(row.shape != rows[0].shape for row in rows):
        raise ValueError(f"rows of one length are needed, got shapes {', '.join(str(row.shape) for row in rows)}")
    for name, shares in zip(judgments, rows[len(distances) :], strict=True):
        if (wrong := ~((shares >= 0) & (shares <= 1))).any():
            raise ValueError(f"{name} must be within [0, 1], got {shares[wrong][0]}")
    return rows
