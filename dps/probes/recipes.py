"""How one image of a case is made: a file, a scene, one of the standard references, or the original distorted.

The parameters of a scene or a distortion are the keyword arguments of its function; their names, types and
limits are read off its signature, so that each stands in one place.
"""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_type_hints

import numpy as np
import pydantic

from dps.distortions import PIXEL_DISTORTIONS, SCENE_DISTORTIONS
from dps.errors import DrawError, ImageError, UsageError, unknown
from dps.images import Pixels
from dps.images import read as read_image
from dps.probes import ranges
from dps.probes.yaml_files import Document, Loc
from dps.scenes.color import REFERENCE_COLORS
from dps.scenes.composition import SCENES, OneOf
from dps.scenes.plane import Scene, render
from dps.scenes.rng import Rng

Made: TypeAlias = Scene | Pixels
"""A scene as long as it is one, so that it can still be turned; pixels where that is what there is."""

Entropy: TypeAlias = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A scene or a distortion by name, with its parameters."""

    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one image is made. One of `file`, `scene`, `reference` and `steps` says how.

    Attributes:
        label: what the image is called among references.
        file: an image file.
        scene: a scene to draw.
        reference: one of the standard references.
        steps: distortions of the original, one after the other.
        entropy: what its random choices depend on.
    """

    label: str
    file: Path | None = None
    scene: Step | None = None
    reference: str = ""
    steps: tuple[Step, ...] = ()
    entropy: Entropy = field(default=(), repr=False)

    @property
    def standard(self) -> bool:
        """Whether it is one of the seven references that most cases share."""
        return bool(self.reference)

    @property
    def is_scene(self) -> bool:
        """Whether it can be moved and recolored as a scene."""
        return self.scene is not None

    @property
    def needs_scene(self) -> bool:
        """Whether it is made by changing the original's scene."""
        return bool(self.steps) and self.steps[0].name in SCENE_DISTORTIONS

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width where a file says them."""
        if self.file is None:
            return None
        height, width, _ = read_image(self.file).shape
        return height, width

    def make(self, original: Made | None, shape: tuple[int, int]) -> Made:
        """Make the image.

        Args:
            original: what steps start from.
            shape: height and width in pixels.

        Raises:
            DrawError: it cannot be drawn.
        """
        if self.file is not None:
            return read_image(self.file)
        if self.reference:
            return standard_reference(self.reference, *shape)
        if self.scene is not None:
            return _scene(self.scene.name, tuple(self.scene.parameters.items()), self.entropy)
        assert original is not None
        made = original
        for index, step in enumerate(self.steps):
            rng = Rng(*self.entropy, index, step.name)
            if step.name in PIXEL_DISTORTIONS:
                made = PIXEL_DISTORTIONS[step.name](pixels_of(made, shape), rng, **step.parameters)
            elif isinstance(made, Scene):
                made = SCENE_DISTORTIONS[step.name](made, rng, **step.parameters)
            else:
                raise DrawError(f"{step.name} changes a scene, but what it is given is pixels already")
        return made


@functools.lru_cache(maxsize=16)
def _scene(name: str, parameters: tuple[tuple[str, Any], ...], entropy: Entropy) -> Scene:
    """Draw a scene; the last few are remembered, since many cases may begin with one."""
    return SCENES[name](Rng(*entropy), **dict(parameters))


def pixels_of(made: Made, shape: tuple[int, int]) -> Pixels:
    """Pixels of a scene or of what is pixels already."""
    if not isinstance(made, Scene):
        return made
    height, width = shape
    if height != width:
        raise DrawError(f"a scene is square, but the case's images are {width} x {height} pixels")
    return render(made, height)


def drawn_of(
    made: Sequence[Made], original: Recipe, distorted: Recipe, references: Iterable[Recipe]
) -> dict[str, object]:
    """What a case was drawn with: of its scenes, and the parameters of its distortions and of its own references.

    A parameter that the scene or two distortions have by the same name is noted as ``recolor_degrees``.
    """
    drawn: dict[str, object] = {}
    for scene in made:
        if isinstance(scene, Scene):
            drawn = {**scene.drawn, **drawn}
    steps = [original.scene, *distorted.steps] if original.scene else distorted.steps
    shared = Counter(key for step in steps for key in step.parameters)
    for step in distorted.steps:
        for key, value in step.parameters.items():
            drawn[f"{step.name}_{key}" if shared[key] > 1 else key] = value
    for how in references:
        for step in how.steps:
            drawn.update({f"reference_{key}": value for key, value in step.parameters.items()})
    return drawn


# ---------------------------------------------------------------------------------- the seven references


def standard_names() -> tuple[str, ...]:
    """The paper's seven references (arXiv:2207.02512, Section 4)."""
    return (*REFERENCE_COLORS, "random")


@functools.lru_cache(maxsize=64)
def standard_reference(name: str, height: int, width: int) -> Pixels:
    """A plain color, or uniform random pixels from a fixed seed, ``(height, width, 3)``."""
    if name == "random":
        return Rng(7, "random reference").integers(0, 255, height, width, 3).astype(np.uint8)
    color = np.round(np.array(REFERENCE_COLORS[name]) * 255).astype(np.uint8)
    return np.broadcast_to(color, (height, width, 3))


# ------------------------------------------------------------------------------ from declaration to recipe


