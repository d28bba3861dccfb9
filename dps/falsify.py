"""The mildest distortion that a metric still fails on: a probe's ranges are searched, and the case is written out.

A distortion's parameters go together, by one level: from the mildest values that the probe declares to the strongest.
Where a case fails, milder ones are searched on all scenes, until none fails or the tries are spent.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from dps import probes, searching
from dps.distortions import IDENTITY_PARAMETERS
from dps.errors import DpsError, DrawError, UsageError
from dps.measurement import Engine
from dps.metrics import Variant
from dps.probes import Case, Probe, ranges, yaml_files
from dps.probes.yaml_files import Loc
from dps.verdicts import Verdict, judge

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

Scale: TypeAlias = tuple[float, ...]
"""A parameter's values from the mildest to the strongest: all of them if they are whole numbers, or else both ends."""

LEVELS = 100
"""In how many steps a distortion goes from its mildest to its strongest."""

STEPS = 20
"""In how many steps any other number goes through its range."""

MOST_SEEDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A case that may fail.

    Attributes:
        level: how strong its distortion is, from 0 to `LEVELS`.
        declared: the case as plain data, as a probe file has it.
    """

    level: int
    declared: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A case that fails.

    Attributes:
        candidate: how it is declared.
        case: the same, to be drawn.
        verdict: why it fails.
    """

    candidate: Candidate
    case: Case
    verdict: Verdict


@dataclass(slots=True, kw_only=True)
class Search:
    """What a search has found so far.

    Attributes:
        found: the mildest case that fails; None if none does.
        tried: how many cases were measured.
        refused: how many could not be drawn.
        interrupted: somebody ended it early.
        graded: the distortion has parameters that make it milder.
    """

    found: Failure | None = None
    tried: int = 0
    refused: int = 0
    interrupted: bool = False
    graded: bool = field(default=True)


class _SpentError(BaseException):
    """All tries are spent. No `Exception`, so that it ends the search at once."""


def search(
    probe: Probe,
    variant: Variant,
    engine: Engine,
    *,
    tries: int,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _more: None,
) -> Search:
    """Search a probe's ranges for the mildest distortion that fails.

    Args:
        probe: what is asked.
        variant: whose failure is searched for.
        engine: with the variant's network.
        tries: how many cases are measured at most.
        seed: of the draws.
        advance: is called with how many more cases were measured.

    Returns:
        What was found; also where the search was interrupted by Ctrl-C.

    Raises:
        UsageError: the probe has nothing that could be searched.
        DpsError: the metric broke.
    """
    data = yaml_files.read(probe.path).data
    entries = [entry for entry in data["cases"] if "image" not in entry["distorted"]]
    if not entries:
        raise UsageError(f"{probe.path}: nothing to search; all distorted images are files.")
    state = Search(graded=any(_scales(place, value) for entry in entries for place, value in _leaves(entry)))

    def fails(candidate: Candidate) -> bool:
        if state.tried + state.refused >= tries:
            raise _SpentError
        named = {**candidate.declared, "id": f"{variant}-{candidate.declared['seed']}"}
        (case,) = probes.of_data({**data, "cases": [named]}, probe.path).cases
        advance(1)
        try:
            triple = case.draw()
        except DrawError:
            state.refused += 1
            return False
        state.tried += 1
        outcome = engine.measure([triple], [variant])[0][variant]
        if isinstance(outcome, DpsError):
            raise outcome
        verdict = judge(outcome)
        if verdict.passed:
            return False
        if state.found is None or candidate.level <= state.found.candidate.level:
            state.found = Failure(
                candidate=Candidate(level=candidate.level, declared=named), case=case, verdict=verdict
            )
        return True

    try:
        below = LEVELS + 1
        while below > 0:
            searching.smallest(_candidates(entries, below), fails, tries=tries, seed=seed)
            if state.found is None or state.found.candidate.level >= below or not state.graded:
                break
            below = state.found.candidate.level
    except _SpentError:
        pass
    except KeyboardInterrupt:
        state.interrupted = True
    return state


