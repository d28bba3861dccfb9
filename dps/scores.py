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
        value: the score: in [0, 1], a correlation in [-1, 1], or a log-likelihood of at most 0.
        standard_error: of the value; NaN where there is one observation, or one original, alone.
        count: how many triplets or pairs it rests on.
        low, high: a 95 % bootstrap interval; NaN where there is none.
    """

    value: float
    standard_error: float
    count: int
    low: float = math.nan
    high: float = math.nan


def invalid(distances: Array) -> str:
    """Say how many distances are not finite or negative; empty if none is."""
    wrong = distances[~(np.isfinite(distances) & (distances >= 0))]
    return f"{wrong.size} of {distances.size} distances are not valid, the first is {wrong[0]}" if wrong.size else ""


def two_afc(distance_0: ArrayLike, distance_1: ArrayLike, judge: ArrayLike) -> Array:
    """Score triplets by two alternative forced choice: the share of people who chose the image that is closer.

    Args:
        distance_0, distance_1: of the first and the second image to the original, ``(triplet,)``, finite.
        judge: the share of people who chose the second image, ``(triplet,)``, in [0, 1].

    Returns:
        Each triplet's score, ``(triplet,)``, in [0, 1]: ``1 - judge`` where the first image is closer,
        ``judge`` where the second one is, 0.5 where both are equally far.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 3.
    """
    first, second, chosen = _rows(distance_0, distance_1, judge)
    return np.where(first < second, 1 - chosen, np.where(first > second, chosen, 0.5))


def human_two_afc(judge: ArrayLike) -> Array:
    """Score triplets by how often a person agrees with another one, drawn from the same judgments.

    Args:
        judge: the share of people who chose the second image, ``(triplet,)``, in [0, 1].

    Returns:
        Each triplet's score, ``(triplet,)``, in [0.5, 1]: ``judge ** 2 + (1 - judge) ** 2``.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 5, "human" in the tables.
    """
    (chosen,) = _rows(judge)
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


def mean_score(scores: ArrayLike, originals: ArrayLike | None = None) -> Estimate:
    """Return the mean of scores, with the standard error of a mean; scores of one original are not independent.

    Args:
        scores: ``(observation,)``, at least one.
        originals: a number for the original of each, ``(observation,)``; None where each has its own.

    Returns:
        The mean, summed exactly, so that it does not depend on the order. The error is the root of the sum of squared
        sums of deviations of each of G originals, times G / (G - 1), over the count; with an original for each score,
        the sample's standard deviation over the root of the count. The interval is of `RESAMPLES` bootstrap samples
        of originals.
    """
    rows = np.asarray(scores, dtype=np.float64)
    count = len(rows)
    mean = math.fsum(rows) / count
    places = np.arange(count) if originals is None else np.unique(originals, return_inverse=True)[1]
    sums, sizes = np.bincount(places, rows - mean), np.bincount(places)
    groups = len(sums)
    if groups == 1:
        return Estimate(value=mean, standard_error=math.nan, count=count)
    error = math.sqrt(math.fsum(sums**2) * groups / (groups - 1)) / count
    order = np.lexsort((sizes, sums))  # so that the samples do not depend on the order of files
    counts = _resampled_counts(groups)
    low, high = mean + np.percentile((counts @ sums[order]) / (counts @ sizes[order]), INTERVAL)
    return Estimate(value=mean, standard_error=error, count=count, low=float(low), high=float(high))


def mean_of_subsets(estimates: Sequence[Estimate]) -> Estimate:
    """Return the unweighted mean over subsets, as in the "All" columns of the paper's Table 2.

    Args:
        estimates: of independent subsets, at least one.

    Returns:
        Each subset counts as much, however large it is. The standard error is that of a mean of independent
        estimates: the root of the sum of their squared standard errors, over their number.
    """
    return Estimate(
        value=math.fsum(estimate.value for estimate in estimates) / len(estimates),
        standard_error=math.hypot(*(estimate.standard_error for estimate in estimates)) / len(estimates),
        count=sum(estimate.count for estimate in estimates),
    )


RESAMPLES = 200
"""How many bootstrap samples a standard error is computed from, which is then known to 5 %."""

INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap samples between which the interval lies."""


def log_likelihood(distance_0: ArrayLike, distance_1: ArrayLike, judge: ArrayLike) -> Array:
    """Score triplets by the log-likelihood of people's choices under a logistic psychometric function of the metric.

    A person chooses the second image with probability ``1 / (1 + exp(-k (distance_0 - distance_1)))``. The one
    parameter, ``k >= 0``, is what makes all choices most likely, so the unit of the distances does not matter.

    Args:
        distance_0, distance_1, judge: as for `two_afc`.

    Returns:
        Each triplet's mean log-likelihood of a choice, ``(triplet,)``, in nats, at most 0; ``-log(2)`` is chance.
    """
    from scipy import optimize, special

    first, second, chosen = _rows(distance_0, distance_1, judge)
    differences = first - second
    sizes = np.abs(differences[differences != 0])
    differences = differences / (np.median(sizes) if len(sizes) else 1.0)

    def of_choices(k: float) -> Array:
        likelihoods: Array = chosen * special.log_expit(k * differences)
        likelihoods += (1 - chosen) * special.log_expit(-k * differences)
        return likelihoods

    fit = optimize.minimize_scalar(lambda log_k: -of_choices(np.exp(log_k)).sum(), bounds=(-12, 12), method="bounded")
    return of_choices(float(np.exp(fit.x)))


