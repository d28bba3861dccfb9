"""The scenes of probe files: a pattern or view that fills the frame, or an object on a plain ground.

Rejection sampling makes them what a person would agree with: balanced, or clearly visible.
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
from dps.scenes.contents import CONTENTS, FULL, NAMES, PHOTO, Grained, named
from dps.scenes.parameters import one_of
from dps.scenes.patterns import PATTERNS
from dps.scenes.plane import Affine, Layer, Paint, Scene, filling, grid, scale, shift, square_at
from dps.scenes.rng import Rng

STANDS_OUT = 35.0
"""Median CIELAB difference between an object and its ground, at least."""

GRID = 32
"""Objects are placed at multiples of 1/32 of the frame: whole pixels at 64, 96 and 128."""


# --------------------------------------------------------------------------------------------- grounds


def _fixed(rgb: tuple[float, float, float]) -> Callable[[Rng], Array]:
    return lambda _rng: np.array(rgb)


def _other(rng: Rng) -> Array:
    plain = np.array(list(REFERENCE_COLORS.values()))
    return rng.rejection_sample(
        color.any_color, lambda rgb: bool(color.difference(rgb, plain).min() >= 25), "a color unlike the references"
    )


GROUNDS: Mapping[str, Callable[[Rng], Array]] = {
    **{name: _fixed(rgb) for name, rgb in REFERENCE_COLORS.items()},
    # the color of one of the plain references, but not white
    "reference": lambda rng: np.array(rng.choice([rgb for name, rgb in REFERENCE_COLORS.items() if name != "white"])),
    # at least 25 CIELAB from every reference color
    "other": _other,
    # the same, and at least 60 from white
    "strong": lambda rng: rng.rejection_sample(
        _other, lambda rgb: bool(color.difference(rgb, (1, 1, 1)) >= 60), "a color unlike white"
    ),
}


# ---------------------------------------------------------------------------------------------- places


def _orbit(rng: Rng, side: float) -> tuple[float, float]:
    """Return a place off the middle where the object stays inside the frame however the scene is rotated."""
    room = 0.5 - side / math.sqrt(2)
    if room < 0:
        raise DrawError(f"an object of side {side:.2f} cannot be turned about the middle inside the frame")
    distance, angle = room * rng.uniform(0.8, 1), rng.uniform(0, 2 * math.pi)
    return 0.5 + distance * math.cos(angle) - side / 2, 0.5 + distance * math.sin(angle) - side / 2


def _anywhere(rng: Rng, side: float) -> tuple[float, float]:
    last = _steps(1 - side)
    return rng.integer(0, last) / GRID, rng.integer(0, last) / GRID


def _room_to_move(rng: Rng, side: float) -> tuple[float, float]:
    """Return a place from where the object can be shifted clear of it, inside the frame; all are equally likely."""
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
    """Return a black-and-white pattern that fills the frame, a quarter to three quarters of it black.

    Its black and white are this far off black and white, in [0, 1].

    Raises:
        DrawError: the family gives no balanced pattern.
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
    """Return a structured object on a plain ground that it stands out from.

    Args:
        rng: for the object's own choices, the ground's color and the place.
        size: of the frame in pixels, which tells how finely a photograph is sampled.
        content: of the object.
        side: of the object's square, as a fraction of the frame; either this or `cover`.
        cover: fraction of the frame that the object covers, at most what a side of 0.85 allows.
        place: of the object.
        ground: its color.
        also_on: another color that the object has to stand out from.

    Raises:
        DrawError: no such object and ground were found.
    """
    if (side is None) == (cover is None):
        raise DrawError("patch takes either side or cover, and one of them")
    make = named(content, size * (side or math.sqrt(cover or 0)))
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
            **_noted(content),
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
    """Return a content that fills the frame, and reaches this many times as far, so that more of it can come in.

    It may have grain as of a film: of this standard deviation, as a part of the range of colors.

    Raises:
        DrawError: no window of a photograph shows more than one color.
    """
    frame = shift(0.5, 0.5).after(scale(reach / 2))
    drawn: dict[str, object] = {"scene": "view", **_noted(content), "reach": reach}
    make, is_drawn = named(content, size * reach), isinstance(content, str)
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
    """Return an object in front of a content that fills the frame, most of which it stands out from.

    Args:
        rng: for the choices of both, and the place.
        size: of the frame in pixels.
        content: behind the object.
        thing: the object, a drawn content.
        side: of the object's square, as a fraction of the frame.

    Raises:
        DrawError: no such object was found.
    """
    behind = view(rng, size, content=content)
    around = np.median(behind.colors(*((axis + 1) / 2 for axis in grid(48))), axis=0)
    paint = rng.rejection_sample(
        CONTENTS[thing], lambda paint: stands_out(paint, around), f"{thing} that stands out from {content}"
    )
    layer = Layer(name=thing, paint=paint, place=square_at(*_anywhere(rng, side), side))
    drawn = {**behind.drawn, "scene": "setting", "thing": thing, "side": side}
    return replace(behind, layers=(*behind.layers, layer), drawn=drawn)


