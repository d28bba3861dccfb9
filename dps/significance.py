"""Significance of differences between metrics that were measured in the same run, on the same cases and triplets.

Only cases and triplets on which two metrics differ count. Under the null hypothesis the signs of these differences are
random. The p-value is the probability of a loss at least as large as the observed one: the exact one-sided **sign-flip
test** of the sum of differences. Differences of cases are 1 or -1, for which it is the sign test; those of 2AFC scores
of triplets are rounded to hundredths, which keeps the test exact.

P-values are adjusted for the number of comparisons in a run by Holm's method: `LEVEL` is the probability of any false
*worse* in the whole run. (SciPy has no Holm, and statsmodels would be a large dependency for five lines.)

A comparison has one of three conclusions:

- *worse*: the adjusted p-value is at most `LEVEL`.
- *not worse*: the metric lost nothing on balance, **and** a loss would have been detected: losing everything that the
  other metric gets right would be significant at `LEVEL` divided by the number of comparisons, or the metric's gain is.
  It does not mean that both are equally good.
- *cannot tell*: otherwise: a loss that chance explains, too few cases, or no loss on balance while some cases were not
  measured with both.

JND scores are not compared: an average precision is not a mean over pairs, so there are no differences of pairs.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dps.rows import MIXED, VariantKey, variant_key, was_measured

LEVEL = 0.05
"""Family-wise error rate of a run, one-sided."""

Array: TypeAlias = NDArray[np.float64]

Scored: TypeAlias = tuple[str, VariantKey]
"""A probe, or a subset such as ``2afc/cnn``, and a variant."""


class Conclusion(StrEnum):
    """Conclusion about a metric in comparison with another one."""

    WORSE = "worse"
    NOT_WORSE = "not worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedOutcomes:
    """Outcomes of two metrics on the same cases of a probe, or originals of a subset.

    Attributes:
        subject: a probe, or a subset such as ``2afc/cnn``.
        variant: the metric, with the network and normalization of both, or of the only one that has them.
        other: name of the metric that it is compared with.
        outcomes: 1 for each passed and 0 for each failed case, or each original's score, in [0, 1]; ``(count,)``.
        other_outcomes: of `other`, in the same order.
        unit: ``cases`` or ``originals``.
        not_measured: number of further cases that were not measured with both.
    """

    subject: str
    variant: VariantKey
    other: str
    outcomes: Array = field(repr=False)
    other_outcomes: Array = field(repr=False)
    unit: str = "cases"
    not_measured: int = 0

    @property
    def differences(self) -> Array:
        """Return the metric's gain on each case or original, in [-1, 1]; a loss is negative."""
        return self.outcomes - self.other_outcomes

    @property
    def mean_difference(self) -> float:
        """Return the mean of the differences; 0 if there are none."""
        return round(math.fsum(self.differences) / max(1, len(self.outcomes)), 12)  # 0.8 - 0.6 - 0.2 is not quite 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """Result of one comparison; p-values are one-sided."""

    matched: MatchedOutcomes
    p_value: float
    adjusted_p_value: float
    conclusion: Conclusion

    def __str__(self) -> str:
        matched, differences = self.matched, self.matched.differences
        network, normalization, metric = matched.variant
        worse, better = int((differences < 0).sum()), int((differences > 0).sum())
        balance = f"{worse} of {len(differences)} cases worse, {better} better"
        if matched.unit != "cases":
            balance = f"{100 * matched.mean_difference:+.2f} points on {len(differences)} {matched.unit}"
        if self.conclusion is Conclusion.WORSE:
            balance += f", p = {self.adjusted_p_value:.2g}"
        if matched.not_measured:
            balance += f", {matched.not_measured} not measured with both"
        place = f" on {network} ({normalization})" if network else ""
        return f"{matched.subject}: {metric} against {matched.other}{place}: {self.conclusion} ({balance})"


def match_cases(rows: Iterable[Mapping[str, Any]], other: str) -> list[MatchedOutcomes]:
    """Match the cases of every metric, as rows of results.json, with those of another metric; see `match`."""
    passed: dict[Scored, dict[str, float]] = {}
    cases: dict[str, dict[str, None]] = {}
    for row in rows:
        outcome = float(row["passed"]) if was_measured(row) else math.nan
        passed.setdefault((row["probe"], variant_key(row)), {})[row["case"]] = outcome
        cases.setdefault(row["probe"], {})[row["case"]] = None
    outcomes = {key: [by_case.get(case, math.nan) for case in cases[key[0]]] for key, by_case in passed.items()}
    return match(outcomes, other, "cases")


