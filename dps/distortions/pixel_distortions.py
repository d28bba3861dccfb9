"""What is done to an image, ``(height, width, 3)``, 8-bit RGB; works on files, too.

Sums are of whole numbers where that is possible, so that they are the same everywhere.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dps.errors import DrawError
from dps.images import Pixels
from dps.scenes.parameters import Identity
from dps.scenes.rng import Rng


def invert(pixels: Pixels, _rng: Rng) -> Pixels:
    """Turn black into white and each color into its opposite: 255 - x."""
    return 255 - pixels


def flip(pixels: Pixels, _rng: Rng) -> Pixels:
    """Mirror left and right."""
    return pixels[:, ::-1]


def blur(pixels: Pixels, _rng: Rng, *, sigma: Annotated[float, Field(gt=0, le=32), Identity(0)]) -> Pixels:
    """Blur with a Gaussian; at the edges the outermost pixels go on.

    Args:
        pixels: the image.
        sigma: standard deviation, in pixels.
    """
    taps = _gaussian(sigma)
    reach = len(taps) // 2
    blurred = pixels.astype(np.int64)
    for axis in (0, 1):
        margins = [(reach, reach) if each == axis else (0, 0) for each in range(3)]
        padded, length = np.pad(blurred, margins, mode="edge"), blurred.shape[axis]
        parts = [tap * padded.take(range(i, i + length), axis) for i, tap in enumerate(taps.tolist())]
        blurred = np.sum(parts, axis=0)
    return _rounded(blurred / float(_ONE) ** 2)


_ONE = 2**16
"""What the weights of a blur add up to: whole numbers add up to the same in any order."""


@functools.lru_cache(maxsize=64)
def _gaussian(sigma: float) -> NDArray[np.int64]:
    """Weights up to four standard deviations, as whole numbers that add up to `_ONE`."""
    at = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    bell = np.exp(-0.5 * (at / sigma) ** 2)
    taps = np.rint(_ONE * bell / bell.sum()).astype(np.int64)
    taps[len(taps) // 2] += _ONE - taps.sum()
    whole: NDArray[np.int64] = taps
    return whole


def noise(pixels: Pixels, rng: Rng, *, deviation: Annotated[float, Field(gt=0, le=1), Identity(0)]) -> Pixels:
    """Add noise to each color of each pixel.

    Args:
        pixels: the image.
        rng: for the noise; a sum of twelve uniform numbers, as near to a normal distribution as can be seen.
        deviation: its standard deviation, in units of the full range of colors.
    """
    thrown = rng.integers(0, 255, 12, *pixels.shape).sum(axis=0) - 12 * 127.5  # each of variance (256^2 - 1) / 12
    return _rounded(pixels + thrown * (255 * deviation / math.sqrt(256**2 - 1)))


def jpeg(pixels: Pixels, _rng: Rng, *, quality: Annotated[int, Field(ge=1, le=99), Identity(100)]) -> Pixels:
    """Lose what JPEG loses, colors at full resolution: cosines of blocks of 8 x 8 pixels are rounded.

    Written out, in whole numbers alone: libraries round differently from version to version, and flat blocks lie
    on the edge between two steps so often that sums of fractions would differ from machine to machine. With the
    tables and the scale of quality of the Independent JPEG Group (ITU-T T.81, Annex K).

    Args:
        pixels: the image.
        quality: as on the usual scale.
    """
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge").astype(np.int64)
    blocks = (_divided(padded @ _TO_YCC.T, _MILLION) - _MIDDLE).reshape(len(padded) // 8, 8, -1, 8, 3)
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.clip((_QUANTA * percent + 50) // 100, 1, 255)[[0, 1, 1]]
    cosines = np.einsum("ui,yixjc,vj->yxcuv", _COSINES, blocks, _COSINES)
    kept = _divided(cosines, steps * _UNIT**2) * steps
    restored = _divided(np.einsum("ui,yxcuv,vj->yixjc", _COSINES, kept, _COSINES), _UNIT**2)
    colors = _divided((restored.reshape(padded.shape) + _MIDDLE) @ _FROM_YCC.T, _MILLION)
    return np.clip(colors, 0, 255).astype(np.uint8)[:height, :width]


_MILLION = 10**6

_TO_YCC = np.array([[299_000, 587_000, 114_000], [-168_736, -331_264, 500_000], [500_000, -418_688, -81_312]])
"""RGB to luma and two differences of color, in millionths (JFIF)."""

_FROM_YCC = np.array([[_MILLION, 0, 1_402_000], [_MILLION, -344_136, -714_136], [_MILLION, 1_772_000, 0]])

_MIDDLE = np.array([128, 0, 0])
"""What luma is lowered by, so that it lies about 0 as the differences of color do."""

_UNIT = 2**15
"""Cosines are whole numbers of this size."""

_COSINES: NDArray[np.int64] = np.rint(
    [
        [_UNIT * math.sqrt((2 if u else 1) / 8) * math.cos(math.pi / 8 * u * (i + 0.5)) for i in range(8)]
        for u in range(8)
    ]
).astype(np.int64)
"""One row for each frequency; of length 1, in units of `_UNIT`."""


def _divided(numbers: NDArray[np.int64], by: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Whole numbers divided and rounded, halves up."""
    rounded: NDArray[np.int64] = (2 * numbers + by) // (2 * by)
    return rounded


