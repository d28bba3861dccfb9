"""Fit the weights of a sum of distances to cases that it should pass, as one linear program.

The verdict on a case is linear in the weights of the parts of the sum, each a comparison with a normalization at one
layer: the case passes where the sum of weight x (reference distance - distorted distance) is above 0 for every
reference. The number of failed cases is not convex in the weights. The hinge loss is; SciPy's HiGHS minimizes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

MARGIN = 0.02
"""Required value of a constraint divided by its L1 norm; above 0, so that the fit generalizes to similar cases."""

PREFERENCE = 1e-5
"""Loss of a sum of the last part alone, proportionally less for earlier ones: it makes the solution unique."""

SMALLEST_SHARE = 1e-6
"""Smallest share of a part in the sum; a smaller one is numerical noise and becomes 0."""

CANDIDATES = 3
"""Number of parts that are tried when one has to be dropped."""

DIGITS = 6
"""Significant digits of weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Differences that must be above 0 for cases to pass, one constraint for each case and reference.

    Attributes:
        names: of the cases, ``(case,)``.
        groups: group of each case, such as its probe, ``(case,)``; all groups have the same total weight.
        differences: reference distance - distorted distance, ``(constraint, part)``.
        cases: index of each constraint's case, ascending, ``(constraint,)``.
        references: names of the references, ``(constraint,)``.
        importance: of each case within its group, not negative, ``(case,)``.
        scale: mean reference distance of each part, the unit of its weight, ``(part,)``.
    """

    names: NDArray[np.str_]
    groups: NDArray[np.str_]
    differences: Array = field(repr=False)
    cases: NDArray[np.int64] = field(repr=False)
    references: NDArray[np.str_] = field(repr=False)
    importance: Array = field(repr=False)
    scale: Array = field(repr=False)

    def passed(self, weights: Array) -> NDArray[np.bool_]:
        """Return whether each case passes with the weights ``(part,)``, ``(case,)``."""
        passed = np.ones(len(self.names), dtype=np.bool_)
        np.logical_and.at(passed, self.cases, self.differences @ weights > 0)
        return passed


def fit(
    training: Constraints, people: Constraints | None = None, share: float = 0.0, max_parts: int | None = None
) -> Array:
    """Return the weights that minimize the hinge loss.

    Args:
        training: cases.
        people: judged triplets as constraints, with the same parts.
        share: of people in the loss, in [0, 1]; the cases have the rest.
        max_parts: limit for the number of weights above 0; None for no limit. Parts are dropped one by one: of the
            `CANDIDATES` with the smallest shares, the one without which the refitted rest has the smallest loss.

    Returns:
        Not negative, some above 0, `DIGITS` significant digits, ``(part,)``.
    """
    shares, _ = _solve(training, people, share, np.ones(len(training.scale), dtype=np.bool_))
    while max_parts is not None and (allowed := shares > SMALLEST_SHARE).sum() > max_parts:
        fits = []
        for part in sorted(np.flatnonzero(allowed), key=lambda part: shares[part])[:CANDIDATES]:
            remaining = allowed.copy()
            remaining[part] = False
            fits.append(_solve(training, people, share, remaining))
        shares, _ = min(fits, key=lambda fit: fit[1])
    weights = np.where(shares > SMALLEST_SHARE, shares / training.scale, 0.0)
    return np.array([float(f"{weight:.{DIGITS}g}") for weight in weights])


def _solve(
    training: Constraints, people: Constraints | None, share: float, allowed: NDArray[np.bool_]
) -> tuple[Array, float]:
    """Return the share of each part in the sum, in units of its scale, which add up to 1; and the loss, in any unit."""
    from scipy import optimize, sparse

    rows, slacks, losses = [], [], []
    for loss_share, constraints in ((1 - share, training), (share, people)):
        if constraints is None or not loss_share:
            continue
        scaled = constraints.differences / training.scale
        norms = np.abs(scaled).sum(axis=1)  # over all parts, so that dropping a part does not change the requirement
        nonzero = norms > 0
        count = np.count_nonzero(nonzero)
        rows.append(scaled[nonzero][:, allowed] / norms[nonzero, None])
        indices = np.arange(count), constraints.cases[nonzero]
        slacks.append(sparse.csr_array((np.ones(count), indices), shape=(count, len(constraints.names))))
        losses.append(loss_share * _loss_weights(constraints))
    parts, cases = int(allowed.sum()), sum(map(len, losses))
    matrix = sparse.hstack([sparse.csr_array(np.concatenate(rows)), sparse.block_diag(slacks)], format="csr")
    preference = PREFERENCE * np.arange(parts) / parts
    solution = optimize.linprog(
        np.concatenate([preference, *losses]) / PREFERENCE,  # so that the preference is above the solver's tolerance
        A_ub=-matrix,
        b_ub=np.full(matrix.shape[0], -MARGIN),
        A_eq=sparse.csr_array(np.concatenate([np.ones(parts), np.zeros(cases)])[None]),
        b_eq=[1.0],
        method="highs-ds",
    )
    assert solution.status == 0, solution.message  # feasible and bounded for all distances
    shares = np.zeros(len(allowed))
    shares[allowed] = solution.x[:parts]
    return shares, float(solution.fun)


def _loss_weights(constraints: Constraints) -> Array:
    """Return the factor of each case's loss, ``(case,)``: equal sums for all groups, 1 in total."""
    _, groups = np.unique(constraints.groups, return_inverse=True)
    totals = np.bincount(groups, constraints.importance)
    divisors = totals[groups] * np.count_nonzero(totals)
    weights: Array = np.divide(constraints.importance, divisors, out=np.zeros(len(divisors)), where=divisors > 0)
    return weights


