"""Fit a weighted sum of distances so that it passes cases: one linear program. Nothing here measures anything.

A verdict is linear in the weights of its parts, each a comparison with a normalization at one layer: a case passes
where the sum of weight x (reference distance - distorted distance) is above 0 for every reference. The number of failed
cases is not convex in the weights; the hinge loss is, and its minimum is found by SciPy's HiGHS.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

MARGIN = 0.02
"""Of a constraint divided by its L1 norm: what a case should be passed by, so that others like it are, too."""

PREFERENCE = 1e-5
"""Added to the loss for all weight on the last part, less for earlier ones: of equally good weights, one is chosen."""

SMALLEST_SHARE = 1e-6
"""Of a part in the sum; what is smaller is numerical noise, and becomes 0."""

CANDIDATES = 3
"""How many parts are tried when one has to be dropped."""

DIGITS = 6
"""Significant digits of weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """The contribution of each part to the difference that must be above 0, by case.

    Attributes:
        names: of the cases, ``(case,)``.
        groups: of each case, ``(case,)``: of equal weight together, such as probes.
        differences: reference distance - distorted distance of each reference of each case, ``(constraint, part)``.
        cases: of each constraint, the place of its case, ascending, ``(constraint,)``.
        references: names of the references, ``(constraint,)``.
        importance: of each case in its group, not negative, ``(case,)``.
        scale: mean reference distance by part, ``(part,)``, in which weights are counted.
    """

    names: NDArray[np.str_]
    groups: NDArray[np.str_]
    differences: Array = field(repr=False)
    cases: NDArray[np.int64] = field(repr=False)
    references: NDArray[np.str_] = field(repr=False)
    importance: Array = field(repr=False)
    scale: Array = field(repr=False)

    def passed(self, weights: Array) -> NDArray[np.bool_]:
        """Return whether each case is passed with the weights of the parts, ``(case,)``."""
        holds = np.ones(len(self.names), dtype=np.bool_)
        np.logical_and.at(holds, self.cases, self.differences @ weights > 0)
        return holds


def fit(training: Constraints, people: Constraints | None = None, share: float = 0.0, most: int | None = None) -> Array:
    """Return weights that minimize the hinge loss of the cases, groups weighted equally.

    Args:
        training: cases.
        people: triplets with their judgments as constraints, of the same parts.
        share: of people in the loss, in [0, 1]; the rest is the cases'.
        most: how many parts may have a weight; None for any number. While there are more, of the `CANDIDATES` with the
            smallest shares the one is dropped without which the rest, fitted again, has the smallest loss.

    Returns:
        Not negative, some above 0, `DIGITS` significant digits, ``(part,)``.
    """
    shares, _ = _solve(training, people, share, np.ones(len(training.scale), dtype=np.bool_))
    while most is not None and (allowed := shares > SMALLEST_SHARE).sum() > most:
        fits = []
        for part in sorted(np.flatnonzero(allowed), key=lambda part: shares[part])[:CANDIDATES]:
            without = allowed.copy()
            without[part] = False
            fits.append(_solve(training, people, share, without))
        shares, _ = min(fits, key=lambda fit: fit[1])
    weights = np.where(shares > SMALLEST_SHARE, shares / training.scale, 0.0)
    return np.array([float(f"{weight:.{DIGITS}g}") for weight in weights])


def _solve(
    training: Constraints, people: Constraints | None, share: float, allowed: NDArray[np.bool_]
) -> tuple[Array, float]:
    """Return each part's share of the sum, in units of its scale; they sum to 1; and the loss, in any unit."""
    from scipy import optimize, sparse

    rows, slacks, losses = [], [], []
    for part_of_loss, constraints in ((1 - share, training), (share, people)):
        if constraints is None or not part_of_loss:
            continue
        scaled = constraints.differences / training.scale
        norms = np.abs(scaled).sum(axis=1)  # of all parts: dropping one changes what others can do, not what is asked
        counts = norms > 0
        rows.append(scaled[counts][:, allowed] / norms[counts, None])
        slacks.append(
            sparse.csr_array(
                (np.ones(counts.sum()), (np.arange(counts.sum()), constraints.cases[counts])),
                shape=(counts.sum(), len(constraints.names)),
            )
        )
        losses.append(part_of_loss * _loss_weights(constraints))
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
    assert solution.status == 0, solution.message  # it is feasible and bounded whatever the distances are
    shares = np.zeros(len(allowed))
    shares[allowed] = solution.x[:parts]
    return shares, float(solution.fun)


