"""Random choices that are the same on every platform and with every NumPy.

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
"""How often something is drawn anew until it is acceptable."""


class Rng:
    """A seeded stream of choices; each name below a seed has a stream of its own.

    ``Rng(7, 3, "original", "side")`` depends on nothing but these four, so a choice that is
    added to a scene later does not disturb the ones that were there.

    Args:
        entropy: whole numbers from 0 and names.
    """

    def __init__(self, *entropy: int | str) -> None:
        self._entropy = entropy
        numbers = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in entropy]
        self._generator = np.random.default_rng(numbers)

    def child(self, *entropy: int | str) -> "Rng":
        """A stream of its own, which takes nothing from this one."""
        return Rng(*self._entropy, *entropy)

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return float(low + (high - low) * self._generator.random())

    def uniforms(self, low: float, high: float, *shape: int) -> NDArray[np.float64]:
        """An array of independent numbers in [low, high)."""
        return low + (high - low) * self._generator.random(shape)

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self._generator.integers(low, high + 1))

    def integers(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """An array of whole numbers from low to high, both included."""
        return self._generator.integers(low, high + 1, size=shape)

    def bernoulli(self, share: float) -> bool:
        """True in this share of all throws."""
        return bool(self._generator.random() < share)

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, each as likely."""
        return options[self.integer(0, len(options) - 1)]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """All options in random order."""
        order = np.argsort(self._generator.random(len(options)), kind="stable")
        return [options[i] for i in order]

    def rejection_sample(self, make: "Callable[[Rng], T]", accept: Callable[[T], bool], what: str) -> T:
        """Make something anew from this stream until it is acceptable.

        Raises:
            DrawError: it is not in `TRIES` tries; the message names ``what``.
        """
        for _ in range(TRIES):
            if accept(made := make(self)):
                return made
        raise DrawError(f"in {TRIES} tries the seed gave no acceptable drawing: {what}")
