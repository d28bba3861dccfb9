"""Comparison of two metrics on all pairs, with the smallest pair that differs and explanations."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dps.image_pairs import ImagePair
from dps.rows import Row
from dps.same import pairs as image_pairs
from dps.same.diagnosis import Diagnosis, deviations, explain, measure
from dps.same.mistakes import Distances
from dps.same.reference import Reference

MAX_EXPLANATIONS = 3
"""Number of explanations in sentences; results.json has all."""


def compare(
    names: tuple[str, str], port: Reference, reference: Reference, *, smallest: int, tolerance: float
) -> tuple[Row, ImagePair | None]:
    """Compare a metric under test with a reference on all pairs, alone and in batches, and diagnose a difference.

    Args:
        names: of the two, for messages.
        port, reference: the two.
        smallest: height and width in pixels that both accept.
        tolerance: largest relative deviation of equal distances, see `diagnosis.deviations`.

    Returns:
        The row of results.json without the variant, and the smallest pair that differs, if any.
    """
    kinds, pairs = zip(*image_pairs.draw(smallest), strict=True)
    batches = image_pairs.batches(pairs)
    actual, errors = measure(port, batches)
    expected, expected_errors = measure(reference, batches)
    places = np.concatenate([batch.places for batch in batches])
    sizes = np.concatenate([np.full(len(batch.places), len(batch.places)) for batch in batches])
    comparable = np.isfinite(expected)
    relative = deviations(actual, expected, reference.least)
    differs = comparable & ~(relative <= tolerance)
    row: Row = {
        "same_as": names[1],
        "same": not differs.any() if comparable.any() else None,
        "tolerance": tolerance,
        "pairs": len(pairs),
        "compared": len(set(places[comparable])),
        "differing": len(set(places[differs])),
        "deviation": float(np.max(relative[comparable], initial=0.0)),
        "explanations": [],
        "findings": [],
        **dict.fromkeys(("pair", "batch", "distance", "reference_distance")),
    }
    if row["same"] is None:
        reason = next(iter(expected_errors.values()), "no distance is finite")
        return {**row, "error": f"{names[1]} could not be measured on any pair: {reason}"}, None
    if row["same"]:
        return row, None
    absolute = np.where(np.isfinite(actual), np.abs(actual - expected), 0.0)
    first = min(np.flatnonzero(differs), key=lambda i: (pairs[places[i]].original.size, sizes[i], -absolute[i]))
    pair = pairs[places[first]]
    explanations = explain(reference, batches, actual, expected, tolerance)
    finite = np.isfinite(actual) & comparable
    findings = [
        f"{actual[first]:.4g} against {expected[first]:.4g} on the smallest pair that differs"
        + (f", in a batch of {sizes[first]}." if sizes[first] > 1 else ".")
    ]
    findings += _explained(names[1], explanations, len(set(places[finite])))
    findings += _broken(actual, comparable, errors, places, sizes, len(pairs))
    if not (differs & finite).any() and finite.any():
        findings.append(f"All its finite distances equal those of {names[1]}.")
    elif not explanations:
        alone = sizes == 1
        if not differs[alone].any():
            findings.append("All pairs have equal distances alone, but not in batches.")
        findings += _unexplained(names[1], actual[finite & alone], expected[finite & alone])
        findings.append(_by_kind(kinds, set(places[comparable]), set(places[differs])))
    return {
        **row,
        "explanations": [diagnosis.names for diagnosis in explanations],
        "findings": findings,
        "pair": pair.text,
        "batch": int(sizes[first]),
        "distance": float(actual[first]),
        "reference_distance": float(expected[first]),
    }, pair


def _explained(name: str, explanations: Sequence[Diagnosis], count: int) -> Iterator[str]:
    for number, diagnosis in enumerate(explanations[:MAX_EXPLANATIONS]):
        remedies = ", and ".join(mistake.remedy for mistake, _ in diagnosis.mistakes)
        start = "It also equals" if number else "It equals"
        accuracy = f"to {diagnosis.deviation:.0e}" if diagnosis.deviation else "exactly"
        yield f"{start} {name} {' and '.join(diagnosis.names)} ({accuracy} on {count} pairs): {remedies}."
    if len(explanations) > MAX_EXPLANATIONS:
        others = [" and ".join(diagnosis.names) for diagnosis in explanations[MAX_EXPLANATIONS:]]
        yield f"Further explanations with the same distances: {'; '.join(others)}."


def _broken(
    actual: Distances,
    comparable: NDArray[np.bool_],
    errors: Mapping[int, str],
    places: NDArray[np.int64],
    sizes: NDArray[np.int64],
    count: int,
) -> Iterator[str]:
    """Yield findings on pairs for which only the reference has a finite distance."""
    broken = np.flatnonzero(comparable & ~np.isfinite(actual)).tolist()
    for manner, selected in (("alone", sizes == 1), ("in batches", sizes > 1)):
        if raised := [index for index in broken if index in errors and selected[index]]:
            yield f"It raises on {len(set(places[raised]))} of {count} pairs {manner}: {errors[raised[0]]}."
    if invalid := [index for index in broken if index not in errors]:
        yield f"It returns {actual[invalid[0]]} on {len(set(places[invalid]))} of {count} pairs."


def _unexplained(name: str, actual: Distances, expected: Distances) -> Iterator[str]:
    """Yield the correlation of a metric with the reference, for a difference without explanation."""
    if len(actual) < 3:
        return
    if np.ptp(actual) == 0:
        yield f"Its distance is {actual[0]:.4g} for every pair."
        return
    from scipy import stats

    rank = stats.spearmanr(actual, expected).statistic
    factor, offset = np.polyfit(expected, actual, 1)
    residual = np.std(actual - factor * expected - offset) / np.std(actual)
    yield (
        f"No known mistake explains that. Its rank correlation with {name} is {rank:.3f}; the best linear fit, "
        f"{factor:.4g} * distance {offset:+.4g}, leaves {residual:.1%} of its standard deviation."
    )


def _by_kind(kinds: Sequence[str], compared: set[int], differing: set[int]) -> str:
    totals, counts = (Counter(kinds[place] for place in places) for places in (compared, differing))
    fractions = ", ".join(f"{kind} {counts[kind]}/{total}" for kind, total in totals.items())
    return f"Pairs that differ, by kind: {fractions}."
