"""Probes and their cases, before they are drawn."""

from dataclasses import dataclass, field
from pathlib import Path

from dps.errors import DrawError
from dps.images import Triple
from dps.probes.declarations import Severity
from dps.probes.recipes import Recipe, parameters_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One triple, not drawn yet.

    Attributes:
        probe: the probe's name.
        id: the case's; unique in its probe.
        where: ``path:line`` of its declaration.
        shape: height and width in pixels.
        original, distorted: how these images are made.
        references: how each reference is made, by name.
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

    def draw(self) -> Triple:
        """Draw its images; the same ones every time.

        Raises:
            DrawError: a scene cannot be drawn, or an image equals the original; the message names the declaration.
            ImageError: an image file that could be read before no longer can.
        """
        recipes = [self.original, self.distorted, *self.references.values()]
        try:
            original = self.original.draw(None, self.shape)
            drawings = [original, *(recipe.draw(original, self.shape) for recipe in recipes[1:])]
            images = [recipe.image(drawing, self.shape) for recipe, drawing in zip(recipes, drawings, strict=True)]
            for what, image in zip(compared_names(self.references), images[1:], strict=True):
                if image.digest == images[0].digest:
                    raise DrawError(equals_original(what))
        except DrawError as error:
            raise DrawError(f"{self.where}: case {self.id!r}: {error}") from None
        return Triple(
            original=images[0],
            distorted=images[1],
            references=dict(zip(self.references, images[2:], strict=True)),
            drawn=parameters_of(drawings, self.original, self.distorted, recipes[2:]),
        )


def compared_names(references: dict[str, Recipe]) -> list[str]:
    """Return what messages call the images that are compared with the original."""
    return ["the distorted image", *(f"reference {name!r}" for name in references)]


def equals_original(what: str, notes: str = "") -> str:
    """Return the message about an image that equals the original, with notes on the original."""
    return f"{what} equals the original{notes}, so there is nothing to compare."


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A family of cases.

    Attributes:
        name: as in test ids and tables.
        asks: the question, in a sentence.
        because: why a person would agree.
        source: of the idea.
        severity: how strongly its cases are distorted; None where they do not differ in that.
        path: the file that declares it.
        cases: in order.
    """

    name: str
    asks: str
    because: str
    source: str
    severity: Severity | None = None
    path: Path
    cases: tuple[Case, ...] = field(repr=False)
