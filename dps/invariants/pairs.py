"""Pairs of images of few parameters, so that of all pairs that show a flaw the smallest can be found."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dps.images import Pixels
from dps.scenes.rng import Rng

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Color: TypeAlias = tuple[int, int, int]
"""8-bit RGB."""

LARGER = 9
"""By how many pixels images may be larger than the smallest, so that odd and oblong ones are among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """What may lie on a flat image; cut off at its edges."""

    color: Color
    side: int
    left: int
    top: int

    def __str__(self) -> str:
        return f"a {_hexadecimal(self.color)} square of {self.side} pixels at {self.left}, {self.top}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How an image looks: flat, with a square on it, or uniform random pixels.

    Attributes:
        color: of the ground.
        square: what lies on it.
        noise: the seed of random pixels, which then are all there is.
    """

    color: Color = (0, 0, 0)
    square: Square | None = None
    noise: int | None = None

    def draw(self, height: int, width: int) -> Pixels:
        """Make its pixels."""
        if self.noise is not None:
            return Rng(self.noise, "noise").integers(0, 255, height, width, 3).astype(np.uint8)
        pixels = np.full((height, width, 3), self.color, np.uint8)
        if (square := self.square) is not None:
            pixels[square.top : square.top + square.side, square.left : square.left + square.side] = square.color
        return pixels

    def __str__(self) -> str:
        if self.noise is not None:
            return f"noise {self.noise}"
        ground = f"flat {_hexadecimal(self.color)}"
        return ground if self.square is None else f"{ground} with {self.square}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two images of one size.

    Attributes:
        original, other: 8-bit RGB, ``(height, width, 3)``.
        text: what they are, in a few words.
    """

    original: Pixels = field(repr=False, compare=False)
    other: Pixels = field(repr=False, compare=False)
    text: str

    def __str__(self) -> str:
        return self.text


def pair(height: int, width: int, original: Look, other: Look | int) -> Pair:
    """Draw two looks, or one that is compared with itself.

    Args:
        height, width: in pixels.
        original: how the original looks.
        other: how the other image looks; or the original again, with so much more contrast, in percent.
    """
    pixels = original.draw(height, width)
    if isinstance(other, Look):
        against, others = str(other), other.draw(height, width)
    else:
        against = f"itself with {other} % more contrast" if other else "itself"
        others = np.clip(np.rint(127.5 + (1 + other / 100) * (pixels - 127.5)), 0, 255).astype(np.uint8)
    return Pair(original=pixels, other=others, text=f"{width} x {height} pixels, {original} against {against}")


def strategy(smallest: int) -> "SearchStrategy[Pair]":
    """All pairs of images of at least that height and width; the smallest is flat black against itself."""
    from hypothesis import strategies as st

    sizes = st.integers(smallest, smallest + LARGER)
    colors = st.sampled_from([(0, 0, 0), (255, 255, 255)]) | st.tuples(*[st.integers(0, 255)] * 3)
    places = st.integers(0, smallest - 1)
    squares = st.builds(Square, color=colors, side=st.integers(1, smallest), left=places, top=places)
    looks = (
        st.builds(Look, color=colors)
        | st.builds(Look, color=colors, square=squares)
        | st.builds(Look, color=colors, noise=st.integers(0, 999))  # whose color makes it no smaller than a flat one
    )
    return st.builds(pair, height=sizes, width=sizes, original=looks, other=st.just(0) | looks | st.integers(0, 100))


def _hexadecimal(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
