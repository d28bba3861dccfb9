"""Two metrics on all pairs: whether they give the same distances, and else on which pair they do not, and why."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dps.image_pairs import ImagePair
from dps.rows import Row
from dps.same import pairs as drawn
from dps.same.diagnosis import Diagnosis, deviations, explain, measure
from dps.same.mistakes import Distances
from dps.same.reference import Reference

SHOWN = 3
"""Number of explanations that are put into words; results.json has all."""


def compare(
    names: tuple[str, str], port: Reference, reference: Reference, *, smallest: int, tolerance: float
) -> tuple[Row, ImagePair | None]:
    """Compare a metric under test with a reference on all pairs, alone and in batches, and find out why they differ.

    Args:
        names: of the two, for messages.
        port, reference: the two.
        smallest: height and width that both take, in pixels.
        tolerance: largest deviation of distances that count as equal, see `diagnosis.deviations`.

    Returns:
        The columns of results.json that do not name the variant, and the smallest pair that differs, if one does.
    """
    kinds, pairs = zip(*drawn.draw(smallest), strict=True)
    batches = drawn.batches(pairs)
    ours, errors = measure(port, batches)
    theirs, their_errors = measure(reference, batches)
    places = np.concatenate([batch.places for batch in batches])
    sizes = np.concatenate([np.full(len(batch.places), len(batch.places)) for batch in batches])
    comparable = np.isfinite(theirs)
    deviating = deviations(ours, theirs, reference.least)
    differs = comparable & ~(deviating <= tolerance)
    row: Row = {
        "same_as": names[1],
        "same": not differs.any() if comparable.any() else None,
        "tolerance": tolerance,
        "pairs": len(pairs),
        "compared": len(set(places[comparable])),
        "differing": len(set(places[differs])),
        "deviation": float(np.max(deviating[comparable], initial=0.0)),
        "explanations": [],
        "findings": [],
        **dict.fromkeys(("pair", "batch", "distance", "reference_distance")),
    }
    if row["same"] is None:
        why = next(iter(their_errors.values()), "no distance is finite")
        return {**row, "error": f"{names[1]} could not be measured on any pair: {why}"}, None
    if row["same"]:
        return row, None
    apart = np.where(np.isfinite(ours), np.abs(ours - theirs), 0.0)
    first = min(np.flatnonzero(differs), key=lambda i: (pairs[places[i]].original.size, sizes[i], -apart[i]))
    pair = pairs[places[first]]
    explanations = explain(reference, batches, ours, theirs, tolerance)
    finite = np.isfinite(ours) & comparable
    findings = [
        f"{ours[first]:.4g} against {theirs[first]:.4g} on the smallest pair that differs"
        + (f", in a batch of {sizes[first]}." if sizes[first] > 1 else ".")
    ]
    findings += _explained(names[1], explanations, len(set(places[finite])))
    findings += _broken(ours, comparable, errors, places, sizes, len(pairs))
    if not (differs & finite).any() and finite.any():
        findings.append(f"Where it has a distance, that is the one of {names[1]}.")
    elif not explanations:
        alone = sizes == 1
        if not differs[alone].any():
            findings.append("Alone, all pairs have the same distance; only in a batch they do not.")
        findings += _unexplained(names[1], ours[finite & alone], theirs[finite & alone])
        findings += _where(kinds, set(places[comparable]), set(places[differs]))
    return {
        **row,
        "explanations": [each.names for each in explanations],
        "findings": findings,
        "pair": pair.text,
        "batch": int(sizes[first]),
        "distance": float(ours[first]),
        "reference_distance": float(theirs[first]),
    }, pair


def _explained(name: str, explanations: Sequence[Diagnosis], count: int) -> Iterator[str]:
    for number, each in enumerate(explanations[:SHOWN]):
        remedies = ", and ".join(mistake.remedy for mistake, _ in each.mistakes)
        names = " and ".join(each.names)
        start = "Just as well, it equals" if number else "It equals"
        near = f"to {each.deviation:.0e}" if each.deviation else "exactly"
        yield f"{start} {name} {names} ({near} on {count} pairs): {remedies}."
    if len(explanations) > SHOWN:
        others = [" and ".join(each.names) for each in explanations[SHOWN:]]
        yield f"These give the same numbers, too: {'; '.join(others)}."


def _broken(
    ours: Distances,
    comparable: NDArray[np.bool_],
    errors: Mapping[int, str],
    places: NDArray[np.int64],
    sizes: NDArray[np.int64],
    count: int,
) -> Iterator[str]:
    """Say where a metric has no distance although the reference has one."""
    raised = [place for place in errors if comparable[place]]
    for alone in (True, False):
        of_kind = [place for place in raised if (sizes[place] == 1) == alone]
        if of_kind:
            how = "alone" if alone else "in batches"
            yield f"It raises on {len(set(places[of_kind]))} of {count} pairs {how}: {errors[of_kind[0]]}."
    invalid = [p for p in np.flatnonzero(comparable & ~np.isfinite(ours)) if p not in errors]
    if invalid:
        yield f"It returns {ours[invalid[0]]} on {len(set(places[invalid]))} of {count} pairs."


def _unexplained(name: str, ours: Distances, theirs: Distances) -> Iterator[str]:
    """Say how a metric goes with the reference where no known mistake explains it."""
    if len(ours) < 3:
        return
    if np.ptp(ours) == 0:
        yield f"It is {ours[0]:.4g} for every pair."
        return
    from scipy import stats

    rank = stats.spearmanr(ours, theirs).statistic
    factor, offset = np.polyfit(theirs, ours, 1)
    residual = np.std(ours - factor * theirs - offset) / np.std(ours)
    yield (
        f"No known mistake explains that. Its rank correlation with {name} is {rank:.3f}; the best linear fit, "
        f"{factor:.4g} * distance {offset:+.4g}, leaves {residual:.1%} of its standard deviation."
    )


def _where(kinds: Sequence[str], compared: set[int], differing: set[int]) -> Iterator[str]:
    """Say on which kinds of pairs two metrics part."""
    totals, parted = (Counter(kinds[place] for place in places) for places in (compared, differing))
    shown = ", ".join(f"{kind} {parted[kind]}/{total}" for kind, total in totals.items())
    yield f"Pairs that differ, by kind: {shown}."
