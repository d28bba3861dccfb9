"""Distortions of scenes: they change where a layer is drawn, or what is drawn, and are exact at any size."""

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
from dps.scenes.contents import CONTENTS, FILLERS, FULL, Grained, bin_index
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


def rotate(scene: Scene, _rng: Rng, *, degrees: Annotated[float, Field(gt=-360, lt=360)]) -> Scene:
    """Rotate the scene clockwise about the middle of the frame, exactly at multiples of 90 degrees."""
    return scene.moved(about_middle(turn(degrees)))


def zoom(scene: Scene, _rng: Rng, *, factor: Annotated[float, Field(gt=0, le=8)]) -> Scene:
    """Scale the scene about the middle of the frame."""
    return scene.moved(about_middle(scale(factor)))


def shear(scene: Scene, _rng: Rng, *, degrees: Annotated[float, Field(gt=-80, lt=80)]) -> Scene:
    """Shear the scene about the middle of the frame: vertical lines lean to the right by this angle."""
    return scene.moved(about_middle(Affine(((1.0, -math.tan(math.radians(degrees))), (0.0, 1.0)))))


def translate(
    scene: Scene,
    _rng: Rng,
    *,
    right: Annotated[float, Field(gt=-1, lt=1)] = 0.0,
    down: Annotated[float, Field(gt=-1, lt=1)] = 0.0,
) -> Scene:
    """Shift the scene by fractions of the frame; multiples of 1/32 are whole pixels at 64, 96 and 128."""
    return _record(scene.moved(shift(right, down)), distance=math.hypot(right, down))


def translate_clear(scene: Scene, rng: Rng) -> Scene:
    """Shift the object by whole pixels clear of its old place, inside the frame; all such shifts are equally likely.

    Raises:
        DrawError: no such shift exists; place ``room_to_move`` guarantees one.
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
    return _record(translate(scene, rng, right=x, down=y), right=x, down=y)


def stain(scene: Scene, rng: Rng, *, strokes: Annotated[int, Field(ge=0, le=100)] = 0) -> Scene:
    """Change the color of the ground, and add this number of stains under the object.

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
            color.random_color, lambda rgb: float(color.difference(rgb, ground)) >= 35, "a color for the stains"
        )
        layers = (Layer(name="stains", paint=_strokes(rng, strokes, ink)), *layers)
    stained = replace(scene, ground=tuple(ground.tolist()), layers=layers)
    return _record(stained, new_ground_color=hexadecimal(ground), strokes=strokes)


def stain_noise(scene: Scene, rng: Rng, *, strength: Annotated[float, Field(gt=0, le=1)]) -> Scene:
    """Add grains to the ground, under the object.

    Each is lighter or darker than the ground by at most this fraction of the color range.
    """
    grains = np.array(scene.ground) + rng.uniforms(-strength, strength, 48, 48, 1)
    paint = filling(lambda u, v: np.clip(grains[bin_index(v, 48), bin_index(u, 48)], 0, 1))
    return replace(scene, layers=(Layer(name="grains", paint=paint), *scene.layers))


def replace_object(scene: Scene, rng: Rng, *, content: Annotated[str, one_of(["other", *FILLERS])] = "other") -> Scene:
    """Replace the object by one of the same area: another content (``other``) or a filler.

    Of several objects the last one is replaced, inside its square. A photograph is replaced by another one of its pool,
    or by a drawn content if none differs enough. Rejection sampling: inside the object the two differ by a median of at
    least 30 CIELAB, and their luminances correlate by at most 0.5.

    Raises:
        DrawError: no object differs enough.
    """
    old = scene.layers[-1]
    drawn = {name: make for name, make in CONTENTS.items() if name != old.name}
    pool = {content: FILLERS[content]} if content in FILLERS else old.replacements or drawn
    try:
        return _replaced(scene, rng, pool, content)
    except DrawError:
        if pool is not old.replacements:
            raise
        return _replaced(scene, rng, drawn, content)


def remove_object(scene: Scene, _rng: Rng) -> Scene:
    """Remove the object, or the last one of several."""
    return _record(replace(scene, layers=scene.layers[:-1]), removed=scene.layers[-1].name)


def rearrange(scene: Scene, rng: Rng) -> Scene:
    """Permute the places of the objects, without a fixed point.

    Raises:
        DrawError: the scene has a single object.
    """
    places = [layer.place for layer in scene.layers]
    order = rng.rejection_sample(
        lambda rng: rng.shuffled(range(len(places))),
        lambda order: all(place != old for old, place in enumerate(order)),
        "an order in which no object keeps its place",
    )
    moved = (replace(layer, place=places[place]) for layer, place in zip(scene.layers, order, strict=True))
    return replace(scene, layers=tuple(moved))


