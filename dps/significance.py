"""Significance of differences between metrics that were measured in the same run, on the same cases and triplets.

Only cases and triplets count on which the two metrics differ. If neither metric were better, each such difference would
be equally likely to have either sign. The p-value is the probability that the metric then loses at least as much as it
did: the exact one-sided **sign-flip test** of the sum of differences. A case is a difference of 1 or -1, for which that
test is the sign test. A triplet is a difference of 2AFC scores, rounded to hundredths, which keeps the test exact.

One run makes many comparisons, so p-values are adjusted by Holm's method: `LEVEL` is the probability of a single wrong
*worse* in the whole run. (SciPy has no Holm, and statsmodels would be a large dependency for five lines.)

A comparison has one of three conclusions:

- *worse*: the adjusted p-value is at most `LEVEL`.
- *not worse*: the metric lost nothing on balance, **and** a loss would have been detected: losing everything that the
  other metric gets right would have been significant even at the strictest level of the run, `LEVEL` divided by the
  number of comparisons; or the metric's gain is significant at that level. It does not say that both are equally good.
- *cannot tell*: everything else: a loss that chance explains, too few cases, or no loss on balance while some cases
  could not be measured.

JND scores are not compared: an average precision is not a mean over pairs, so pairs have no differences to test.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dps.rows import VariantKey, variant_key, was_measured

LEVEL = 0.05
"""The probability that a run calls any metric worse that is not: one-sided, over all its comparisons."""

Hundredths: TypeAlias = NDArray[np.int64]

Scored: TypeAlias = tuple[str, VariantKey]
"""A subset, such as ``2afc/cnn``, and the variant that scored it."""


class Conclusion(StrEnum):
    """The answer to whether a metric is worse than another one."""

    WORSE = "worse"
    NOT_WORSE = "not worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedOutcomes:
    """The outcomes of two metrics on the same cases of a probe, or on the same triplets of a subset.

    Attributes:
        subject: the probe or subset.
        variant: the metric, with the network and normalization of both, or of the one that has them.
        other: the metric that it is compared with, by name.
        outcomes: 1 for each passed and 0 for each failed case, or each triplet's 2AFC score, in [0, 1]; ``(count,)``.
        other_outcomes: of `other`, in the same order.
        unit: ``cases`` or ``triplets``.
        unmatched: how many cases only one of the two has.
        not_measured: how many more cases at least one of them could not measure.
    """

    subject: str
    variant: VariantKey
    other: str
    outcomes: NDArray[np.float64] = field(repr=False)
    other_outcomes: NDArray[np.float64] = field(repr=False)
    unit: str = "cases"
    unmatched: int = 0
    not_measured: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """The result of testing one pair of metrics.

    Attributes:
        matched: what was compared.
        worse_on, better_on: on how many cases or triplets the metric does worse, and better, than the other one.
        difference: of the means over all of them, metric less other, in [-1, 1]; negative is a loss.
        p_value: one-sided.
        adjusted_p_value: Holm's, over all comparisons of the run.
        conclusion: see the top of this file.
    """

    matched: MatchedOutcomes
    worse_on: int
    better_on: int
    difference: float
    p_value: float
    adjusted_p_value: float
    conclusion: Conclusion

    def __str__(self) -> str:
        matched, count = self.matched, len(self.matched.outcomes)
        network, normalization, metric = matched.variant
        balance = f"{self.worse_on} of {count} cases worse, {self.better_on} better"
        if matched.unit == "triplets":
            balance = f"{100 * self.difference:+.2f} points on {count} triplets"
        if self.conclusion is Conclusion.WORSE:
            balance += f", p = {self.adjusted_p_value:.2g}"
        if matched.unmatched:
            balance += f", {matched.unmatched} measured with one of them only"
        if matched.not_measured:
            balance += f", {matched.not_measured} could not be measured"
        place = f" on {network} ({normalization})" if network else ""
        return f"{matched.subject}: {metric} against {matched.other}{place}: {self.conclusion} ({balance})"


def match_cases(rows: Iterable[Mapping[str, Any]], other: str) -> list[MatchedOutcomes]:
    """Match every metric's cases with those of another one, probe by probe.

    Both of a pair have one network and normalization. A metric without a network is paired with each variant of the
    other one.

    Args:
        rows: of ``cases`` in results.json, in any order, each case and variant once.
        other: the metric that the others are compared with, by name.

    Returns:
        Sorted; empty where `other` was not measured.
    """
    by_subject: dict[Scored, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_subject.setdefault((row["probe"], variant_key(row)), {})[row["case"]] = row
    matched = []
    for probe, variant, key, other_key in _matches(by_subject, other):
        own, others = by_subject[probe, key], by_subject[probe, other_key]
        both = sorted(own.keys() & others.keys())
        measured = [case for case in both if was_measured(own[case]) and was_measured(others[case])]
        matched.append(
            MatchedOutcomes(
                subject=probe,
                variant=variant,
                other=other,
                outcomes=np.array([float(own[case]["passed"]) for case in measured]),
                other_outcomes=np.array([float(others[case]["passed"]) for case in measured]),
                unmatched=len(own.keys() ^ others.keys()),
                not_measured=len(both) - len(measured),
            )
        )
    return matched


def match_scores(scores: Mapping[Scored, Sequence[float]], other: str) -> list[MatchedOutcomes]:
    """Match every metric's 2AFC scores with those of another one, as `match_cases` does with cases.

    Args:
        scores: of each triplet, in the same order for all metrics.
        other: the metric that the others are compared with, by name.
    """
    return [
        MatchedOutcomes(
            subject=subset,
            variant=variant,
            other=other,
            outcomes=np.array(scores[subset, key], dtype=np.float64),
            other_outcomes=np.array(scores[subset, other_key], dtype=np.float64),
            unit="triplets",
        )
        for subset, variant, key, other_key in _matches(scores, other)
    ]


def _matches(scored: Iterable[Scored], other: str) -> list[tuple[str, VariantKey, VariantKey, VariantKey]]:
    """Return subject, shown variant, variant and the other metric's variant of each pair, sorted by metric."""
    by_subject: dict[str, list[VariantKey]] = {}
    for subject, key in scored:
        by_subject.setdefault(subject, []).append(key)
    matches = [
        (subject, VariantKey(*(key if key.network else other_key)[:2], key.metric), key, other_key)
        for subject, keys in by_subject.items()
        for key in keys
        for other_key in keys
        if key.metric != other == other_key.metric
        and (key[:2] == other_key[:2] or key.network is None or other_key.network is None)
    ]
    return sorted(matches, key=lambda match: (match[1].metric, match[0], *(name or "" for name in match[1])))


