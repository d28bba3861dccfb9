"""The objects of the colored probes: ten families, photographs, and two fillers that stand in for them.

A content draws its choices once and returns a paint, which looks the same at every place and size. To add a content,
write a function and enter it in the table below them.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dps.photographs import BUILT_IN, Photograph
from dps.scenes.color import Array, distinct_hues, hsv, mix
from dps.scenes.noise import Indices, cells, smooth_noise
from dps.scenes.patterns import wavy, yin
from dps.scenes.plane import Mask, Paint, filling, scale, shift, turn
from dps.scenes.rng import Rng

Content: TypeAlias = Callable[[Rng], Paint]

Icon: TypeAlias = Callable[[Array, Array], Array]
"""From u and v of n points to how deep inside an icon they are, below 0 outside; it fills about the unit circle."""

QUARTERS = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
"""Middles of the four quarters of a content, where small things stand."""

NEARLY_BLACK = np.array([0.05, 0.04, 0.04])


def mosaic(rng: Rng) -> Paint:
    """Irregular stones, of similar colors where they are close."""
    points, stone = cells(rng, rng.integer(50, 150))
    hue = rng.uniform(0, 1) + rng.uniform(0.15, 0.3) * smooth_noise(rng, 2)(*points.T / 2)
    colors = hsv(hue, rng.uniforms(0.55, 1, len(hue)), rng.uniforms(0.55, 1, len(hue)))
    return filling(lambda u, v: colors[stone(u, v)])


def bars(rng: Rng) -> Paint:
    """Three to five upright bars, side by side."""
    colors = distinct_hues(rng, rng.integer(3, 5), saturation=(0.9, 1), value=(0.8, 1))
    return filling(lambda u, _v: colors[_part(u, len(colors))])


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

    return filling(lambda u, v: (threads(u) + threads(v)) / 2)


def face(rng: Rng) -> Paint:
    """Furry animal's head before leaves: ears, eyes, muzzle, open mouth and tongue."""
    points, leaf = cells(rng, rng.integer(200, 500))
    leaf_hues = rng.uniform(0.15, 0.4) + rng.uniforms(-0.05, 0.05, len(points))
    leaves = hsv(leaf_hues, rng.uniforms(0.4, 0.9, len(points)), rng.uniforms(0.1, 0.65, len(points)))

    hue, saturation = rng.uniform(0.02, 0.14), rng.uniform(0.05, 0.6)
    light = hsv(hue, saturation * 0.4, rng.uniform(0.8, 0.95))
    dark = hsv(hue, saturation, rng.uniform(0.15, 0.4))
    hair = smooth_noise(rng, 0.9, stretch=rng.uniform(0.3, 0.6))
    patches = smooth_noise(rng, 2)
    iris = hsv(rng.uniform(0.08, 0.2), rng.uniform(0.6, 0.9), rng.uniform(0.8, 1))
    tongue = hsv(rng.uniform(0.94, 1.01), 0.55, 0.9)

    right, down, tilt = rng.uniform(-0.1, 0.1), rng.uniform(0.1, 0.2), rng.uniform(-15, 15)
    own = shift(right, down).after(turn(tilt)).inverse()
    half_width, half_height = rng.uniform(0.58, 0.68), rng.uniform(0.62, 0.72)
    tip, apart = (rng.uniform(0.42, 0.62), rng.uniform(-1.05, -0.9)), rng.uniform(0.24, 0.3)

    def colors(u: Array, v: Array) -> Array:
        x, y = own(u, v)
        aside = np.abs(x)  # both sides of a face are alike
        head = _in_ellipse(x, y, (0, 0), (half_width, half_height))
        ears = _in_triangle(aside, y, tip, (0.08, -0.5), (0.62, -0.2))
        neck = (y > 0.35) & (aside < 0.45 + 0.5 * (y - 0.35))
        animal = head | ears | neck

        rgb = np.empty((len(u), 3))
        rgb[~animal] = leaves[leaf(u[~animal], v[~animal])]
        hairs = np.zeros(len(u))
        hairs[animal] = hair(u[animal], v[animal])
        lightness = np.zeros(len(u))
        lightness[animal] = 0.6 + 0.2 * hairs[animal] + 0.15 * patches(u[animal], v[animal])
        lightness -= np.where(head, np.clip(0.3 - 1.6 * (y + 0.1) - 0.5 * aside, 0, 0.45), 0)  # forehead
        lightness -= np.where(neck & ~head, 0.2, 0)  # lies in the head's shadow
        inner_ears = _in_triangle(aside, y, (0.95 * tip[0], 0.88 * tip[1]), (0.2, -0.5), (0.52, -0.3)) & ~head
        lightness -= np.where(inner_ears, 0.4, 0)
        rgb[animal] = mix(dark, light, np.clip(lightness[animal], 0, 1))

        muzzle = _in_ellipse(x, y, (0, 0.3), (0.32, 0.28))
        rgb[muzzle] = np.clip(light + 0.06 * hairs[muzzle, None], 0, 1)
        rgb[_in_ellipse(x, y, (0, 0.46), (0.19, 0.13))] = NEARLY_BLACK
        rgb[_in_ellipse(x, y, (0, 0.52), (0.11, 0.1))] = tongue
        rgb[_in_ellipse(x, y, (0, 0.2), (0.13, 0.09))] = NEARLY_BLACK
        rgb[_in_ellipse(aside, y, (apart, -0.12), (0.15, 0.14))] = NEARLY_BLACK
        rgb[_in_ellipse(aside, y, (apart, -0.12), (0.12, 0.11))] = iris
        rgb[_in_ellipse(aside, y, (apart, -0.12), (0.075, 0.085))] = NEARLY_BLACK
        for side in (-1, 1):
            rgb[_in_ellipse(x, y, (side * apart - 0.035, -0.16), (0.035, 0.035))] = 1
        return rgb

    return filling(colors)


