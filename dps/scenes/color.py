"""Colors: sRGB in [0, 1], and their CIE 1976 difference (L*a*b* under D65), just noticeable at about 2."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dps.scenes.rng import Rng

Array: TypeAlias = NDArray[np.float64]

REFERENCE_COLORS: dict[str, tuple[float, float, float]] = {
    "black": (0.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "gray": (0.5, 0.5, 0.5),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}
"""The plain colors among the paper's seven references."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma (ITU-R BT.601)."""

_TO_XYZ = np.array(  # IEC 61966-2-1: linear sRGB to CIE XYZ, rows X, Y, Z
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
_WHITE_POINT = _TO_XYZ.sum(axis=1)


def hsv(hue: ArrayLike, saturation: ArrayLike, value: ArrayLike) -> Array:
    """Convert hue (periodic, 1 is a full turn), saturation and value to RGB, ``(..., 3)``."""
    h, s, v = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (hue, saturation, value)))
    turn = (np.array([5.0, 3.0, 1.0]) + 6 * (h % 1)[..., None]) % 6
    return v[..., None] * (1 - s[..., None] * np.clip(np.minimum(turn, 4 - turn), 0, 1))


def lab(rgb: ArrayLike) -> Array:
    """Convert sRGB to CIE L*a*b*, ``(..., 3)`` to ``(..., 3)``."""
    c = np.asarray(rgb, dtype=np.float64)
    linear = np.where(c > 0.04045, ((c + 0.055) / 1.055) ** 2.4, c / 12.92)
    xyz = linear @ _TO_XYZ.T / _WHITE_POINT
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def difference(a: ArrayLike, b: ArrayLike) -> Array:
    """Return the CIELAB difference of colors, ``(..., 3)`` and ``(..., 3)`` to ``(...)``."""
    return np.linalg.norm(lab(a) - lab(b), axis=-1)


def mix(a: ArrayLike, b: ArrayLike, weight: ArrayLike) -> Array:
    """Interpolate from color a (weight 0) to color b (weight 1)."""
    t = np.asarray(weight, dtype=np.float64)[..., None]
    return np.asarray(a) * (1 - t) + np.asarray(b) * t


def random_color(rng: Rng) -> Array:
    """Draw a color of any hue, and of medium saturation and value."""
    return hsv(rng.uniform(0, 1), rng.uniform(0.25, 0.95), rng.uniform(0.35, 0.95))


def distinct_hues(
    rng: Rng,
    count: int,
    saturation: tuple[float, float] = (0.75, 1.0),
    value: tuple[float, float] = (0.7, 1.0),
) -> Array:
    """Draw colors whose hues are spread evenly around the circle, in random order, ``(count, 3)``."""
    hues = rng.uniform(0, 1) + np.arange(count) / count + rng.uniforms(-0.05, 0.05, count)
    order = rng.shuffled(range(count))
    return hsv(hues[order], rng.uniforms(*saturation, count), rng.uniforms(*value, count))
