"""Contents drawn after nature: an animal's face, a bird, and a terrain. To metrics, these resemble photographs."""

import numpy as np

from dps.scenes.color import Array, distinct_hues, hsv, mix
from dps.scenes.noise import cells, smooth_noise
from dps.scenes.plane import Mask, Paint, shift, turn
from dps.scenes.rng import Rng

NEARLY_BLACK = np.array([0.05, 0.04, 0.04])


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

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        x, y = own(u, v)
        aside = np.abs(x)  # both sides of a face are alike
        head = _ellipse(x, y, (0, 0), (half_width, half_height))
        ears = _triangle(aside, y, tip, (0.08, -0.5), (0.62, -0.2))
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
        inner_ears = _triangle(aside, y, (0.95 * tip[0], 0.88 * tip[1]), (0.2, -0.5), (0.52, -0.3)) & ~head
        lightness -= np.where(inner_ears, 0.4, 0)
        rgb[animal] = mix(dark, light, np.clip(lightness[animal], 0, 1))

        muzzle = _ellipse(x, y, (0, 0.3), (0.32, 0.28))
        rgb[muzzle] = np.clip(light + 0.06 * hairs[muzzle, None], 0, 1)
        rgb[_ellipse(x, y, (0, 0.46), (0.19, 0.13))] = NEARLY_BLACK
        rgb[_ellipse(x, y, (0, 0.52), (0.11, 0.1))] = tongue
        rgb[_ellipse(x, y, (0, 0.2), (0.13, 0.09))] = NEARLY_BLACK
        rgb[_ellipse(aside, y, (apart, -0.12), (0.15, 0.14))] = NEARLY_BLACK
        rgb[_ellipse(aside, y, (apart, -0.12), (0.12, 0.11))] = iris
        rgb[_ellipse(aside, y, (apart, -0.12), (0.075, 0.085))] = NEARLY_BLACK
        for side in (-1, 1):
            rgb[_ellipse(x, y, (side * apart - 0.035, -0.16), (0.035, 0.035))] = 1
        return rgb, everywhere(u)

    return paint


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

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
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
            part = _ellipse(*turn(-degrees)(x - middle[0], y - middle[1]), (0, 0), half_axes)
            rgb[part] = color * texture[part]
        rgb[_triangle(x, y, (-0.8, -0.34), (-0.46, -0.52), (-0.44, -0.28))] = beak
        rgb[_ellipse(x, y, (-0.3, -0.47), (0.095, 0.095))] = 1
        rgb[_ellipse(x, y, (-0.31, -0.47), (0.07, 0.07))] = NEARLY_BLACK
        rgb[_ellipse(x, y, (-0.33, -0.49), (0.025, 0.025))] = 1
        return np.clip(rgb, 0, 1), everywhere(u)

    return paint


def terrain(rng: Rng) -> Paint:
    """Rough land in three colors, by height."""
    height, grain = (smooth_noise(rng, rng.uniform(1, 1.5)) for _ in range(2))
    hues = rng.uniform(0, 1) + np.array([0, 0.12, 0.5])
    low_to_high = hsv(hues, [0.7, 0.6, 0.5], [0.35, 0.6, 0.85])

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        level = 1 + 0.63 * height(u, v)
        rgb = np.stack([np.interp(level, [0, 1, 2], part) for part in low_to_high.T], axis=1)
        return np.clip(rgb + 0.08 * grain(u, v)[:, None], 0, 1), everywhere(u)

    return paint


def everywhere(u: Array) -> Mask:
    """Return that all points are opaque: the content is a square."""
    return np.ones(len(u), dtype=bool)


def _ellipse(x: Array, y: Array, middle: tuple[float, float], half_axes: tuple[float, float]) -> Mask:
    """Return which points are inside an upright ellipse."""
    x, y = (x - middle[0]) / half_axes[0], (y - middle[1]) / half_axes[1]
    inside: Mask = x * x + y * y < 1
    return inside


def _triangle(x: Array, y: Array, a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> Mask:
    """Return which points are inside a triangle, whose corners may be in either order."""
    sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
    inside: Mask = (np.minimum.reduce(sides) > 0) | (np.maximum.reduce(sides) < 0)
    return inside
