"""Which known mistakes explain the numbers of a metric: one at a time, then in pairs.

Each is made with the reference and screened on a few small pairs; what survives is confirmed on all.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
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
"""Number of pairs on which mistakes are screened."""

Made: TypeAlias = tuple[Mistake, str]
"""A mistake, and how it was made, in a few words; empty where there is one way only."""

Goal: TypeAlias = Sequence[tuple[Batch, Distances]]
"""Batches with the distances that a metric has for them, ``(pair,)``; NaN where they are not compared."""

FLOOR = 1e-3
"""Part of the median distance below which distances are compared as if they were that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Mistakes with which the reference gives the numbers of a metric.

    Attributes:
        mistakes: one or two, each with its way in a few words.
        deviation: the largest difference that is left, as a part of a distance.
    """

    mistakes: tuple[Made, ...]
    deviation: float

    @property
    def names(self) -> list[str]:
        """Return the names of the mistakes, each with its way."""
        return [f"{mistake.name} ({way})" if way else mistake.name for mistake, way in self.mistakes]


def measure(distance: Distance, batches: Iterable[Batch]) -> tuple[Distances, dict[int, str]]:
    """Measure batches; random numbers that a metric draws with PyTorch begin at the same seed for each.

    Returns:
        The distances, batch by batch, ``(pair,)``, NaN where the metric raised; and what it raised, by place.
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
    """Return the differences of two metrics as parts of the larger distance, or of `FLOOR` of the median distance.

    Distances below the least one are compared as if they were that.
    """
    known = np.abs(reference[np.isfinite(reference)])
    floor = max(least, FLOOR * float(np.median(known)) if known.size else 0.0)
    scale = np.maximum(np.maximum(np.abs(distances), np.abs(reference)), floor)
    with np.errstate(invalid="ignore"):
        return np.where(distances == reference, 0.0, np.abs(distances - reference) / np.maximum(scale, 1e-300))


def explain(
    reference: Reference, batches: Sequence[Batch], port: Distances, known: Distances, tolerance: float
) -> list[Diagnosis]:
    """Find the mistakes with which the reference gives the distances of a port: single ones, or else pairs.

    Those that change no more than the distances, such as a constant factor, come last.

    Args:
        reference: the metric without mistakes.
        batches: the pairs.
        port, known: the distances of the port and of the reference, batch by batch, ``(pair,)``; what is not finite in
            either is left out, and where the rest does not differ, there is nothing to explain.
        tolerance: largest deviation of distances that count as equal, see `deviations`.
    """
    compared = np.isfinite(port) & np.isfinite(known)
    if not compared.any() or np.ptp(port[compared]) == 0:
        return []
    goal = _by_batch(batches, np.where(compared, port, np.nan))
    differing = _differing(goal, _by_batch(batches, known), reference.least, tolerance)
    if not differing:
        return []
    few = [goal[number] for number in differing]
    nearest = min(differing.values())
    loose = max(tolerance, min(10 * tolerance, nearest / 2))  # nearer than the reference is without a mistake
    some = [item for item in goal if np.isfinite(item[1]).any()][::8] or few
    explanations: list[Diagnosis] = []
    alone: dict[Made, tuple[float, ...]] = {}
    refuted: dict[object, bool] = {}
    for count in (1, 2):
        for made, mistakes in _made(reference, count):
            choices = _adjusting(count - len(mistakes))
            if choices == [()]:  # by the smallest batch; what is equal there alone is so together, and measured once
                key = tuple(alone.get(each, each) for each in mistakes)
                if key not in refuted:
                    matching, values = _matching(made, few[:1], choices, loose)
                    refuted[key] = not matching
                    if count == 1:
                        alone[mistakes[0]] = tuple(values)
                if refuted[key]:
                    continue
            for stage, limit in ((few, loose), (some, tolerance), (goal, tolerance)):
                found, _ = _matching(made, stage, choices, limit)
                choices = [tuple(mistake for mistake, _ in ways) for ways, _ in found]
            explanations += [Diagnosis(mistakes=(*mistakes, *ways), deviation=worst) for ways, worst in found]
        if explanations:
            break
    return sorted(explanations, key=lambda each: any(mistake.adjust for mistake, _ in each.mistakes))


def _by_batch(batches: Sequence[Batch], distances: Distances) -> list[tuple[Batch, Distances]]:
    """Return batches with their part of all distances."""
    ends = np.cumsum([len(batch.places) for batch in batches])
    return list(zip(batches, np.split(distances, ends[:-1]), strict=True))


def _differing(goal: Goal, known: Goal, least: float, tolerance: float) -> dict[int, float]:
    """Return the numbers of `SCREENED` batches in which distances differ, each with its largest deviation.

    Single pairs come first, then small images. Where the reference has a distance far below the median, rounding may
    count, so these come last.
    """
    apart = deviations(np.concatenate([port for _, port in goal]), np.concatenate([own for _, own in known]), least)
    small = 0.1 * np.nanmedian(np.abs(np.concatenate([own for _, own in known])))
    keys = {}
    for number, ((batch, own), (_, deviating)) in enumerate(
        zip(known, _by_batch([batch for batch, _ in goal], apart), strict=True)
    ):
        worst = float(np.nanmax(deviating, initial=0.0))
        if worst > tolerance:
            keys[number] = (len(own) > 1, np.nanmax(np.abs(own)) < small, batch.originals.numel(), number), worst
    return {number: keys[number][1] for number in sorted(keys, key=lambda number: keys[number][0])[:SCREENED]}


def _matching(
    made: Reference, goal: Goal, choices: Sequence[Sequence[Mistake]], tolerance: float
) -> tuple[list[tuple[tuple[Made, ...], float]], Distances]:
    """Return the choices of adjusting mistakes that lead from a reference to a goal, and the largest deviation left.

    The distances of the reference are returned, too.
    """
    if not choices:
        return [], np.empty(0)
    matching: list[tuple[tuple[Made, ...], float]] = []
    port = np.concatenate([distances for _, distances in goal])
    compared = np.isfinite(port)
    measured, _ = measure(made, [batch for batch, _ in goal])
    for choice in choices:
        distances, ways = measured[compared], []
        for mistake in choice:
            assert mistake.adjust is not None
            way, distances = mistake.adjust(made, distances, port[compared])
            ways.append((mistake, way))
        worst = float(deviations(port[compared], distances, made.least).max())
        if worst <= tolerance:
            matching.append((tuple(ways), worst))
    return matching, measured


def _made(reference: Reference, most: int, first: int = 0) -> Iterator[tuple[Reference, tuple[Made, ...]]]:
    """Yield the reference, and with each mistake that can be made with it, and with each two of these up to a number.

    Mistakes are taken from a place of the table on.
    """
    yield reference, ()
    for place, mistake in enumerate(MISTAKES[first:] if most else (), start=first):
        for way, made in mistake.make(reference) if mistake.make else ():
            for both, others in _made(made, most - 1, place + 1):
                if all(mistake.group != other.group for other, _ in others):
                    yield both, ((mistake, way), *others)


def _adjusting(count: int) -> list[tuple[Mistake, ...]]:
    """Return all choices of mistakes that adjust distances, this many at once."""
    both = itertools.combinations([mistake for mistake in MISTAKES if mistake.adjust and not mistake.double], count)
    choices = [mistakes for mistakes in both if len({mistake.group for mistake in mistakes}) == count]
    return choices + ([(mistake,) for mistake in MISTAKES if mistake.double] if count == 2 else [])