def replace_background(scene: Scene, rng: Rng) -> Scene:
    """Replace the content behind the objects; a photograph by another one of its pool, if there is one.

    Rejection sampling: the two backgrounds differ by a median of at least 30 CIELAB.

    Raises:
        DrawError: no background differs enough.
    """
    old, points = scene.layers[0], grid(48)
    drawn = {name: CONTENTS[name] for name in FULL if name != old.name}
    pool = old.replacements or drawn
    name, paint = rng.rejection_sample(
        lambda rng: (name := rng.choice(list(pool)), pool[name](rng)),
        lambda new: float(np.median(color.difference(new[1](*points)[0], old.paint(*points)[0]))) >= 30,
        f"a background that differs from {old.name}",
    )
    background = replace(old, name=name, paint=paint)
    return _record(replace(scene, layers=(background, *scene.layers[1:])), replaced_by=name)


def regrain(scene: Scene, rng: Rng) -> Scene:
    """Redraw the film grain of a view with the same standard deviation."""
    (layer,) = scene.layers
    grained = _grained(layer)
    paint = Grained.draw(rng, grained.paint, len(grained.grains), grained.deviation)
    return replace(scene, layers=(replace(layer, paint=paint),))


def remove_grain(scene: Scene, _rng: Rng) -> Scene:
    """Remove the film grain of a view."""
    (layer,) = scene.layers
    return replace(scene, layers=(replace(layer, paint=_grained(layer).paint),))


SCENE_DISTORTIONS: Mapping[str, Callable[..., Scene]] = {
    function.__name__: function
    for function in (
        *(rotate, zoom, shear, translate, translate_clear, stain, stain_noise, replace_object, remove_object),
        *(rearrange, replace_background, regrain, remove_grain),
    )
}
"""Functions of a scene, a random number generator and keyword parameters, to a scene."""


def _replaced(scene: Scene, rng: Rng, pool: Mapping[str, Callable[[Rng], Paint]], content: str) -> Scene:
    """Return the scene with a content of a pool as its object, and record its name."""
    old, names = scene.layers[-1], list(pool)
    max_enlargement = 1.25 if len(scene.layers) > 1 else math.inf

    def sample(rng: Rng) -> Scene:
        name = rng.choice(names)
        return replace(scene, layers=(*scene.layers[:-1], _in_place(old, name, pool[name](rng), max_enlargement)))

    replaced = rng.rejection_sample(
        sample,
        lambda other: stands_out(other.layers[-1].paint, scene.ground) and _differ(scene, other),
        f"{content} that differs from {old.name}",
    )
    return _record(replaced, replaced_by=replaced.layers[-1].name)


def _grained(layer: Layer) -> Grained:
    """Return the paint of a layer with grain; a DrawError if it has none."""
    if not isinstance(layer.paint, Grained):
        raise DrawError("the scene has no grain; use scene: view with grain: 0.1")
    return layer.paint


def _record(scene: Scene, **drawn: object) -> Scene:
    """Return the scene with further drawn parameters."""
    return replace(scene, drawn={**scene.drawn, **drawn})


def _strokes(rng: Rng, count: int, ink: Array) -> Paint:
    """Draw short bent strokes anywhere in the frame: 4 to 12 % of it long, 3 % thick."""
    x, y = rng.uniforms(-0.94, 0.94, 2, count)
    rotations = [turn(degrees) for degrees in rng.uniforms(0, 180, count)]
    half_lengths, bends = rng.uniforms(0.04, 0.12, count), rng.uniforms(-0.6, 0.6, count)
    half_thickness = 0.03  # of [-1, 1], as the lengths are

    def paint(u: Array, v: Array) -> tuple[Array, Mask]:
        opaque = np.zeros(len(u), dtype=bool)
        for cx, cy, rotation, half, bend in zip(x, y, rotations, half_lengths, bends, strict=True):
            near = np.flatnonzero(np.maximum(np.abs(u - cx), np.abs(v - cy)) <= 2 * half)
            along, across = rotation(u[near] - cx, v[near] - cy)
            across = across - bend * along**2 / half
            opaque[near] |= (np.abs(across) < half_thickness) & (np.abs(along) < half)
        return np.broadcast_to(ink, (len(u), 3)), opaque

    return paint


def _in_place(old: Layer, name: str, paint: Paint, max_enlargement: float) -> Layer:
    """Return a layer with the old one's center and area, moved into the frame if necessary; its side is limited."""
    left, top, right, bottom = old.box()
    side = min(1.0, (right - left) * min(max_enlargement, math.sqrt(coverage(old.paint) / coverage(paint))))
    x = min(max((left + right - side) / 2, 0), 1 - side)
    y = min(max((top + bottom - side) / 2, 0), 1 - side)
    return Layer(name=name, paint=paint, place=square_at(x, y, side))


def _differ(scene: Scene, replaced: Scene) -> bool:
    """Return whether two scenes clearly differ inside the first one's object.

    Points are compared, not pixels, which at the edge mix with the common ground and so make all objects similar.
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
        return True  # one is flat, so the correlation is undefined
    return float(np.corrcoef(light_a, light_b)[0, 1]) <= 0.5
