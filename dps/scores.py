"""Psychophysics statistics: agreement of distances with people's judgments, with standard errors.

Nothing here knows the origin of distances or judgments.
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
    """A score with its uncertainty.

    Attributes:
        value: a score in [0, 1], a correlation in [-1, 1], or a log-likelihood of at most 0.
        standard_error: of the value; NaN for a single observation or original.
        count: number of triplets or pairs.
        low, high: 95 % bootstrap interval; NaN for none.
    """

    value: float
    standard_error: float
    count: int
    low: float = math.nan
    high: float = math.nan


def invalid(distances: Array) -> str:
    """Return the number of distances that are negative or not finite, as a message; empty if all are valid."""
    faulty = distances[~(np.isfinite(distances) & (distances >= 0))]
    return f"{faulty.size} of {distances.size} distances are invalid, the first is {faulty[0]}" if faulty.size else ""


def two_afc(distance_0: ArrayLike, distance_1: ArrayLike, judge: ArrayLike) -> Array:
    """Score triplets by two-alternative forced choice: the fraction of people who chose the closer image.

    Args:
        distance_0, distance_1: of the first and the second image from the original, ``(triplet,)``, finite.
        judge: fraction of people who chose the second image, ``(triplet,)``, in [0, 1].

    Returns:
        ``(triplet,)``, in [0, 1]: ``1 - judge`` where the first image is closer, ``judge`` where the second one is,
        0.5 where the distances are equal.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 3.
    """
    first, second, fraction = _finite(distance_0, distance_1, judge)
    return np.where(first < second, 1 - fraction, np.where(first > second, fraction, 0.5))


def human_two_afc(judge: ArrayLike) -> Array:
    """Score triplets by the probability that two people agree: ``judge ** 2 + (1 - judge) ** 2``.

    Args:
        judge: fraction of people who chose the second image, ``(triplet,)``, in [0, 1].

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 5, "human" in the tables.
    """
    (fraction,) = _finite(judge)
    return fraction * fraction + (1 - fraction) * (1 - fraction)


def rank_flips(before: ArrayLike, after: ArrayLike) -> Array:
    """Mark the triplets whose answer changes under a perturbation of the compared images.

    Args:
        before, after: distances of the first and the second image from the original, ``(triplet, 2)``.

    Returns:
        ``(triplet,)``: 1 where the order of the two distances changes, also to or from a tie, else 0.

    Source:
        Ghildyal and Liu 2022, arXiv:2207.13686, "rank flips".
    """
    orders = [np.sign(np.subtract(*np.asarray(pairs, dtype=np.float64).T)) for pairs in (before, after)]
    flips: Array = (orders[0] != orders[1]).astype(np.float64)
    return flips


def mean_score(scores: ArrayLike, originals: ArrayLike | None = None) -> Estimate:
    """Return the mean of scores; scores of one original are not independent.

    Args:
        scores: ``(observation,)``, at least one.
        originals: index of each score's original, ``(observation,)``; None if all are different.

    Returns:
        The mean, summed exactly and so independent of the order; its cluster-robust standard error: with the sum of
        deviations of each of G originals, the root of their sum of squares times G / (G - 1), over the count; and an
        interval from `RESAMPLES` bootstrap samples of originals.
    """
    values = np.asarray(scores, dtype=np.float64)
    count = len(values)
    mean = math.fsum(values) / count
    clusters = np.arange(count) if originals is None else np.unique(originals, return_inverse=True)[1]
    sums, sizes = np.bincount(clusters, values - mean), np.bincount(clusters)
    groups = len(sums)
    if groups == 1:
        return Estimate(value=mean, standard_error=math.nan, count=count)
    error = math.sqrt(math.fsum(sums**2) * groups / (groups - 1)) / count
    order = np.lexsort((sizes, sums))  # makes the samples independent of the order of files
    counts = _resampled_counts(groups)
    low, high = mean + np.percentile((counts @ sums[order]) / (counts @ sizes[order]), INTERVAL)
    return Estimate(value=mean, standard_error=error, count=count, low=float(low), high=float(high))


def mean_of_subsets(estimates: Sequence[Estimate]) -> Estimate:
    """Return the unweighted mean over subsets, as in the "All" columns of the paper's Table 2.

    Args:
        estimates: of independent subsets, at least one.
    """
    return Estimate(
        value=math.fsum(estimate.value for estimate in estimates) / len(estimates),
        standard_error=math.hypot(*(estimate.standard_error for estimate in estimates)) / len(estimates),
        count=sum(estimate.count for estimate in estimates),
    )


RESAMPLES = 200
"""Number of bootstrap samples; standard errors are then accurate to 5 %."""

INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap samples that bound an interval."""