def _candidates(entries: list[dict[str, Any]], below: int) -> "SearchStrategy[Candidate]":
    """All cases of a probe whose distortion is milder than a level; what is drawn first is made small first."""
    from hypothesis import strategies as st

    @st.composite
    def candidates(draw: "DrawFn") -> Candidate:
        level = draw(st.integers(0, below - 1))
        entry = draw(st.sampled_from(entries))
        values: dict[Loc, Any] = {}
        for place, value in sorted(_leaves(entry), key=lambda leaf: not _scales(*leaf)):
            scales = _scales(place, value)
            values[place] = _at(draw(st.sampled_from(scales)), level) if scales else draw(_any(value))
        images = {key: _filled(entry[key], values, (key,)) for key in ("original", "distorted", "references")}
        return Candidate(level=level, declared={"id": "", "seed": draw(st.integers(0, MOST_SEEDS)), **images})

    return candidates()


def _any(value: Any) -> "SearchStrategy[Any]":
    """Whatever a drawn value may be; a plain one is itself."""
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


def _scales(place: Loc, value: Any) -> list[Scale]:
    """How a distortion's parameter goes from mild to strong: a scale for each range; none for all else.

    Fractions that are listed stand for the range that they span: what lies between two angles is no less
    agreeable than these.
    """
    if len(place) != 3 or place[0] != "distorted" or not ranges.is_drawn(value):
        return []
    _, distortion, parameter = place
    unchanged = IDENTITY_PARAMETERS.get(str(distortion), {}).get(str(parameter))
    if unchanged is None:
        return []

    def strength(value: float) -> float:
        return abs(value - unchanged)

    ((way, options),) = value.items()
    if way != "between" and all(isinstance(option, float) for option in options):
        value = {"between": [min(options), max(options)]}
    both = list(dict.fromkeys(_ends(value)))
    if all(isinstance(end, int) for ends in both for end in ends):
        wholes = {whole for low, high in both for whole in range(int(low), int(high) + 1)}
        return [tuple(sorted(wholes, key=strength))]
    return [tuple(sorted(ends, key=strength)) for ends in both]


def _ends(value: Any) -> Iterator[tuple[float, float]]:
    """The lowest and the highest value of every range that a drawn value may come from."""
    if not ranges.is_drawn(value):
        yield value, value
        return
    ((way, options),) = value.items()
    if way == "between":
        yield options[0], options[1]
    else:
        for option in options:
            yield from _ends(option)


def _at(scale: Scale, level: int) -> float:
    """The value of a parameter at a level."""
    if all(isinstance(value, int) for value in scale):
        return scale[round((len(scale) - 1) * level / LEVELS)]
    mild, strong = scale
    return round(mild + (strong - mild) * level / LEVELS, 4)


def _leaves(entry: Mapping[str, Any]) -> Iterator[tuple[Loc, Any]]:
    """All values of the images that an entry declares; a drawn value counts as one."""
    for key in ("original", "distorted", "references"):
        yield from _below(entry[key], (key,))


def _below(data: Any, loc: Loc) -> Iterator[tuple[Loc, Any]]:
    children = _children(data)
    if not children:
        yield loc, data
    for key, value in children:
        yield from _below(value, (*loc, key))


def _filled(data: Any, values: Mapping[Loc, Any], loc: Loc) -> Any:
    """The same data with its values drawn."""
    children = _children(data)
    if not children:
        return values[loc]
    filled = {key: _filled(value, values, (*loc, key)) for key, value in children}
    return filled if isinstance(data, dict) else list(filled.values())


def _children(data: Any) -> list[tuple[Any, Any]]:
    if isinstance(data, dict) and not ranges.is_drawn(data):
        return list(data.items())
    return list(enumerate(data)) if isinstance(data, list) else []


def in_words(failure: Failure) -> str:
    """The distortion that fails, as a probe file has it on one line: ``rotate: {degrees: 22.5}``."""
    return yaml_files.written(failure.candidate.declared["distorted"], flow=True)


def as_yaml(failure: Failure) -> str:
    """The case as it stands under ``cases:`` in a probe file."""
    lines = yaml_files.written([failure.candidate.declared]).splitlines()
    return "".join(f"  {line}\n" for line in lines)
