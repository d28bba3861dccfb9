"""Distortions: of scenes, which change where or on what a scene is drawn, so they are exact; and of images.

Those of images are of 8-bit RGB, ``(height, width, 3)``. Sums are of integers where possible, so that they are the same
on every machine.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dps.errors import DrawError
from dps.images import Pixels
from dps.scenes import color
from dps.scenes.color import Array
from dps.scenes.composition import GRID, GROUNDS, coverage, hexadecimal, stands_out
from dps.scenes.contents import CONTENTS, FILLERS, FULL, Grained
from dps.scenes.parameters import one_of
from dps.scenes.plane import (
    Affine,
    Layer,
    Mask,
    Paint,
    Scene,
    about_middle,
    filling,
    grid,
    scale,
    shift,
    square_at,
    turn,
)
from dps.scenes.rng import Rng

# ------------------------------------------------------------------------------------------ of scenes


def rotate(scene: Scene, _rng: Rng, *, degrees: Annotated[float, Field(gt=-360, lt=360)]) -> Scene:
    """Turn the scene clockwise about the middle of the frame, by right angles exactly."""
    return scene.moved(about_middle(turn(degrees)))


def zoom(scene: Scene, _rng: Rng, *, factor: Annotated[float, Field(gt=0, le=8)]) -> Scene:
    """Enlarge (factor above 1) or shrink the scene about the middle of the frame."""
    return scene.moved(about_middle(scale(factor)))


def shear(scene: Scene, _rng: Rng, *, degrees: Annotated[float, Field(gt=-80, lt=80)]) -> Scene:
    """Slant the scene: upright lines lean to the right by this angle, the middle of the frame stays."""
    return scene.moved(about_middle(Affine(((1.0, -math.tan(math.radians(degrees))), (0.0, 1.0)))))


def translate(
    scene: Scene,
    _rng: Rng,
    *,
    right: Annotated[float, Field(gt=-1, lt=1)] = 0.0,
    down: Annotated[float, Field(gt=-1, lt=1)] = 0.0,
) -> Scene:
    """Shift the scene by fractions of the frame; multiples of 1/32 are whole pixels at 64, 96 and 128."""
    return _noting(scene.moved(shift(right, down)), distance=math.hypot(right, down))


def translate_clear(scene: Scene, rng: Rng) -> Scene:
    """Shift the object by whole pixels clear of its old place, inside the frame; all such shifts are equally likely.

    Raises:
        DrawError: there is none; place ``room_to_move`` leaves room for one.
    """
    left, top, right, bottom = scene.layers[-1].box()
    side = max(right - left, bottom - top)
    shifts = [
        (x / GRID, y / GRID)
        for x in range(math.ceil(-left * GRID - 1e-9), math.floor((1 - right) * GRID + 1e-9) + 1)
        for y in range(math.ceil(-top * GRID - 1e-9), math.floor((1 - bottom) * GRID + 1e-9) + 1)
        if max(abs(x), abs(y)) >= side * GRID - 1e-9
    ]
    if not shifts:
        raise DrawError("the object cannot be shifted clear of its old place; use place: room_to_move")
    x, y = rng.choice(shifts)
    return _noting(translate(scene, rng, right=x, down=y), right=x, down=y)


def stain(scene: Scene, rng: Rng, *, strokes: Annotated[int, Field(ge=0, le=100)] = 0) -> Scene:
    """Give the plain ground another color, and this number of stains under the object, which stays.

    White becomes a strong color that the object stands out from; any other color becomes white.
    """
    paint = scene.layers[-1].paint
    kind = "strong" if scene.ground == (1.0, 1.0, 1.0) else "white"
    ground = rng.rejection_sample(
        GROUNDS[kind], lambda rgb: stands_out(paint, rgb), f"a {kind} ground that the object stands out from"
    )
    layers = scene.layers
    if strokes:
        ink = rng.rejection_sample(
            color.any_color, lambda rgb: float(color.difference(rgb, ground)) >= 35, "a color for the stains"
        )
        layers = (Layer(name="stains", paint=_strokes(rng, strokes, ink)), *layers)
    stained = replace(scene, ground=tuple(ground.tolist()), layers=layers)
    return _noting(stained, new_ground_color=hexadecimal(ground), strokes=strokes)


def stain_noise(scene: Scene, rng: Rng, *, strength: Annotated[float, Field(gt=0, le=1)]) -> Scene:
    """Sprinkle the plain ground with grains under the object.

    Each is lighter or darker than the ground by at most this part of the full range of colors.
    """
    grains = np.array(scene.ground) + rng.uniforms(-strength, strength, 48, 48, 1)

    def colors(u: Array, v: Array) -> Array:
        across, down = (np.clip(((axis + 1) * 24).astype(np.int64), 0, 47) for axis in (u, v))
        return np.clip(grains[down, across], 0, 1)

    return replace(scene, layers=(Layer(name="grains", paint=filling(colors)), *scene.layers))


def replace_object(scene: Scene, rng: Rng, *, content: Annotated[str, one_of(["other", *FILLERS])] = "other") -> Scene:
    """Put another object in the object's place, of the same area: ``other`` is another content.

    Among several objects it is the last one, and the new one stays in its square. A photograph is replaced by another
    one of its pool, unless none differs enough. Rejection sampling: over the object's interior the two differ by a
    median of 30 CIELAB or more, and their luminances correlate by at most 0.5.

    Raises:
        DrawError: no object that differs enough was found.
    """
    old = scene.layers[-1]
    drawn = {name: make for name, make in CONTENTS.items() if name != old.name}
    pool = {content: FILLERS[content]} if content in FILLERS else old.others or drawn
    try:
        return _replaced(scene, rng, pool, content)
    except DrawError:
        if pool is not old.others:
            raise
        return _replaced(scene, rng, drawn, content)


def remove_object(scene: Scene, _rng: Rng) -> Scene:
    """Take the object away, or the last one of several."""
    return _noting(replace(scene, layers=scene.layers[:-1]), removed=scene.layers[-1].name)


def rearrange(scene: Scene, rng: Rng) -> Scene:
    """Exchange the places of a scene's objects, so that none stays where it was.

    Raises:
        DrawError: there is one object alone.
    """
    places = [layer.place for layer in scene.layers]
    order = rng.rejection_sample(
        lambda rng: rng.shuffled(range(len(places))),
        lambda order: all(place != old for old, place in enumerate(order)),
        "an order in which no object stays where it was",
    )
    moved = (replace(layer, place=places[place]) for layer, place in zip(scene.layers, order, strict=True))
    return replace(scene, layers=tuple(moved))


def replace_background(scene: Scene, rng: Rng) -> Scene:
    """Put another content behind the objects; a photograph is replaced by another one of its pool, if it has any.

    Rejection sampling: the two backgrounds differ by a median of 30 CIELAB or more.

    Raises:
        DrawError: none that differs enough was found.
    """
    old, points = scene.layers[0], grid(48)
    drawn = {name: CONTENTS[name] for name in FULL if name != old.name}
    pool = old.others or drawn
    name, paint = rng.rejection_sample(
        lambda rng: (name := rng.choice(list(pool)), pool[name](rng)),
        lambda new: float(np.median(color.difference(new[1](*points)[0], old.paint(*points)[0]))) >= 30,
        f"a background that differs from {old.name}",
    )
    background = replace(old, name=name, paint=paint)
    return _noting(replace(scene, layers=(background, *scene.layers[1:])), replaced_by=name)


def regrain(scene: Scene, rng: Rng) -> Scene:
    """Draw the film grain of a view again, as strong as it was."""
    (layer,) = scene.layers
    grained = _grained(layer)
    paint = Grained.draw(rng, grained.paint, len(grained.grains), grained.deviation)
    return replace(scene, layers=(replace(layer, paint=paint),))


def remove_grain(scene: Scene, _rng: Rng) -> Scene:
    """Take the film grain of a view away."""
    (layer,) = scene.layers
    return replace(scene, layers=(replace(layer, paint=_grained(layer).paint),))


SCENE_DISTORTIONS: Mapping[str, Callable[..., Scene]] = {
    function.__name__: function
    for function in (
        *(rotate, zoom, shear, translate, translate_clear, stain, stain_noise, replace_object, remove_object),
        *(rearrange, replace_background, regrain, remove_grain),
    )
}
"""Distortions of scenes: functions of a scene, a random number generator and their parameters, to a scene."""


def _replaced(scene: Scene, rng: Rng, pool: Mapping[str, Callable[[Rng], Paint]], what: str) -> Scene:
    """Return the scene with a content of a pool as its object."""
    old, names = scene.layers[-1], list(pool)
    room = 1.25 if len(scene.layers) > 1 else math.inf

    def sample(rng: Rng) -> Scene:
        name = rng.choice(names)
        return replace(scene, layers=(*scene.layers[:-1], _in_its_place(old, name, pool[name](rng), room)))

    replaced = rng.rejection_sample(
        sample,
        lambda other: stands_out(other.layers[-1].paint, scene.ground) and _differ(scene, other),
        f"{what} that differs from {old.name}",
    )
    return _noting(replaced, replaced_by=replaced.layers[-1].name)


def _grained(layer: Layer) -> Grained:
    """Return the paint of a layer with grain; a DrawError where it has none."""
    if not isinstance(layer.paint, Grained):
        raise DrawError("the scene has no grain; use scene: view with grain: 0.1")
    return layer.paint


def _noting(scene: Scene, **drawn: object) -> Scene:
    """Return the scene with more noted of what it was drawn with."""
    return replace(scene, drawn={**scene.drawn, **drawn})


def _strokes(rng: Rng, count: int, ink: Array) -> Paint:
    """Paint short bent strokes anywhere in the frame: 4 to 12 % of it long, 3 % thick."""
    x, y = rng.uniforms(-0.94, 0.94, 2, count)
    turns = [turn(degrees) for degrees in rng.uniforms(0, 180, count)]
    half_lengths, bends = rng.uniforms(0.04, 0.12, count), rng.uniforms(-0.6, 0.6, count)
    half_thickness = 0.03  # of [-1, 1], as the lengths are

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        opaque = np.zeros(len(u), dtype=bool)
        for cx, cy, about, half, bend in zip(x, y, turns, half_lengths, bends, strict=True):
            near = np.flatnonzero(np.maximum(np.abs(u - cx), np.abs(v - cy)) <= 2 * half)
            along, across = about(u[near] - cx, v[near] - cy)
            across = across - bend * along**2 / half
            opaque[near] |= (np.abs(across) < half_thickness) & (np.abs(along) < half)
        return np.broadcast_to(ink, (len(u), 3)), opaque

    return paint


def _in_its_place(old: Layer, name: str, paint: Paint, room: float) -> Layer:
    """Return a layer about where the old one is, as large, inside the frame, its side at most `room` times the old."""
    left, top, right, bottom = old.box()
    side = min(1.0, (right - left) * min(room, math.sqrt(coverage(old.paint) / coverage(paint))))
    x = min(max((left + right - side) / 2, 0), 1 - side)
    y = min(max((top + bottom - side) / 2, 0), 1 - side)
    return Layer(name=name, paint=paint, place=square_at(x, y, side))


def _differ(scene: Scene, replaced: Scene) -> bool:
    """Return whether two scenes clearly differ over the interior of the first one's object.

    Points are compared, not pixels: those at the edge mix with the common ground, which makes all objects similar.
    """
    x, y = ((axis + 1) / 2 for axis in grid(48))
    u, v = scene.layers[-1].place.inverse()(x, y)
    inside = np.maximum(np.abs(u), np.abs(v)) <= 1
    inside[inside] = scene.layers[-1].paint(u[inside], v[inside])[1]
    a, b = (version.colors(x[inside], y[inside]) for version in (scene, replaced))
    if np.median(color.difference(a, b)) < 30:
        return False
    light_a, light_b = a @ color.LUMA, b @ color.LUMA
    if light_a.std() < 1e-6 or light_b.std() < 1e-6:
        return True  # one of them is flat, so there is no correlation
    return float(np.corrcoef(light_a, light_b)[0, 1]) <= 0.5


# ------------------------------------------------------------------------------------------ of images


def invert(pixels: Pixels, _rng: Rng) -> Pixels:
    """Invert each channel: 255 - x."""
    return 255 - pixels


def flip(pixels: Pixels, _rng: Rng) -> Pixels:
    """Mirror left and right."""
    return pixels[:, ::-1]


def blur(pixels: Pixels, _rng: Rng, *, sigma: Annotated[float, Field(gt=0, le=32)]) -> Pixels:
    """Blur with a Gaussian of this standard deviation in pixels, up to four of them; edges are replicated."""
    from scipy import ndimage  # here, since importing it takes longer than drawing most scenes

    at = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    bell = np.exp(-0.5 * (at / sigma) ** 2)
    taps = np.rint(_ONE * bell / bell.sum())
    taps[len(taps) // 2] += _ONE - taps.sum()
    blurred = pixels.astype(np.float64)
    for axis in (0, 1):
        blurred = ndimage.correlate1d(blurred, taps, axis, mode="nearest")
    return _rounded(blurred / _ONE**2)


_ONE = 2**16
"""Sum of the weights of a blur, which are integers: these add up to the same in any order."""


def noise(pixels: Pixels, rng: Rng, *, deviation: Annotated[float, Field(gt=0, le=1)]) -> Pixels:
    """Add nearly Gaussian noise to each channel, with this standard deviation as a part of the full range."""
    total = rng.integers(0, 255, 12, *pixels.shape).sum(axis=0) - 12 * 127.5  # of 12, each of variance (256^2 - 1) / 12
    return _rounded(pixels + total * (255 * deviation / math.sqrt(256**2 - 1)))


def jpeg(pixels: Pixels, _rng: Rng, *, quality: Annotated[int, Field(ge=1, le=99)]) -> Pixels:
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
    return (2 * numbers + by) // (2 * by)


_QUANTA = np.full((2, 8, 8), 99)
_QUANTA[0] = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
_QUANTA[1, :4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
"""Quantization steps of luma and color at quality 50, by frequency down and across."""


def contrast(pixels: Pixels, _rng: Rng, *, factor: Annotated[float, Field(gt=0, le=4)]) -> Pixels:
    """Scale the distance of all colors to middle gray; below 1 is less contrast."""
    return _rounded(127.5 + factor * (pixels - 127.5))


def lighting(
    pixels: Pixels,
    _rng: Rng,
    *,
    gamma: Annotated[float, Field(gt=0, le=8)] = 1.0,
    gain: Annotated[float, Field(gt=0, le=8)] = 1.0,
) -> Pixels:
    """Raise colors in [0, 1] to the power of gamma, multiply them by gain, and clip."""
    return _rounded(255 * gain * (np.arange(256) / 255) ** gamma)[pixels]


def recolor(pixels: Pixels, _rng: Rng, *, degrees: Annotated[float, Field(gt=-360, lt=360)]) -> Pixels:
    """Rotate all hues about the gray axis, and clip: by 120 degrees, red becomes green, green blue and blue red."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)) / math.sqrt(3)
    same, next_, last = (1 + 2 * c) / 3, (1 - c) / 3 - s, (1 - c) / 3 + s
    turned = np.array([[same, next_, last], [last, same, next_], [next_, last, same]])
    return _rounded(pixels @ turned.T)


