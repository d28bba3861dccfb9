"""The objects of the colored probes: ten families, and two fillers that stand in for them.

A content draws its choices once and returns a paint, which looks the same at every place and size. The animals and the
terrain are in `contents_natural`. To add a content, write a function and enter it in the table at the end.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from dps.scenes.color import Array, distinct_hues, hsv
from dps.scenes.contents_natural import bird, everywhere, face, terrain
from dps.scenes.noise import Indices, cells, smooth_noise
from dps.scenes.patterns import wavy, yin
from dps.scenes.plane import Mask, Paint, scale, shift, turn
from dps.scenes.rng import Rng

Content: TypeAlias = Callable[[Rng], Paint]

Icon: TypeAlias = Callable[[Array, Array], Array]
"""From u and v of n points to how deep inside an icon they are, below 0 outside; it fills about the unit circle."""

QUARTERS = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
"""Middles of the four quarters of a content, where small things stand."""


def mosaic(rng: Rng) -> Paint:
    """Irregular stones, of similar colors where they are close."""
    points, stone = cells(rng, rng.integer(50, 150))
    hue = rng.uniform(0, 1) + rng.uniform(0.15, 0.3) * smooth_noise(rng, 2)(*points.T / 2)
    colors = hsv(hue, rng.uniforms(0.55, 1, len(hue)), rng.uniforms(0.55, 1, len(hue)))
    return lambda u, v: (colors[stone(u, v)], everywhere(u))


def bars(rng: Rng) -> Paint:
    """Three to five upright bars, side by side."""
    colors = distinct_hues(rng, rng.integer(3, 5), saturation=(0.9, 1), value=(0.8, 1))
    return lambda u, _v: (colors[_part(u, len(colors))], everywhere(u))


def rings(rng: Rng) -> Paint:
    """Three colored discs with thick black outlines, none of them quite round."""
    colors = distinct_hues(rng, 3, saturation=(0.9, 1), value=(0.9, 1))
    discs = []
    for color, quarter in zip(colors, rng.shuffled(QUARTERS), strict=False):
        size = rng.uniform(0.4, 0.46)
        right, down = (quarter + rng.uniforms(-0.03, 0.03, 2)).tolist()
        own = shift(right, down).after(scale(size)).inverse()
        outer, inner = wavy(rng, 0.01, 0.1), scale(1 / rng.uniform(0.6, 0.75))
        discs.append((own, outer, inner, color))

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        rgb, opaque = np.zeros((len(u), 3)), np.zeros(len(u), dtype=bool)
        for own, outer, inner, color in discs:
            x, y = own(u, v)
            opaque |= outer(x, y)
            rgb[outer(*inner(x, y))] = color
        return rgb, opaque

    return paint


def yin_yang(rng: Rng) -> Paint:
    """Yin and yang in black and white, at any angle."""
    own = turn(-rng.uniform(0, 360))
    dot, line = rng.uniform(0.12, 0.2), rng.uniform(0.03, 0.06)

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        black = yin(*own(u, v), dot, line)
        return np.repeat(np.where(black, 0.0, 1.0)[:, None], 3, axis=1), np.hypot(u, v) <= 1

    return paint


def blob(rng: Rng) -> Paint:
    """Dark patch with a wavy outline."""
    color = hsv(rng.uniform(0, 1), rng.uniform(0, 0.6), rng.uniform(0, 0.25))
    outline = wavy(rng, 0.15, 0.3)
    return lambda u, v: (np.tile(color, (len(u), 1)), outline(u, v))


def icons(rng: Rng) -> Paint:
    """Three or four different icons, shiny and with dark outlines."""
    count = rng.integer(3, 4)
    colors = distinct_hues(rng, count, saturation=(0.7, 1), value=(0.75, 1))
    placed = []
    for color, icon, quarter in zip(colors, rng.shuffled(list(ICONS.values())), rng.shuffled(QUARTERS), strict=False):
        tilt, size = rng.uniform(-12, 12), rng.uniform(0.44, 0.49)
        placed.append((shift(*quarter).after(turn(tilt)).after(scale(size)).inverse(), icon, color))
    outline = 0.11  # no wider, or there is nothing left inside the key

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        rgb, opaque = np.zeros((len(u), 3)), np.zeros(len(u), dtype=bool)
        for own, icon, color in placed:
            x, y = own(u, v)
            depth = icon(x, y)
            opaque |= depth > 0
            rgb[depth > 0] = color / 4
            inside = depth > outline
            light = np.clip(1.05 - 0.18 * (x[inside] + y[inside]), 0.5, 1.3)  # from the upper left
            rgb[inside] = np.minimum(color * light[:, None], 1)
            rgb[(depth > 2 * outline) & (np.hypot(x + 0.2, y + 0.25) < 0.15)] = 1  # its reflection
        return rgb, opaque

    return paint


def plaid(rng: Rng) -> Paint:
    """Cloth of dark threads with two kinds of bright bands, or the other way round; both ways alike."""
    hue = rng.uniform(0, 1)
    hues = hue + np.array([0, rng.uniform(0.3, 0.45), rng.uniform(0.55, 0.7)])
    dark, bright = rng.uniforms(0.15, 0.35, 3), rng.uniforms(0.85, 1, 3)
    is_bright = np.array([0, 1, 1] if rng.bernoulli(0.5) else [1, 0, 0], dtype=bool)
    colors = hsv(hues, rng.uniforms(0.6, 1, 3), np.where(is_bright, bright, dark))
    repeats, phase = rng.uniform(2.5, 4), rng.uniform(0, 1)
    wide, narrow = rng.uniform(0.3, 0.4), rng.uniform(0.15, 0.2)

    def threads(t: Array) -> Array:
        within = (t / 2 * repeats + phase) % 1
        apart = np.abs(within - (1 + wide) / 2)  # from the middle between two wide bands
        return colors[np.where(within < wide, 1, np.where(apart < narrow / 2, 2, 0))]

    return lambda u, v: ((threads(u) + threads(v)) / 2, everywhere(u))


def block_noise(rng: Rng) -> Paint:
    """Squares of independent colors, 24 to 40 in a row; a filler."""
    in_row = rng.integer(24, 40)
    colors = rng.uniforms(0, 1, in_row, in_row, 3)
    return lambda u, v: (colors[_part(v, in_row), _part(u, in_row)], everywhere(u))


def flat(rng: Rng) -> Paint:
    """Fill all with one strong color."""
    color = hsv(rng.uniform(0, 1), rng.uniform(0.6, 1), rng.uniform(0.5, 1))
    return lambda u, _v: (np.tile(color, (len(u), 1)), everywhere(u))


def _part(t: Array, parts: int) -> Indices:
    """Return which of equal parts of [-1, 1] a position is in; on a border, and a last bit before it, the later."""
    return np.clip(((t + 1) / 2 * parts + 1e-9).astype(np.int64), 0, parts - 1)


# ----------------------------------------------------------------------------------------------- icons
# A union of two parts has the larger of their depths, an intersection the smaller one.


def _heart(x: Array, y: Array) -> Array:
    radius, lowered = 0.56, y - 0.08
    half_diagonal = radius * np.sqrt(2)  # of a square on its tip, with a disc on both upper sides
    square = (half_diagonal - np.abs(x) - np.abs(lowered)) / np.sqrt(2)
    discs = radius - np.hypot(np.abs(x) - half_diagonal / 2, lowered + half_diagonal / 2)
    depth: Array = np.maximum(square, discs)
    return depth


def _diamond(x: Array, y: Array) -> Array:
    depth: Array = (1 - np.abs(x) / 0.7 - np.abs(y) / 0.95) / np.hypot(1 / 0.7, 1 / 0.95)
    return depth


def _star(x: Array, y: Array) -> Array:
    lowered = y - 0.07
    radius, fifth = np.hypot(x, lowered), 2 * np.pi / 5
    angle = np.abs((np.arctan2(x, -lowered) + fifth / 2) % fifth - fifth / 2)  # from the nearest tip
    notch_x, notch_y = 0.47 * np.cos(fifth / 2), 0.47 * np.sin(fifth / 2)
    along, across = radius * np.cos(angle) - 1, radius * np.sin(angle)  # with the tip as origin
    depth: Array = (across * (notch_x - 1) - along * notch_y) / np.hypot(notch_x - 1, notch_y)
    return depth


def _cross(x: Array, y: Array) -> Array:
    return np.maximum(_box(x, y, 0.33, 0.92), _box(x, y, 0.92, 0.33))


def _moon(x: Array, y: Array) -> Array:
    return np.minimum(0.92 - np.hypot(x, y), np.hypot(x - 0.42, y + 0.1) - 0.63)


def _drop(x: Array, y: Array) -> Array:
    radius, middle, tip = 0.6, 0.33, -0.95
    sine = radius / (middle - tip)  # of the angle between the axis and a side, which touches the disc
    sides = (y - tip) * sine - np.abs(x) * np.sqrt(1 - sine**2)
    cone = np.minimum(sides, middle - radius * sine - y)
    depth: Array = np.maximum(radius - np.hypot(x, y - middle), cone)
    return depth


def _hoop(x: Array, y: Array) -> Array:
    depth: Array = 0.28 - np.abs(np.hypot(x, y) - 0.64)
    return depth


def _triangle(x: Array, y: Array) -> Array:
    sides: Array = ((y + 0.88) * 0.9 - np.abs(x) * 1.58) / np.hypot(0.9, 1.58)
    return np.minimum(0.7 - y, sides)


def _key(x: Array, y: Array) -> Array:
    bow = 0.17 - np.abs(np.hypot(x, y + 0.48) - 0.32)
    shaft = _box(x, y - 0.4, 0.17, 0.55)
    teeth = np.maximum(_box(x - 0.25, y - 0.39, 0.3, 0.14), _box(x - 0.25, y - 0.81, 0.3, 0.14))
    return np.maximum(np.maximum(bow, shaft), teeth)


def _box(x: Array, y: Array, half_width: float, half_height: float) -> Array:
    return np.minimum(half_width - np.abs(x), half_height - np.abs(y))


ICONS: dict[str, Icon] = {
    "heart": _heart,
    "diamond": _diamond,
    "star": _star,
    "cross": _cross,
    "moon": _moon,
    "drop": _drop,
    "hoop": _hoop,
    "triangle": _triangle,
    "key": _key,
}


# ----------------------------------------------------------------------------------------------- tables

CONTENTS: dict[str, Content] = {
    function.__name__: function for function in (mosaic, bars, rings, yin_yang, blob, face, bird, icons, plaid, terrain)
}

FULL: dict[str, Content] = {name: CONTENTS[name] for name in ("mosaic", "face", "bird", "plaid", "terrain")}
"""The contents that fill their square and look like an image of their own."""

FILLERS: dict[str, Content] = {"block_noise": block_noise, "flat": flat}
"""Contents without structure, which replace an object."""
