"""Distortions of images, ``(height, width, 3)``, 8-bit RGB; they work on files, too.

Sums are of integers where possible, so that they are the same on every machine.
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
    """Invert each channel: 255 - x."""
    return 255 - pixels


def flip(pixels: Pixels, _rng: Rng) -> Pixels:
    """Mirror left and right."""
    return pixels[:, ::-1]


def blur(pixels: Pixels, _rng: Rng, *, sigma: Annotated[float, Field(gt=0, le=32), Identity(0)]) -> Pixels:
    """Blur with a Gaussian of this standard deviation in pixels; edges are replicated."""
    taps = _gaussian(sigma)
    reach = len(taps) // 2
    blurred = pixels.astype(np.int64)
    for axis in (0, 1):
        margins = [(reach, reach) if other == axis else (0, 0) for other in range(3)]
        padded, length = np.pad(blurred, margins, mode="edge"), blurred.shape[axis]
        parts = [tap * padded.take(range(i, i + length), axis) for i, tap in enumerate(taps.tolist())]
        blurred = np.sum(parts, axis=0)
    return _rounded(blurred / float(_ONE) ** 2)


_ONE = 2**16
"""Sum of the weights of a blur: integers add up to the same in any order."""


@functools.lru_cache(maxsize=64)
def _gaussian(sigma: float) -> NDArray[np.int64]:
    """Return weights up to four standard deviations, as integers that add up to `_ONE`."""
    at = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    bell = np.exp(-0.5 * (at / sigma) ** 2)
    taps: NDArray[np.int64] = np.rint(_ONE * bell / bell.sum()).astype(np.int64)
    taps[len(taps) // 2] += _ONE - taps.sum()
    return taps


def noise(pixels: Pixels, rng: Rng, *, deviation: Annotated[float, Field(gt=0, le=1), Identity(0)]) -> Pixels:
    """Add nearly Gaussian noise to each channel, with this standard deviation as a part of the full range."""
    total = rng.integers(0, 255, 12, *pixels.shape).sum(axis=0) - 12 * 127.5  # of 12, each of variance (256^2 - 1) / 12
    return _rounded(pixels + total * (255 * deviation / math.sqrt(256**2 - 1)))


def jpeg(pixels: Pixels, _rng: Rng, *, quality: Annotated[int, Field(ge=1, le=99), Identity(100)]) -> Pixels:
    """Quantize the image as a JPEG of this quality does, without chroma subsampling.

    In integers alone: libraries round differently between versions, and flat blocks lie on the edge between two steps
    so often that floating-point sums would differ between machines.

    Source:
        ITU-T T.81, Annex K; quality as scaled by the Independent JPEG Group.
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
"""RGB to luma and two color differences, in millionths (JFIF)."""

_FROM_YCC = np.array([[_MILLION, 0, 1_402_000], [_MILLION, -344_136, -714_136], [_MILLION, 1_772_000, 0]])

_MIDDLE = np.array([128, 0, 0])
"""Subtracted from luma, so that it is centered on 0 as the color differences are."""

_UNIT = 2**15
"""Scale of the cosines, which are integers."""

_COSINES: NDArray[np.int64] = np.rint(
    [
        [_UNIT * math.sqrt((2 if u else 1) / 8) * math.cos(math.pi / 8 * u * (i + 0.5)) for i in range(8)]
        for u in range(8)
    ]
).astype(np.int64)
"""The discrete cosine transform: one row for each frequency, of length `_UNIT`."""


def _divided(numbers: NDArray[np.int64], by: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Divide integers and round, halves up."""
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
"""Quantization steps of luma and color at quality 50, by frequency down and across."""


def contrast(pixels: Pixels, _rng: Rng, *, factor: Annotated[float, Field(gt=0, le=4), Identity(1)]) -> Pixels:
    """Scale the distance of all colors to middle gray; below 1 is less contrast."""
    return _rounded(127.5 + factor * (pixels - 127.5))


def lighting(
    pixels: Pixels,
    _rng: Rng,
    *,
    gamma: Annotated[float, Field(gt=0, le=8), Identity(1)] = 1.0,
    gain: Annotated[float, Field(gt=0, le=8), Identity(1)] = 1.0,
) -> Pixels:
    """Raise colors in [0, 1] to the power of gamma, multiply them by gain, and clip."""
    return _rounded(255 * gain * (np.arange(256) / 255) ** gamma)[pixels]


def recolor(pixels: Pixels, _rng: Rng, *, degrees: Annotated[float, Field(gt=-360, lt=360), Identity(0)]) -> Pixels:
    """Rotate all hues about the gray axis, and clip: by 120 degrees, red becomes green, green blue and blue red."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)) / math.sqrt(3)
    same, next_, last = (1 + 2 * c) / 3, (1 - c) / 3 - s, (1 - c) / 3 + s
    turned = np.array([[same, next_, last], [last, same, next_], [next_, last, same]])
    return _rounded(pixels @ turned.T)


def occlude(pixels: Pixels, rng: Rng, *, side: Annotated[float, Field(gt=0, lt=1), Identity(0)]) -> Pixels:
    """Cover a square, its side a fraction of the shorter side, with a gray that no standard reference has."""
    height, width, _ = pixels.shape
    length = max(1, round(side * min(height, width)))
    top, left = rng.integer(0, height - length), rng.integer(0, width - length)
    covered = pixels.copy()
    covered[top : top + length, left : left + length] = 96
    return covered


def shuffle(pixels: Pixels, rng: Rng, *, patch: Annotated[int, Field(ge=1, le=1024), Identity(1024)]) -> Pixels:
    """Put the image's square patches of this many pixels in random order, none of them where it was.

    Raises:
        DrawError: the sides are not multiples of the patch, or there is one patch alone.
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
    function.__name__: function
    for function in (invert, flip, blur, noise, jpeg, contrast, lighting, recolor, occlude, shuffle)
}
"""Functions of an image, a random number generator and their parameters, which return an image."""


def _rounded(colors: NDArray[np.floating]) -> Pixels:
    pixels: Pixels = np.clip(np.rint(colors), 0, 255).astype(np.uint8)
    return pixels