def occlude(pixels: Pixels, rng: Rng, *, side: Annotated[float, Field(gt=0, lt=1)]) -> Pixels:
    """Cover a square, its side a fraction of the shorter side, with a gray that no standard reference has."""
    height, width, _ = pixels.shape
    length = max(1, round(side * min(height, width)))
    top, left = rng.integer(0, height - length), rng.integer(0, width - length)
    covered = pixels.copy()
    covered[top : top + length, left : left + length] = 96
    return covered


def shuffle(pixels: Pixels, rng: Rng, *, patch: Annotated[int, Field(ge=1, le=1024)]) -> Pixels:
    """Put the image's square patches of this many pixels in random order, none of them where it was.

    Rejection sampling: the average colors of old and new patches differ by 4 CIELAB or more on average.

    Raises:
        DrawError: the sides are not multiples of the patch, there is one patch alone, or all orders look alike.
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
        "an order in which no patch stays where it was, and that looks different",
    )
    return patches[order].reshape(down, across, patch, patch, 3).swapaxes(1, 2).reshape(pixels.shape)


Changes: TypeAlias = Mapping[str, Callable[[Pixels, Rng], Pixels]]
"""Changes of images without parameters, by name."""

EVERYDAY: Changes = {
    "jpeg": partial(jpeg, quality=30),
    "blur": partial(blur, sigma=1.0),
    "noise": partial(noise, deviation=10 / 255),
    "gamma": partial(lighting, gamma=0.8),
}
"""Mild changes of a whole image, which a person sees and hardly minds."""

SLIGHT: Changes = {
    "jpeg": partial(jpeg, quality=60),
    "blur": partial(blur, sigma=0.6),
    "noise": partial(noise, deviation=5 / 255),
    "gamma": partial(lighting, gamma=0.9),
}
"""The same, about half as strong."""

DAMAGES: Changes = {
    "blur": partial(blur, sigma=2.0),
    "jpeg": partial(jpeg, quality=10),
    "noise": partial(noise, deviation=15 / 255),
}
"""Changes of a whole image that nobody misses."""


def everyday(pixels: Pixels, rng: Rng, *, change: Annotated[str, one_of(EVERYDAY)]) -> Pixels:
    """Make one of the mild changes that people hardly mind: see `EVERYDAY`."""
    return EVERYDAY[change](pixels, rng)


def slight(pixels: Pixels, rng: Rng, *, change: Annotated[str, one_of(SLIGHT)]) -> Pixels:
    """Make one of the slight changes that are hard to see: see `SLIGHT`."""
    return SLIGHT[change](pixels, rng)


def damage(pixels: Pixels, rng: Rng, *, change: Annotated[str, one_of(DAMAGES)]) -> Pixels:
    """Damage the image so that nobody misses it: see `DAMAGES`."""
    return DAMAGES[change](pixels, rng)


PIXEL_DISTORTIONS: Mapping[str, Callable[..., Pixels]] = {
    function.__name__: function
    for function in (
        *(invert, flip, blur, noise, jpeg, contrast, lighting, recolor, occlude, shuffle),
        *(everyday, slight, damage),
    )
}
"""Distortions of images, likewise; they work on files, too."""

DISTORTIONS: Mapping[str, Callable[..., Any]] = {**SCENE_DISTORTIONS, **PIXEL_DISTORTIONS}


def _rounded(colors: NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(colors), 0, 255).astype(np.uint8)
