"""Distortions of 8-bit RGB images, ``(height, width, 3)``.

Sums are of integers where possible, so that they are the same on every machine.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dps.errors import DrawError
from dps.images import Pixels
from dps.scenes import color
from dps.scenes.parameters import one_of
from dps.scenes.rng import Rng


def invert(pixels: Pixels, _rng: Rng) -> Pixels:
    """Invert each channel: 255 - x."""
    return 255 - pixels


def flip(pixels: Pixels, _rng: Rng) -> Pixels:
    """Mirror left and right."""
    return pixels[:, ::-1]


def blur(pixels: Pixels, _rng: Rng, *, sigma: Annotated[float, Field(gt=0, le=32)]) -> Pixels:
    """Blur with a Gaussian (standard deviation in pixels, truncated at four of them); edges are replicated."""
    from scipy import ndimage  # imported here: that takes longer than drawing most scenes

    total = 2**16  # of the weights, which are integers: sums do not depend on their order
    offsets = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    gaussian = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights = np.rint(total * gaussian / gaussian.sum())
    weights[len(weights) // 2] += total - weights.sum()
    blurred = pixels.astype(np.float64)
    for axis in (0, 1):
        blurred = ndimage.correlate1d(blurred, weights, axis, mode="nearest")
    return _rounded(blurred / total**2)


def noise(pixels: Pixels, rng: Rng, *, deviation: Annotated[float, Field(gt=0, le=1)]) -> Pixels:
    """Add nearly Gaussian noise to each channel; its standard deviation is a fraction of the full range."""
    total = rng.integers(0, 255, 12, *pixels.shape).sum(axis=0) - 12 * 127.5  # of 12, each of variance (256^2 - 1) / 12
    return _rounded(pixels + total * (255 * deviation / math.sqrt(256**2 - 1)))


def jpeg(pixels: Pixels, _rng: Rng, *, quality: Annotated[int, Field(ge=1, le=99)]) -> Pixels:
    """Quantize the image as a JPEG of this quality, without chroma subsampling.

    In integer arithmetic: libraries round differently between versions, and flat blocks so often lie halfway between
    two quantization steps that floating-point sums would differ between machines.

    Source:
        ITU-T T.81, Annex K; quality as scaled by the Independent JPEG Group.
    """
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge").astype(np.int64)
    blocks = (_divided(padded @ _TO_YCC.T, _MILLION) - _MIDDLE).reshape(len(padded) // 8, 8, -1, 8, 3)
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.clip((_STEPS * percent + 50) // 100, 1, 255)[[0, 1, 1]]
    coefficients = np.einsum("ui,yixjc,vj->yxcuv", _COSINES, blocks, _COSINES)
    quantized = _divided(coefficients, steps * _UNIT**2) * steps
    restored = _divided(np.einsum("ui,yxcuv,vj->yixjc", _COSINES, quantized, _COSINES), _UNIT**2)
    colors = _divided((restored.reshape(padded.shape) + _MIDDLE) @ _FROM_YCC.T, _MILLION)
    return np.clip(colors, 0, 255).astype(np.uint8)[:height, :width]


_MILLION = 10**6

_TO_YCC = np.array([[299_000, 587_000, 114_000], [-168_736, -331_264, 500_000], [500_000, -418_688, -81_312]])
"""RGB to luma and two color differences, in millionths (JFIF)."""

_FROM_YCC = np.array([[_MILLION, 0, 1_402_000], [_MILLION, -344_136, -714_136], [_MILLION, 1_772_000, 0]])

_MIDDLE = np.array([128, 0, 0])
"""Subtracted from luma, which centers it on 0, as the color differences are."""

_UNIT = 2**15
"""Scale of the cosines, which are integers."""

_COSINES = np.array(
    [
        [round(_UNIT * math.sqrt((2 if u else 1) / 8) * math.cos(math.pi / 8 * u * (i + 0.5))) for i in range(8)]
        for u in range(8)
    ]
)
"""The discrete cosine transform: a row of norm `_UNIT` for each frequency."""


def _divided(numbers: NDArray[np.int64], divisor: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Divide integers, rounding half up."""
    return (2 * numbers + divisor) // (2 * divisor)