def log_likelihood(distance_0: ArrayLike, distance_1: ArrayLike, judge: ArrayLike) -> Array:
    """Score triplets by the log-likelihood of people's choices under a logistic psychometric function of the distances.

    A person chooses the second image with probability ``1 / (1 + exp(-k (distance_0 - distance_1)))``. The parameter
    ``k >= 0`` maximizes the likelihood of all choices, so the unit of the distances does not matter.

    Args:
        distance_0, distance_1, judge: as for `two_afc`.

    Returns:
        Mean log-likelihood of a choice, ``(triplet,)``, in nats, at most 0; chance is ``-log(2)``.
    """
    from scipy import optimize, special

    first, second, fraction = _finite(distance_0, distance_1, judge)
    differences = first - second
    sizes = np.abs(differences[differences != 0])
    differences = differences / (np.median(sizes) if len(sizes) else 1.0)

    def log_likelihoods(k: float) -> Array:
        values: Array = fraction * special.log_expit(k * differences)
        values += (1 - fraction) * special.log_expit(-k * differences)
        return values

    def loss(log_k: float) -> float:
        return -float(log_likelihoods(np.exp(log_k)).sum())

    fit = optimize.minimize_scalar(loss, bounds=(-12, 12), method="bounded")
    return log_likelihoods(float(np.exp(fit.x)))


def correlations(distance: ArrayLike, score: ArrayLike, originals: ArrayLike) -> dict[str, Estimate]:
    """Correlate distances with people's scores; positive if small distances correspond to high scores.

    Args:
        distance: of each pair, ``(pair,)``, finite.
        score: of each pair, ``(pair,)``, any unit, higher for more similar.
        originals: index of each pair's original, ``(pair,)``.

    Returns:
        ``srcc``, Spearman's rank correlation, ``krcc``, Kendall's tau-b, and ``plcc``, Pearson's correlation after
        `logistic_fit`, each in [-1, 1]. Interval and standard error are from `RESAMPLES` bootstrap samples of originals
        from a fixed seed, the same for all metrics, with a single logistic fit; NaN for a single original.

    Raises:
        ValueError: all distances or all scores are equal.
    """
    from scipy import stats

    distances, scores, numbers = _finite(distance, score, originals)
    if np.ptp(distances) == 0 or np.ptp(scores) == 0:
        raise ValueError("a correlation needs at least two different distances and two different scores")
    order = np.lexsort((distances, scores, numbers))
    distances, scores = distances[order], scores[order]
    clusters = np.unique(numbers[order], return_inverse=True)[1]
    runs = [np.unique(values, return_inverse=True)[1] for values in (-distances, scores)]
    fitted = logistic_fit(distances, scores)

    def coefficients(weights: Array) -> list[float]:
        ranks = []
        for run in runs:
            sizes = np.bincount(run, weights)
            ranks.append((np.cumsum(sizes) - sizes / 2)[run])  # ties have their mean rank
        sample = np.repeat(np.arange(len(weights)), weights.astype(np.int64))
        kendall = float(stats.kendalltau(*(run[sample] for run in runs)).statistic)
        return [_pearson(ranks[0], ranks[1], weights), kendall, _pearson(fitted, scores, weights)]

    values = coefficients(np.ones(len(scores)))
    errors, lows, highs = np.full((3, 3), math.nan)
    if (groups := int(clusters.max()) + 1) > 1:
        samples = [coefficients(counts[clusters].astype(np.float64)) for counts in _resampled_counts(groups)]
        errors, (lows, highs) = np.nanstd(samples, axis=0, ddof=1), np.nanpercentile(samples, INTERVAL, axis=0)
    return {
        name: Estimate(value=value, standard_error=error, count=len(scores), low=low, high=high)
        for name, value, error, low, high in zip(
            ("srcc", "krcc", "plcc"), values, errors.tolist(), lows.tolist(), highs.tolist(), strict=True
        )
    }


def logistic_fit(distance: ArrayLike, score: ArrayLike) -> Array:
    """Map distances to scores by the four-parameter logistic of the Video Quality Experts Group, decreasing.

    ``score = b2 + (b1 - b2) / (1 + exp((distance - b3) / b4))`` with ``b1 >= b2`` and ``b4 > 0``, by least squares.

    Args:
        distance, score: as for `correlations`.

    Returns:
        ``(fit - b2) / (b1 - b2)``, ``(pair,)``, in [0, 1]: a correlation is independent of both. (With the optimal
        ``b1`` and ``b2``, minimizing the squared error is the same as maximizing Pearson's correlation.)

    Source:
        VQEG 2000, "Final report on the validation of objective models of video quality assessment", Annex D.
    """
    from scipy import optimize, special

    distances, scores = _finite(distance, score)
    units = (distances - np.median(distances)) / distances.std()
    weights = np.ones(len(scores))

    def curve(parameters: Array) -> Array:
        mapped: Array = special.expit((parameters[0] - units) * np.exp(-parameters[1]))
        return mapped

    def loss(parameters: Array) -> float:
        correlation = _pearson(curve(parameters), scores, weights)
        return -correlation if math.isfinite(correlation) else 1.0

    fits = [optimize.minimize(loss, (0.0, math.log(width)), method="Nelder-Mead") for width in (0.25, 1, 4)]
    return curve(min(fits, key=lambda fit: fit.fun).x)


