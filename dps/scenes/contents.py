"""Contents of colored scenes: ten drawn families, photographs, and two fillers that replace objects.

A content draws its parameters once and returns a paint, which is independent of position and size. To add a content,
write a function and enter it in `CONTENTS`.
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
"""From u and v of n points to their depth inside an icon, negative outside; it fills about the unit circle."""

QUARTERS = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
"""Centers of the four quarters of a content."""

NEARLY_BLACK = np.array([0.05, 0.04, 0.04])


def mosaic(rng: Rng) -> Paint:
    """Irregular stones; neighbors have similar colors."""
    points, stone = cells(rng, rng.integer(50, 150))
    hue = rng.uniform(0, 1) + rng.uniform(0.15, 0.3) * smooth_noise(rng, 2)(*points.T / 2)
    colors = hsv(hue, rng.uniforms(0.55, 1, len(hue)), rng.uniforms(0.55, 1, len(hue)))
    return filling(lambda u, v: colors[stone(u, v)])


def bars(rng: Rng) -> Paint:
    """Three to five upright bars, side by side."""
    colors = distinct_hues(rng, rng.integer(3, 5), saturation=(0.9, 1), value=(0.8, 1))
    return filling(lambda u, _v: colors[bin_index(u, len(colors))])


def rings(rng: Rng) -> Paint:
    """Three colored, slightly irregular discs with thick black outlines."""
    colors = distinct_hues(rng, 3, saturation=(0.9, 1), value=(0.9, 1))
    discs = []
    for color, quarter in zip(colors, rng.shuffled(QUARTERS), strict=False):
        size = rng.uniform(0.4, 0.46)
        right, down = (quarter + rng.uniforms(-0.03, 0.03, 2)).tolist()
        local = shift(right, down).after(scale(size)).inverse()
        outer, inner = wavy(rng, 0.01, 0.1), scale(1 / rng.uniform(0.6, 0.75))
        discs.append((local, outer, inner, color))

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        rgb, opaque = np.zeros((len(u), 3)), np.zeros(len(u), dtype=bool)
        for local, outer, inner, color in discs:
            x, y = local(u, v)
            opaque |= outer(x, y)
            rgb[outer(*inner(x, y))] = color
        return rgb, opaque

    return paint


def yin_yang(rng: Rng) -> Paint:
    """Yin and yang in black and white, at any angle."""
    local = turn(-rng.uniform(0, 360))
    dot, line = rng.uniform(0.12, 0.2), rng.uniform(0.03, 0.06)

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        black = yin(*local(u, v), dot, line)
        return np.repeat(np.where(black, 0.0, 1.0)[:, None], 3, axis=1), np.hypot(u, v) <= 1

    return paint


def blob(rng: Rng) -> Paint:
    """Dark patch with a wavy outline."""
    color = hsv(rng.uniform(0, 1), rng.uniform(0, 0.6), rng.uniform(0, 0.25))
    outline = wavy(rng, 0.15, 0.3)
    return lambda u, v: (np.tile(color, (len(u), 1)), outline(u, v))


def icons(rng: Rng) -> Paint:
    """Three or four different icons, shiny, with dark outlines."""
    count = rng.integer(3, 4)
    colors = distinct_hues(rng, count, saturation=(0.7, 1), value=(0.75, 1))
    placed = []
    for color, icon, quarter in zip(colors, rng.shuffled(list(ICONS.values())), rng.shuffled(QUARTERS), strict=False):
        tilt, size = rng.uniform(-12, 12), rng.uniform(0.44, 0.49)
        placed.append((shift(*quarter).after(turn(tilt)).after(scale(size)).inverse(), icon, color))
    outline = 0.11  # any wider, and none of the key's interior remains

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        rgb, opaque = np.zeros((len(u), 3)), np.zeros(len(u), dtype=bool)
        for local, icon, color in placed:
            x, y = local(u, v)
            depth = icon(x, y)
            opaque |= depth > 0
            rgb[depth > 0] = color / 4
            inside = depth > outline
            light = np.clip(1.05 - 0.18 * (x[inside] + y[inside]), 0.5, 1.3)  # from the upper left
            rgb[inside] = np.minimum(color * light[:, None], 1)
            rgb[(depth > 2 * outline) & (np.hypot(x + 0.2, y + 0.25) < 0.15)] = 1  # reflection
        return rgb, opaque

    return paint


def plaid(rng: Rng) -> Paint:
    """Dark cloth with two kinds of bright bands, or the reverse; the same across and down."""
    hue = rng.uniform(0, 1)
    hues = hue + np.array([0, rng.uniform(0.3, 0.45), rng.uniform(0.55, 0.7)])
    dark, bright = rng.uniforms(0.15, 0.35, 3), rng.uniforms(0.85, 1, 3)
    is_bright = np.array([0, 1, 1] if rng.bernoulli(0.5) else [1, 0, 0], dtype=bool)
    colors = hsv(hues, rng.uniforms(0.6, 1, 3), np.where(is_bright, bright, dark))
    repeats, phase = rng.uniform(2.5, 4), rng.uniform(0, 1)
    wide, narrow = rng.uniform(0.3, 0.4), rng.uniform(0.15, 0.2)

    def threads(t: Array) -> Array:
        position = (t / 2 * repeats + phase) % 1
        distance = np.abs(position - (1 + wide) / 2)  # from halfway between two wide bands
        return colors[np.where(position < wide, 1, np.where(distance < narrow / 2, 2, 0))]

    return filling(lambda u, v: (threads(u) + threads(v)) / 2)


def face(rng: Rng) -> Paint:
    """Head of a furry animal in front of leaves: ears, eyes, muzzle, open mouth and tongue."""
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
    local = shift(right, down).after(turn(tilt)).inverse()
    half_width, half_height = rng.uniform(0.58, 0.68), rng.uniform(0.62, 0.72)
    ear_tip, eye_x = (rng.uniform(0.42, 0.62), rng.uniform(-1.05, -0.9)), rng.uniform(0.24, 0.3)

    def colors(u: Array, v: Array) -> Array:
        x, y = local(u, v)
        aside = np.abs(x)  # a face is symmetric
        head = _in_ellipse(x, y, (0, 0), (half_width, half_height))
        ears = _in_triangle(aside, y, ear_tip, (0.08, -0.5), (0.62, -0.2))
        neck = (y > 0.35) & (aside < 0.45 + 0.5 * (y - 0.35))
        animal = head | ears | neck

        rgb = np.empty((len(u), 3))
        rgb[~animal] = leaves[leaf(u[~animal], v[~animal])]
        hairs = np.zeros(len(u))
        hairs[animal] = hair(u[animal], v[animal])
        lightness = np.zeros(len(u))
        lightness[animal] = 0.6 + 0.2 * hairs[animal] + 0.15 * patches(u[animal], v[animal])
        lightness -= np.where(head, np.clip(0.3 - 1.6 * (y + 0.1) - 0.5 * aside, 0, 0.45), 0)  # forehead
        lightness -= np.where(neck & ~head, 0.2, 0)  # shadow of the head
        inner_ears = _in_triangle(aside, y, (0.95 * ear_tip[0], 0.88 * ear_tip[1]), (0.2, -0.5), (0.52, -0.3)) & ~head
        lightness -= np.where(inner_ears, 0.4, 0)
        rgb[animal] = mix(dark, light, np.clip(lightness[animal], 0, 1))

        muzzle = _in_ellipse(x, y, (0, 0.3), (0.32, 0.28))
        rgb[muzzle] = np.clip(light + 0.06 * hairs[muzzle, None], 0, 1)
        rgb[_in_ellipse(x, y, (0, 0.46), (0.19, 0.13))] = NEARLY_BLACK
        rgb[_in_ellipse(x, y, (0, 0.52), (0.11, 0.1))] = tongue
        rgb[_in_ellipse(x, y, (0, 0.2), (0.13, 0.09))] = NEARLY_BLACK
        rgb[_in_ellipse(aside, y, (eye_x, -0.12), (0.15, 0.14))] = NEARLY_BLACK
        rgb[_in_ellipse(aside, y, (eye_x, -0.12), (0.12, 0.11))] = iris
        rgb[_in_ellipse(aside, y, (eye_x, -0.12), (0.075, 0.085))] = NEARLY_BLACK
        for side in (-1, 1):
            rgb[_in_ellipse(x, y, (side * eye_x - 0.035, -0.16), (0.035, 0.035))] = 1
        return rgb

    return filling(colors)


def bird(rng: Rng) -> Paint:
    """Colorful bird on a branch, in profile, in front of a blurred background."""
    haze = smooth_noise(rng, 2.2)
    far, farther = hsv(rng.uniforms(0.12, 0.48, 2), rng.uniforms(0.05, 0.3, 2), np.array([0.4, 0.72]))
    feathers = smooth_noise(rng, 0.8, stretch=2)
    head, back, breast, wing = distinct_hues(rng, 4, saturation=(0.75, 1), value=(0.6, 1))
    beak = hsv(rng.uniform(0.05, 0.12), 0.9, 0.95)
    wood = hsv(0.07, 0.5, rng.uniform(0.3, 0.5))
    facing = rng.choice([-1.0, 1.0])  # left or right
    branch = shift(0, 0.5).after(turn(rng.uniform(-12, 12))).inverse()
    local = turn(rng.uniform(-10, 10)).inverse()
    plumage = [  # center, degrees, half axes and color, from back to front
        ((0.56, 0.6), 50, (0.4, 0.11), wing * 0.8),
        ((0.1, 0.07), 45, (0.56, 0.34), back),
        ((-0.02, 0.16), 52, (0.44, 0.26), breast),
        ((0.22, 0.14), 50, (0.48, 0.19), wing),
        ((-0.22, -0.42), 0, (0.3, 0.28), head),
    ]

    def colors(u: Array, v: Array) -> Array:
        u = -facing * u
        rgb = mix(far, farther, np.clip(0.5 + 0.3 * haze(u / 2, v / 2), 0, 1))
        texture = np.clip(1 + 0.2 * feathers(u, v), 0.4, 1.5)[:, None]
        x, y = branch(u, v)
        bough = np.abs(y) < 0.09
        rgb[bough] = wood * texture[bough] * (1.25 - 5 * np.maximum(y[bough, None], 0))
        x, y = local(u, v)
        for leg in (-0.06, 0.1):
            rgb[(np.abs(x - leg) < 0.025) & (y > 0.3) & (y < 0.5)] = wood / 2
        for center, degrees, half_axes, color in plumage:
            part = _in_ellipse(*turn(-degrees)(x - center[0], y - center[1]), (0, 0), half_axes)
            rgb[part] = color * texture[part]
        rgb[_in_triangle(x, y, (-0.8, -0.34), (-0.46, -0.52), (-0.44, -0.28))] = beak
        rgb[_in_ellipse(x, y, (-0.3, -0.47), (0.095, 0.095))] = 1
        rgb[_in_ellipse(x, y, (-0.31, -0.47), (0.07, 0.07))] = NEARLY_BLACK
        rgb[_in_ellipse(x, y, (-0.33, -0.49), (0.025, 0.025))] = 1
        return np.clip(rgb, 0, 1)

    return filling(colors)


def terrain(rng: Rng) -> Paint:
    """Rough terrain, colored by height."""
    height, grain = (smooth_noise(rng, rng.uniform(1, 1.5)) for _ in range(2))
    hues = rng.uniform(0, 1) + np.array([0, 0.12, 0.5])
    low_to_high = hsv(hues, [0.7, 0.6, 0.5], [0.35, 0.6, 0.85])

    def colors(u: Array, v: Array) -> Array:
        level = 1 + 0.63 * height(u, v)
        rgb = np.stack([np.interp(level, [0, 1, 2], part) for part in low_to_high.T], axis=1)
        return np.clip(rgb + 0.08 * grain(u, v)[:, None], 0, 1)

    return filling(colors)


def block_noise(rng: Rng) -> Paint:
    """Squares of independent random colors, 24 to 40 in a row."""
    per_side = rng.integer(24, 40)
    colors = rng.uniforms(0, 1, per_side, per_side, 3)
    return filling(lambda u, v: colors[bin_index(v, per_side), bin_index(u, per_side)])


def flat(rng: Rng) -> Paint:
    """One saturated color."""
    color = hsv(rng.uniform(0, 1), rng.uniform(0.6, 1), rng.uniform(0.5, 1))
    return filling(lambda u, _v: np.tile(color, (len(u), 1)))


CONTENTS: dict[str, Content] = {
    function.__name__: function for function in (mosaic, bars, rings, yin_yang, blob, face, bird, icons, plaid, terrain)
}

FULL = ("mosaic", "face", "bird", "plaid", "terrain")
"""The drawn contents that fill their square, and can serve as a whole image."""

FILLERS: dict[str, Content] = {"block_noise": block_noise, "flat": flat}
"""Contents without structure, which replace objects."""

PHOTO = "photo"
"""The content of a built-in photograph that depends on the seed."""

NAMES = (*CONTENTS, PHOTO, *BUILT_IN)
"""The contents that a probe file can name."""


def is_photograph(content: object) -> bool:
    """Return whether a content of a probe file is a photograph."""
    return isinstance(content, Photograph) or content in (PHOTO, *BUILT_IN)


def resolve(content: str | Photograph, pixels: float) -> Content:
    """Return the content of a name or photograph; `pixels` is the approximate side of the object."""
    if isinstance(content, str):
        return CONTENTS[content]
    return functools.partial(photo, photograph=content, pixels=pixels)


def photo(rng: Rng, photograph: Photograph, pixels: float) -> Paint:
    """Square window of a photograph, at a random position, with a side of 0.5 to 1 times the shorter side.

    The photograph is reduced once, to at least two of its pixels for each rendered one, and interpolated linearly.
    """
    colors = photograph.reduced(math.ceil(4 * pixels))
    height, width, _ = colors.shape
    side = rng.uniform(0.5, 1) * min(height, width)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)

    flat = colors.reshape(-1, 3).astype(np.float64)

    def paint(u: Array, v: Array) -> Array:
        (x, right), (y, down) = _locate(left + (u + 1) / 2 * side, width), _locate(top + (v + 1) / 2 * side, height)
        corner = y * width + x
        above, below = (mix(flat.take(row, 0), flat.take(row + 1, 0), right) for row in (corner, corner + width))
        return mix(above, below, down) / 255

    return filling(paint)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grained:
    """An opaque paint with film grain.

    Attributes:
        paint: without grain.
        grains: added to red, green and blue alike, ``(rows, columns, 1)`` over [-1, 1] x [-1, 1].
        deviation: standard deviation of the grains, as a fraction of the color range.
    """

    paint: Paint
    grains: Array
    deviation: float

    @classmethod
    def draw(cls, rng: Rng, paint: Paint, per_side: int, deviation: float) -> "Grained":
        """Draw independent, uniformly distributed grains."""
        limit = math.sqrt(3) * deviation
        return cls(paint=paint, grains=rng.uniforms(-limit, limit, per_side, per_side, 1), deviation=deviation)

    def __call__(self, u: Array, v: Array) -> tuple[Array, Mask]:
        """Return colors in [0, 1], ``(n, 3)``, and the mask of opaque points; see `Paint`."""
        colors, opaque = self.paint(u, v)
        rows, columns = (bin_index(axis, len(self.grains)) for axis in (v, u))
        return np.clip(colors + self.grains[rows, columns], 0, 1), opaque


def _locate(position: Array, length: int) -> tuple[Indices, Array]:
    """Return the pixel before each position along an axis, and the distance from its center, in [0, 1]."""
    along = np.clip(position - 0.5, 0, length - 1)  # from the center of the first pixel
    first = np.minimum(along.astype(np.int64), length - 2)
    return first, along - first


def bin_index(t: Array, count: int) -> Indices:
    """Return the index of each position among equal parts of [-1, 1]; within 1e-9 of a border, of the later part."""
    return np.clip(((t + 1) / 2 * count + 1e-9).astype(np.int64), 0, count - 1)


def _in_ellipse(x: Array, y: Array, center: tuple[float, float], half_axes: tuple[float, float]) -> Mask:
    """Return the mask of the points inside an axis-aligned ellipse."""
    x, y = (x - center[0]) / half_axes[0], (y - center[1]) / half_axes[1]
    return x * x + y * y < 1


def _in_triangle(x: Array, y: Array, a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> Mask:
    """Return the mask of the points inside a triangle with corners in either orientation."""
    sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
    return (np.minimum.reduce(sides) > 0) | (np.maximum.reduce(sides) < 0)


# ----------------------------------------------------------------------------------------------- icons
# The depth of a union is the maximum of its parts' depths, that of an intersection the minimum.


def _heart(x: Array, y: Array) -> Array:
    radius, lowered = 0.56, y - 0.08
    half_diagonal = radius * np.sqrt(2)  # of a square at 45 degrees, with a disc on each upper side
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
    along, across = radius * np.cos(angle) - 1, radius * np.sin(angle)  # from the tip
    return (across * (notch_x - 1) - along * notch_y) / np.hypot(notch_x - 1, notch_y)


def _cross(x: Array, y: Array) -> Array:
    return np.maximum(_box(x, y, 0.33, 0.92), _box(x, y, 0.92, 0.33))


def _moon(x: Array, y: Array) -> Array:
    return np.minimum(0.92 - np.hypot(x, y), np.hypot(x - 0.42, y + 0.1) - 0.63)


def _drop(x: Array, y: Array) -> Array:
    radius, center, tip = 0.6, 0.33, -0.95
    sine = radius / (center - tip)  # of the angle between the axis and a side, which is tangent to the disc
    sides = (y - tip) * sine - np.abs(x) * np.sqrt(1 - sine**2)
    cone = np.minimum(sides, center - radius * sine - y)
    return np.maximum(radius - np.hypot(x, y - center), cone)


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