def arrangement(
    rng: Rng,
    size: int,
    *,
    content: Photograph | Annotated[str, one_of(NAMES)],
    per_side: Annotated[int, Field(ge=2, le=3)],
    ground: Annotated[str, one_of(GROUNDS)] = "white",
) -> Scene:
    """Return different objects on a plain ground that they stand out from, one in each square of a grid.

    Each fills four fifths of its square's side.

    Args:
        rng: for the objects' own choices, their order, and the ground's color.
        size: of the frame in pixels.
        content: of the first object; the others are other photographs of its pool, and then drawn contents.
        per_side: squares along each side of the frame.
        ground: its color.

    Raises:
        DrawError: there are not enough objects that stand out from the ground.
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
            what = f"{candidate} that stands out from its ground"
            paint = rng.rejection_sample(named(candidate, size * side), lambda paint: stands_out(paint, rgb), what)
            layers.append(_layer(candidate, paint, place, size * side))
        if len(layers) == len(squares):
            break
    else:
        raise DrawError(f"there are not enough objects that stand out from the ground {hexadecimal(rgb)}")
    return Scene(
        ground=tuple(rgb.tolist()),
        layers=tuple(layers),
        drawn={
            "scene": "arrangement",
            **_noted(content),
            "contents": ", ".join(layer.name for layer in layers),
            "per_side": per_side,
            "ground": ground,
            "ground_color": hexadecimal(rgb),
        },
    )


def _layer(content: str | Photograph, paint: Paint, place: Affine, pixels: float) -> Layer:
    """Return the layer of a content; for a photograph, with the other ones of its pool."""
    pool = [] if isinstance(content, str) else content.others()
    others = {str(other): named(other, pixels) for other in pool}
    return Layer(name=str(content), paint=paint, place=place, others=others)


def _noted(content: str | Photograph) -> dict[str, object]:
    """Return what is noted of a content."""
    return {"content": content} if isinstance(content, str) else {"content": PHOTO, PHOTO: content.name}


SCENES: Mapping[str, Callable[..., Scene]] = {
    function.__name__: function for function in (pattern, patch, view, setting, arrangement)
}


# ---------------------------------------------------------------------- what a person would agree with


def stands_out(paint: Paint, ground: ArrayLike) -> bool:
    """Return whether most of an object looks clearly different from a ground."""
    colors, opaque = paint(*grid(48))
    return float(np.median(color.difference(colors[opaque], ground))) >= STANDS_OUT


def has_contours(paint: Paint) -> bool:
    """Return whether a twentieth of a content or more clearly differs from its median color."""
    colors, _ = paint(*grid(48))
    return float(np.mean(color.difference(colors, np.median(colors, axis=0)) >= 10)) >= 0.05


def coverage(paint: Paint) -> float:
    """Return the fraction of its square that an object covers."""
    return float(paint(*grid(48))[1].mean())


def hexadecimal(rgb: Array) -> str:
    """Return a color as ``#rrggbb``."""
    return "#" + np.round(255 * rgb).astype(np.uint8).tobytes().hex()


def _steps(length: float) -> int:
    """Return how many steps of the grid fit into a length, in fractions of the frame."""
    return math.floor(length * GRID + 1e-9)