def bird(rng: Rng) -> Paint:
    """Colorful bird on a branch, seen from the side, before something far out of focus."""
    haze = smooth_noise(rng, 2.2)
    far, farther = hsv(rng.uniforms(0.12, 0.48, 2), rng.uniforms(0.05, 0.3, 2), np.array([0.4, 0.72]))
    feathers = smooth_noise(rng, 0.8, stretch=2)
    head, back, breast, wing = distinct_hues(rng, 4, saturation=(0.75, 1), value=(0.6, 1))
    beak = hsv(rng.uniform(0.05, 0.12), 0.9, 0.95)
    wood = hsv(0.07, 0.5, rng.uniform(0.3, 0.5))
    looks = rng.choice([-1.0, 1.0])  # left or right
    branch = shift(0, 0.5).after(turn(rng.uniform(-12, 12))).inverse()
    own = turn(rng.uniform(-10, 10)).inverse()
    plumage = [  # middle, degrees, half axes, color: from the back to the front
        ((0.56, 0.6), 50, (0.4, 0.11), wing * 0.8),
        ((0.1, 0.07), 45, (0.56, 0.34), back),
        ((-0.02, 0.16), 52, (0.44, 0.26), breast),
        ((0.22, 0.14), 50, (0.48, 0.19), wing),
        ((-0.22, -0.42), 0, (0.3, 0.28), head),
    ]

    def colors(u: Array, v: Array) -> Array:
        u = -looks * u
        rgb = mix(far, farther, np.clip(0.5 + 0.3 * haze(u / 2, v / 2), 0, 1))
        texture = np.clip(1 + 0.2 * feathers(u, v), 0.4, 1.5)[:, None]
        x, y = branch(u, v)
        bough = np.abs(y) < 0.09
        rgb[bough] = wood * texture[bough] * (1.25 - 5 * np.maximum(y[bough, None], 0))
        x, y = own(u, v)
        for leg in (-0.06, 0.1):
            rgb[(np.abs(x - leg) < 0.025) & (y > 0.3) & (y < 0.5)] = wood / 2
        for middle, degrees, half_axes, color in plumage:
            part = _in_ellipse(*turn(-degrees)(x - middle[0], y - middle[1]), (0, 0), half_axes)
            rgb[part] = color * texture[part]
        rgb[_in_triangle(x, y, (-0.8, -0.34), (-0.46, -0.52), (-0.44, -0.28))] = beak
        rgb[_in_ellipse(x, y, (-0.3, -0.47), (0.095, 0.095))] = 1
        rgb[_in_ellipse(x, y, (-0.31, -0.47), (0.07, 0.07))] = NEARLY_BLACK
        rgb[_in_ellipse(x, y, (-0.33, -0.49), (0.025, 0.025))] = 1
        return np.clip(rgb, 0, 1)

    return filling(colors)


