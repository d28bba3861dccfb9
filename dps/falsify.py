"""Search for the mildest distortion that a metric still fails on: a probe's ranges are searched, with a case as result.

The parameters of a distortion change together, by one severity: from the mildest values that the probe declares to the
strongest. Where a case fails, milder ones are searched on all scenes, until none fails or the tries are used up.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from dps import probes
from dps.distortions import DISTORTIONS
from dps.errors import DpsError, DrawError, MetricError, UsageError
from dps.measurement import Engine
from dps.metrics import Variant
from dps.probes import Case, Probe, ranges, yaml_files
from dps.probes.yaml_files import Loc
from dps.scenes.parameters import parameters
from dps.verdicts import Verdict, judge

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

Scale: TypeAlias = tuple[float, ...]
"""A parameter's values from the mildest to the strongest: all of them if they are integers, or else both ends."""

Candidate: TypeAlias = tuple[int, dict[str, Any]]
"""A severity, and a case as plain data."""

SEVERITIES = 100
"""Number of steps in which a distortion goes from its mildest to its strongest."""

STEPS = 20
"""Number of steps in which any other number goes through its range."""

MOST_SEEDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A case that fails.

    Attributes:
        severity: of its distortion, from 0 to `SEVERITIES`.
        declared: the case as plain data, as a probe file has it.
        case: the same, ready to be drawn.
        verdict: its distances.
    """

    severity: int
    declared: dict[str, Any]
    case: Case
    verdict: Verdict


@dataclass(slots=True, kw_only=True)
class Search:
    """The state of a search.

    Attributes:
        mildest: the failure with the lowest severity so far; None if no case fails.
        measured: number of cases measured.
        not_drawn: number of cases that could not be drawn.
        interrupted: it was ended by Ctrl-C.
        graded: the distortion has parameters that make it milder.
    """

    mildest: Failure | None = None
    measured: int = 0
    not_drawn: int = 0
    interrupted: bool = False
    graded: bool = True


class _NoTriesLeft(BaseException):
    """Not an `Exception`, so that it ends Hypothesis's search at once."""


class _CaseFailsError(Exception):
    """Tells Hypothesis to make a case simpler."""


