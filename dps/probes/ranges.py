"""Values that are drawn for each case, so that one declaration stands for many.

    {between: [low, high]}   uniform; an integer where both ends are
    {cycle: [a, b, ...]}     one after the other, by the number of the scene
    {deal: [a, b, ...]}      like cards: each pass through the list is shuffled
    {each: [a, b, ...]}      all of them, each a case of its own, on the same scene

A drawn value depends on the seed, the number of the scene and its place in the declaration alone.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from dps.errors import UsageError, unknown
from dps.scenes.rng import Rng

Value: TypeAlias = Any
"""Plain data, as read from YAML."""

WAYS = ("between", "cycle", "deal", "each")


def is_drawn(value: Value) -> bool:
    """Return whether a value is drawn for each case."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in WAYS


def check(value: Value) -> None:
    """Raise a UsageError if a value is not well formed; the message says what would be right."""
    if not isinstance(value, Mapping):
        return
    if not is_drawn(value):
        if len(value) != 1:
            raise UsageError(f"a value that is drawn is a mapping of one key, {', '.join(WAYS)}; found {value!r:.60}")
        raise UsageError(unknown("way to draw a value", next(iter(value)), WAYS).removesuffix("."))
    ((way, options),) = value.items()
    if not isinstance(options, list) or not options:
        raise UsageError(f"{way} takes a list that is not empty, found {options!r}")
    if way == "between":
        if len(options) != 2 or not all(_is_number(x) for x in options) or not options[0] < options[1]:
            raise UsageError(f"between takes two numbers, the lower one first, found {options!r}")
    else:
        for option in options:
            check(option)
            if isinstance(option, Mapping) and "each" in option:
                raise UsageError("each cannot stand inside another list of values")


def possible(value: Value) -> Iterator[Value]:
    """Yield the ends and options of a value, which stand for all that can be drawn."""
    if not is_drawn(value):
        yield value
        return
    ((_, options),) = value.items()
    for option in options:
        yield from possible(option)


def count(value: Value) -> int:
    """Return how many cases of one scene a value makes."""
    return len(value["each"]) if is_drawn(value) and "each" in value else 1


def expand(values: Mapping[str, Value], seed: int, number: int) -> Iterator[dict[str, Value]]:
    """Draw the values of one scene.

    Args:
        values: by place in the declaration, such as ``original.side``; plain ones stay as they are.
        seed, number: of the range, and of the scene from 0.

    Yields:
        Plain values, for each combination of those under ``each``.
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
    """Draw one value for one scene; a plain one stays as it is."""
    if not is_drawn(value):
        return value
    ((way, options),) = value.items()
    if way == "between":
        low, high = options
        rng = Rng(seed, number, place)
        both = isinstance(low, int) and isinstance(high, int)
        return rng.integer(low, high) if both else rng.uniform(low, high)
    lap, position = divmod(number, len(options))
    if way == "deal":
        options = Rng(seed, "deal", lap, place).shuffled(options)
    return draw(options[position], seed, number, place + "." + way)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
