"""How one declaration stands for many cases: values that are drawn anew for each.

A value in a drawn range may be

    {between: [low, high]}   anything in between; a whole number where both ends are
    {cycle: [a, b, ...]}     in turn, by the number of the scene
    {deal: [a, b, ...]}      like cards: each lap through the list is shuffled anew
    {each: [a, b, ...]}      all of them, each a case of its own, on the same scene

What is drawn depends on the seed, the number of the scene and the value's place in the declaration alone.
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
    """Whether a value is drawn anew for each case."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in WAYS


def check(value: Value) -> None:
    """See that a drawn value is well formed.

    Raises:
        UsageError: it is not; the message says how it should be.
    """
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
    """The plain values that stand for all that can be drawn: ends and options."""
    if not is_drawn(value):
        yield value
        return
    ((_, options),) = value.items()
    for option in options:
        yield from possible(option)


def count(value: Value) -> int:
    """How many cases of one scene a value makes."""
    return len(value["each"]) if is_drawn(value) and "each" in value else 1


def expand(values: Mapping[str, Value], seed: int, number: int) -> Iterator[dict[str, Value]]:
    """Draw the values of one scene.

    Args:
        values: by place in the declaration, such as ``original.side``; plain ones stay as they are.
        seed: the range's.
        number: of the scene, from 0.

    Yields:
        Plain values, once for each combination of what stands under ``each``.
    """
    eaches = {place: value["each"] for place, value in values.items() if is_drawn(value) and "each" in value}
    drawn = {place: draw(value, seed, number, place) for place, value in values.items() if place not in eaches}
    all_of = [
        [draw(option, seed, number, f"{place}.each.{index}") for index, option in enumerate(options)]
        for place, options in eaches.items()
    ]
    for combination in itertools.product(*all_of):
        chosen = dict(zip(eaches, combination, strict=True))
        yield {place: chosen.get(place, drawn.get(place)) for place in values}


def draw(value: Value, seed: int, number: int, place: str) -> Value:
    """Draw one value for one scene; a plain one stays as it is."""
    if not is_drawn(value):
        return value
    ((way, options),) = value.items()
    if way == "between":
        low, high = options
        rng = Rng(seed, number, place)
        whole = isinstance(low, int) and isinstance(high, int)
        return rng.integer(low, high) if whole else rng.uniform(low, high)
    lap, position = divmod(number, len(options))
    if way == "deal":
        options = Rng(seed, "deal", lap, place).shuffled(options)
    return draw(options[position], seed, number, place + "." + way)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