def terrain(rng: Rng) -> Paint:
    """Rough land in three colors, by height."""
    height, grain = (smooth_noise(rng, rng.uniform(1, 1.5)) for _ in range(2))
    hues = rng.uniform(0, 1) + np.array([0, 0.12, 0.5])
    low_to_high = hsv(hues, [0.7, 0.6, 0.5], [0.35, 0.6, 0.85])

    def colors(u: Array, v: Array) -> Array:
        level = 1 + 0.63 * height(u, v)
        rgb = np.stack([np.interp(level, [0, 1, 2], part) for part in low_to_high.T], axis=1)
        return np.clip(rgb + 0.08 * grain(u, v)[:, None], 0, 1)

    return filling(colors)


def block_noise(rng: Rng) -> Paint:
    """Squares of independent colors, 24 to 40 in a row; a filler."""
    in_row = rng.integer(24, 40)
    colors = rng.uniforms(0, 1, in_row, in_row, 3)
    return filling(lambda u, v: colors[_part(v, in_row), _part(u, in_row)])


def flat(rng: Rng) -> Paint:
    """Fill all with one strong color."""
    color = hsv(rng.uniform(0, 1), rng.uniform(0.6, 1), rng.uniform(0.5, 1))
    return filling(lambda u, _v: np.tile(color, (len(u), 1)))


CONTENTS: dict[str, Content] = {
    function.__name__: function for function in (mosaic, bars, rings, yin_yang, blob, face, bird, icons, plaid, terrain)
}

FULL = ("mosaic", "face", "bird", "plaid", "terrain")
"""The drawn contents that fill their square and look like an image of their own."""

FILLERS: dict[str, Content] = {"block_noise": block_noise, "flat": flat}
"""Contents without structure, which replace an object."""


PHOTO = "photo"
"""The name of a content that stands for one of the built-in photographs, whichever the seed deals."""

NAMES = (*CONTENTS, PHOTO, *BUILT_IN)
"""What a probe file can name as a content."""


def is_photograph(content: object) -> bool:
    """Return whether a content, as probe files have it, is a photograph."""
    return isinstance(content, Photograph) or content in (PHOTO, *BUILT_IN)


def named(content: str | Photograph, pixels: float) -> Content:
    """Return a content by its name, or that of a photograph, for an object whose side takes about so many pixels."""
    return (
        CONTENTS[content] if isinstance(content, str) else functools.partial(photo, photograph=content, pixels=pixels)
    )


def photo(rng: Rng, photograph: Photograph, pixels: float) -> Paint:
    """Square window of a photograph, from half of its shorter side to all of it, anywhere.

    The photograph is reduced once, to at least two of its pixels for each that the window is drawn with, and these
    are interpolated linearly.
    """
    colors = photograph.reduced(math.ceil(4 * pixels))
    height, width, _ = colors.shape
    side = rng.uniform(0.5, 1) * min(height, width)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)

    flat = colors.reshape(-1, 3).astype(np.float64)

    def paint(u: Array, v: Array) -> Array:
        (x, right), (y, down) = _between(left + (u + 1) / 2 * side, width), _between(top + (v + 1) / 2 * side, height)
        at = y * width + x
        above, below = (mix(flat.take(row, 0), flat.take(row + 1, 0), right) for row in (at, at + width))
        return mix(above, below, down) / 255

    return filling(paint)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grained:
    """The paint of a content that fills its square, with the grain of a film over it.

    Attributes:
        paint: without grain.
        grains: added to red, green and blue alike, ``(rows, columns, 1)`` of [-1, 1] x [-1, 1].
        deviation: of the grains, as a part of the range of colors.
    """

    paint: Paint
    grains: Array
    deviation: float

    @classmethod
    def draw(cls, rng: Rng, paint: Paint, per_side: int, deviation: float) -> "Grained":
        """Draw independent uniform grains of this standard deviation."""
        limit = math.sqrt(3) * deviation
        return cls(paint=paint, grains=rng.uniforms(-limit, limit, per_side, per_side, 1), deviation=deviation)

    def __call__(self, u: Array, v: Array) -> tuple[Array, Mask]:
        """Return colors, in [0, 1], ``(n, 3)``, and where the paint is opaque, as every `Paint` does."""
        colors, opaque = self.paint(u, v)
        rows, columns = (_part(axis, len(self.grains)) for axis in (v, u))
        return np.clip(colors + self.grains[rows, columns], 0, 1), opaque


