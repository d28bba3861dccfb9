"""Distortions of scenes: they change where or on what a scene is drawn, so they are exact."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from dps.errors import DrawError
from dps.scenes import color
from dps.scenes.color import Array
from dps.scenes.composition import GRID, GROUNDS, coverage, hexadecimal, stands_out
from dps.scenes.contents import CONTENTS, FILLERS
from dps.scenes.parameters import Identity, one_of
from dps.scenes.plane import (
    FULL_FRAME,
    Affine,
    Layer,
    Mask,
    Paint,
    Scene,
    about_middle,
    grid,
    scale,
    shift,
    square_at,
    turn,
)
from dps.scenes.rng import Rng


def rotate(scene: Scene, _rng: Rng, *, degrees: Annotated[float, Field(gt=-360, lt=360), Identity(0)]) -> Scene:
    """Turn the scene clockwise about the middle of the frame, by right angles exactly."""
    return scene.moved(about_middle(turn(degrees)))


def zoom(scene: Scene, _rng: Rng, *, factor: Annotated[float, Field(gt=0, le=8), Identity(1)]) -> Scene:
    """Enlarge (factor above 1) or shrink the scene about the middle of the frame."""
    return scene.moved(about_middle(scale(factor)))


def shear(scene: Scene, _rng: Rng, *, degrees: Annotated[float, Field(gt=-80, lt=80), Identity(0)]) -> Scene:
    """Slant the scene: upright lines lean to the right by this angle, the middle of the frame stays."""
    return scene.moved(about_middle(Affine(((1.0, -math.tan(math.radians(degrees))), (0.0, 1.0)), (0.0, 0.0))))


def translate(
    scene: Scene,
    _rng: Rng,
    *,
    right: Annotated[float, Field(gt=-1, lt=1), Identity(0)] = 0.0,
    down: Annotated[float, Field(gt=-1, lt=1), Identity(0)] = 0.0,
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


def stain(scene: Scene, rng: Rng, *, strokes: Annotated[int, Field(ge=0, le=100), Identity(0)] = 0) -> Scene:
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
        inks = rng.rejection_sample(
            color.any_color, lambda rgb: float(color.difference(rgb, ground)) >= 35, "a color for the stains"
        )
        layers = (Layer(name="stains", paint=_strokes(rng, strokes, inks), place=FULL_FRAME), *layers)
    red, green, blue = ground.tolist()
    stained = replace(scene, ground=(red, green, blue), layers=layers)
    return _noting(stained, new_ground_color=hexadecimal(ground), strokes=strokes)


def stain_noise(scene: Scene, rng: Rng, *, strength: Annotated[float, Field(gt=0, le=1), Identity(0)]) -> Scene:
    """Sprinkle the plain ground with grains under the object.

    Each is lighter or darker than the ground by at most this part of the full range of colors.
    """
    grains = np.array(scene.ground) + rng.uniforms(-strength, strength, 48, 48, 1)

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        across, down = (np.clip(((axis + 1) * 24).astype(np.int64), 0, 47) for axis in (u, v))
        return np.clip(grains[down, across], 0, 1), np.ones(len(u), dtype=bool)

    return replace(scene, layers=(Layer(name="grains", paint=paint, place=FULL_FRAME), *scene.layers))


def replace_object(scene: Scene, rng: Rng, *, content: Annotated[str, one_of(["other", *FILLERS])] = "other") -> Scene:
    """Put another object in the object's place, of the same area: ``other`` is another one of `CONTENTS`.

    Rejection sampling: over the object's interior the two differ by a median of 30 CIELAB or more, and their
    luminances correlate by at most 0.5.

    Raises:
        DrawError: no object that differs enough was found.
    """
    old = scene.layers[-1]
    families = {name: make for name, make in CONTENTS.items() if name != old.name}

    def sample(rng: Rng) -> Scene:
        name = rng.choice(list(families)) if content == "other" else content
        layer = _in_its_place(old, name, {**families, **FILLERS}[name](rng))
        return replace(scene, layers=(*scene.layers[:-1], layer))

    replaced = rng.rejection_sample(
        sample,
        lambda other: stands_out(other.layers[-1].paint, scene.ground) and _differ(scene, other),
        f"{content} that differs from {old.name}",
    )
    return _noting(replaced, replaced_by=replaced.layers[-1].name)


SCENE_DISTORTIONS: Mapping[str, Callable[..., Scene]] = {
    function.__name__: function
    for function in (rotate, zoom, shear, translate, translate_clear, stain, stain_noise, replace_object)
}
"""Functions of a scene, a random number generator and their parameters, which return a scene."""


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


def _in_its_place(old: Layer, name: str, paint: Paint) -> Layer:
    """Return a layer about where the old one is, as large, and inside the frame."""
    left, top, right, bottom = old.box()
    side = min(1.0, (right - left) * math.sqrt(coverage(old.paint) / coverage(paint)))
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
