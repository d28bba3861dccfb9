"""Probes, their cases, and the recipes of a case's images.

An image is a file, a scene, a standard reference, or a distortion of the original.
"""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from dps import images
from dps.distortions import PIXEL_DISTORTIONS, SCENE_DISTORTIONS
from dps.errors import DrawError, ImageError, WeightsError
from dps.images import Image, Pixels, Triple
from dps.photographs import Photograph
from dps.probes.declarations import Severity
from dps.scenes.color import REFERENCE_COLORS
from dps.scenes.composition import SCENES
from dps.scenes.plane import Scene, render
from dps.scenes.rng import Rng

Drawing: TypeAlias = Scene | Pixels
"""A scene, which distortions can still move, or pixels."""

STANDARD_REFERENCES = (*REFERENCE_COLORS, "random")
"""The paper's seven references (arXiv:2207.02512, Section 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A scene or a distortion by name, with its parameters."""

    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The recipe of one image: one of `file`, `scene`, `reference` and `steps`.

    Attributes:
        label: the image's name among references.
        place: in the case: ``original``, ``distorted`` or, of the first reference, ``references.0``.
        reference: a standard reference.
        steps: distortions of the original, applied in order.
        entropy: seed of the random number generators.
        shared: many cases have this reference, so its representations are cached.
    """

    label: str
    place: str
    file: Path | None = None
    scene: Step | None = None
    reference: str = ""
    steps: tuple[Step, ...] = ()
    entropy: tuple[int | str, ...] = field(default=(), repr=False)
    shared: bool = False

    def _placed(self) -> list[tuple[str, Step]]:
        return [(self.place, self.scene)] if self.scene else [(f"{self.place}.{s.name}", s) for s in self.steps]

    def values(self) -> dict[str, Any]:
        """Return its parameters by place in the case, such as ``distorted.rotate.degrees``."""
        return {f"{place}.{name}": value for place, step in self._placed() for name, value in step.parameters.items()}

    def with_values(self, values: Mapping[str, Any], seed: int, number: int) -> "Recipe":
        """Return the recipe with these parameters, by place as in `values`, for a seed and number of the scene."""
        steps = tuple(
            Step(name=step.name, parameters={name: values[f"{place}.{name}"] for name in step.parameters})
            for place, step in self._placed()
        )
        changed = {"scene": steps[0]} if self.scene else {"steps": steps}
        return replace(self, entropy=(seed, number, self.place), **changed) if steps else self

    def draw(self, original: Drawing | None, shape: tuple[int, int]) -> Drawing:
        """Draw the image; distortions start from the original. `shape` is height and width in pixels.

        Raises:
            DrawError, ImageError, WeightsError: it cannot be drawn, or a file cannot be read.
        """
        if self.file is not None:
            return images.read(self.file)
        if self.reference:
            return standard_reference(self.reference, *shape).pixels
        if self.scene is not None:
            return _scene(self.scene.name, tuple(self.scene.parameters.items()), self.entropy, min(shape))
        assert original is not None
        drawing = original
        for index, step in enumerate(self.steps):
            rng = Rng(*self.entropy, index, step.name)
            if step.name in PIXEL_DISTORTIONS:
                drawing = PIXEL_DISTORTIONS[step.name](_pixels(drawing, shape), rng, **step.parameters)
            else:
                drawing = SCENE_DISTORTIONS[step.name](drawing, rng, **step.parameters)
        return drawing

    def image(self, drawing: Drawing, shape: tuple[int, int]) -> Image:
        """Return the image of a drawing that `draw` returned."""
        if self.reference:
            return standard_reference(self.reference, *shape)
        return images.make_image(_pixels(drawing, shape), shared=self.shared)


@functools.lru_cache(maxsize=16)
def _scene(name: str, parameters: tuple[tuple[str, Any], ...], entropy: tuple[int | str, ...], size: int) -> Scene:
    """Draw a scene; the last few are cached, since many cases share an original."""
    return SCENES[name](Rng(*entropy), size, **dict(parameters))


def _pixels(drawing: Drawing, shape: tuple[int, int]) -> Pixels:
    if not isinstance(drawing, Scene):
        return drawing
    height, width = shape
    if height != width:
        raise DrawError(f"a scene is square, but the case's images are {width} x {height} pixels")
    return render(drawing, height)


@functools.lru_cache(maxsize=16)
def standard_reference(name: str, height: int, width: int) -> Image:
    """Return an image of a plain color, or of uniform random pixels from a fixed seed."""
    if name == "random":
        pixels = Rng(7, "random reference").integers(0, 255, height, width, 3).astype(np.uint8)
    else:
        color = np.round(np.array(REFERENCE_COLORS[name]) * 255).astype(np.uint8)
        pixels = np.broadcast_to(color, (height, width, 3))
    return images.make_image(pixels, shared=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The recipes of one triple, the references by name.

    Attributes:
        id: unique in its probe.
        where: ``path:line`` of its declaration.
        shape: height and width in pixels.
    """

    probe: str
    id: str
    where: str
    shape: tuple[int, int]
    original: Recipe = field(repr=False)
    distorted: Recipe = field(repr=False)
    references: dict[str, Recipe] = field(repr=False)

    @property
    def name(self) -> str:
        """Probe and id: ``rotate/rings-045``."""
        return f"{self.probe}/{self.id}"

    def recipes(self) -> list[Recipe]:
        """Return the recipes of all images, the original first."""
        return [self.original, self.distorted, *self.references.values()]

    def values(self) -> dict[str, Any]:
        """Return all parameters by place, such as ``distorted.rotate.degrees``."""
        return {place: value for recipe in self.recipes() for place, value in recipe.values().items()}

    def photographs(self) -> list[Photograph]:
        """Return the photographs in its parameters."""
        return [value for value in self.values().values() if isinstance(value, Photograph)]

    def compared(self) -> dict[str, Recipe]:
        """Return the recipes of all images but the original, by their names in messages."""
        references = {f"reference {name!r}": recipe for name, recipe in self.references.items()}
        return {"the distorted image": self.distorted, **references}

    def draw(self) -> Triple:
        """Draw its images, the same at every call.

        Raises:
            DrawError: a scene cannot be drawn, a file can no longer be read, or an image equals the original. The
                message names the declaration.
        """
        try:
            drawings = [self.original.draw(None, self.shape)]
            original, others = self.original.image(drawings[0], self.shape), []
            for name, recipe in self.compared().items():
                drawings.append(recipe.draw(drawings[0], self.shape))
                others.append(recipe.image(drawings[-1], self.shape))
                if others[-1].digest == original.digest:
                    raise DrawError(equals_original(name))
        except (DrawError, ImageError, WeightsError) as error:
            raise DrawError(f"{self.where}: case {self.id!r}: {error}") from None
        return Triple(
            original=original,
            distorted=others[0],
            references=dict(zip(self.references, others[1:], strict=True)),
            drawn=self._parameters(drawings),
        )

    def _parameters(self, drawings: Sequence[Drawing]) -> dict[str, object]:
        """Return the parameters for the report; two of one name are recorded as ``recolor_degrees``."""
        drawn: dict[str, object] = {}
        for scene in drawings:
            if isinstance(scene, Scene):
                drawn = {**scene.drawn, **drawn}
        steps = self.distorted.steps
        shared = Counter(key for step in (self.original.scene, *steps) if step for key in step.parameters)
        for step in steps:
            for key, value in step.parameters.items():
                drawn[f"{step.name}_{key}" if shared[key] > 1 else key] = value
        for reference in self.references.values():
            for step in reference.steps:
                drawn.update({f"reference_{key}": value for key, value in step.parameters.items()})
        return drawn


def equals_original(name: str, notes: str = "") -> str:
    """Return the message about an image that equals the original, with notes on the original."""
    return f"{name} equals the original{notes}, so there is nothing to compare."


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A family of cases.

    Attributes:
        asks: the question, in a sentence.
        because: the reason why people agree.
        source: of the idea.
        severity: the measure of the distortion's strength; None if its cases do not differ in strength.
        counterparts: names of the probes that reward a property that this one punishes.
        sanity: all metrics had the same results in a recorded run; such probes share one column.
    """

    name: str
    asks: str
    because: str
    source: str
    severity: Severity | None = None
    counterparts: tuple[str, ...] = ()
    sanity: bool = False
    path: Path
    cases: tuple[Case, ...] = field(repr=False)