_STEPS = np.full((2, 8, 8), 99)
_STEPS[0] = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
_STEPS[1, :4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
"""Quantization steps of luma and color at quality 50, by vertical and horizontal frequency."""


def contrast(pixels: Pixels, _rng: Rng, *, factor: Annotated[float, Field(gt=0, le=4)]) -> Pixels:
    """Scale the differences of all colors from middle gray."""
    return _rounded(127.5 + factor * (pixels - 127.5))


def lighting(
    pixels: Pixels,
    _rng: Rng,
    *,
    gamma: Annotated[float, Field(gt=0, le=8)] = 1.0,
    gain: Annotated[float, Field(gt=0, le=8)] = 1.0,
) -> Pixels:
    """Raise colors in [0, 1] to the power `gamma`, multiply them by `gain`, and clip."""
    return _rounded(255 * gain * (np.arange(256) / 255) ** gamma)[pixels]


def recolor(pixels: Pixels, _rng: Rng, *, degrees: Annotated[float, Field(gt=-360, lt=360)]) -> Pixels:
    """Rotate all hues about the gray axis, and clip: 120 degrees map red to green, green to blue, and blue to red."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)) / math.sqrt(3)
    same, next_, last = (1 + 2 * c) / 3, (1 - c) / 3 - s, (1 - c) / 3 + s
    rotation = np.array([[same, next_, last], [last, same, next_], [next_, last, same]])
    return _rounded(pixels @ rotation.T)


def occlude(pixels: Pixels, rng: Rng, *, side: Annotated[float, Field(gt=0, lt=1)]) -> Pixels:
    """Cover a random square with dark gray, unlike every standard reference; `side` is relative to the shorter side."""
    height, width, _ = pixels.shape
    length = max(1, round(side * min(height, width)))
    top, left = rng.integer(0, height - length), rng.integer(0, width - length)
    covered = pixels.copy()
    covered[top : top + length, left : left + length] = 96
    return covered


def shuffle(pixels: Pixels, rng: Rng, *, patch: Annotated[int, Field(ge=1, le=1024)]) -> Pixels:
    """Permute the image's square patches of this side in pixels, without a fixed point.

    Rejection sampling: the mean colors of old and new patches differ by at least 4 CIELAB on average.

    Raises:
        DrawError: the image does not consist of two or more whole patches, or all orders look alike.
    """
    height, width, _ = pixels.shape
    down, across = height // patch, width // patch
    if height % patch or width % patch or down * across < 2:
        raise DrawError(f"an image of {width} x {height} pixels is not made of patches of {patch} pixels")
    patches = pixels.reshape(down, patch, across, patch, 3).swapaxes(1, 2).reshape(-1, patch, patch, 3)
    places = range(len(patches))
    means = patches.mean(axis=(1, 2)) / 255
    order = rng.rejection_sample(
        lambda rng: np.array(rng.shuffled(places)),
        lambda order: bool(np.all(order != places) and color.difference(means[order], means).mean() >= 4),
        "an order in which no patch keeps its place, and that looks different",
    )
    return patches[order].reshape(down, across, patch, patch, 3).swapaxes(1, 2).reshape(pixels.shape)


Changes: TypeAlias = Mapping[str, Callable[[Pixels, Rng], Pixels]]
"""Distortions of images without parameters, by name."""

EVERYDAY: Changes = {
    "jpeg": partial(jpeg, quality=30),
    "blur": partial(blur, sigma=1.0),
    "noise": partial(noise, deviation=10 / 255),
    "gamma": partial(lighting, gamma=0.8),
}
"""Mild distortions of a whole image: visible, but hardly annoying."""

SLIGHT: Changes = {
    "jpeg": partial(jpeg, quality=60),
    "blur": partial(blur, sigma=0.6),
    "noise": partial(noise, deviation=5 / 255),
    "gamma": partial(lighting, gamma=0.9),
}
"""The same distortions, about half as strong."""

DAMAGES: Changes = {
    "blur": partial(blur, sigma=2.0),
    "jpeg": partial(jpeg, quality=10),
    "noise": partial(noise, deviation=15 / 255),
}
"""Severe distortions of a whole image, which nobody overlooks."""


def everyday(pixels: Pixels, rng: Rng, *, change: Annotated[str, one_of(EVERYDAY)]) -> Pixels:
    """Apply one of the mild distortions in `EVERYDAY`."""
    return EVERYDAY[change](pixels, rng)


def slight(pixels: Pixels, rng: Rng, *, change: Annotated[str, one_of(SLIGHT)]) -> Pixels:
    """Apply one of the slight distortions in `SLIGHT`, which are hard to see."""
    return SLIGHT[change](pixels, rng)


def damage(pixels: Pixels, rng: Rng, *, change: Annotated[str, one_of(DAMAGES)]) -> Pixels:
    """Apply one of the severe distortions in `DAMAGES`."""
    return DAMAGES[change](pixels, rng)


PIXEL_DISTORTIONS: Mapping[str, Callable[..., Pixels]] = {
    function.__name__: function
    for function in (
        *(invert, flip, blur, noise, jpeg, contrast, lighting, recolor, occlude, shuffle),
        *(everyday, slight, damage),
    )
}
"""Functions of pixels, a random number generator and keyword parameters, to pixels."""


def _rounded(colors: NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(colors), 0, 255).astype(np.uint8)
