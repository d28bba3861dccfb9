"""Random numbers that are identical on every platform and with every version of NumPy.

Only `Generator.random` and `Generator.integers` are used: NumPy keeps their streams stable.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dps.errors import DrawError

T = TypeVar("T")

TRIES = 200
"""Candidates that rejection sampling draws before it fails."""


class Rng:
    """A random number generator, seeded with non-negative integers and strings."""

    def __init__(self, *entropy: int | str) -> None:
        numbers = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in entropy]
        self._generator = np.random.default_rng(numbers)

    def uniform(self, low: float, high: float) -> float:
        """Draw a number from [low, high)."""
        return float(low + (high - low) * self._generator.random())

    def uniforms(self, low: float, high: float, *shape: int) -> NDArray[np.float64]:
        """Draw independent numbers from [low, high)."""
        return low + (high - low) * self._generator.random(shape)

    def integer(self, low: int, high: int) -> int:
        """Draw an integer from low to high, inclusive."""
        return int(self._generator.integers(low, high + 1))

    def integers(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Draw independent integers from low to high, inclusive."""
        return self._generator.integers(low, high + 1, size=shape)

    def bernoulli(self, probability: float) -> bool:
        """Return True with this probability."""
        return bool(self._generator.random() < probability)

    def choice(self, options: Sequence[T]) -> T:
        """Draw one of the options, all equally likely."""
        return options[self.integer(0, len(options) - 1)]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """Return the options in random order."""
        order = np.argsort(self._generator.random(len(options)), kind="stable")
        return [options[i] for i in order]

    def rejection_sample(self, sample: "Callable[[Rng], T]", accept: Callable[[T], bool], description: str) -> T:
        """Return the first accepted sample; a DrawError with the description if `TRIES` samples are rejected."""
        for _ in range(TRIES):
            if accept(candidate := sample(self)):
                return candidate
        raise DrawError(f"no acceptable drawing in {TRIES} tries: {description}")