def leave_one_out(
    training: Constraints,
    held_out: Constraints,
    people: Constraints | None = None,
    share: float = 0.0,
    max_parts: int | None = None,
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Fit without each group of cases in turn; yield the group and whether its held-out cases pass.

    For the other arguments see `fit`. Groups without held-out cases, and a single group, are skipped.
    """
    groups = np.unique(training.groups)
    for group in np.intersect1d(groups, held_out.groups) if len(groups) > 1 else ():
        others = replace(training, importance=training.importance * (training.groups != group))
        weights = fit(others, people, share, max_parts)
        yield str(group), held_out.passed(weights)[held_out.groups == group]


# --------------------------------------------------------------------------------------------- contradictions


class CaseReference(NamedTuple):
    """The names of a case and of one of its references, which together make a constraint."""

    case: str
    reference: str

    def __str__(self) -> str:
        return f"{self.case} against {self.reference}"


class Contradiction(NamedTuple):
    """Pairs of cases, one of each group, that no weights pass both.

    Attributes:
        groups: the names of the two groups.
        pairs: number of pairs.
        example: one pair.
    """

    groups: tuple[str, str]
    pairs: int
    example: tuple[CaseReference, CaseReference]


def impossible_cases(constraints: Constraints) -> list[str]:
    """Return the cases that no weights pass: for one of their references, no part has a positive difference."""
    impossible = np.all(constraints.differences <= 0, axis=1)
    names: list[str] = constraints.names[np.unique(constraints.cases[impossible])].tolist()
    return names


def contradictions(constraints: Constraints, weights: Array) -> list[Contradiction]:
    """Find pairs of a failed case and one of another group that no non-negative weights pass, by pair of groups.

    Two constraints a and b cannot both hold where some l in [0, 1] has l a + (1 - l) b <= 0 for every part (Gordan's
    theorem of the alternative): each part allows an interval of l, and the intervals must have a point in common.

    Returns:
        Those with the most pairs first. `impossible_cases` are in none.
    """
    scaled = constraints.differences / constraints.scale
    possible = np.any(scaled > 0, axis=1)
    groups = constraints.groups[constraints.cases]
    names = constraints.names[constraints.cases]
    pairs: dict[tuple[str, str], dict[tuple[str, str], tuple[CaseReference, CaseReference]]] = {}
    for row in np.flatnonzero(possible & ~(constraints.differences @ weights > 0)):
        others = np.flatnonzero((groups != groups[row]) & possible)
        low, high = _intervals(scaled[row], scaled[others])
        for other in others[low <= high]:
            i, j = sorted((row, other), key=lambda index: str(groups[index]))
            first = CaseReference(str(names[i]), str(constraints.references[i]))
            second = CaseReference(str(names[j]), str(constraints.references[j]))
            examples = pairs.setdefault((str(groups[i]), str(groups[j])), {})
            examples.setdefault((first.case, second.case), (first, second))
    found = [Contradiction(names, len(examples), next(iter(examples.values()))) for names, examples in pairs.items()]
    return sorted(found, key=lambda contradiction: (-contradiction.pairs, contradiction.groups))


def _intervals(a: Array, others: Array) -> tuple[Array, Array]:
    """Return the bounds of the interval of l in [0, 1] with l a + (1 - l) b <= 0 for every part, for each b of others.

    Both are ``(other,)``; empty intervals have low > high.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = others / (others - a)  # where the line from b (l = 0) to a (l = 1) crosses 0
    both = (a > 0) & (others > 0)
    low = np.where(both, np.inf, np.where((a <= 0) & (others > 0), zero, 0.0)).max(axis=1)
    high = np.where((a > 0) & (others <= 0), zero, 1.0).min(axis=1)
    return low, high