_QUANTA = np.array(
    [
        [
            [16, 11, 10, 16, 24, 40, 51, 61],
            [12, 12, 14, 19, 26, 58, 60, 55],
            [14, 13, 16, 24, 40, 57, 69, 56],
            [14, 17, 22, 29, 51, 87, 80, 62],
            [18, 22, 37, 56, 68, 109, 103, 77],
            [24, 35, 55, 64, 81, 104, 113, 92],
            [49, 64, 78, 87, 103, 121, 120, 101],
            [72, 92, 95, 98, 112, 100, 103, 99],
        ],
        [
            [17, 18, 24, 47, 99, 99, 99, 99],
            [18, 21, 26, 66, 99, 99, 99, 99],
            [24, 26, 56, 99, 99, 99, 99, 99],
            [47, 66, 99, 99, 99, 99, 99, 99],
            *[[99] * 8] * 4,
        ],
    ]
)
"""How coarsely luma and color are rounded at quality 50, by frequency down and across."""


def contrast(pixels: Pixels, _rng: Rng, *, factor: Annotated[float, Field(gt=0, le=4), Identity(1)]) -> Pixels:
    """Bring all colors nearer to middle gray, or farther from it.

    Args:
        pixels: the image.
        factor: below 1 is nearer.
    """
    return _rounded(127.5 + factor * (pixels - 127.5))


def lighting(
    pixels: Pixels,
    _rng: Rng,
    *,
    gamma: Annotated[float, Field(gt=0, le=8), Identity(1)] = 1.0,
    gain: Annotated[float, Field(gt=0, le=8), Identity(1)] = 1.0,
) -> Pixels:
    """Make the picture lighter or darker.

    Args:
        pixels: the image.
        gamma: colors in [0, 1] are raised to this power; above 1 is darker, and black and white stay.
        gain: then they are multiplied by this, and clipped; below 1 is darker, and black stays.
    """
    return _rounded(255 * gain * (np.arange(256) / 255) ** gamma)[pixels]


def recolor(pixels: Pixels, _rng: Rng, *, degrees: Annotated[float, Field(gt=-360, lt=360), Identity(0)]) -> Pixels:
    """Turn all hues about the gray axis, and clip; grays stay.

    Args:
        pixels: the image.
        degrees: how far; 120 makes red green, green blue and blue red.
    """
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)) / math.sqrt(3)
    same, next_, last = (1 + 2 * c) / 3, (1 - c) / 3 - s, (1 - c) / 3 + s
    turned = np.array([[same, next_, last], [last, same, next_], [next_, last, same]])
    return _rounded(pixels @ turned.T)


def occlude(pixels: Pixels, rng: Rng, *, side: Annotated[float, Field(gt=0, lt=1), Identity(0)]) -> Pixels:
    """Cover a square somewhere with a gray that no standard reference has.

    Args:
        pixels: the image.
        rng: for the place.
        side: of the square, as a fraction of the shorter side.
    """
    height, width, _ = pixels.shape
    length = max(1, round(side * min(height, width)))
    top, left = rng.integer(0, height - length), rng.integer(0, width - length)
    covered = pixels.copy()
    covered[top : top + length, left : left + length] = 96
    return covered


def shuffle(pixels: Pixels, rng: Rng, *, patch: Annotated[int, Field(ge=1, le=1024), Identity(1024)]) -> Pixels:
    """Put the image's own patches in random order, none of them where it was.

    Args:
        pixels: the image.
        rng: for the order.
        patch: height and width of a patch, in pixels.

    Raises:
        DrawError: the image is not made of such patches, or of one alone.
    """
    height, width, _ = pixels.shape
    down, across = height // patch, width // patch
    if height % patch or width % patch or down * across < 2:
        raise DrawError(f"an image of {width} x {height} pixels is not made of patches of {patch} pixels")
    patches = pixels.reshape(down, patch, across, patch, 3).swapaxes(1, 2).reshape(-1, patch, patch, 3)
    places = range(len(patches))
    order = rng.rejection_sample(
        lambda rng: rng.shuffled(places),
        lambda order: all(a != b for a, b in zip(order, places, strict=True)),
        "an order in which no patch stays where it was",
    )
    shuffled: Pixels = patches[order].reshape(down, across, patch, patch, 3).swapaxes(1, 2).reshape(pixels.shape)
    return shuffled


PIXEL_DISTORTIONS: Mapping[str, Callable[..., Pixels]] = {
    "invert": invert,
    "flip": flip,
    "blur": blur,
    "noise": noise,
    "jpeg": jpeg,
    "contrast": contrast,
    "lighting": lighting,
    "recolor": recolor,
    "occlude": occlude,
    "shuffle": shuffle,
}
"""From 8-bit RGB, ``(height, width, 3)``, and rng to the same."""


def _rounded(colors: NDArray[np.floating]) -> Pixels:
    pixels: Pixels = np.clip(np.rint(colors), 0, 255).astype(np.uint8)
    return pixels
