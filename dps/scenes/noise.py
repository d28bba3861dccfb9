"""Random fields: smooth noise (fur, clouds, bent stripes) and cells (cobbles, leaves)."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dps.scenes.color import Array
from dps.scenes.rng import Rng

Field: TypeAlias = Callable[[Array, Array], Array]
"""A value at each of n points: u and v, each ``(n,)``, to ``(n,)``."""

Indices: TypeAlias = NDArray[np.int64]

LATTICE = 128
"""Points per side of the lattice on which noise is drawn; it is interpolated between them."""


def smooth_noise(rng: Rng, falloff: float, *, stretch: float = 1.0, coarsest: float = 1.0) -> Field:
    """Draw periodic noise in which a wave of frequency f has the amplitude f ** -falloff.

    Args:
        rng: LATTICE * LATTICE numbers are drawn.
        falloff: 0 is white noise; 1 looks like fur, 2 like clouds, 3 like rolling hills.
        stretch: ratio of the width to the height of its features.
        coarsest: minimum number of periods per [-1, 1] of a wave; above 0.

    Returns:
        A field over [-1, 1] in both directions, which repeats beyond. On the lattice its mean is 0 and its standard
        deviation 1.
    """
    across = np.fft.rfftfreq(LATTICE, 1 / LATTICE)[None, :]
    down = np.fft.fftfreq(LATTICE, 1 / LATTICE)[:, None]
    frequency = np.hypot(across, down / stretch)
    frequency[0, 0] = 1  # the mean, which is removed below
    coarse = across**2 + down**2 < coarsest**2  # integers, so rounding has no influence
    amplitude = np.where(coarse, 0, frequency**-falloff)
    white = rng.uniforms(-1, 1, LATTICE, LATTICE)
    heights = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=(LATTICE, LATTICE))
    heights = (heights - heights.mean()) / heights.std()
    padded = np.pad(heights, (0, 1), mode="wrap")  # every point has a neighbor right and below
    width = padded.shape[1]
    padded = padded.ravel()

    def field(u: Array, v: Array) -> Array:
        column, right = _lattice(u)
        row, below = _lattice(v)
        corner = row * width + column
        upper = padded[corner] * (1 - right) + padded[corner + 1] * right
        lower = padded[corner + width] * (1 - right) + padded[corner + width + 1] * right
        return upper * (1 - below) + lower * below

    return field


def _lattice(position: Array) -> tuple[Indices, Array]:
    """Return the index of the lattice line at or before each position, and the distance beyond it, in [0, 1)."""
    steps = (position + 1) * (LATTICE / 2)
    line = np.floor(steps)
    return line.astype(np.int64) % LATTICE, steps - line


def cells(rng: Rng, min_count: int) -> tuple[Array, Callable[[Array, Array], Indices]]:
    """Divide the plane into Voronoi cells of similar sizes.

    Args:
        rng: two numbers are drawn for each cell.
        min_count: number of cells, rounded up to the next square number.

    Returns:
        The cells' points, ``(cell, 2)``, on a jittered grid that extends slightly beyond [-1, 1]; and a function from n
        positions, u and v, each ``(n,)``, to the indices of their cells, ``(n,)``.
    """
    from scipy.spatial import cKDTree  # imported here: that takes longer than drawing most scenes

    side = int(np.ceil(np.sqrt(min_count)))
    row, column = np.divmod(np.arange(side * side), side)
    steps = np.stack([column, row], axis=1) + 0.5 + rng.uniforms(-0.4, 0.4, side * side, 2)
    points = 1.15 * (2 * steps / side - 1)
    tree = cKDTree(points, leafsize=4)  # a fifth faster than with the default

    def cell(u: Array, v: Array) -> Indices:
        _, index = tree.query(np.stack([u, v], axis=1))
        return np.asarray(index, dtype=np.int64)

    return points, cell