def correlations(distance: ArrayLike, score: ArrayLike, originals: ArrayLike) -> dict[str, Estimate]:
    """Correlate distances with people's scores, positive where a small distance goes with a high score.

    Args:
        distance: of each pair, ``(pair,)``, finite, at least two different ones.
        score: of each pair, ``(pair,)``, any unit, higher for more similar, at least two different ones.
        originals: a number for the original of each pair, ``(pair,)``.

    Returns:
        ``srcc``, Spearman's rank correlation, ``krcc``, Kendall's tau-b, and ``plcc``, Pearson's correlation after
        `logistic_fit`, each in [-1, 1]. The interval and the standard error are of `RESAMPLES` bootstrap samples of
        originals from a fixed seed, the same for all metrics; the logistic is fitted once. Both are NaN for a single
        original.

    Raises:
        ValueError: all distances or all scores are equal.
    """
    from scipy import stats

    distances, scores, places = _rows(distance, score, originals)
    if np.ptp(distances) == 0 or np.ptp(scores) == 0:
        raise ValueError("a correlation needs at least two different distances and two different scores")
    order = np.lexsort((distances, scores, places))
    distances, scores = distances[order], scores[order]
    clusters = np.unique(places[order], return_inverse=True)[1]
    runs = [np.unique(values, return_inverse=True)[1] for values in (-distances, scores)]
    fitted = logistic_fit(distances, scores)

    def of_sample(weights: Array) -> list[float]:
        ranks = []
        for run in runs:
            sizes = np.bincount(run, weights)
            ranks.append((np.cumsum(sizes) - sizes / 2)[run])  # the middle rank of each run of ties
        drawn = np.repeat(np.arange(len(weights)), weights.astype(np.int64))
        kendall = float(stats.kendalltau(*(run[drawn] for run in runs)).statistic)
        return [_pearson(ranks[0], ranks[1], weights), kendall, _pearson(fitted, scores, weights)]

    values = of_sample(np.ones(len(scores)))
    errors, lows, highs = np.full((3, 3), math.nan)
    if (groups := int(clusters.max()) + 1) > 1:
        samples = [of_sample(counts[clusters].astype(np.float64)) for counts in _resampled_counts(groups)]
        errors, (lows, highs) = np.nanstd(samples, axis=0, ddof=1), np.nanpercentile(samples, INTERVAL, axis=0)
    return {
        name: Estimate(value=value, standard_error=error, count=len(scores), low=low, high=high)
        for name, value, error, low, high in zip(
            ("srcc", "krcc", "plcc"), values, errors.tolist(), lows.tolist(), highs.tolist(), strict=True
        )
    }


def logistic_fit(distance: ArrayLike, score: ArrayLike) -> Array:
    """Map distances to scores by the four-parameter logistic of the Video Quality Experts Group, kept decreasing.

    ``score = b2 + (b1 - b2) / (1 + exp((distance - b3) / b4))`` with ``b1 >= b2`` and ``b4 > 0``, by least squares.

    Args:
        distance, score: as for `correlations`.

    Returns:
        The fitted scores less ``b2``, over ``b1 - b2``, ``(pair,)``, in [0, 1]: a correlation needs neither. (Where
        these two are least squares, the squared error is least where Pearson's correlation is highest.)

    Source:
        VQEG 2000, "Final report on the validation of objective models of video quality assessment", Annex D.
    """
    from scipy import optimize, special

    distances, scores = _rows(distance, score)
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
    """Return the share of pairs of distorted images, of one original, that distances order as people's scores do.

    Args:
        distance, score: of each image, ``(image,)``, as for `correlations`.

    Returns:
        In [0, 1]: equal distances count one half, and equal scores do not count; NaN where no two scores differ.
    """
    from scipy import stats

    distances, scores = _rows(distance, score)
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
    """Return Pearson's correlation of weighted pairs; NaN where one of them does not vary."""
    a, b = (values - np.average(values, weights=weights) for values in (a, b))
    product = math.sqrt(float((weights * a * a).sum()) * float((weights * b * b).sum()))
    return float((weights * a * b).sum()) / product if product else math.nan


def jnd_average_precision(distance: ArrayLike, same: ArrayLike) -> Estimate:
    """Score pairs by just noticeable differences: how well small distances find the pairs that people call the same.

    Pairs enter in order of their distance. Each adds ``same`` true positives and ``1 - same`` false ones. Pairs of
    equal distance enter together, as one step: the order of files does not matter.

    Args:
        distance: of each pair, ``(pair,)``, finite, at least one.
        same: the share of people who said "same", ``(pair,)``, in [0, 1].

    Returns:
        The area under the interpolated precision-recall curve, in [0, 1]: at each recall the highest
        precision at that recall or beyond (Pascal VOC since 2010). 0 where nobody said "same".

        Its standard error is the standard deviation over `RESAMPLES` bootstrap samples from a fixed seed,
        drawn from the pairs in order of distance and judgment, so that it does not depend on the files'
        order either. (A jackknife would need as many areas as there are pairs, and is not consistent
        where the interpolation's maximum has a kink.) NaN for a single pair.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Section 3; Everingham et al. 2010, "The Pascal Visual Object
        Classes (VOC) Challenge", for the curve.
    """
    distances, sames = _rows(distance, same)
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
    """Return the area, ``(sample,)``.

    Args:
        same: of the pairs in order of distance, ``(pair,)``.
        counts: how often each pair stands in each sample, ``(sample, pair)``.
        steps: the last pair of each run of equal distances, ``(step,)``.
    """
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


def _rows(*values: ArrayLike) -> list[Array]:
    rows = [np.asarray(each, dtype=np.float64) for each in values]
    if not all(np.isfinite(row).all() for row in rows):
        raise ValueError("distances and judgments must be finite")  # NaN is no answer, and sorts as if it were one
    return rows
