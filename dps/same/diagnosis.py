"""Search for the known mistakes that explain the distances of a metric: single ones, then pairs.

The reference is modified by each candidate and screened on a few small pairs; survivors are confirmed on all pairs.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from dps.errors import one_line
from dps.same.mistakes import MISTAKES, Distances, Mistake
from dps.same.pairs import Batch
from dps.same.reference import Distance, Reference
from dps.user_code import guest

SCREENED = 3
"""Number of batches on which mistakes are screened."""

NamedMistake: TypeAlias = tuple[Mistake, str]
"""A mistake and its variant in a few words, which are empty if there is one variant only."""

Target: TypeAlias = Sequence[tuple[Batch, Distances]]
"""Batches with the distances to explain, ``(pair,)``; NaN where they are not compared."""

FLOOR = 1e-3
"""Minimum denominator of relative deviations, as a fraction of the median distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One or two mistakes with which the reference has the distances of a metric.

    Attributes:
        deviation: the largest remaining relative deviation.
    """

    mistakes: tuple[NamedMistake, ...]
    deviation: float

    @property
    def names(self) -> list[str]:
        """Return the names of the mistakes with their variants."""
        return [f"{mistake.name} ({variant})" if variant else mistake.name for mistake, variant in self.mistakes]


def measure(distance: Distance, batches: Iterable[Batch]) -> tuple[Distances, dict[int, str]]:
    """Measure batches; PyTorch's random number generator is seeded before each.

    Returns:
        The distances, batch by batch, ``(pair,)``, NaN where the metric raised; and the exceptions by index.
    """
    values: list[float] = []
    errors: dict[int, str] = {}
    for batch in batches:
        with guest.visit():
            torch.manual_seed(0)
        try:
            values += distance(batch.originals, batch.others).double().cpu().tolist()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
            errors |= dict.fromkeys(range(len(values), len(values) + len(batch.places)), one_line(error))
            values += [np.nan] * len(batch.places)
    return np.array(values), errors


def deviations(distances: Distances, reference: Distances, least: float = 0.0) -> Distances:
    """Return the deviations of distances, relative to the larger one.

    The denominator is at least `least`, and at least `FLOOR` of the reference's median distance.
    """
    finite = np.abs(reference[np.isfinite(reference)])
    floor = max(least, FLOOR * float(np.median(finite)) if finite.size else 0.0)
    scale = np.maximum(np.maximum(np.abs(distances), np.abs(reference)), floor)
    with np.errstate(invalid="ignore"):
        return np.where(distances == reference, 0.0, np.abs(distances - reference) / np.maximum(scale, 1e-300))


def explain(
    reference: Reference, batches: Sequence[Batch], port: Distances, own: Distances, tolerance: float
) -> list[Diagnosis]:
    """Find the mistakes with which the reference has the distances of a port: single ones, or else pairs.

    Those that only transform the distances, such as a constant factor, come last.

    Args:
        reference: the metric without mistakes.
        batches: the pairs.
        port, own: distances of the port and of the reference, batch by batch, ``(pair,)``. Pairs without two finite
            distances are ignored; if the others do not differ, the result is empty.
        tolerance: largest relative deviation of equal distances, see `deviations`.
    """
    compared = np.isfinite(port) & np.isfinite(own)
    if not compared.any() or np.ptp(port[compared]) == 0:
        return []
    port = np.where(compared, port, np.nan)
    differing = _differing(batches, port, own, reference.least, tolerance)
    if not differing:
        return []
    target = _by_batch(batches, port)
    screened = [target[number] for number in differing]
    first, first_port = screened[0]
    first_compared = np.isfinite(first_port)
    loose = max(tolerance, min(10 * tolerance, min(differing.values()) / 2))  # closer than the unmodified reference
    sample = [item for item in target if np.isfinite(item[1]).any()][::8] or screened
    explanations: list[Diagnosis] = []
    effects: dict[NamedMistake, tuple[float, ...]] = {}  # of single mistakes on the first batch
    refuted: set[tuple[object, ...]] = set()
    for count in (1, 2):
        for modified, mistakes in _modified(reference, count):
            choices: Collection[tuple[Mistake, ...]] = _adjustments(count - len(mistakes))
            if () in choices:  # no adjustment: one batch can refute it, and every mistake of the same effect
                key = tuple(effects.get(mistake, mistake) for mistake in mistakes)
                if key in refuted:
                    continue
                distances, _ = measure(modified, [first])
                if count == 1:
                    effects[mistakes[0]] = tuple(distances)
                if not (deviations(first_port, distances, modified.least)[first_compared] <= loose).all():
                    refuted.add(key)
                    continue
            matches: dict[tuple[Mistake, ...], tuple[tuple[NamedMistake, ...], float]] = {}
            for stage, limit in ((screened, loose), (sample, tolerance), (target, tolerance)):
                choices = matches = _matching(modified, stage, choices, limit)
            explanations += [
                Diagnosis(mistakes=(*mistakes, *rest), deviation=worst) for rest, worst in matches.values()
            ]
        if explanations:
            break
    return sorted(explanations, key=lambda diagnosis: any(mistake.adjust for mistake, _ in diagnosis.mistakes))


def _by_batch(batches: Sequence[Batch], distances: Distances) -> list[tuple[Batch, Distances]]:
    """Return batches with their parts of all distances."""
    ends = np.cumsum([len(batch.places) for batch in batches])
    return list(zip(batches, np.split(distances, ends[:-1]), strict=True))


def _differing(
    batches: Sequence[Batch], port: Distances, own: Distances, least: float, tolerance: float
) -> dict[int, float]:
    """Return the indices of `SCREENED` batches in which distances differ, each with its largest deviation.

    Single pairs come first, then small images; batches whose distances are far below the median, where rounding may
    count, come last.
    """
    worst = [float(np.nanmax(part, initial=0.0)) for _, part in _by_batch(batches, deviations(port, own, least))]
    reference = _by_batch(batches, own)
    small = 0.1 * np.nanmedian(np.abs(own))

    def key(number: int) -> tuple[object, ...]:
        batch, distances = reference[number]
        return len(distances) > 1, np.nanmax(np.abs(distances)) < small, batch.originals.numel()

    differing = sorted((number for number, deviation in enumerate(worst) if deviation > tolerance), key=key)
    return {number: worst[number] for number in differing[:SCREENED]}


def _matching(
    modified: Reference, target: Target, choices: Collection[tuple[Mistake, ...]], tolerance: float
) -> dict[tuple[Mistake, ...], tuple[tuple[NamedMistake, ...], float]]:
    """Return the adjustments after which a reference has the target's distances, with the largest deviations."""
    if not choices:
        return {}
    matches = {}
    port = np.concatenate([distances for _, distances in target])
    compared = np.isfinite(port)
    measured, _ = measure(modified, [batch for batch, _ in target])
    for choice in choices:
        distances, named = measured[compared], []
        for mistake in choice:
            assert mistake.adjust is not None
            with np.errstate(all="ignore"):
                variant, distances = mistake.adjust(modified, distances, port[compared])
            named.append((mistake, variant))
        worst = float(deviations(port[compared], distances, modified.least).max())
        if worst <= tolerance:
            matches[choice] = tuple(named), worst
    return matches


def _modified(reference: Reference, limit: int, start: int = 0) -> Iterator[tuple[Reference, tuple[NamedMistake, ...]]]:
    """Yield the reference itself, then with each combination of up to `limit` mistakes from a place of the table on."""
    yield reference, ()
    for place, mistake in enumerate(MISTAKES[start:] if limit else (), start=start):
        for variant, modified in mistake.make(reference) if mistake.make else ():
            for combined, others in _modified(modified, limit - 1, place + 1):
                if all(mistake.group != other.group for other, _ in others):
                    yield combined, ((mistake, variant), *others)


def _adjustments(count: int) -> list[tuple[Mistake, ...]]:
    """Return all combinations of this many mistakes that adjust distances."""
    single = [mistake for mistake in MISTAKES if mistake.adjust and not mistake.double]
    choices = [both for both in itertools.combinations(single, count) if len({m.group for m in both}) == count]
    return choices + ([(mistake,) for mistake in MISTAKES if mistake.double] if count == 2 else [])
