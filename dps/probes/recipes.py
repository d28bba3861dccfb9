"""Validation of declared images. Every mistake is recorded in the document with its line; nothing is drawn here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dps import files, images, notes, photographs
from dps.distortions import PIXEL_DISTORTIONS, SCENE_DISTORTIONS
from dps.errors import ImageError, UsageError, unknown
from dps.photographs import Photograph
from dps.probes import ranges
from dps.probes.cases import STANDARD_REFERENCES, Case, Recipe, Step, equals_original, standard_reference
from dps.scenes.composition import SCENES
from dps.scenes.parameters import parameters
from dps.yaml_files import Document, Loc

DISTORTIONS: Mapping[str, Callable[..., Any]] = {**SCENE_DISTORTIONS, **PIXEL_DISTORTIONS}

_STANDARD = ", ".join(STANDARD_REFERENCES)
_EXPECTED = {
    "original": "original: {image: FILE} or {scene: NAME, ...}",
    "distorted": "distorted: {image: FILE} or a distortion, such as {invert: {}}",
    "reference": f"a reference: {{image: FILE}}, a distortion, a scene, or one of {_STANDARD}",
}


class _WrongImageError(Exception):
    """A mistake in one image; the others are still checked."""

    def __init__(self, loc: Loc, message: str) -> None:
        self.loc, self.message = loc, message


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Converts the declared images of one document into recipes, whose values may still be ranges."""

    document: Document
    files: dict[Path, tuple[tuple[int, int], str]] = field(default_factory=dict)
    """Shape and digest of each image file."""

    def case(self, entry: Mapping[str, Any], loc: Loc, size: int) -> Case | None:
        """Return the case of an entry, with ranges as values; None if one of its images is wrong."""
        document, before = self.document, len(self.document.faults)
        recipes = self._recipes(entry, loc)
        if len(document.faults) > before or not {"id", "original", "distorted"} <= entry.keys():
            return None
        original, distorted, *references = recipes.values()
        case = Case(
            probe=document.data.get("probe", ""),
            id=entry["id"],
            where=f"{document.path}:{document.line(loc)}",
            shape=(size, size) if original.file is None else self.files[original.file][0],
            original=original,
            distorted=distorted,
            references=_by_label(references),
        )
        height, width = case.shape
        for key, recipe in recipes.items():
            if recipe.file is not None and (measured := self.files[recipe.file][0]) != case.shape:
                document.fault(
                    (*loc, *key, "image"),
                    f"{recipe.file} has {measured[1]} x {measured[0]} pixels{_notes(recipe)}, but its case "
                    f"{width} x {height}{_notes(original)}; all images of a case must have one size.",
                )
            if original.scene is None and recipe.steps and (name := recipe.steps[0].name) in SCENE_DISTORTIONS:
                message = f"{name} distorts a scene, but the original is a file; this image must be a file, too."
                document.fault((*loc, *key), message)
        for name, recipe in case.compared().items() if original.file else ():
            if self._digest(recipe, case.shape) == self._digest(original, case.shape):
                message = equals_original(name + _notes(recipe), _notes(original))
                document.fault(loc, f"case {case.id!r}: {message}")
        return case

    def _digest(self, recipe: Recipe, shape: tuple[int, int]) -> str:
        """Return the digest of an image that is not drawn; empty for others."""
        if recipe.reference:
            return standard_reference(recipe.reference, *shape).digest
        return self.files[recipe.file][1] if recipe.file else ""

    def _recipes(self, entry: Mapping[str, Any], loc: Loc) -> dict[Loc, Recipe]:
        """Return the recipes of an entry's valid images by place in it."""
        specs: dict[Loc, Any] = {(key,): entry[key] for key in ("original", "distorted") if key in entry}
        references = entry.get("references", "standard")
        listed = list(STANDARD_REFERENCES) if references == "standard" else references
        if isinstance(listed, list) and listed:
            specs |= {("references", index): reference for index, reference in enumerate(listed)}
        else:
            self.document.fault(
                (*loc, "references"),
                "references: 'standard', or a non-empty list of images, distortions and "
                f"{_STANDARD}; found {references!r:.60}.",
            )
        recipes = {}
        for key, spec in specs.items():
            try:
                recipes[key] = self._recipe(spec, (*loc, *key), ".".join(map(str, key)))
            except _WrongImageError as fault:
                self.document.fault(fault.loc, fault.message)
        return recipes

    def _recipe(self, spec: object, loc: Loc, place: str) -> Recipe:
        role = place.partition("s.")[0]
        if isinstance(spec, str):
            return self._text(spec, loc, role, place)
        if not isinstance(spec, dict) or not spec:
            raise _WrongImageError(loc, f"{_EXPECTED[role]}; found {spec!r:.60}.")
        if "image" in spec:
            return Recipe(label=str(spec["image"]), place=place, file=self._file(spec, loc))
        if "scene" in spec:
            if role == "distorted":
                raise _WrongImageError(
                    loc, "distorted: a scene is not allowed here; name a distortion of the original."
                )
            name, values = spec["scene"], {key: value for key, value in spec.items() if key != "scene"}
            if not isinstance(name, str):
                raise _WrongImageError((*loc, "scene"), f"scene: a name, found {name!r:.60}.")
            return Recipe(label=name, place=place, scene=self._step("scene", name, values, SCENES, loc))
        if role == "original":
            raise _WrongImageError(loc, f"{_EXPECTED[role]}; keys found: {_listed(spec)}")
        steps = tuple(
            self._step("distortion", name, {} if values is None else values, DISTORTIONS, (*loc, name))
            for name, values in spec.items()
        )
        order = [step.name in PIXEL_DISTORTIONS for step in steps]
        if order != sorted(order):
            raise _WrongImageError(loc, f"distortions of scenes come before those of pixels: {_listed(spec)}")
        return Recipe(label=steps[0].name, place=place, steps=steps)

    def _text(self, spec: str, loc: Loc, role: str, place: str) -> Recipe:
        """Return the recipe of a standard reference; any other text is a mistake."""
        name = "random" if spec == "noise" else spec
        if role == "reference" and name in STANDARD_REFERENCES:
            return Recipe(label=name, place=place, reference=name, shared=True)
        if re.search(r"\.\w{3,4}$", spec):
            raise _WrongImageError(loc, f"{role}: an image file is written {{image: {spec}}}; found {spec!r}.")
        if role != "original" and spec in DISTORTIONS:
            takes = ", ".join(f"{key}: ..." for key in parameters(DISTORTIONS[spec]))
            raise _WrongImageError(loc, f"{role}: a distortion is written {{{spec}: {{{takes}}}}}; found {spec!r}.")
        if role == "reference":
            raise _WrongImageError(loc, unknown("reference", spec, [*STANDARD_REFERENCES, "noise"]))
        raise _WrongImageError(loc, f"{_EXPECTED[role]}; found {spec!r:.60}.")

    def _file(self, spec: dict[str, Any], loc: Loc) -> Path:
        for key in spec.keys() - {"image"}:
            self.document.fault((*loc, key), f"unknown key {key!r}; an image file takes only its path.")
        name = spec["image"]
        if not isinstance(name, str) or not name:
            raise _WrongImageError((*loc, "image"), f"image: a path, found {name!r}.")
        path = files.find(self.document.path.parent / name)
        try:
            if path not in self.files:
                image = images.make_image(images.read(path))
                self.files[path] = image.pixels.shape[:2], image.digest
        except ImageError as error:
            raise _WrongImageError((*loc, "image"), str(error)) from None
        return path

    def _with_photographs(self, value: Any, loc: Loc) -> Any:
        """Return a content, which may be a range, with a photograph in place of each file."""
        match value:
            case {"photo": str(name)} if name and len(value) == 1:
                path = files.find(self.document.path.parent / name)
                try:
                    photographs.check(path)
                except ImageError as error:
                    raise _WrongImageError(loc, str(error)) from None
                return Photograph(path.name, path.parent)
            case {"photo": name}:
                raise _WrongImageError(loc, f"photo: a path, as in {{photo: dog.png}}; found {name!r:.60}.")
            case dict():
                return {kind: self._with_photographs(options, loc) for kind, options in value.items()}
            case list():
                return [self._with_photographs(option, loc) for option in value]
        return value

    def _step(
        self, kind: str, name: str, values: object, functions: Mapping[str, Callable[..., Any]], loc: Loc
    ) -> Step:
        """Check a function's name and parameters, with all values of ranges."""
        if not isinstance(values, dict):
            raise _WrongImageError(loc, f"{name} takes a mapping of parameters, found {values!r:.60}.")
        if name not in functions:
            raise _WrongImageError(loc, unknown(kind, name, functions))
        accepted = parameters(functions[name])
        contents = {key for key, parameter in accepted.items() if parameter.content}
        values = {
            key: self._with_photographs(value, (*loc, key)) if key in contents else value
            for key, value in values.items()
        }
        takes = ", ".join(accepted) or "no parameters"
        for key, value in values.items():
            if key not in accepted:
                self.document.fault((*loc, key), f"unknown key {key!r}; {name} takes {takes}.")
                continue
            try:
                ranges.check(value)
            except UsageError as error:
                self.document.fault((*loc, key), f"{key}: {error}.")
                continue
            faults = (accepted[key].fault(option) for option in ranges.possible(value))
            if fault := next(filter(None, faults), ""):
                self.document.fault((*loc, key), f"{key}: {fault}")
        if values.keys() <= accepted.keys():
            for key, parameter in accepted.items():
                if parameter.required and key not in values:
                    self.document.fault(loc, f"{name} needs {key!r}; it takes {takes}.")
        return Step(name=name, parameters=values)


def _listed(spec: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, spec)) + "."


def _notes(recipe: Recipe) -> str:
    return "" if recipe.file is None else notes.about(recipe.file)


def _by_label(references: list[Recipe]) -> dict[str, Recipe]:
    """Return references by label; repeated labels are numbered."""
    recipes: dict[str, Recipe] = {}
    for recipe in references:
        name, count = recipe.label, 2
        while name in recipes:
            name, count = f"{recipe.label}-{count}", count + 1
        recipes[name] = recipe
    return recipes