def compare(matched: Sequence[MatchedOutcomes]) -> list[ComparisonResult]:
    """Test for each pair of metrics whether the first is worse than the other one.

    Args:
        matched: all of a run: the more comparisons, the more it takes to call a metric worse.

    Returns:
        One for each, in the same order.
    """
    p_values = [_p_value(_hundredths(pair.outcomes - pair.other_outcomes)) for pair in matched]
    strictest = LEVEL / max(1, len(matched))
    return [
        _result(pair, p_value, adjusted, strictest)
        for pair, p_value, adjusted in zip(matched, p_values, holm(p_values), strict=True)
    ]


def _result(pair: MatchedOutcomes, p_value: float, adjusted: float, strictest: float) -> ComparisonResult:
    differences = pair.outcomes - pair.other_outcomes
    difference = round(math.fsum(differences) / max(1, len(differences)), 12)  # 0.8 - 0.6 - 0.2 is not quite 0
    conclusion = Conclusion.CANNOT_TELL
    if adjusted <= LEVEL:
        conclusion = Conclusion.WORSE
    elif difference >= 0 and not pair.not_measured:
        all_lost = np.where(pair.other_outcomes > 0.5, 1 - 2 * pair.other_outcomes, 0)
        if any(_p_value(_hundredths(each)) <= strictest for each in (all_lost, -differences)):
            conclusion = Conclusion.NOT_WORSE
    return ComparisonResult(
        matched=pair,
        worse_on=int((differences < 0).sum()),
        better_on=int((differences > 0).sum()),
        difference=difference,
        p_value=p_value,
        adjusted_p_value=adjusted,
        conclusion=conclusion,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons with Holm's step-down method.

    Args:
        p_values: in [0, 1], in any order.

    Returns:
        One for each, in the same order; what is at most a level is significant at it, with all of them together.

    Source:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _hundredths(differences: NDArray[np.float64]) -> Hundredths:
    return np.rint(100 * differences).astype(np.int64)


def _p_value(differences: Hundredths) -> float:
    """Return the probability that random signs lose at least as much as these differences do."""
    from scipy import signal, stats  # here, since importing it takes longer than many a run

    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    if len(sizes) <= 1:
        return _sign_test(int((differences < 0).sum()), int(counts.sum()))
    unit = int(np.gcd.reduce(sizes))
    probabilities = np.ones(1)  # of losing 0, 1, 2, .. units
    for size, count in zip((sizes // unit).tolist(), counts.tolist(), strict=True):
        losses = np.zeros(size * count + 1)
        losses[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        probabilities = signal.convolve(probabilities, losses)
    lost = -int(differences[differences < 0].sum()) // unit
    precision = np.finfo(np.float64).eps  # rounding hides smaller probabilities
    return float(np.clip(probabilities[lost:].sum(), precision, 1.0))


@functools.cache
def _sign_test(lost: int, count: int) -> float:
    """Return the p-value of differences that all have one size."""
    from scipy import stats

    return float(stats.binomtest(lost, count, alternative="greater").pvalue) if count else 1.0
