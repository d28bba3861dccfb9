"""Scenes as functions of the plane, and their rendering.

A scene is an infinite plain ground with layers painted on it. Moving a layer changes the coordinates at which it is
evaluated, never its pixels: a rotated or shifted scene is exact at any size. The frame is the unit square, x to the
right and y down.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dps.images import Pixels
from dps.scenes.color import Array
from dps.scenes.rng import Rng

Mask: TypeAlias = NDArray[np.bool_]
Paint: TypeAlias = Callable[[Array, Array], tuple[Array, Mask]]
"""From u and v of n points, each ``(n,)`` in [-1, 1], to RGB in [0, 1], ``(n, 3)``, and the mask of opaque points."""

SAMPLES = 4
"""Each pixel is the average of 4 x 4 points."""

POINTS_AT_ONCE = 2**15
"""Points that are evaluated at once: their arrays fit into a core's cache."""

LEVELS = 2**16
"""Quantization levels of a color at a point: sums of integers do not depend on their order."""


@dataclass(frozen=True, slots=True)
class Affine:
    """An affine map of the plane: ``(x, y) -> matrix @ (x, y) + offset``."""

    matrix: tuple[tuple[float, float], tuple[float, float]]
    offset: tuple[float, float] = (0.0, 0.0)

    def __call__(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Map points."""
        (a, b), (c, d) = self.matrix
        e, f = self.offset
        return a * x + b * y + e, c * x + d * y + f

    def after(self, first: "Affine") -> "Affine":
        """Return the composition that applies ``first``, then this map."""
        (a, b), (c, d) = self.matrix
        (p, q), (r, s) = first.matrix
        (x, y), (e, f) = first.offset, self.offset
        matrix = (a * p + b * r, a * q + b * s), (c * p + d * r, c * q + d * s)
        return Affine(matrix, (a * x + b * y + e, c * x + d * y + f))

    def inverse(self) -> "Affine":
        """Return the inverse map."""
        (a, b), (c, d) = self.matrix
        (e, f), area = self.offset, a * d - b * c
        return Affine(((d / area, -b / area), (-c / area, a / area)), ((b * f - d * e) / area, (c * e - a * f) / area))


def shift(right: float, down: float) -> Affine:
    """Return a translation by fractions of the frame."""
    return Affine(((1.0, 0.0), (0.0, 1.0)), (right, down))


def scale(factor: float) -> Affine:
    """Return a scaling about the origin."""
    return Affine(((factor, 0.0), (0.0, factor)))


def turn(degrees: float) -> Affine:
    """Return a clockwise rotation about the origin (y points down), exact at multiples of 90 degrees."""
    quarters, rest = divmod(degrees, 90)
    c, s = np.cos(np.deg2rad(rest)), np.sin(np.deg2rad(rest))
    c, s = [(c, s), (-s, c), (-c, -s), (s, -c)][int(quarters) % 4]
    return Affine(((float(c), float(-s)), (float(s), float(c))))


def about_middle(map_: Affine) -> Affine:
    """Return the same map with the middle of the frame as its origin."""
    return shift(0.5, 0.5).after(map_).after(shift(-0.5, -0.5))


def square_at(left: float, top: float, side: float) -> Affine:
    """Return the map of [-1, 1] x [-1, 1] to a square of the frame."""
    return shift(left + side / 2, top + side / 2).after(scale(side / 2))


FULL_FRAME = square_at(0, 0, 1)
"""The map of [-1, 1] x [-1, 1] to the whole frame."""


def grid(per_side: int) -> tuple[Array, Array]:
    """Return the centers of ``per_side ** 2`` equal squares of [-1, 1] x [-1, 1], row by row, each ``(n,)``."""
    axis = (np.arange(per_side) + 0.5) / per_side * 2 - 1
    u, v = np.meshgrid(axis, axis)
    return u.ravel(), v.ravel()


def filling(colors: Callable[[Array, Array], Array]) -> Paint:
    """Return the opaque paint with these colors."""
    return lambda u, v: (colors(u, v), np.ones(len(u), dtype=bool))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A content painted on the ground.

    Attributes:
        name: of the content.
        paint: in local coordinates, [-1, 1] x [-1, 1].
        place: the map from local to frame coordinates.
        replacements: contents that may replace it, by name; empty if any other content may.
    """

    name: str
    paint: Paint = field(repr=False)
    place: Affine = FULL_FRAME
    replacements: "Mapping[str, Callable[[Rng], Paint]]" = field(default_factory=dict, compare=False, repr=False)

    def box(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of its bounding box, in frame coordinates."""
        x, y = self.place(np.array([-1.0, 1.0, -1.0, 1.0]), np.array([-1.0, -1.0, 1.0, 1.0]))
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A plain ground and the layers on it, bottom to top.

    Attributes:
        ground: RGB in [0, 1].
        layers: by convention the last one is the object.
        drawn: parameters for the report, plain data by name.
    """

    ground: tuple[float, ...]
    layers: tuple[Layer, ...]
    drawn: dict[str, object] = field(default_factory=dict, hash=False)

    def moved(self, map_: Affine) -> "Scene":
        """Return the scene with all layers mapped; the ground is plain and infinite, and remains."""
        layers = tuple(replace(layer, place=map_.after(layer.place)) for layer in self.layers)
        return replace(self, layers=layers)

    def colors(self, x: Array, y: Array) -> Array:
        """Return RGB in [0, 1] at n points of the frame, ``(n, 3)``; x and y are broadcast."""
        colors = np.empty((np.broadcast(x, y).size, 3))
        colors[:] = self.ground
        for layer in self.layers:
            u, v = (axis.ravel() for axis in layer.place.inverse()(x, y))
            near = ((np.abs(u) <= 1) & (np.abs(v) <= 1)).nonzero()[0]
            if not near.size:
                continue
            if near.size < u.size:
                u, v = u.take(near), v.take(near)
            painted, opaque = layer.paint(u, v)
            if not opaque.all():
                near, painted = near[opaque], painted[opaque]
            if near.size == len(colors):  # as for most backgrounds
                colors[:] = painted
            else:
                colors[near] = painted
        return colors


@functools.lru_cache(maxsize=4)
def render(scene: Scene, size: int) -> Pixels:
    """Sample a scene; the last few are cached, since many cases share an original.

    Returns:
        8-bit RGB, ``(size, size, 3)``, read-only. Each pixel is the average of 4 x 4 points, rounded once.
    """
    pixels = np.full((size, size, 3), _levels(scene.ground))
    if scene.layers:
        boxes = np.array([layer.box() for layer in scene.layers]).clip(0, 1) * size
        left, top = np.floor(boxes[:, :2].min(axis=0)).astype(int)
        right, bottom = np.ceil(boxes[:, 2:].max(axis=0)).astype(int)
        if left < right and top < bottom:
            pixels[top:bottom, left:right] = _sampled(scene, size, left, top, right, bottom)
    image = np.round(pixels * 255 / LEVELS).astype(np.uint8)
    image.setflags(write=False)
    return image


def _levels(colors: ArrayLike) -> Array:
    """Quantize RGB in [0, 1] to integers up to `LEVELS`."""
    return np.round(np.clip(colors, 0, 1) * LEVELS)


def _sampled(scene: Scene, size: int, left: int, top: int, right: int, bottom: int) -> Array:
    """Return the pixels of a part of the frame, in levels, ``(bottom - top, right - left, 3)``."""
    pixels = np.empty((bottom - top, right - left, 3))
    x = (np.arange(left * SAMPLES, right * SAMPLES) + 0.5) / (size * SAMPLES)
    step = max(1, POINTS_AT_ONCE // (SAMPLES * x.size))
    for first in range(top, bottom, step):
        last = min(first + step, bottom)
        y = (np.arange(first * SAMPLES, last * SAMPLES) + 0.5) / (size * SAMPLES)
        levels = _levels(scene.colors(x[None, :], y[:, None]))
        rows = levels.reshape(last - first, SAMPLES, -1).sum(axis=1)  # rows first, which is faster
        pixels[first - top : last - top] = rows.reshape(last - first, -1, SAMPLES, 3).sum(axis=2) / SAMPLES**2
    return pixels
