"""Whether a metric is worse than another one that was measured in the same run, on the same cases and triplets.

Both metrics answered the same questions, so only those count on which they differ. If neither were better, each such
difference would be as likely to fall one way as the other; the p-value is how often chance alone then makes the
metric lose at least as much as it did.

- Probes: the exact one-sided sign test. A case is *lost* if the other metric passes it and this one does not, *won* the
  other way round; everything else says nothing.
- 2AFC: the exact one-sided sign-flip test of the mean difference of scores. Differences are rounded to hundredths
  first, which keeps it exact; with five people a triplet there is nothing to round.

Many comparisons are made in one run, and one in twenty would look bad by chance. Holm's method holds the chance of a
single wrong *worse* in the whole run to `LEVEL`. SciPy has no Holm (its `false_discovery_control` bounds another rate)
and statsmodels would be a large dependency for five lines, so they stand here.

A comparison has one of three answers:

- *worse*: the p-value, adjusted for all comparisons of the run, is at most `LEVEL`.
- *not worse*: the metric lost nothing on balance, **and** a loss could have been seen: had it lost everything that the
  other one gets right, and won nothing, that would have been significant, even at the strictest level of the run, which
  is `LEVEL` over the number of comparisons. Where the other one gets too little right for that, a gain that is
  significant at that level does as well. It does not say that both are equally good.
- *cannot tell*: everything else: it lost something, but chance does that too, or there are too few cases. What is named
  with it is the smallest loss that would have been significant at the strictest level. For cases: how many lost ones
  that takes, with the won ones as they are, as a share of all. For 2AFC: how much lower the mean score would have to
  be, with differences of the same sizes on the same triplets.

JND scores are not compared: an average precision is no mean over pairs, so pairs have no differences to test.
"""

import bisect
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from dps.errors import UsageError, unknown

LEVEL = 0.05
"""How likely a run may call a metric worse that is not: one-sided, over all its comparisons together."""

HUNDRED = 100
"""Differences of scores are tested in hundredths."""

Row: TypeAlias = Mapping[str, Any]
"""A case row of results.json."""

Outcomes: TypeAlias = NDArray[np.bool_] | NDArray[np.float64]
Array: TypeAlias = NDArray[np.float64]
Whole: TypeAlias = NDArray[np.int64]


class Answer(StrEnum):
    """Whether the metric is worse than the other one."""

    WORSE = "worse"
    NOT_WORSE = "not worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two metrics' outcomes on the same cases of a probe, or on the same triplets.

    Attributes:
        what: a probe, or kind and subset, such as ``2afc/cnn``.
        metric, other: by name.
        network, normalization: of both, or of the one that has them; None if neither has.
        outcomes: of `metric`: whether it passes each case, bool; or its 2AFC score on each triplet, in
            [0, 1]. ``(case,)`` or ``(triplet,)``.
        other_outcomes: of `other`, in the same order.
        left_out: how many cases only one of them has.

    Raises:
        ValueError: outcomes that do not pair, or that are neither passes nor scores.
    """

    what: str
    metric: str
    other: str
    network: str | None
    normalization: str | None
    outcomes: Outcomes = field(repr=False)
    other_outcomes: Outcomes = field(repr=False)
    left_out: int = 0

    def __post_init__(self) -> None:
        mine, theirs = self.outcomes, self.other_outcomes
        if mine.ndim != 1 or mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            raise ValueError(
                f"outcomes on the same cases are needed, got {mine.dtype} of shape {mine.shape} and {theirs.dtype} "
                f"of shape {theirs.shape}"
            )
        if mine.dtype not in (np.bool_, np.float64):
            raise ValueError(f"outcomes are bool (passed) or float64 (scores), got {mine.dtype}")
        for scores in (mine, theirs):
            if not ((scores >= 0) & (scores <= 1)).all():
                raise ValueError("scores are within [0, 1], and none is missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a pair came to.

    Attributes:
        what, metric, other, network, normalization, left_out: as in the `Pair`.
        of: ``cases`` or ``triplets``.
        count: how many both have.
        lost, won: on how many of them the metric does worse, and better, than the other one.
        difference: of the means over all of them, metric less other, in [-1, 1]; negative is a loss.
        p_value: one-sided.
        adjusted_p_value: Holm's, over all comparisons of the run.
        answer: see the top of this file.
        smallest_seen: the smallest loss that would have been significant, in (0, 1]; None if none would.
    """

    what: str
    metric: str
    other: str
    network: str | None
    normalization: str | None
    of: str
    count: int
    left_out: int
    lost: int
    won: int
    difference: float
    p_value: float
    adjusted_p_value: float
    answer: Answer
    smallest_seen: float | None