def match(outcomes: Mapping[Scored, ArrayLike], other: str, unit: str) -> list[MatchedOutcomes]:
    """Match the outcomes of every metric with those of another metric.

    Matched variants have the same network and normalization. A metric without a network is matched with each variant
    of the other one, a tuned metric with each normalization.

    Args:
        outcomes: of each case or original, in [0, 1]; NaN for none; in the same order for all metrics.
        other: name of the metric that the others are compared with.
        unit: ``cases`` or ``originals``.

    Returns:
        Sorted by metric and subject; empty if `other` was not measured.
    """
    matched = []
    others = {key: values for key, values in outcomes.items() if key[1].metric == other}
    for (subject, key), values in outcomes.items():
        for (other_subject, other_key), other_values in others.items():
            if subject != other_subject or key.metric == other:
                continue
            tuned = key.network == other_key.network and MIXED in (key.normalization, other_key.normalization)
            if not (key[:2] == other_key[:2] or key.network is None or other_key.network is None or tuned):
                continue
            from_other = key.network is None or (key.normalization == MIXED and other_key.network is not None)
            pair = np.asarray([values, other_values], dtype=np.float64)
            both = np.isfinite(pair).all(axis=0)
            matched.append(
                MatchedOutcomes(
                    subject=subject,
                    variant=VariantKey(*(other_key if from_other else key)[:2], key.metric),
                    other=other,
                    outcomes=pair[0, both],
                    other_outcomes=pair[1, both],
                    unit=unit,
                    not_measured=int((~both).sum()),
                )
            )
    return sorted(matched, key=lambda pair: (pair.variant.metric, pair.subject, *(name or "" for name in pair.variant)))


def compare(matched: Sequence[MatchedOutcomes]) -> list[ComparisonResult]:
    """Test all matched outcomes of a run, in order."""
    p_values = [_p_value(pair.differences) for pair in matched]
    results = []
    for pair, p_value, adjusted in zip(matched, p_values, holm(p_values), strict=True):
        conclusion = Conclusion.CANNOT_TELL
        if adjusted <= LEVEL:
            conclusion = Conclusion.WORSE
        elif pair.mean_difference >= 0 and not pair.not_measured:
            all_lost = np.where(pair.other_outcomes > 0.5, 1 - 2 * pair.other_outcomes, 0)
            if any(_p_value(values) <= LEVEL / len(matched) for values in (all_lost, -pair.differences)):
                conclusion = Conclusion.NOT_WORSE
        results.append(
            ComparisonResult(matched=pair, p_value=p_value, adjusted_p_value=adjusted, conclusion=conclusion)
        )
    return results


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values, in [0, 1], for multiple comparisons by Holm's step-down method.

    Source:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    order, adjusted = np.argsort(p_values), np.empty(len(p_values))
    stepped = np.sort(p_values) * np.arange(len(p_values), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    values: list[float] = adjusted.tolist()
    return values


@functools.cache
def fisher(*rows: tuple[int, int]) -> float:
    """Return the two-sided p-value of a 2 x 2 table by Fisher's exact test."""
    from scipy import stats

    return float(stats.fisher_exact(rows).pvalue)


def _p_value(differences: Array) -> float:
    """Return the probability that random signs lose at least as much as the differences, rounded to hundredths."""
    from scipy import signal  # slow to import

    hundredths = np.rint(100 * differences).astype(np.int64)
    sizes, counts = np.unique(np.abs(hundredths[hundredths != 0]), return_counts=True)
    unit = int(np.gcd.reduce(sizes)) or 1
    probabilities = np.ones(1)  # of a loss of 0, 1, 2, .. units
    for size, count in zip((sizes // unit).tolist(), counts.tolist(), strict=True):
        losses = np.zeros(size * count + 1)
        losses[::size] = _fair_coins(count)
        probabilities = signal.convolve(probabilities, losses)
    loss = -int(hundredths[hundredths < 0].sum()) // unit
    precision = np.finfo(np.float64).eps  # rounding hides smaller probabilities
    return float(np.clip(probabilities[loss:].sum(), precision, 1.0))


@functools.cache
def _fair_coins(count: int) -> Array:
    """Return the probability of each number of heads, ``(count + 1,)``."""
    from scipy import stats

    probabilities: Array = stats.binom.pmf(np.arange(count + 1), count, 0.5)
    return probabilities
