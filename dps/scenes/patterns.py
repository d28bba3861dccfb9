"""Black-and-white patterns that fill the frame and remain plausible when inverted.

A family draws its parameters once and returns an ink, a function of the plane. One feature, such as a stripe or a
square, is 6 to 35 % of the frame. To add a family, write a function and enter it in `PATTERNS`.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from dps.scenes.color import Array
from dps.scenes.noise import smooth_noise
from dps.scenes.plane import Mask, grid, scale, shift, turn
from dps.scenes.rng import Rng

Ink: TypeAlias = Callable[[Array, Array], Mask]
"""From u and v of n points, each ``(n,)`` and in [-1, 1] over the frame, to the mask of the black ones, ``(n,)``."""

FRAME = 2.0
"""Width and height of the frame in u and v."""


def checkerboard(rng: Rng) -> Ink:
    """Squares, 3 to 12 across the frame: upright, at 45 degrees, or at any angle."""
    square = FRAME / rng.integer(3, 12)
    grid = turn(rng.choice([0.0, 0.0, 45.0, rng.uniform(0, 90)]))
    right, down = rng.uniforms(0, 1, 2)

    def ink(u: Array, v: Array) -> Mask:
        x, y = grid(u, v)
        return (np.floor(x / square + right) + np.floor(y / square + down)) % 2 == 1

    return ink


def stripes(rng: Rng) -> Ink:
    """Straight stripes in any direction."""
    period = FRAME * rng.uniform(0.17, 0.5)
    black, phase = rng.uniform(0.36, 0.64), rng.uniform(0, 1)
    across = turn(rng.uniform(0, 180))
    return lambda u, v: (across(u, v)[0] / period + phase) % 1 < black


def zebra(rng: Rng) -> Ink:
    """Stripes that bend, fork and swell."""
    period = FRAME * rng.uniform(0.14, 0.26)
    black = rng.uniform(0.4, 0.6)
    across = turn(rng.uniform(0, 180))
    bend = smooth_noise(rng, 3)
    strength = FRAME * rng.uniform(0.045, 0.085)
    return lambda u, v: (across(u, v)[0] + strength * bend(u, v)) / period % 1 < black


def rings(rng: Rng) -> Ink:
    """Rings around a point near the middle."""
    period = FRAME * rng.uniform(0.17, 0.3)  # at least one ring is whole
    black = rng.uniform(0.36, 0.64)
    right, down = rng.uniforms(-0.3, 0.3, 2)
    return lambda u, v: np.hypot(u - right, v - down) / period % 1 < black


def swirl(rng: Rng) -> Ink:
    """Arms from a point near the middle, straight or bent into a spiral."""
    arms = rng.integer(5, 14)
    bend = rng.uniform(-0.2, 0.2)
    right, down = rng.uniforms(-0.15, 0.15, 2)

    def ink(u: Array, v: Array) -> Mask:
        x, y = u - right, v - down
        around = np.arctan2(y, x) / (2 * np.pi) + bend * np.hypot(x, y)
        return arms * around % 1 < 0.5

    return ink


def honeycomb(rng: Rng) -> Ink:
    """White hexagons, 3 to 9 across the frame, with black walls."""
    cell = FRAME * rng.uniform(0.11, 0.33)
    wall = rng.uniform(0.18, 0.36)
    grid = turn(rng.choice([0.0, 30.0])).after(scale(1 / cell))
    right, down = rng.uniforms(0, 1, 2)
    column, row = 1.0, np.sqrt(3)  # centers lie on a grid with these steps, and on a second one halfway between

    def ink(u: Array, v: Array) -> Mask:
        x, y = grid(u, v)
        x, y = x + right, y + down
        x1, y1 = x % column - column / 2, y % row - row / 2
        x2, y2 = (x - column / 2) % column - column / 2, (y - row / 2) % row - row / 2
        first = x1**2 + y1**2 < x2**2 + y2**2
        x, y = np.abs(np.where(first, x1, x2)), np.abs(np.where(first, y1, y2))
        from_center = np.maximum(x, x / 2 + y * np.sqrt(3) / 2)  # 1/2 halfway to the next center
        return from_center > (1 - wall) / 2

    return ink


def diamonds(rng: Rng) -> Ink:
    """Rows of nested squares at 45 degrees."""
    band = FRAME * rng.uniform(0.06, 0.12)
    bands = rng.integer(4, 6)  # from the middle of a diamond to its tip; 3 would not look nested
    cell = band * bands * np.sqrt(2)
    right, down = rng.uniforms(0, 1, 2)

    def ink(u: Array, v: Array) -> Mask:
        x, y = (u / cell + right) % 1 - 0.5, (v / cell + down) % 1 - 0.5
        return np.floor((np.abs(x) + np.abs(y)) * bands) % 2 == 0

    return ink


def truchet(rng: Rng) -> Ink:
    """Truchet tiles: two lines or arcs join the midpoints of their sides, mirrored at random."""
    tiles = rng.integer(3, 6)
    mirrored = rng.integers(0, 1, tiles, tiles).astype(bool)
    half_width = rng.uniform(0.15, 0.22)
    from_lines = rng.choice([_from_arcs, _from_diagonals])

    def ink(u: Array, v: Array) -> Mask:
        x, y = (u + 1) / FRAME * tiles, (v + 1) / FRAME * tiles
        column, row = (np.clip(p.astype(np.int64), 0, tiles - 1) for p in (x, y))
        x, y = x - column, y - row
        return from_lines(np.where(mirrored[row, column], 1 - x, x), y) < half_width

    return ink


def _from_arcs(x: Array, y: Array) -> Array:
    """Return the distance to the quarter circles about two opposite corners of the unit tile."""
    return np.minimum(np.abs(np.hypot(x, y) - 0.5), np.abs(np.hypot(1 - x, 1 - y) - 0.5))


def _from_diagonals(x: Array, y: Array) -> Array:
    """Return the distance to the straight lines that cut off two opposite corners of the unit tile."""
    return np.minimum(np.abs(x + y - 0.5), np.abs(x + y - 1.5)) / np.sqrt(2)


def blobs(rng: Rng) -> Ink:
    """Patches with smooth outlines, like a cow's."""
    height = smooth_noise(rng, rng.uniform(3.5, 4.5), coarsest=rng.choice([1.5, 2.0, 3.0]))
    threshold = rng.uniform(-0.4, 0.4)
    return lambda u, v: height(u, v) < threshold


