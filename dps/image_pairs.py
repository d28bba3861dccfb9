"""Pairs of small images with few parameters, so that Hypothesis can shrink a failure to the simplest pair."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from dps.images import Pixels
from dps.scenes.rng import Rng

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Color: TypeAlias = tuple[int, int, int]
Sketch: TypeAlias = tuple[str, Callable[[int, int], Pixels]]
"""The description of an image, and the function from height and width to its pixels."""

MAX_EXTRA = 9
"""Pixels that a side may exceed the minimum by, so that odd sizes and non-square images are tested."""


class ImagePair(NamedTuple):
    """Two images of one size, 8-bit RGB, ``(height, width, 3)``, and their description in one line."""

    original: Pixels
    other: Pixels
    text: str


def flat(color: Color) -> Sketch:
    """Sketch an image of one color."""
    return f"flat #{bytes(color).hex()}", lambda height, width: np.full((height, width, 3), color, np.uint8)


def square(ground: Color, color: Color, side: int, left: int, top: int) -> Sketch:
    """Sketch a square on a flat image, cut off at the edges."""
    text, draw_ground = flat(ground)

    def draw(height: int, width: int) -> Pixels:
        pixels = draw_ground(height, width)
        pixels[top : top + side, left : left + side] = color
        return pixels

    return f"{text} with a #{bytes(color).hex()} square of {side} pixels at {left}, {top}", draw


def noise(_color: Color, seed: int) -> Sketch:
    """Sketch uniform random pixels; the unused color makes Hypothesis prefer flat images when it shrinks."""
    return f"noise {seed}", lambda *size: Rng(seed, "noise").integers(0, 255, *size, 3).astype(np.uint8)


def image_pair(height: int, width: int, sketch: Sketch, other: Sketch | int) -> ImagePair:
    """Draw a pair; an integer as the other image is the original with its contrast raised by this percentage."""
    pixels = sketch[1](height, width)
    if isinstance(other, int):
        raised = np.clip(np.rint(127.5 + (1 + other / 100) * (pixels - 127.5)), 0, 255).astype(np.uint8)
        other = (f"itself with {other} % more contrast" if other else "itself", lambda _height, _width: raised)
    text = f"{width} x {height} pixels, {sketch[0]} against {other[0]}"
    return ImagePair(pixels, other[1](height, width), text)


def image_pairs(smallest: int) -> "SearchStrategy[ImagePair]":
    """Return the strategy of all pairs at least this high and wide; the simplest is flat black against itself."""
    from hypothesis import strategies as st

    sizes = st.integers(smallest, smallest + MAX_EXTRA)
    colors = st.sampled_from([(0, 0, 0), (255, 255, 255)]) | st.tuples(*[st.integers(0, 255)] * 3)
    places = st.integers(0, smallest - 1)
    squares = st.builds(square, colors, colors, st.integers(1, smallest), places, places)
    sketches = st.builds(flat, colors) | squares | st.builds(noise, colors, st.integers(0, 999))
    return st.builds(image_pair, sizes, sizes, sketches, st.just(0) | sketches | st.integers(0, 100))
