"""The scenes of probe files: patterns and views that fill the frame, and objects on a ground.

Rejection sampling ensures that patterns are balanced and objects clearly visible.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from dps.errors import DrawError
from dps.photographs import BUILT_IN, Photograph
from dps.scenes import color
from dps.scenes.color import REFERENCE_COLORS, Array
from dps.scenes.contents import CONTENTS, FULL, NAMES, PHOTO, Grained, resolve
from dps.scenes.parameters import one_of
from dps.scenes.patterns import PATTERNS
from dps.scenes.plane import Affine, Layer, Paint, Scene, filling, grid, scale, shift, square_at
from dps.scenes.rng import Rng

STANDS_OUT = 35.0
"""Minimum median CIELAB difference between an object and its ground."""

GRID = 32
"""Objects are placed at multiples of 1/32 of the frame: whole pixels at 64, 96 and 128."""


# --------------------------------------------------------------------------------------------- grounds


def _fixed(rgb: tuple[float, float, float]) -> Callable[[Rng], Array]:
    return lambda _rng: np.array(rgb)


def _other(rng: Rng) -> Array:
    plain = np.array(list(REFERENCE_COLORS.values()))
    return rng.rejection_sample(
        color.random_color, lambda rgb: bool(color.difference(rgb, plain).min() >= 25), "a color unlike the references"
    )


GROUNDS: Mapping[str, Callable[[Rng], Array]] = {
    **{name: _fixed(rgb) for name, rgb in REFERENCE_COLORS.items()},
    # one of the plain references, but not white
    "reference": lambda rng: np.array(rng.choice([rgb for name, rgb in REFERENCE_COLORS.items() if name != "white"])),
    # at least 25 CIELAB from every reference color
    "other": _other,
    # in addition, at least 60 from white
    "strong": lambda rng: rng.rejection_sample(
        _other, lambda rgb: bool(color.difference(rgb, (1, 1, 1)) >= 60), "a color unlike white"
    ),
}


# ---------------------------------------------------------------------------------------------- places


def _orbit(rng: Rng, side: float) -> tuple[float, float]:
    """Draw an eccentric place from which no rotation of the scene moves the object out of the frame."""
    room = 0.5 - side / math.sqrt(2)
    if room < 0:
        raise DrawError(f"an object of side {side:.2f} cannot be turned about the middle inside the frame")
    distance, angle = room * rng.uniform(0.8, 1), rng.uniform(0, 2 * math.pi)
    return 0.5 + distance * math.cos(angle) - side / 2, 0.5 + distance * math.sin(angle) - side / 2


def _anywhere(rng: Rng, side: float) -> tuple[float, float]:
    last = _steps(1 - side)
    return rng.integer(0, last) / GRID, rng.integer(0, last) / GRID


def _room_to_move(rng: Rng, side: float) -> tuple[float, float]:
    """Draw a place from which the object can be shifted clear of it inside the frame; all are equally likely."""
    last = _steps(1 - side)
    clear = math.ceil(side * GRID - 1e-9)
    roomy = [k for k in range(last + 1) if max(k, last - k) >= clear]
    if not roomy:
        raise DrawError(f"an object of side {side:.2f} leaves no room to be shifted clear of its old place")
    places = [(x, y) for x in range(last + 1) for y in range(last + 1) if x in roomy or y in roomy]
    x, y = rng.choice(places)
    return x / GRID, y / GRID


PLACES: Mapping[str, Callable[[Rng, float], tuple[float, float]]] = {
    "center": lambda _rng, side: ((1 - side) / 2, (1 - side) / 2),
    "orbit": _orbit,
    "corner": lambda rng, side: (rng.choice([0, 1]) * (1 - side), rng.choice([0, 1]) * (1 - side)),
    "anywhere": _anywhere,
    "room_to_move": _room_to_move,
}


# ---------------------------------------------------------------------------------------------- scenes


def pattern(
    rng: Rng,
    _size: int,
    *,
    family: Annotated[str, one_of(PATTERNS)],
    off_black: Annotated[float, Field(ge=0, le=0.25)] = 0.0,
) -> Scene:
    """Draw a black-and-white pattern that fills the frame, 25 to 75 % of it black.

    `off_black` is the difference of its black from 0 and of its white from 1.

    Raises:
        DrawError: the family yields no balanced pattern.
    """
    ink = rng.rejection_sample(
        PATTERNS[family], lambda ink: 0.25 <= ink(*grid(64)).mean() <= 0.75, f"a balanced {family} pattern"
    )
    dark, light = off_black, 1 - off_black
    inked, bare = (dark, light) if rng.bernoulli(0.5) else (light, dark)
    paint = filling(lambda u, v: np.where(ink(u, v), inked, bare)[:, None].repeat(3, axis=1))
    drawn = {"scene": "pattern", "family": family, "off_black": off_black}
    return Scene(ground=(bare, bare, bare), layers=(Layer(name=family, paint=paint),), drawn=drawn)


def patch(
    rng: Rng,
    size: int,
    *,
    content: Photograph | Annotated[str, one_of(NAMES)],
    side: Annotated[float, Field(gt=0, le=1)] | None = None,
    cover: Annotated[float, Field(gt=0, le=1)] | None = None,
    place: Annotated[str, one_of(PLACES)] = "center",
    ground: Annotated[str, one_of(GROUNDS)] = "white",
    also_on: Annotated[str, one_of(REFERENCE_COLORS)] | None = None,
) -> Scene:
    """Draw an object that stands out from a plain ground.

    Args:
        content: of the object.
        side: of the object's square, as a fraction of the frame; either this or `cover`.
        cover: fraction of the frame that the object covers; the side is at most 0.85.
        place: of the object.
        ground: its color.
        also_on: another color that the object must stand out from.

    Raises:
        DrawError: both or neither of `side` and `cover`, or no such object and ground found.
    """
    if (side is None) == (cover is None):
        raise DrawError("patch takes exactly one of side and cover")
    make = resolve(content, size * (side or math.sqrt(cover or 0)))
    paint, rgb = rng.rejection_sample(
        lambda rng: (make(rng), GROUNDS[ground](rng)),
        lambda drawn: stands_out(*drawn) and (also_on is None or stands_out(drawn[0], REFERENCE_COLORS[also_on])),
        f"{content} that stands out from its ground",
    )
    covered = coverage(paint)
    side = side or min(0.85, math.sqrt((cover or 0) / covered))
    return Scene(
        ground=tuple(rgb.tolist()),
        layers=(_layer(content, paint, square_at(*PLACES[place](rng, side), side), size * side),),
        drawn={
            "scene": "patch",
            **_content_parameters(content),
            "side": side,
            "cover": covered * side**2,
            "place": place,
            "ground": ground,
            "ground_color": hexadecimal(rgb),
        },
    )


def view(
    rng: Rng,
    size: int,
    *,
    content: Photograph | Annotated[str, one_of((*FULL, PHOTO, *BUILT_IN))],
    reach: Annotated[float, Field(ge=1, le=4)] = 1.0,
    grain: Annotated[float, Field(ge=0, le=0.5)] = 0.0,
) -> Scene:
    """Draw a content that fills the frame, optionally with film grain.

    Args:
        content: fills a square about the frame.
        reach: side of that square in frames; distortions can move its outer parts into the frame.
        grain: standard deviation, as a fraction of the color range.

    Raises:
        DrawError: no window of a photograph shows more than one color.
    """
    frame = shift(0.5, 0.5).after(scale(reach / 2))
    drawn: dict[str, object] = {"scene": "view", **_content_parameters(content), "reach": reach}
    make, is_drawn = resolve(content, size * reach), isinstance(content, str)
    paint = rng.rejection_sample(
        make, lambda paint: is_drawn or has_contours(paint), f"{content} with more than one color"
    )
    if grain:
        paint, drawn = Grained.draw(rng, paint, math.ceil(size * reach), grain), {**drawn, "grain": grain}
    layer = _layer(content, paint, frame, size * reach)
    return Scene(ground=REFERENCE_COLORS["gray"], layers=(layer,), drawn=drawn)


def setting(
    rng: Rng,
    size: int,
    *,
    content: Photograph | Annotated[str, one_of((*FULL, PHOTO, *BUILT_IN))],
    thing: Annotated[str, one_of(CONTENTS)],
    side: Annotated[float, Field(gt=0, le=1)],
) -> Scene:
    """Draw an object in front of a content that fills the frame and whose median color it stands out from.

    Args:
        content: of the background.
        thing: content of the object.
        side: of the object's square, as a fraction of the frame.

    Raises:
        DrawError: no such object found.
    """
    background = view(rng, size, content=content)
    median_color = np.median(background.colors(*((axis + 1) / 2 for axis in grid(48))), axis=0)
    paint = rng.rejection_sample(
        CONTENTS[thing], lambda paint: stands_out(paint, median_color), f"{thing} that stands out from {content}"
    )
    layer = Layer(name=thing, paint=paint, place=square_at(*_anywhere(rng, side), side))
    drawn = {**background.drawn, "scene": "setting", "thing": thing, "side": side}
    return replace(background, layers=(*background.layers, layer), drawn=drawn)


def arrangement(
    rng: Rng,
    size: int,
    *,
    content: Photograph | Annotated[str, one_of(NAMES)],
    per_side: Annotated[int, Field(ge=2, le=3)],
    ground: Annotated[str, one_of(GROUNDS)] = "white",
) -> Scene:
    """Draw different objects that stand out from a plain ground, one in each square of a grid.

    Args:
        content: of the first object; then other photographs of its pool, then drawn contents.
        per_side: squares along each side of the frame; an object's side is 80 % of its square's.
        ground: its color.

    Raises:
        DrawError: not enough objects stand out from the ground.
    """
    rgb, side = GROUNDS[ground](rng), 0.8 / per_side
    pool = [] if isinstance(content, str) else list(content.others())
    candidates = [content, *rng.shuffled(pool), *rng.shuffled([name for name in CONTENTS if name != content])]
    squares = rng.shuffled(range(per_side**2))
    layers: list[Layer] = []
    for candidate in candidates:
        row, column = divmod(squares[len(layers)], per_side)
        place = square_at((column + 0.1) / per_side, (row + 0.1) / per_side, side)
        with contextlib.suppress(DrawError):
            paint = rng.rejection_sample(
                resolve(candidate, size * side),
                lambda paint: stands_out(paint, rgb),
                f"{candidate} that stands out from its ground",
            )
            layers.append(_layer(candidate, paint, place, size * side))
        if len(layers) == len(squares):
            break
    else:
        raise DrawError(f"not enough objects stand out from the ground {hexadecimal(rgb)}")
    return Scene(
        ground=tuple(rgb.tolist()),
        layers=tuple(layers),
        drawn={
            "scene": "arrangement",
            **_content_parameters(content),
            "contents": ", ".join(layer.name for layer in layers),
            "per_side": per_side,
            "ground": ground,
            "ground_color": hexadecimal(rgb),
        },
    )


def _layer(content: str | Photograph, paint: Paint, place: Affine, pixels: float) -> Layer:
    """Return the layer of a content; another photograph of its pool can replace a photograph."""
    pool = [] if isinstance(content, str) else content.others()
    replacements = {str(other): resolve(other, pixels) for other in pool}
    return Layer(name=str(content), paint=paint, place=place, replacements=replacements)


def _content_parameters(content: str | Photograph) -> dict[str, object]:
    return {"content": content} if isinstance(content, str) else {"content": PHOTO, PHOTO: content.name}


SCENES: Mapping[str, Callable[..., Scene]] = {
    function.__name__: function for function in (pattern, patch, view, setting, arrangement)
}
"""Functions of a random number generator, the frame's size in pixels and keyword parameters, to a scene."""


# ------------------------------------------------------------------------------------------- visibility


def stands_out(paint: Paint, ground: ArrayLike) -> bool:
    """Return whether most of an object differs clearly from a ground."""
    colors, opaque = paint(*grid(48))
    return float(np.median(color.difference(colors[opaque], ground))) >= STANDS_OUT


def has_contours(paint: Paint) -> bool:
    """Return whether at least 5 % of a content differs clearly from its median color."""
    colors, _ = paint(*grid(48))
    return float(np.mean(color.difference(colors, np.median(colors, axis=0)) >= 10)) >= 0.05


def coverage(paint: Paint) -> float:
    """Return the opaque fraction of a paint's square."""
    return float(paint(*grid(48))[1].mean())


def hexadecimal(rgb: Array) -> str:
    """Return a color as ``#rrggbb``."""
    return "#" + np.round(255 * rgb).astype(np.uint8).tobytes().hex()


def _steps(length: float) -> int:
    """Return the number of steps of the grid in a length, a fraction of the frame."""
    return math.floor(length * GRID + 1e-9)