def recipe(
    spec: object,
    document: Document,
    loc: Loc,
    *,
    shape: tuple[int, int] | None,
    entropy: Entropy = (),
) -> Recipe:
    """Check one declaration of an image.

    Args:
        spec: plain data; values in it may still have to be drawn.
        document, loc: where it stands, for messages.
        shape: what the case's images measure, if that is known; a file must measure the same.
        entropy: what its random choices shall depend on.

    Raises:
        ProbeError: an unknown name, a parameter that is missing, unknown or out of range, a file that is
            no image or of another size.
    """
    last = loc[-1] if isinstance(loc[-1], str) else ""
    if isinstance(spec, str):
        if last:
            raise document.error(loc, f"{last}: {{image: FILE}}, or a scene or distortion; found {spec!r}.")
        if spec not in standard_names():
            raise document.error(loc, unknown("reference", spec, standard_names()))
        return Recipe(label=spec, reference=spec)
    if not isinstance(spec, dict) or not spec:
        raise document.error(loc, f"an image is declared by a mapping, found {spec!r:.60}.")
    if "image" in spec:
        return _file(spec, document, loc, shape)
    if "scene" in spec:
        if last == "distorted":
            raise document.error(loc, "distorted: a scene cannot stand here; name a distortion of the original.")
        parameters = {key: value for key, value in spec.items() if key != "scene"}
        if not isinstance(spec["scene"], str):
            raise document.error((*loc, "scene"), f"scene: a name, found {spec['scene']!r:.60}.")
        _check_call("scene", spec["scene"], parameters, SCENES, document, loc)
        return Recipe(label=spec["scene"], scene=Step(name=spec["scene"], parameters=parameters), entropy=entropy)
    if last == "original":
        raise document.error(loc, "original: {image: FILE} or {scene: NAME, ...}; keys found: " + _listed(spec))
    return Recipe(label=next(iter(spec)), steps=_steps(spec, document, loc), entropy=entropy)


def _file(spec: dict[str, Any], document: Document, loc: Loc, shape: tuple[int, int] | None) -> Recipe:
    for key in spec.keys() - {"image"}:
        raise document.error((*loc, key), f"unknown key {key!r}; an image file takes no more than its path.")
    name = spec["image"]
    if not isinstance(name, str) or not name:
        raise document.error((*loc, "image"), f"image: a path, found {name!r}.")
    path = document.path.parent / name
    try:
        height, width, _ = read_image(path).shape
    except ImageError as error:
        raise document.error((*loc, "image"), str(error)) from None
    if shape is not None and (height, width) != shape:
        raise document.error(
            (*loc, "image"),
            f"{path} measures {width} x {height} pixels, but its case {shape[1]} x {shape[0]}; "
            "the images of a case must have one size.",
        )
    return Recipe(label=name, file=path)


def _steps(spec: dict[str, Any], document: Document, loc: Loc) -> tuple[Step, ...]:
    known = {**SCENE_DISTORTIONS, **PIXEL_DISTORTIONS}
    steps = []
    for name, given in spec.items():
        parameters = {} if given is None else given
        if not isinstance(parameters, dict):
            raise document.error((*loc, name), f"{name} takes a mapping of parameters, found {given!r:.60}.")
        _check_call("distortion", name, parameters, known, document, (*loc, name))
        steps.append(Step(name=name, parameters=parameters))
    order = [step.name in PIXEL_DISTORTIONS for step in steps]
    if order != sorted(order):
        raise document.error(loc, "distortions of scenes come before those of pixels: " + _listed(spec))
    return tuple(steps)


def _check_call(
    kind: str,
    name: str,
    parameters: Mapping[str, Any],
    known: Mapping[str, Callable[..., Any]],
    document: Document,
    loc: Loc,
) -> None:
    """Check a function's name and its parameters, and all values that can be drawn for each."""
    if name not in known:
        raise document.error(loc, unknown(kind, name, known))
    accepted = _parameters(known[name])
    for key, value in parameters.items():
        at = (*loc, key)
        if key not in accepted:
            takes = ", ".join(accepted) or "no parameters"
            raise document.error(at, f"unknown key {key!r}; {name} takes {takes}.")
        try:
            ranges.check(value)
            for option in ranges.possible(value):
                accepted[key].validate_python(option)
        except UsageError as error:
            raise document.error(at, f"{key}: {error}.") from None
        except pydantic.ValidationError as error:
            fault = error.errors()[-1]
            message = fault["msg"][:1].lower() + fault["msg"][1:]
            raise document.error(at, f"{key}: {message}; found {fault['input']!r:.60}.") from None
    required = [
        key
        for key, parameter in inspect.signature(known[name]).parameters.items()
        if key in accepted and parameter.default is parameter.empty
    ]
    for key in required:
        if key not in parameters:
            raise document.error(loc, f"{name} needs {key!r}; it takes {', '.join(accepted)}.")


@functools.cache
def _parameters(function: Callable[..., Any]) -> dict[str, "pydantic.TypeAdapter[Any]"]:
    """The keyword-only parameters of a function, each with what checks it."""
    hints = get_type_hints(function, include_extras=True)
    strict = pydantic.ConfigDict(strict=True)
    return {
        name: pydantic.TypeAdapter(_literal(hints[name]), config=strict)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def _literal(hint: Any) -> Any:
    """A type for Pydantic: names listed by `OneOf` become a literal."""
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, OneOf):
            return Literal[mark.names]
    args: tuple[Any, ...] = getattr(hint, "__args__", ())
    if len(args) == 2 and args[1] is type(None):  # X | None
        return _literal(args[0]) | None
    return hint


def _listed(spec: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, spec)) + "."