def _between(position: Array, length: int) -> tuple[Indices, Array]:
    """Return the pixel before each position along an axis, and how far it is to the next, in [0, 1]."""
    along = np.clip(position - 0.5, 0, length - 1)  # from the middle of the first pixel
    first = np.minimum(along.astype(np.int64), length - 2)
    return first, along - first


def _part(t: Array, parts: int) -> Indices:
    """Return which of equal parts of [-1, 1] a position is in; on a border, and a last bit before it, the later."""
    return np.clip(((t + 1) / 2 * parts + 1e-9).astype(np.int64), 0, parts - 1)


def _in_ellipse(x: Array, y: Array, middle: tuple[float, float], half_axes: tuple[float, float]) -> Mask:
    """Return which points are inside an upright ellipse."""
    x, y = (x - middle[0]) / half_axes[0], (y - middle[1]) / half_axes[1]
    return x * x + y * y < 1


def _in_triangle(x: Array, y: Array, a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> Mask:
    """Return which points are inside a triangle, whose corners may be in either order."""
    sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
    return (np.minimum.reduce(sides) > 0) | (np.maximum.reduce(sides) < 0)


# ----------------------------------------------------------------------------------------------- icons
# A union of two parts has the larger of their depths, an intersection the smaller one.


def _heart(x: Array, y: Array) -> Array:
    radius, lowered = 0.56, y - 0.08
    half_diagonal = radius * np.sqrt(2)  # of a square on its tip, with a disc on both upper sides
    square = (half_diagonal - np.abs(x) - np.abs(lowered)) / np.sqrt(2)
    discs = radius - np.hypot(np.abs(x) - half_diagonal / 2, lowered + half_diagonal / 2)
    return np.maximum(square, discs)


def _diamond(x: Array, y: Array) -> Array:
    return (1 - np.abs(x) / 0.7 - np.abs(y) / 0.95) / np.hypot(1 / 0.7, 1 / 0.95)


def _star(x: Array, y: Array) -> Array:
    lowered = y - 0.07
    radius, fifth = np.hypot(x, lowered), 2 * np.pi / 5
    angle = np.abs((np.arctan2(x, -lowered) + fifth / 2) % fifth - fifth / 2)  # from the nearest tip
    notch_x, notch_y = 0.47 * np.cos(fifth / 2), 0.47 * np.sin(fifth / 2)
    along, across = radius * np.cos(angle) - 1, radius * np.sin(angle)  # with the tip as origin
    return (across * (notch_x - 1) - along * notch_y) / np.hypot(notch_x - 1, notch_y)


def _cross(x: Array, y: Array) -> Array:
    return np.maximum(_box(x, y, 0.33, 0.92), _box(x, y, 0.92, 0.33))


def _moon(x: Array, y: Array) -> Array:
    return np.minimum(0.92 - np.hypot(x, y), np.hypot(x - 0.42, y + 0.1) - 0.63)


def _drop(x: Array, y: Array) -> Array:
    radius, middle, tip = 0.6, 0.33, -0.95
    sine = radius / (middle - tip)  # of the angle between the axis and a side, which touches the disc
    sides = (y - tip) * sine - np.abs(x) * np.sqrt(1 - sine**2)
    cone = np.minimum(sides, middle - radius * sine - y)
    return np.maximum(radius - np.hypot(x, y - middle), cone)


def _hoop(x: Array, y: Array) -> Array:
    return 0.28 - np.abs(np.hypot(x, y) - 0.64)


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
    function.__name__.strip("_"): function
    for function in (_heart, _diamond, _star, _cross, _moon, _drop, _hoop, _triangle, _key)
}
