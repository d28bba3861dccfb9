"""The keys and values of a probe file. Every mistake is noted in the document with its line; nothing is drawn here."""

import datetime as dt
import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pydantic

from dps import files, images
from dps.distortions import DISTORTIONS, PIXEL_DISTORTIONS
from dps.errors import ImageError, UsageError, unknown
from dps.probes import ranges
from dps.probes.recipes import STANDARD_REFERENCES, Recipe, Step
from dps.probes.yaml_files import Document, Loc
from dps.scenes.composition import SCENES
from dps.scenes.parameters import parameters

MAX_CASES = 100_000
"""Number of cases that one declaration may stand for."""


class _Declaration(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Text = Annotated[str, pydantic.Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Entry(_Declaration):
    """One case, or a range of drawn ones."""

    id: Text
    draw: Annotated[int, pydantic.Field(ge=1, le=MAX_CASES)] | None = None
    seed: Annotated[int, pydantic.Field(ge=0)] = 0
    asks: str = ""
    source: str = ""
    original: Any
    distorted: Any
    references: Any


class People(_Declaration):
    """The severity from which people notice the change, and who found it."""

    notice: Annotated[float, pydantic.Field(allow_inf_nan=False)]
    source: Text


class Severity(_Declaration):
    """The drawn value that measures how strongly a case is distorted, such as ``degrees``, and its unit in words."""

    by: Name
    unit: Text
    people: People | None = None


class ProbeFile(_Declaration):
    """A probe."""

    probe: Name
    asks: str = ""
    because: str = ""
    source: str = ""
    severity: Severity | None = None
    size: Annotated[int, pydantic.Field(ge=8, le=2048)] = 96
    cases: Annotated[list[Entry], pydantic.Field(min_length=1)]


def parse(document: Document) -> tuple[ProbeFile | None, list[Any]]:
    """Return what a document declares: the file, None where something in it is wrong, and its entries.

    An entry is an `Entry`, or plain data where something in it is wrong.
    """
    if not isinstance(document.data, dict):
        document.fault((), "a probe file is a mapping that begins with 'probe: NAME'.")
        return None, []
    try:
        file = ProbeFile.model_validate(document.data)
    except pydantic.ValidationError as error:
        _note_faults(error, document)
        entries = document.data.get("cases")
        wrong = {fault["loc"][1] for fault in error.errors() if fault["loc"][0] == "cases" and len(fault["loc"]) > 1}
        listed = enumerate(entries if isinstance(entries, list) else [])
        return None, [entry if index in wrong else Entry.model_validate(entry) for index, entry in listed]
    return file, list(file.cases)


def _note_faults(error: pydantic.ValidationError, document: Document) -> None:
    """Note Pydantic's complaints in our words; a key is not missing where a misspelt one stands for it."""
    faults = error.errors()
    meant: set[Loc] = set()
    for fault in faults:
        if fault["type"] == "extra_forbidden":
            loc: Loc = fault["loc"]
            models: dict[object, type[_Declaration]] = {
                "cases": Entry,
                "severity": People if "people" in loc else Severity,
            }
            keys = models.get(loc[0], ProbeFile).model_fields if len(loc) > 1 else ProbeFile.model_fields
            meant |= {(*loc[:-1], key) for key in difflib.get_close_matches(str(loc[-1]), keys, n=1)}
            document.fault(loc, unknown("key", loc[-1], keys))
    for fault in faults:
        loc = fault["loc"]
        if fault["type"] == "missing" and loc not in meant:
            document.fault(loc[:-1], f"key {loc[-1]!r} is missing.", last=True)
        elif fault["type"] not in ("missing", "extra_forbidden"):
            what = ".".join(str(part) for part in loc if isinstance(part, str))
            document.fault(loc, f"{what}: {_in_words(fault['type'], fault['msg'], fault['input'], document, loc)}")


def _in_words(kind: str, message: str, value: Any, document: Document, loc: Loc) -> str:
    source = document.sources.get(loc)
    if kind == "string_type" and source is not None:
        if not source:
            return "a text is missing."
        kinds = {bool: "boolean", int: "number", float: "number", dt.date: "date", dt.datetime: "time"}
        meaning = "null" if value is None else f"the {kinds.get(type(value), 'value')} {value}"
        return f'YAML reads {source} as {meaning}; put it in quotes: "{source}".'
    if kind == "string_pattern_mismatch" and loc[-1] in ("probe", "by"):
        plain = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode()
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).strip("_.-") or "my_probe"
        return f"a name has letters without accents, digits, _ . and - alone, such as {name}; found {value!r:.60}."
    if kind in ("string_pattern_mismatch", "string_too_short"):
        return f"a text on one line, without control characters and not empty; found {value!r:.60}."
    right = "it should be a mapping" if kind == "model_type" else message[:1].lower() + message[1:]
    return f"{right}; found {type(value).__name__} {value!r:.60}."


_RIGHT = {
    "original": "original: {image: FILE} or {scene: NAME, ...}",
    "distorted": "distorted: {image: FILE} or a distortion, such as {invert: {}}",
    "reference": f"a reference: {{image: FILE}}, a distortion, a scene, or one of {', '.join(STANDARD_REFERENCES)}",
}


class _WrongImageError(Exception):
    """One image is wrong; the others are still checked."""

    def __init__(self, loc: Loc, message: str) -> None:
        self.loc, self.message = loc, message


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Turns the declared images of one document into recipes, whose values may still have to be drawn."""

    document: Document
    digests: dict[Path, tuple[tuple[int, int], str]] = field(default_factory=dict)
    """Shape and digest of each image file; its pixels are not kept."""

    def recipes(self, entry: Mapping[str, Any], loc: Loc) -> dict[Loc, Recipe]:
        """Check an entry's images, with every value that can be drawn.

        Returns:
            Recipes by place below the entry: original, distorted, and the references in order; the right ones alone.
        """
        images: dict[Loc, Any] = {(key,): entry[key] for key in ("original", "distorted") if key in entry}
        references = entry.get("references", "standard")
        references = list(STANDARD_REFERENCES) if references == "standard" else references
        if isinstance(references, list) and references:
            images |= {("references", index): reference for index, reference in enumerate(references)}
        else:
            self.document.fault(
                (*loc, "references"),
                "references: 'standard', or a list that is not empty of images, distortions and "
                f"{', '.join(STANDARD_REFERENCES)}; found {references!r:.60}.",
            )
        recipes = {}
        for key, spec in images.items():
            try:
                recipes[key] = self._recipe(spec, (*loc, *key), str(key[0]))
            except _WrongImageError as fault:
                self.document.fault(fault.loc, fault.message)
        return recipes

    def _recipe(self, spec: object, loc: Loc, role: str) -> Recipe:
        role = role.removesuffix("s")
        if isinstance(spec, str):
            return self._text(spec, loc, role)
        if not isinstance(spec, dict) or not spec:
            raise _WrongImageError(loc, f"{_RIGHT[role]}; found {spec!r:.60}.")
        if "image" in spec:
            return self._file(spec, loc)
        if "scene" in spec:
            return self._scene(spec, loc, role)
        if role == "original":
            raise _WrongImageError(loc, f"{_RIGHT[role]}; keys found: {_listed(spec)}")
        return self._steps(spec, loc)

    def _text(self, spec: str, loc: Loc, role: str) -> Recipe:
        name = "random" if spec == "noise" else spec
        if role == "reference" and name in STANDARD_REFERENCES:
            return Recipe(label=name, reference=name)
        if re.search(r"\.\w{3,4}$", spec):
            raise _WrongImageError(loc, f"{role}: an image file is written {{image: {spec}}}; found {spec!r}.")
        if role != "original" and spec in DISTORTIONS:
            takes = ": ..., ".join([*parameters(DISTORTIONS[spec]), ""]).removesuffix(", ")
            raise _WrongImageError(loc, f"{role}: a distortion is written {{{spec}: {{{takes}}}}}; found {spec!r}.")
        if role == "reference":
            raise _WrongImageError(loc, unknown("reference", spec, [*STANDARD_REFERENCES, "noise"]))
        raise _WrongImageError(loc, f"{_RIGHT[role]}; found {spec!r:.60}.")

    def _file(self, spec: dict[str, Any], loc: Loc) -> Recipe:
        for key in spec.keys() - {"image"}:
            self.document.fault((*loc, key), f"unknown key {key!r}; an image file takes no more than its path.")
        name = spec["image"]
        if not isinstance(name, str) or not name:
            raise _WrongImageError((*loc, "image"), f"image: a path, found {name!r}.")
        path = files.existing(self.document.path.parent / name)
        try:
            if path not in self.digests:
                image = images.make_image(images.read(path))
                self.digests[path] = image.pixels.shape[:2], image.digest
        except ImageError as error:
            raise _WrongImageError((*loc, "image"), str(error)) from None
        return Recipe(label=name, file=path)

    def _scene(self, spec: dict[str, Any], loc: Loc, role: str) -> Recipe:
        name = spec["scene"]
        if role == "distorted":
            raise _WrongImageError(loc, "distorted: a scene cannot stand here; name a distortion of the original.")
        if not isinstance(name, str):
            raise _WrongImageError((*loc, "scene"), f"scene: a name, found {name!r:.60}.")
        values = {key: value for key, value in spec.items() if key != "scene"}
        self._call("scene", name, values, SCENES, loc)
        return Recipe(label=name, scene=Step(name=name, parameters=values))

    def _steps(self, spec: dict[str, Any], loc: Loc) -> Recipe:
        steps = []
        for name, value in spec.items():
            values = {} if value is None else value
            if isinstance(values, dict):
                self._call("distortion", name, values, DISTORTIONS, (*loc, name))
                steps.append(Step(name=name, parameters=values))
            else:
                self.document.fault((*loc, name), f"{name} takes a mapping of parameters, found {values!r:.60}.")
        order = [step.name in PIXEL_DISTORTIONS for step in steps]
        if order != sorted(order):
            raise _WrongImageError(loc, f"distortions of scenes come before those of pixels: {_listed(spec)}")
        return Recipe(label=next(iter(spec)), steps=tuple(steps))

    def _call(
        self, kind: str, name: str, values: dict[str, Any], functions: Mapping[str, Callable[..., Any]], loc: Loc
    ) -> None:
        """Check a function's name and parameters, and every value that can be drawn for each."""
        if name not in functions:
            raise _WrongImageError(loc, unknown(kind, name, functions))
        accepted = parameters(functions[name])
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


def _listed(spec: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, spec)) + "."
