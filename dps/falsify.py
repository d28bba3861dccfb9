"""Search for the mildest distortion that a metric still fails on: a probe's ranges are searched, with a case as result.

The parameters of a distortion change together, by one severity: from the mildest values that the probe declares to the
strongest. Where a case fails, milder ones are tried on all scenes, until the tries are used up.
"""

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from dps import probes
from dps.distortions import DISTORTIONS
from dps.errors import DpsError, DrawError, MetricError, UsageError
from dps.measurement import Engine
from dps.metrics import Variant
from dps.probes import Case, Probe, ranges, yaml_files
from dps.scenes.parameters import parameters
from dps.scenes.rng import Rng
from dps.verdicts import Verdict, judge

Scale: TypeAlias = tuple[float, ...]
"""A parameter's values from the mildest to the strongest: all of them if they are integers, or else both ends."""

SEVERITIES = 100
"""Number of steps in which a distortion goes from its mildest to its strongest."""

MOST_SEEDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A case that fails, at a severity from 0 to `SEVERITIES`; also as plain data, as a probe file has it."""

    severity: int
    declared: dict[str, Any]
    case: Case
    verdict: Verdict


@dataclass(slots=True, kw_only=True)
class Search:
    """The state of a search.

    Attributes:
        mildest: the failure with the lowest severity so far; None if no case fails.
        interrupted: it was ended by Ctrl-C.
        graded: the distortion has parameters that make it milder.
    """

    mildest: Failure | None = None
    measured: int = 0
    not_drawn: int = 0
    interrupted: bool = False
    graded: bool = True


def search(
    probe: Probe,
    variant: Variant,
    engine: Engine,
    *,
    tries: int,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _count: None,
) -> Search:
    """Search a probe's ranges for the mildest distortion that fails, in a number of tries; also where Ctrl-C ends it.

    `advance` is called with the number of further cases measured.

    Raises:
        UsageError: the probe has nothing that could be searched.
        DpsError: the metric raised.
    """
    data = yaml_files.read(probe.path).data
    entries = [entry for entry in data["cases"] if "image" not in entry["distorted"]]
    if not entries:
        raise UsageError(f"{probe.path}: nothing to search; all distorted images are files.")
    steps = [(name, values or {}) for entry in entries for name, values in entry["distorted"].items()]
    state = Search(graded=any(_scales(name, *item) for name, values in steps for item in values.items()))
    rng, below = Rng(seed, probe.name), SEVERITIES + 1
    try:
        while below > 0 and state.measured + state.not_drawn < tries:
            severity = math.ceil(below * (1 - rng.uniform(0, 1) ** 2)) - 1  # most often a little below
            number = rng.integer(0, MOST_SEEDS)
            declared = {"id": f"{variant}-{number}", "seed": number, **_draw(rng.choice(entries), severity, rng)}
            (case,) = probes.of_data({**data, "cases": [declared]}, probe.path).cases
            advance(1)
            try:
                triple = case.draw()
            except DrawError:
                state.not_drawn += 1
                continue
            state.measured += 1
            outcome = engine.measure([triple], [variant])[0][variant]
            if isinstance(outcome, DpsError):
                raise outcome
            verdict = judge(outcome)
            if verdict.distance is None:
                raise MetricError(verdict.error)
            if not verdict.passed:
                state.mildest = Failure(severity=severity, declared=declared, case=case, verdict=verdict)
                below = severity if state.graded else 0
    except KeyboardInterrupt:
        state.interrupted = True
    return state


def _draw(entry: dict[str, Any], severity: int, rng: Rng) -> dict[str, Any]:
    """Draw an entry's images as plain data, with the parameters of its distortion at a severity."""

    def graded(name: str, key: str, value: Any) -> Any:
        scales = _scales(name, key, value)
        return _value(rng.choice(scales), severity) if scales else _drawn(value, rng)

    distorted = {
        name: {key: graded(name, key, value) for key, value in (values or {}).items()}
        for name, values in entry["distorted"].items()
    }
    original, references = _drawn(entry["original"], rng), _drawn(entry["references"], rng)
    return {"original": original, "distorted": distorted, "references": references}


def _drawn(data: Any, rng: Rng) -> Any:
    """Return plain data with one value in the place of each that is drawn."""
    if isinstance(data, list):
        return [_drawn(value, rng) for value in data]
    if not isinstance(data, dict):
        return data
    if not ranges.is_drawn(data):
        return {key: _drawn(value, rng) for key, value in data.items()}
    low, high = rng.choice(_intervals(data))
    if low == high:
        return low
    return (
        rng.integer(low, high) if isinstance(low, int) and isinstance(high, int) else round(rng.uniform(low, high), 4)
    )


def _scales(distortion: str, parameter: str, value: Any) -> list[Scale]:
    """Return how a distortion's parameter goes from mild to strong, a scale for each range; empty if it does not.

    Listed fractions stand for the range that they span: what lies between two angles is an equally clear case.
    """
    identity = parameters(DISTORTIONS[distortion])[parameter].identity
    if identity is None or not ranges.is_drawn(value):
        return []
    intervals: list[Any] = list(dict.fromkeys(_intervals(value)))
    if all(isinstance(end, int) for interval in intervals for end in interval):
        intervals = [{integer for low, high in intervals for integer in range(low, high + 1)}]
    elif all(low == high for low, high in intervals):
        intervals = [(min(intervals)[0], max(intervals)[0])]
    return [tuple(sorted(values, key=lambda value: abs(value - identity))) for values in intervals]


def _intervals(value: Any) -> list[tuple[Any, Any]]:
    """Return both ends of every range that a drawn value may come from; a plain value is both."""
    if not ranges.is_drawn(value):
        return [(value, value)]
    ((way, options),) = value.items()
    return [tuple(options)] if way == "between" else [ends for option in options for ends in _intervals(option)]


def _value(scale: Scale, severity: int) -> float:
    """Return a parameter's value at a severity."""
    if all(isinstance(value, int) for value in scale):
        return scale[round((len(scale) - 1) * severity / SEVERITIES)]
    mild, strong = scale
    return round(mild + (strong - mild) * severity / SEVERITIES, 4)


def in_words(failure: Failure) -> str:
    """Return the distortion that fails as one line of a probe file: ``rotate: {degrees: 22.5}``."""
    return yaml_files.written(failure.declared["distorted"], flow=True)


def as_yaml(failure: Failure) -> str:
    """Return the case as it stands under ``cases:`` in a probe file."""
    return textwrap.indent(yaml_files.written([failure.declared]), "  ")