def dots(rng: Rng) -> Ink:
    """Rows of round or square dots, 3 to 6 in a row, whole or cut off by the frame."""
    in_row = rng.integer(3, 6)
    kinds: list[tuple[Callable[[Array, Array], Array], float]]
    kinds = [(np.hypot, rng.uniform(0.31, 0.4)), (_square, rng.uniform(0.27, 0.35))]
    norm, radius = rng.choice(kinds)
    right, down = rng.choice([(0.0, 0.0), (rng.uniform(0, 1), rng.uniform(0, 1))])

    def ink(u: Array, v: Array) -> Mask:
        x, y = (u + 1) / FRAME * in_row + right, (v + 1) / FRAME * in_row + down
        return norm(x % 1 - 0.5, y % 1 - 0.5) < radius

    return ink


def shape(rng: Rng) -> Ink:
    """Single patch over 26 to 35 % of the frame: an oval, a square, or a wavy outline."""
    flat = rng.uniform(0.7, 0.9)
    outlines: list[Ink] = [
        wavy(rng, 0.1, 0.25),
        lambda x, y: np.hypot(x, y / flat) < 1,
        lambda x, y: _square(x, y) < np.sqrt(0.5),
    ]
    outline = rng.choice(outlines)
    size = np.sqrt(rng.uniform(0.26, 0.35) / outline(*grid(256)).mean())
    right, down = (rng.uniforms(-1, 1, 2) * max(0.0, 0.95 - size)).tolist()
    local = shift(right, down).after(turn(rng.uniform(0, 360))).after(scale(size)).inverse()
    return lambda u, v: outline(*local(u, v))


def yin_yang(rng: Rng) -> Ink:
    """Yin and yang with a black outline, at any angle, on white."""
    local = turn(rng.uniform(0, 360)).after(scale(rng.uniform(0.85, 0.97))).inverse()
    dot, line = rng.uniform(0.12, 0.2), rng.uniform(0.045, 0.07)
    return lambda u, v: yin(*local(u, v), dot, line)


PATTERNS: dict[str, Callable[[Rng], Ink]] = {
    function.__name__: function
    for function in (
        checkerboard, stripes, zebra, rings, swirl, honeycomb, diamonds, truchet, blobs, dots, shape, yin_yang,
    )
}  # fmt: skip


def wavy(rng: Rng, least: float, most: float) -> Ink:
    """Return a disc with an outline bent by waves of this depth, inscribed in the unit circle."""
    waves = np.arange(2, 7)
    depths = rng.uniform(least, most) * rng.uniforms(-1, 1, len(waves)) / np.sqrt(waves - 1)
    phases = rng.uniforms(0, 2 * np.pi, len(waves))

    def bent(angle: Array) -> Array:
        radius = np.ones_like(angle)
        for wave, depth, phase in zip(waves, depths, phases, strict=True):
            radius += depth * np.cos(wave * angle + phase)
        return radius

    around = bent(np.linspace(-np.pi, np.pi, 720))
    largest, smallest = around.max(), around.min() - 1e-3  # the true minimum may lie between two angles

    def ink(u: Array, v: Array) -> Mask:
        radius = np.hypot(u, v) * largest
        inside = radius < smallest
        near = (radius >= smallest) & (radius < largest)
        inside[near] = radius[near] < bent(np.arctan2(v[near], u[near]))
        return inside

    return ink


def yin(u: Array, v: Array, dot: float, line: float) -> Mask:
    """Return the mask of the black points of a yin-yang in the unit circle, for a radius of dots and a line width."""
    from_center, from_black, from_white = np.hypot(u, v), np.hypot(u, v - 0.5), np.hypot(u, v + 0.5)
    black = (((u < 0) | (from_black < 0.5)) & (from_white >= 0.5)) | (from_white < dot)
    black &= from_black >= dot
    return (black | (from_center > 1 - line)) & (from_center <= 1)


def _square(x: Array, y: Array) -> Array:
    return np.maximum(np.abs(x), np.abs(y))