def search(
    probe: Probe,
    variant: Variant,
    engine: Engine,
    *,
    tries: int,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _count: None,
) -> Search:
    """Search a probe's ranges for the mildest distortion that fails.

    Args:
        probe: the declared cases.
        variant: the metric to falsify.
        engine: with the variant's network.
        tries: the largest number of cases that are measured.
        seed: of the draws.
        advance: is called with the number of further cases measured.

    Returns:
        The result, also where Ctrl-C ended the search.

    Raises:
        UsageError: the probe has nothing that could be searched.
        DpsError: the metric raised.
    """
    import hypothesis

    data = yaml_files.read(probe.path).data
    entries = [entry for entry in data["cases"] if "image" not in entry["distorted"]]
    if not entries:
        raise UsageError(f"{probe.path}: nothing to search; all distorted images are files.")
    parameters = [
        (name, *item) for entry in entries for name, own in entry["distorted"].items() for item in own.items()
    ]
    state = Search(graded=any(_scales(*parameter) for parameter in parameters))

    def attempt(candidate: Candidate) -> None:
        severity, declared = candidate
        if state.measured + state.not_drawn >= tries:
            raise _NoTriesLeft
        declared = {**declared, "id": f"{variant}-{declared['seed']}"}
        (case,) = probes.of_data({**data, "cases": [declared]}, probe.path).cases
        advance(1)
        try:
            triple = case.draw()
        except DrawError:
            state.not_drawn += 1
            return
        state.measured += 1
        outcome = engine.measure([triple], [variant])[0][variant]
        if isinstance(outcome, DpsError):
            raise outcome
        verdict = judge(outcome)
        if verdict.distance is None:
            raise MetricError(verdict.error)
        if verdict.passed:
            return
        if state.mildest is None or severity <= state.mildest.severity:
            state.mildest = Failure(severity=severity, declared=declared, case=case, verdict=verdict)
        raise _CaseFailsError

    settings = hypothesis.settings(
        max_examples=tries,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        database=None,
        deadline=None,
        verbosity=hypothesis.Verbosity.quiet,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    below = SEVERITIES + 1
    try:
        while below > 0:
            run = hypothesis.seed(seed)(settings(hypothesis.given(_candidates(entries, below))(attempt)))
            with contextlib.suppress(_CaseFailsError, hypothesis.errors.Flaky):  # flaky: it does not fail each time
                run()
            if state.mildest is None or state.mildest.severity >= below or not state.graded:
                break
            below = state.mildest.severity
    except _NoTriesLeft:
        pass
    except KeyboardInterrupt:
        state.interrupted = True
    return state


def _candidates(entries: list[dict[str, Any]], below: int) -> "SearchStrategy[Candidate]":
    """Return all cases whose severity is below a limit; Hypothesis simplifies first what is drawn first."""
    from hypothesis import strategies as st

    @st.composite
    def candidates(draw: "DrawFn") -> Candidate:
        severity = draw(st.integers(0, below - 1))
        entry = draw(st.sampled_from(entries))

        def fill(data: Any, place: Loc) -> Any:
            if len(place) == 3 and place[0] == "distorted" and (scales := _scales(*place[1:], data)):
                return _value(draw(st.sampled_from(scales)), severity)
            if isinstance(data, dict) and not ranges.is_drawn(data):
                return {key: fill(value, (*place, key)) for key, value in data.items()}
            if isinstance(data, list):
                return [fill(value, (*place, number)) for number, value in enumerate(data)]
            return draw(_any(data))

        distorted = fill(entry["distorted"], ("distorted",))
        original, references = (fill(entry[key], (key,)) for key in ("original", "references"))
        declared = {"id": "", "seed": draw(st.integers(0, MOST_SEEDS))}
        declared |= {"original": original, "distorted": distorted, "references": references}
        return severity, declared

    return candidates()


def _any(value: Any) -> "SearchStrategy[Any]":
    """Return all that a drawn value may be; a plain value is itself."""
    from hypothesis import strategies as st

    if not ranges.is_drawn(value):
        return st.just(value)
    ((way, options),) = value.items()
    if way != "between":
        return st.one_of([_any(option) for option in options])
    low, high = options
    if isinstance(low, int) and isinstance(high, int):
        return st.integers(low, high)
    return st.integers(0, STEPS).map(lambda step: round(float(low + (high - low) * step / STEPS), 4))


def _scales(distortion: Any, parameter: Any, value: Any) -> list[Scale]:
    """Return how a distortion's parameter goes from mild to strong, a scale for each range; empty if it does not.

    Listed fractions stand for the range that they span: what lies between two angles is an equally clear case.
    """
    identity = parameters(DISTORTIONS[distortion])[parameter].identity
    if identity is None or not ranges.is_drawn(value):
        return []

    def strength(value: float) -> float:
        return abs(value - identity)

    ((way, options),) = value.items()
    if way != "between" and all(isinstance(option, float) for option in options):
        value = {"between": [min(options), max(options)]}
    all_ends = list(dict.fromkeys(_ends(value)))
    if all(isinstance(end, int) for ends in all_ends for end in ends):
        integers = {integer for low, high in all_ends for integer in range(int(low), int(high) + 1)}
        return [tuple(sorted(integers, key=strength))]
    return [tuple(sorted(ends, key=strength)) for ends in all_ends]


def _ends(value: Any) -> Iterator[tuple[float, float]]:
    """Yield the lowest and the highest value of every range that a drawn value may come from."""
    if not ranges.is_drawn(value):
        yield value, value
        return
    ((way, options),) = value.items()
    if way == "between":
        yield options[0], options[1]
    else:
        for option in options:
            yield from _ends(option)


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
    lines = yaml_files.written([failure.declared]).splitlines()
    return "".join(f"  {line}\n" for line in lines)