def _loss_weights(constraints: Constraints) -> Array:
    """Return what each case's loss is multiplied with, ``(case,)``: every group weighs the same, in all 1."""
    _, groups = np.unique(constraints.groups, return_inverse=True)
    totals = np.bincount(groups, constraints.importance)
    of_cases = totals[groups] * np.count_nonzero(totals)
    weights: Array = np.divide(constraints.importance, of_cases, out=np.zeros(len(of_cases)), where=of_cases > 0)
    return weights


def leave_one_out(
    training: Constraints,
    held_out: Constraints,
    people: Constraints | None = None,
    share: float = 0.0,
    most: int | None = None,
) -> Iterator[tuple[str, Array]]:
    """Fit without each group of cases in turn; yield the group and whether its held-out cases are passed, as 0 and 1.

    All else is as in `fit`. Nothing is yielded where there is only one group, or of one without held-out cases.
    """
    groups = np.unique(training.groups)
    for group in np.intersect1d(groups, held_out.groups) if len(groups) > 1 else ():
        others = replace(training, importance=training.importance * (training.groups != group))
        weights = fit(others, people, share, most)
        yield str(group), held_out.passed(weights)[held_out.groups == group].astype(np.float64)


# --------------------------------------------------------------------------------------------- contradictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradictions:
    """Cases, and pairs of them, that no weights can pass.

    Attributes:
        alone: cases that no weights pass, by name: some reference is not farther by any part.
        pairs: of two groups, how many pairs of their cases no weights pass both of, of which the fitted weights fail
            one, most first; each with an example: the two cases, ``name against reference``.
    """

    alone: tuple[str, ...]
    pairs: Mapping[tuple[str, str], tuple[int, str, str]]


def contradictions(constraints: Constraints, weights: Array) -> Contradictions:
    """Find cases, and pairs of cases of different groups, that no non-negative weights pass, among failed ones.

    Two constraints a and b cannot both hold where some l in [0, 1] has l a + (1 - l) b <= 0 for every part (Gordan's
    theorem of the alternative): each part allows an interval of l, and the intervals must have a point in common.
    """
    scaled = constraints.differences / constraints.scale
    failed = np.flatnonzero(~(constraints.differences @ weights > 0))
    hopeless: NDArray[np.bool_] = np.all(scaled <= 0, axis=1)
    alone = constraints.names[np.unique(constraints.cases[failed[hopeless[failed]]])]
    groups = constraints.groups[constraints.cases]
    found: dict[tuple[str, str], dict[tuple[int, int], tuple[str, str]]] = {}
    for row in failed[~hopeless[failed]]:
        others = np.flatnonzero((groups != groups[row]) & ~hopeless)
        low, high = _intervals(scaled[row], scaled[others])
        for other in others[low <= high]:
            first, second = sorted((row, other), key=lambda place: str(groups[place]))
            cases = int(constraints.cases[first]), int(constraints.cases[second])
            examples = _named(constraints, first), _named(constraints, second)
            found.setdefault((str(groups[first]), str(groups[second])), {}).setdefault(cases, examples)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    pairs = {key: (len(cases), *next(iter(cases.values()))) for key, cases in ordered}
    return Contradictions(alone=tuple(map(str, alone)), pairs=pairs)


def _intervals(a: Array, others: Array) -> tuple[Array, Array]:
    """Return the ends of the interval of l in [0, 1] with l a + (1 - l) b <= 0 for every part, for each b of others.

    Both ends are ``(other,)``; empty intervals have low > high.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = others / (others - a)  # where the line from b (l = 0) to a (l = 1) crosses 0
    both = (a > 0) & (others > 0)
    low = np.where(both, np.inf, np.where((a <= 0) & (others > 0), zero, 0.0)).max(axis=1)
    high = np.where((a > 0) & (others <= 0), zero, 1.0).min(axis=1)
    return low, high


def _named(constraints: Constraints, row: np.int64) -> str:
    return f"{constraints.names[constraints.cases[row]]} against {constraints.references[row]}"
