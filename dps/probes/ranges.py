"""Values that are drawn for each case, so that one declaration yields many cases.

    {between: [low, high]}   uniform; an integer if both ends are integers
    {cycle: [a, b, ...]}     in turn, by the number of the scene
    {deal: [a, b, ...]}      like cards: each pass through the list is shuffled
    {each: [a, b, ...]}      all values, one case for each, on the same scene

A drawn value depends only on the seed, the number of the scene and its place in the declaration.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from dps.errors import UsageError, unknown
from dps.scenes.rng import Rng

Value: TypeAlias = Any
"""Plain data, as read from YAML."""

KINDS = ("between", "cycle", "deal", "each")


def is_drawn(value: Value) -> bool:
    """Return whether a value is drawn for each case."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in KINDS


def check(value: Value) -> None:
    """Raise a UsageError if a value is not well formed."""
    if not isinstance(value, Mapping):
        return
    if len(value) != 1:
        raise UsageError(f"a drawn value is a mapping of one key, {', '.join(KINDS)}; found {value!r:.60}")
    ((kind, options),) = value.items()
    if kind not in KINDS:
        raise UsageError(unknown("range", kind, KINDS).removesuffix("."))
    if not isinstance(options, list) or not options:
        raise UsageError(f"{kind} takes a non-empty list, found {options!r}")
    if kind == "between":
        numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in options)
        if len(options) != 2 or not numbers or not options[0] < options[1]:
            raise UsageError(f"between takes two numbers, the lower one first, found {options!r}")
        return
    for option in options:
        check(option)
        if isinstance(option, Mapping) and "each" in option:
            raise UsageError("each is not allowed inside another list of values")


def possible(value: Value) -> Iterator[Value]:
    """Yield the ends and options of a value, which represent all possible draws."""
    if not is_drawn(value):
        yield value
        return
    ((_, options),) = value.items()
    for option in options:
        yield from possible(option)


def count(value: Value) -> int:
    """Return the number of cases that a value yields for one scene."""
    return len(value["each"]) if is_drawn(value) and "each" in value else 1


def expand(values: Mapping[str, Value], seed: int, number: int) -> Iterator[dict[str, Value]]:
    """Yield the values of a scene, by its number from 0, for each combination of values under ``each``.

    Keys are places in the declaration, such as ``original.side``.
    """
    options = [
        [draw(option, seed, number, f"{place}.each.{index}") for index, option in enumerate(value["each"])]
        if is_drawn(value) and "each" in value
        else [draw(value, seed, number, place)]
        for place, value in values.items()
    ]
    for combination in itertools.product(*options):
        yield dict(zip(values, combination, strict=True))


def draw(value: Value, seed: int, number: int, place: str) -> Value:
    """Draw one value for one scene; plain values are returned unchanged."""
    match value:
        case {"between": [int(low), int(high)]}:
            return Rng(seed, number, place).integer(low, high)
        case {"between": [low, high]}:
            return Rng(seed, number, place).uniform(low, high)
        case {"cycle": options}:
            return draw(options[number % len(options)], seed, number, f"{place}.cycle")
        case {"deal": options}:
            lap, position = divmod(number, len(options))
            shuffled = Rng(seed, "deal", lap, place).shuffled(options)
            return draw(shuffled[position], seed, number, f"{place}.deal")
    return value
