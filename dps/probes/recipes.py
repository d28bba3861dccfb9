"""Recipes: an image of a case is a file, a scene, a standard reference, or the original distorted."""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from dps import images
from dps.distortions import PIXEL_DISTORTIONS, SCENE_DISTORTIONS
from dps.errors import DrawError
from dps.images import Image, Pixels
from dps.scenes.color import REFERENCE_COLORS
from dps.scenes.composition import SCENES
from dps.scenes.plane import Scene, render
from dps.scenes.rng import Rng

Drawing: TypeAlias = Scene | Pixels
"""A scene as long as it is one, so that it can still be moved; else pixels."""

Entropy: TypeAlias = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A scene or a distortion by name, with its parameters."""

    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The way to make one image: one of `file`, `scene`, `reference` and `steps`.

    Attributes:
        label: the image's name among references.
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
        """True of the seven references that most cases have in common."""
        return bool(self.reference)

    @property
    def needs_scene(self) -> bool:
        """True where it changes the original's scene, which an image file does not have."""
        return bool(self.steps) and self.steps[0].name in SCENE_DISTORTIONS

    def values(self, key: str) -> dict[str, Any]:
        """Return its parameters by place in the case, such as ``distorted.rotate.degrees``."""
        placed = self._placed(key)
        return {f"{place}.{name}": value for place, step in placed for name, value in step.parameters.items()}

    def with_values(self, key: str, values: Mapping[str, Any], entropy: Entropy) -> "Recipe":
        """Return the recipe with parameters by place, as `values` has them, and what its random choices depend on."""
        steps = tuple(
            Step(name=step.name, parameters={name: values[f"{place}.{name}"] for name in step.parameters})
            for place, step in self._placed(key)
        )
        if self.scene is not None:
            return replace(self, scene=steps[0], entropy=entropy)
        return replace(self, steps=steps, entropy=entropy) if steps else self

    def _placed(self, key: str) -> list[tuple[str, Step]]:
        return [(key, self.scene)] if self.scene else [(f"{key}.{step.name}", step) for step in self.steps]

    def draw(self, original: Drawing | None, shape: tuple[int, int]) -> Drawing:
        """Draw the image.

        Args:
            original: what steps start from.
            shape: height and width in pixels.

        Raises:
            DrawError: it cannot be drawn.
        """
        if self.file is not None:
            return images.read(self.file)
        if self.reference:
            return standard_reference(self.reference, *shape).pixels
        if self.scene is not None:
            return _scene(self.scene.name, tuple(self.scene.parameters.items()), self.entropy)
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
        """Return the image of what `draw` returned."""
        if self.reference:
            return standard_reference(self.reference, *shape)
        return images.make_image(_pixels(drawing, shape))


@functools.lru_cache(maxsize=16)
def _scene(name: str, parameters: tuple[tuple[str, Any], ...], entropy: Entropy) -> Scene:
    """Draw a scene; the last few are cached, since many cases may begin with one."""
    return SCENES[name](Rng(*entropy), **dict(parameters))


def _pixels(drawing: Drawing, shape: tuple[int, int]) -> Pixels:
    """Return the pixels of a scene, or of what is pixels already."""
    if not isinstance(drawing, Scene):
        return drawing
    height, width = shape
    if height != width:
        raise DrawError(f"a scene is square, but the case's images are {width} x {height} pixels")
    return render(drawing, height)


def parameters_of(
    drawings: Sequence[Drawing], original: Recipe, distorted: Recipe, references: Iterable[Recipe]
) -> dict[str, object]:
    """Return what a case was drawn with: its scenes, its distortions and its own references.

    A parameter that the scene or two distortions have by the same name is noted as ``recolor_degrees``.
    """
    drawn: dict[str, object] = {}
    for scene in drawings:
        if isinstance(scene, Scene):
            drawn = {**scene.drawn, **drawn}
    steps = [original.scene, *distorted.steps] if original.scene else distorted.steps
    shared = Counter(key for step in steps for key in step.parameters)
    for step in distorted.steps:
        for key, value in step.parameters.items():
            drawn[f"{step.name}_{key}" if shared[key] > 1 else key] = value
    for reference in references:
        for step in reference.steps:
            drawn.update({f"reference_{key}": value for key, value in step.parameters.items()})
    return drawn


STANDARD_REFERENCES = (*REFERENCE_COLORS, "random")
"""The paper's seven references (arXiv:2207.02512, Section 4)."""


@functools.lru_cache(maxsize=16)
def standard_reference(name: str, height: int, width: int) -> Image:
    """Return a plain color, or uniform random pixels from a fixed seed."""
    if name == "random":
        pixels = Rng(7, "random reference").integers(0, 255, height, width, 3).astype(np.uint8)
    else:
        color = np.round(np.array(REFERENCE_COLORS[name]) * 255).astype(np.uint8)
        pixels = np.broadcast_to(color, (height, width, 3))
    return images.make_image(pixels, shared=True)