def pairs(rows: Iterable[Row], other: str) -> list[Pair]:
    """Pair every measured metric with another one, probe by probe.

    Both of a pair have one network and normalization. A metric without a network is paired with each of the
    other's. A case that broke counts as not passed.

    Args:
        rows: case rows of results.json, in any order.
        other: the metric that the others are compared with, by name.

    Returns:
        Sorted. Cases that only one of a pair has are left out, and counted.

    Raises:
        UsageError: there are rows, but none of the other metric.
    """
    passed: dict[tuple[str, str], dict[_Place, dict[str, bool]]] = {}
    for row in rows:
        places = passed.setdefault((row["metric"], row["probe"]), {})
        by_case = places.setdefault((row["network"], row["normalization"]), {})
        by_case[row["case"]] = row["passed"] is True and not row.get("error")
    metrics = sorted({metric for metric, _ in passed})
    if metrics and other not in metrics:
        raise UsageError(f"--against {other}: was not measured in this run; {unknown('metric', other, metrics)}")
    return [
        _pair(probe, (metric, other), place, mine, theirs)
        for metric, probe in sorted(passed)
        if metric != other
        for place, mine, theirs in _matched(passed[metric, probe], passed.get((other, probe), {}))
    ]


Scored: TypeAlias = tuple[str, str, str | None, str | None]
"""What was scored, such as ``2afc/cnn``, and by which metric, network and normalization."""


def score_pairs(scores: Mapping[Scored, Sequence[float]], other: str) -> list[Pair]:
    """The same as `pairs` for 2AFC scores.

    Args:
        scores: each triplet's, in one order for all metrics.
        other: the metric that the others are compared with, by name.
    """
    by_place: dict[tuple[str, str], dict[_Place, Array]] = {}
    for (what, metric, *place), values in scores.items():
        by_place.setdefault((what, metric), {})[place[0], place[1]] = np.array(values, dtype=np.float64)
    return [
        Pair(
            what=what,
            metric=metric,
            other=other,
            network=network,
            normalization=normalization,
            outcomes=ours,
            other_outcomes=others,
        )
        for (what, metric), mine in sorted(by_place.items())
        if metric != other and (what, other) in by_place
        for (network, normalization), ours, others in _matched(mine, by_place[what, other])
    ]


