"""Sides of a comparison by turns, so that what else the machine does falls on all of them."""

import time
from collections.abc import Callable

from dps import throughput


def take_turns(rounds: int, *sides: Callable[[], object]) -> list[list[float]]:
    """Seconds of each side in each round, after two rounds that do not count."""
    seconds: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 2):
        for taken, side in zip(seconds, sides, strict=True):
            throughput.settle()
            start = time.perf_counter()
            side()
            if number >= 2:
                taken.append(time.perf_counter() - start)
    return seconds
