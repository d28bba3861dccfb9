"""What is done to a scene: it changes where or on what the scene is drawn, so it is exact."""

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
from dps.scenes.plane import Affine, Layer, Mask, Paint, Scene, about_middle, scale, shift, turn
from dps.scenes.rng import Rng


def rotate(scene: Scene, _rng: Rng, *, degrees: Annotated[float, Field(gt=-360, lt=360), Identity(0)]) -> Scene:
    """Turn the whole scene clockwise about the middle of the frame; the plain ground is endless.

    Args:
        scene: the original.
        degrees: how far; right angles are exact.
    """
    return scene.moved(about_middle(turn(degrees)))


def zoom(scene: Scene, _rng: Rng, *, factor: Annotated[float, Field(gt=0, le=8), Identity(1)]) -> Scene:
    """Grow or shrink the scene about the middle of the frame; the plain ground is endless.

    Args:
        scene: the original.
        factor: above 1 is larger.
    """
    return scene.moved(about_middle(scale(factor)))


def shear(scene: Scene, _rng: Rng, *, degrees: Annotated[float, Field(gt=-80, lt=80), Identity(0)]) -> Scene:
    """Slant the scene: what is upright leans to the right, the middle of the frame stays.

    Args:
        scene: the original.
        degrees: how far it leans.
    """
    return scene.moved(about_middle(Affine(((1.0, -math.tan(math.radians(degrees))), (0.0, 1.0)), (0.0, 0.0))))


def translate(
    scene: Scene,
    _rng: Rng,
    *,
    right: Annotated[float, Field(gt=-1, lt=1), Identity(0)] = 0.0,
    down: Annotated[float, Field(gt=-1, lt=1), Identity(0)] = 0.0,
) -> Scene:
    """Shift the scene; the plain ground is endless.

    Args:
        scene: the original.
        right, down: how far, as fractions of the frame; multiples of 1/32 are whole pixels at 64, 96, 128.
    """
    return _noting(scene.moved(shift(right, down)), distance=math.hypot(right, down))


def translate_clear(scene: Scene, rng: Rng) -> Scene:
    """Shift the object, by whole pixels, to where it does not touch its old place, inside the frame.

    Each such shift is as likely.

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
    """Give the plain ground another color, and stains; the object stays.

    White becomes a strong color that the object stands out from; any other color becomes white.

    Args:
        scene: an object on a plain ground.
        rng: for the colors and the stains.
        strokes: how many stains lie on the ground, under the object.
    """
    thing = scene.layers[-1].paint
    kind = "strong" if scene.ground == (1.0, 1.0, 1.0) else "white"
    ground = rng.rejection_sample(
        GROUNDS[kind], lambda rgb: stands_out(thing, rgb), f"a {kind} ground that the object stands out from"
    )
    layers = scene.layers
    if strokes:
        inks = rng.rejection_sample(
            color.any_color, lambda rgb: float(color.difference(rgb, ground)) >= 35, "a color for the stains"
        )
        paint = _strokes(rng, strokes, inks)
        layers = (Layer(name="stains", paint=paint, place=shift(0.5, 0.5).after(scale(0.5))), *layers)
    red, green, blue = ground.tolist()
    stained = replace(scene, ground=(red, green, blue), layers=layers)
    return _noting(stained, new_ground_color=hexadecimal(ground), strokes=strokes)


def stain_noise(scene: Scene, rng: Rng, *, strength: Annotated[float, Field(gt=0, le=1), Identity(0)]) -> Scene:
    """Sprinkle the plain ground with grains, each a little lighter or darker; the object stays.

    Args:
        scene: an object on a plain ground.
        rng: for the grains.
        strength: how far a grain may be from the ground, of the full range of colors.
    """
    grains = np.array(scene.ground) + rng.uniforms(-strength, strength, 48, 48, 1)

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        across, down = (np.clip(((axis + 1) * 24).astype(np.int64), 0, 47) for axis in (u, v))
        return np.clip(grains[down, across], 0, 1), np.ones(len(u), dtype=bool)

    layer = Layer(name="grains", paint=paint, place=shift(0.5, 0.5).after(scale(0.5)))
    return replace(scene, layers=(layer, *scene.layers))


def replace_object(scene: Scene, rng: Rng, *, content: Annotated[str, one_of(["other", *FILLERS])] = "other") -> Scene:
    """Put something else in the object's place, of the same area, on the same ground.

    It is drawn anew until it clearly differs from the object: over the object's interior by a median of 30
    CIELAB or more, with a correlation of their luminances of at most 0.5.

    Args:
        scene: an object on a plain ground.
        rng: for what is put there.
        content: ``other``, one of the other `CONTENTS`, or a filler.

    Raises:
        DrawError: nothing different enough was found.
    """
    old = scene.layers[-1]
    families = {name: make for name, make in CONTENTS.items() if name != old.name}

    def make(rng: Rng) -> tuple[Layer, Scene]:
        name = rng.choice(list(families)) if content == "other" else content
        layer = _in_its_place(old, name, {**families, **FILLERS}[name](rng))
        return layer, replace(scene, layers=(*scene.layers[:-1], layer))

    layer, replaced = rng.rejection_sample(
        make,
        lambda made: stands_out(made[0].paint, scene.ground) and _differ(scene, made[1]),
        f"{content} that differs from {old.name}",
    )
    return _noting(replaced, replaced_by=layer.name)


SCENE_DISTORTIONS: Mapping[str, Callable[..., Scene]] = {
    "rotate": rotate,
    "zoom": zoom,
    "shear": shear,
    "translate": translate,
    "translate_clear": translate_clear,
    "stain": stain,
    "stain_noise": stain_noise,
    "replace_object": replace_object,
}
"""From a scene and rng to a scene."""


def _noting(scene: Scene, **what: object) -> Scene:
    """The scene with more written down of what it was drawn with."""
    return replace(scene, drawn={**scene.drawn, **what})


def _strokes(rng: Rng, count: int, ink: Array) -> Paint:
    """Short bent strokes anywhere in the frame: 4 to 12 % of it long, 3 % thick."""
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
    """A layer about where the old one is, as large, and inside the frame."""
    left, top, right, bottom = old.box()
    side = min(1.0, (right - left) * math.sqrt(coverage(old.paint) / coverage(paint)))
    x = min(max((left + right - side) / 2, 0), 1 - side)
    y = min(max((top + bottom - side) / 2, 0), 1 - side)
    return Layer(name=name, paint=paint, place=shift(x + side / 2, y + side / 2).after(scale(side / 2)))


def _differ(scene: Scene, replaced: Scene) -> bool:
    """Whether two scenes clearly differ over the interior of the first one's object.

    Single points are compared: pixels at the edge, mixed with the ground that both share, would make all alike.
    """
    axis = (np.arange(48) + 0.5) / 48
    x, y = (part.ravel() for part in np.meshgrid(axis, axis))
    u, v = scene.layers[-1].place.inverse()(x, y)
    inside = np.maximum(np.abs(u), np.abs(v)) <= 1
    inside[inside] = scene.layers[-1].paint(u[inside], v[inside])[1]
    a, b = (each.colors(x[inside], y[inside]) for each in (scene, replaced))
    if np.median(color.difference(a, b)) < 30:
        return False
    light_a, light_b = a @ color.LUMA, b @ color.LUMA
    if light_a.std() < 1e-6 or light_b.std() < 1e-6:
        return True  # one of them is flat: there is nothing to correlate
    return float(np.corrcoef(light_a, light_b)[0, 1]) <= 0.5