def judge(pairs: Sequence[Pair]) -> list[Comparison]:
    """Answer for each pair whether its metric is worse than the other one.

    Args:
        pairs: all of a run, since the more there are, the more it takes to call one of them worse.

    Returns:
        One for each, in the same order.
    """
    strictest = LEVEL / max(1, len(pairs))
    tests = [_TESTS[pair.outcomes.dtype](pair, strictest) for pair in pairs]
    adjusted = holm([test.p_value for test in tests])
    return [_comparison(*each) for each in zip(pairs, tests, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for being many: Holm's step-down method.

    The smallest of n is multiplied by n, the next by n - 1 and so on; none may come out smaller than one
    before it, or larger than 1.

    Args:
        p_values: in [0, 1], in any order.

    Returns:
        One for each, in the same order. What is at most a level is significant at it, with all of them
        together.

    Source:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def in_words(comparison: Comparison) -> str:
    """A comparison in one line."""
    place = f" on {comparison.network} ({comparison.normalization})" if comparison.network else ""
    words = {
        Answer.WORSE: f"{comparison.answer}, {_balance(comparison)}, p = {comparison.adjusted_p_value:.2g}",
        Answer.NOT_WORSE: f"{comparison.answer}, {_balance(comparison)}",
        Answer.CANNOT_TELL: f"{comparison.answer}, {_balance(comparison)}; {_could_be_seen(comparison)}",
    }
    left_out = f" ({comparison.left_out} left out)" if comparison.left_out else ""
    subject = f"{comparison.what}: {comparison.metric} against {comparison.other}{place}"
    return f"{subject}: {words[comparison.answer]}{left_out}"


def _balance(comparison: Comparison) -> str:
    if comparison.of == "cases":
        return f"lost {comparison.lost} and won {comparison.won} of {comparison.count}"
    return f"{100 * comparison.difference:+.2f} points"


def _could_be_seen(comparison: Comparison) -> str:
    if comparison.smallest_seen is None:
        return "no loss would show"
    if comparison.of == "cases":
        return f"{round(comparison.smallest_seen * comparison.count)} lost would show"
    return f"-{100 * comparison.smallest_seen:.2f} would show"


# ------------------------------------------------------------------------------------------- pairing

_Place: TypeAlias = tuple[str | None, str | None]
"""Network and normalization."""

_T = TypeVar("_T")


def _matched(mine: dict[_Place, _T], theirs: dict[_Place, _T]) -> list[tuple[_Place, _T, _T]]:
    """What has the same place; what has none goes with each."""
    nowhere = (None, None)
    matched = [
        (place if place != nowhere else other, mine[place], theirs[other])
        for place in mine
        for other in theirs
        if place == other or nowhere in (place, other)
    ]
    return sorted(matched, key=lambda each: tuple(part or "" for part in each[0]))


def _pair(probe: str, metrics: tuple[str, str], place: _Place, mine: dict[str, bool], theirs: dict[str, bool]) -> Pair:
    both = sorted(mine.keys() & theirs.keys())
    return Pair(
        what=probe,
        metric=metrics[0],
        other=metrics[1],
        network=place[0],
        normalization=place[1],
        outcomes=np.array([mine[case] for case in both], dtype=np.bool_),
        other_outcomes=np.array([theirs[case] for case in both], dtype=np.bool_),
        left_out=len(mine.keys() ^ theirs.keys()),
    )


# ------------------------------------------------------------------------------------------- testing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    """What one pair comes to on its own.

    Attributes:
        of: what was counted.
        p_value: one-sided.
        may_reassure: whether a loss could have been seen, or a gain was; see the top of this file.
        smallest_seen: see `Comparison`.
    """

    of: str
    p_value: float
    may_reassure: bool
    smallest_seen: float | None


def _sign_test(pair: Pair, level: float) -> _Test:
    """Of whether cases are passed."""
    mine, theirs = pair.outcomes.astype(np.bool_), pair.other_outcomes.astype(np.bool_)
    lost, won, most = (int(cases.sum()) for cases in (theirs & ~mine, mine & ~theirs, theirs))
    smallest = bisect.bisect_left(range(most + 1), True, key=lambda losses: _sign_p_value(losses, won) <= level)
    return _Test(
        of="cases",
        p_value=_sign_p_value(lost, won),
        may_reassure=min(_sign_p_value(most, 0), _sign_p_value(won, lost)) <= level,
        smallest_seen=smallest / len(mine) if smallest <= most else None,
    )


@functools.lru_cache(maxsize=4096)
def _sign_p_value(lost: int, won: int) -> float:
    """How often a fair coin loses at least as many; it falls as more are lost."""
    if lost + won == 0:
        return 1.0
    from scipy import stats  # here, since importing it takes longer than many a run, and only --against needs it

    return float(stats.binomtest(lost, lost + won, 0.5, alternative="greater").pvalue)


def _sign_flip_test(pair: Pair, level: float) -> _Test:
    """Of scores."""
    mine, theirs = pair.outcomes.astype(np.float64), pair.other_outcomes.astype(np.float64)
    differences = _hundredths(mine - theirs)
    at_worst = np.where(theirs > 0.5, _hundredths(1 - 2 * theirs), 0)
    null = _Null.of(differences)
    smallest = null.smallest_loss(level)
    return _Test(
        of="triplets",
        p_value=null.p_value(differences),
        may_reassure=min(_Null.of(at_worst).p_value(at_worst), null.p_value(-differences)) <= level,
        smallest_seen=None if smallest is None else smallest / HUNDRED / len(mine),
    )


_TESTS = {np.dtype(np.bool_): _sign_test, np.dtype(np.float64): _sign_flip_test}
"""By what the outcomes are."""


def _hundredths(differences: Array) -> Whole:
    return np.rint(HUNDRED * differences).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Null:
    """How much differences of some sizes lose together if each is as likely to be a loss as a gain.

    Attributes:
        unit: what losses are counted in: so many hundredths, of which every difference is a multiple.
        tail: the probability of losing at least so many units, from 0 to all that can be lost.
    """

    unit: int
    tail: Array

    @classmethod
    def of(cls, differences: Whole) -> "_Null":
        """Work it out: of n differences of one size a binomially distributed number is lost."""
        from scipy import signal, stats

        sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
        unit = int(np.gcd.reduce(sizes)) or 1
        likely = np.ones(1)
        for size, count in zip((sizes // unit).tolist(), counts.tolist(), strict=True):
            lost = np.zeros(size * count + 1)
            lost[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
            likely = signal.convolve(likely, lost)
        tail = np.minimum.accumulate(np.cumsum(likely[::-1])[::-1])
        precise = np.finfo(np.float64).eps  # what is less likely than this, rounding hides
        return cls(unit=unit, tail=np.clip(tail, precise, 1.0))

    def p_value(self, differences: Whole) -> float:
        """How often as much is lost as by these differences, or more."""
        return float(self.tail[-differences[differences < 0].sum() // self.unit])

    def smallest_loss(self, level: float) -> int | None:
        """The smallest loss, gains deducted, that is significant, in hundredths; None if none is."""
        significant = np.flatnonzero(self.tail <= level)
        if not len(significant):
            return None
        at_least = np.flatnonzero(self.tail == self.tail[significant[0]])[-1]  # what lies before cannot be lost
        return (2 * int(at_least) - (len(self.tail) - 1)) * self.unit


def _comparison(pair: Pair, test: _Test, adjusted_p_value: float) -> Comparison:
    differences = pair.outcomes.astype(np.float64) - pair.other_outcomes.astype(np.float64)
    count = len(differences)
    difference = round(math.fsum(differences) / count, 12) if count else 0.0  # 0.8 - 0.6 - 0.2 is not quite 0
    answer = Answer.CANNOT_TELL
    if adjusted_p_value <= LEVEL:
        answer = Answer.WORSE
    elif difference >= 0 and test.may_reassure:
        answer = Answer.NOT_WORSE
    return Comparison(
        what=pair.what,
        metric=pair.metric,
        other=pair.other,
        network=pair.network,
        normalization=pair.normalization,
        of=test.of,
        count=count,
        left_out=pair.left_out,
        lost=int((pair.outcomes < pair.other_outcomes).sum()),
        won=int((pair.outcomes > pair.other_outcomes).sum()),
        difference=difference,
        p_value=test.p_value,
        adjusted_p_value=adjusted_p_value,
        answer=answer,
        smallest_seen=test.smallest_seen,
    )