def concordance(distance: ArrayLike, score: ArrayLike) -> float:
    """Return the fraction of pairs of distorted images of one original that distances and people's scores order alike.

    Args:
        distance, score: of each image, ``(image,)``, as for `correlations`.

    Returns:
        In [0, 1]; equal distances count one half, and equal scores do not count. NaN if all scores are equal.
    """
    from scipy import stats

    distances, scores = _finite(distance, score)
    untied_distances, untied_scores = (
        len(values) ** 2 - int((np.unique(values, return_counts=True)[1] ** 2).sum()) for values in (distances, scores)
    )
    if not untied_scores:
        return math.nan
    if not untied_distances:
        return 0.5
    tau = float(stats.kendalltau(-distances, scores).statistic)
    return 0.5 + tau * math.sqrt(untied_distances / untied_scores) / 2


def _pearson(a: Array, b: Array, weights: Array) -> float:
    """Return Pearson's weighted correlation; NaN if one of the variables is constant."""
    a, b = (values - np.average(values, weights=weights) for values in (a, b))
    product = math.sqrt(float((weights * a * a).sum()) * float((weights * b * b).sum()))
    return float((weights * a * b).sum()) / product if product else math.nan


def jnd_average_precision(distance: ArrayLike, same: ArrayLike) -> Estimate:
    """Score pairs by just noticeable differences: the average precision of small distances as predictors of "same".

    Pairs enter in order of distance. Each adds ``same`` true positives and ``1 - same`` false ones. Pairs of equal
    distance enter in one step, so the order of files does not matter.

    Args:
        distance: of each pair, ``(pair,)``, finite, at least one.
        same: fraction of people who said "same", ``(pair,)``, in [0, 1].

    Returns:
        The area under the interpolated precision-recall curve, in [0, 1]: the precision at each recall is the highest
        at that recall or beyond (Pascal VOC since 2010). 0 if nobody said "same".

        Interval and standard error are from `RESAMPLES` bootstrap samples of pairs from a fixed seed; NaN for a single
        pair. (A jackknife needs as many areas as pairs, and is inconsistent at the kinks of the interpolation.)

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 3; Everingham et al. 2010, "The Pascal Visual Object
        Classes (VOC) Challenge", for the curve.
    """
    distances, sames = _finite(distance, same)
    order = np.lexsort((sames, distances))
    distances, sames = distances[order], sames[order]
    steps = np.flatnonzero(np.append(distances[1:] != distances[:-1], True))
    (value,) = _average_precision(sames, np.ones((1, len(sames))), steps)
    resampled = _average_precision(sames, _resampled_counts(len(sames)), steps)
    if len(sames) == 1:
        return Estimate(value=float(value), standard_error=math.nan, count=1)
    error, (low, high) = float(resampled.std(ddof=1)), np.percentile(resampled, INTERVAL).tolist()
    return Estimate(value=float(value), standard_error=error, count=len(sames), low=low, high=high)


def _average_precision(same: Array, counts: NDArray[np.floating], steps: NDArray[np.int64]) -> Array:
    """Return the area for each sample, ``(sample,)``.

    Args:
        same: of the pairs in order of distance, ``(pair,)``.
        counts: multiplicity of each pair in each sample, ``(sample, pair)``.
        steps: index of the last pair of each run of equal distances, ``(step,)``.
    """
    true = np.cumsum(counts * same, axis=1)
    entered = np.cumsum(counts, axis=1)[:, steps]
    positives = true[:, -1:]
    true = true[:, steps]
    precision = np.divide(true, entered, out=np.zeros_like(true), where=entered > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    gained = np.diff(true, axis=1, prepend=0.0)
    area = (gained * envelope).sum(axis=1, keepdims=True)
    normalized = np.divide(area, positives, out=np.zeros_like(area), where=positives > 0)
    averages: Array = np.minimum(normalized[:, 0], 1.0)  # rounding may exceed 1
    return averages


@functools.lru_cache(maxsize=4)
def _resampled_counts(pairs: int) -> NDArray[np.float32]:
    """Return the multiplicity of each pair in each bootstrap sample, ``(RESAMPLES, pair)``."""
    rng = np.random.default_rng(0)  # NumPy keeps the stream of `integers` stable
    counts = np.empty((RESAMPLES, pairs), dtype=np.float32)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, pairs, size=pairs), minlength=pairs)
    counts.setflags(write=False)
    return counts


def _finite(*values: ArrayLike) -> list[Array]:
    arrays = [np.asarray(value, dtype=np.float64) for value in values]
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("distances and judgments must be finite")
    return arrays
