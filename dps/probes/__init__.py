"""Probes: YAML files in, cases out, or "path:line: why not".

reading.py  YAML as plain data that knows its lines
ranges.py   values that are drawn anew for each case
recipes.py  how one image of a case is made: its names and parameters checked, then drawn
"""

import itertools
import math
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pydantic

from dps import locations
from dps.errors import DrawError, ImageError, ProbeError, unknown
from dps.images import Image, Triple, make_image
from dps.probes import ranges
from dps.probes.recipes import Recipe, drawn_of, pixels_of, recipe, standard_names
from dps.probes.yaml_files import Document, Loc, read

BUILT_IN = locations.data("probes")
"""The probes that are asked when none are named."""

MOST_CASES = 100_000
"""How many cases one declaration may stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question, not drawn yet.

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
        """Make its images; the same ones every time.

        Raises:
            DrawError: a scene cannot be drawn, or an image equals the original, so that the case asks
                nothing; the message names the declaration.
            ImageError: an image file that could be read before no longer can.
        """
        try:
            made = {"the original": self.original.make(None, self.shape)}
            original = made["the original"]
            made["the distorted image"] = self.distorted.make(original, self.shape)
            for name, how in self.references.items():
                made[f"reference {name!r}"] = how.make(original, self.shape)
        except DrawError as error:
            raise DrawError(f"{self.where}: case {self.id!r}: {error}") from None
        pictures = [
            make_image(pixels_of(each, self.shape), common=common)
            for each, common in zip(made.values(), self._common(), strict=True)
        ]
        self._check(dict(zip(made, pictures, strict=True)))
        first, distorted, *references = pictures
        return Triple(
            original=first,
            distorted=distorted,
            references=dict(zip(self.references, references, strict=True)),
            drawn=drawn_of(list(made.values()), self.original, self.distorted, self.references.values()),
        )

    def _common(self) -> Iterator[bool]:
        return itertools.chain([False, False], (how.standard for how in self.references.values()))

    def _check(self, pictures: dict[str, Image]) -> None:
        """See that the case asks something."""
        (_, original), *others = pictures.items()
        for name, other in others:
            if other.digest == original.digest:
                raise DrawError(
                    f"{self.where}: case {self.id!r}: {name} equals the original, so the case asks nothing."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Severity:
    """How far a probe's cases are distorted.

    Attributes:
        by: what is drawn for each case and says so, such as ``degrees``.
        unit: of it, in words that follow a number.
        notice: from where on people notice the change at all; None where that is not known.
        source: who found that.
    """

    by: str
    unit: str
    notice: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A family of cases.

    Attributes:
        name: as in test ids and tables.
        asks: the question, in a sentence.
        because: why a person would agree.
        source: where the idea comes from.
        severity: how far its cases are distorted; None where they do not differ in that.
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


def load(places: Sequence[str | Path], cases: int | None = None) -> list[Probe]:
    """Read probe files; image files that they name are opened and decoded.

    Args:
        places: YAML files, or folders whose ``*.yaml`` are read (not deeper).
        cases: how many cases each drawn probe expands to, whole scenes at a time; as declared if None.

    Raises:
        ProbeError: with file and line, what was found and what would be right.
    """
    paths = [path for place in places for path in _files(Path(place))]
    probes = [_probe(read(path), cases) for path in dict.fromkeys(paths)]
    for name, count in Counter(probe.name for probe in probes).items():
        if count > 1:
            both = " and ".join(str(probe.path) for probe in probes if probe.name == name)
            raise ProbeError(f"probe {name!r} stands in {both}; names must differ.")
    return probes


def of_data(data: dict[str, Any], path: Path) -> Probe:
    """Make a probe of plain data, as if it had been read from a file.

    Args:
        data: what the file would hold.
        path: the file; images are relative to it.

    Raises:
        ProbeError: as for `load`, all on line 1.
    """
    lines: dict[Loc, int] = {(): 1, **{("cases", index): 1 for index in range(len(data["cases"]))}}
    return _probe(Document(path=path, data=data, lines=lines), None)


def _files(place: Path) -> list[Path]:
    here = Path.cwd()
    if place.is_relative_to(here):
        place = place.relative_to(here)  # shorter to read in messages
    if place.is_dir():
        if found := sorted(place.glob("*.yaml")):
            return found
        raise ProbeError(f"{place}: no *.yaml in this folder (deeper ones are not looked at).")
    if not place.exists():
        raise ProbeError(f"{place}: no such file or folder of probes.")
    return [place]


# ------------------------------------------------------------------------------------- what a file holds


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Text = Annotated[str, pydantic.Field(pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Entry(_Strict):
    """One case, or a range of drawn ones."""

    id: Text
    draw: Annotated[int, pydantic.Field(ge=1, le=MOST_CASES)] | None = None
    seed: Annotated[int, pydantic.Field(ge=0)] = 0
    asks: str = ""
    source: str = ""
    original: dict[str, Any]
    distorted: dict[str, Any]
    references: Any


class _People(_Strict):
    """What people notice."""

    notice: Annotated[float, pydantic.Field(allow_inf_nan=False)]
    source: Text


class _Severity(_Strict):
    """What says how far a case is distorted."""

    by: Name
    unit: Text
    people: _People | None = None

    def plain(self) -> Severity:
        """The same as the rest of the program has it."""
        if self.people is None:
            return Severity(by=self.by, unit=self.unit)
        return Severity(by=self.by, unit=self.unit, notice=self.people.notice, source=self.people.source)


class _File(_Strict):
    """A probe."""

    probe: Name
    asks: str = ""
    because: str = ""
    source: str = ""
    severity: _Severity | None = None
    size: Annotated[int, pydantic.Field(ge=8, le=2048)] = 96
    cases: Annotated[list[_Entry], pydantic.Field(min_length=1)]


def _probe(document: Document, wanted: int | None) -> Probe:
    if not isinstance(document.data, dict):
        raise document.error((), "a probe file is a mapping that begins with 'probe: NAME'.")
    try:
        file = _File.model_validate(document.data)
    except pydantic.ValidationError as error:
        raise _first(error, document) from None
    made: list[Case] = []
    drawn: list[tuple[int, Iterator[list[Case]]]] = []
    for index, entry in enumerate(file.cases):
        maker = _Maker(document=document, loc=("cases", index), probe=file.probe, size=file.size, entry=entry)
        maker.check()
        if entry.draw is None:
            made.extend(maker.cases(0))
        else:
            drawn.append((entry.draw, map(maker.cases, itertools.count())))
    made.extend(_interleaved(drawn, wanted))
    for case_id, count in Counter(case.id for case in made).items():
        if count > 1:
            where = next(case.where for case in reversed(made) if case.id == case_id)
            raise ProbeError(f"{where}: case id {case_id!r} stands {count} times; ids must differ in a probe.")
    return Probe(
        name=file.probe,
        asks=file.asks,
        because=file.because,
        source=file.source,
        severity=None if file.severity is None else file.severity.plain(),
        path=document.path,
        cases=tuple(made),
    )


def _interleaved(drawn: list[tuple[int, Iterator[list[Case]]]], wanted: int | None) -> list[Case]:
    """Cases of all ranges of a probe, scene by scene, in the proportion in which they are declared.

    The order is one endless sequence: ten cases are the beginning of two hundred.
    """
    if not drawn:
        return []
    counts = [count for count, _ in drawn]
    lap = [scenes for count, scenes in drawn for _ in range(count // math.gcd(*counts))]
    turns = itertools.cycle(lap)
    made: list[Case] = []
    if wanted is None:
        for scenes in itertools.islice(turns, sum(counts)):
            made.extend(next(scenes))
    else:
        while len(made) < wanted:
            made.extend(next(next(turns)))
    return made


def _first(error: pydantic.ValidationError, document: Document) -> ProbeError:
    """The first of Pydantic's complaints in our words."""
    fault = error.errors()[0]
    loc: Loc = fault["loc"]
    match fault["type"]:
        case "missing":
            return document.error(loc[:-1], f"key {loc[-1]!r} is missing.")
        case "extra_forbidden":
            of = {"cases": _Entry, "severity": _People if "people" in loc[:-1] else _Severity}
            fields = of.get(str(loc[0]), _File).model_fields
            return document.error(loc, unknown("key", loc[-1], fields))
        case kind:
            what = ".".join(str(part) for part in loc if isinstance(part, str))
            right = "it should be a mapping" if kind in ("model_type", "dict_type") else _lower(fault["msg"])
            found = f"found {type(fault['input']).__name__} {fault['input']!r:.60}"
            return document.error(loc, f"{what}: {right}; {found}.")


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Makes the cases of one entry of a file."""

    document: Document
    loc: Loc
    probe: str
    size: int
    entry: _Entry

    def check(self) -> None:
        """Check names and parameters for all that can be drawn, before anything is."""
        count = self.entry.draw or 1
        for key, spec in self._images().items():
            recipe(spec, self.document, (*self.loc, *key), shape=None)
            count *= math.prod(ranges.count(value) for _, value in _leaves(spec))
        if count > MOST_CASES:
            raise self.document.error(self.loc, f"this stands for {count:,} cases; at most {MOST_CASES:,} are right.")

    def _images(self) -> dict[Loc, Any]:
        """What is declared of each image, by where it stands; `standard` stands for seven references."""
        images: dict[Loc, Any] = {("original",): self.entry.original, ("distorted",): self.entry.distorted}
        references = self.entry.references
        if references == "standard":
            references = list(standard_names())
        if not isinstance(references, list) or not references:
            raise self.document.error(
                (*self.loc, "references"),
                "references: 'standard', or a list that is not empty of images, distortions and "
                f"{', '.join(standard_names())}; found {self.entry.references!r:.60}.",
            )
        for index, reference in enumerate(references):
            images["references", index] = reference
        return images

    def cases(self, number: int) -> list[Case]:
        """The cases of one scene: one, unless something stands under ``each``."""
        images = self._images()
        values = {(*key, *place): value for key, spec in images.items() for place, value in _leaves(spec)}
        texts = {".".join(map(str, place)): place for place in values}
        if self.entry.draw is None and any(map(ranges.is_drawn, values.values())):
            raise self.document.error(self.loc, "a value is drawn, so the case needs 'draw: COUNT'.")
        made = []
        declared = {text: values[place] for text, place in texts.items()}
        for drawn in ranges.expand(declared, self.entry.seed, number):
            chosen = {texts[text]: value for text, value in drawn.items()}
            made.append(self._case(images, chosen, number))
        return made

    def _case(self, images: dict[Loc, Any], chosen: dict[Loc, Any], number: int) -> Case:
        recipes = {}
        shape: tuple[int, int] | None = None
        for key, spec in images.items():
            plain = _filled(spec, {place[len(key) :]: v for place, v in chosen.items() if place[: len(key)] == key})
            entropy = (self.entry.seed, number, ".".join(map(str, key)))
            made = recipe(plain, self.document, (*self.loc, *key), shape=shape, entropy=entropy)
            shape = shape or made.shape or (self.size, self.size)
            recipes[key] = made
        original, distorted, *references = recipes.values()
        assert shape is not None
        line = self.document.lines[self.loc]
        case = Case(
            probe=self.probe,
            id=self._id(chosen, number),
            where=f"{self.document.path}:{line}",
            shape=shape,
            original=original,
            distorted=distorted,
            references=_named(references),
        )
        self._check(case)
        return case

    def _check(self, case: Case) -> None:
        declared: dict[Loc, Recipe] = {("distorted",): case.distorted}
        declared |= {("references", index): how for index, how in enumerate(case.references.values())}
        for key, how in declared.items():
            if how.needs_scene and not case.original.is_scene:
                raise self.document.error(
                    (*self.loc, *key),
                    f"{how.steps[0].name} changes a scene, but the original is a file; give this image as a file, too.",
                )
        if all(how.file is not None for how in (case.original, case.distorted)):
            try:
                case.draw()
            except (DrawError, ImageError) as error:
                raise ProbeError(str(error)) from None

    def _id(self, chosen: dict[Loc, Any], number: int) -> str:
        """The declared id, with ``$number``, ``$content`` and the like filled in for drawn cases."""
        if self.entry.draw is None:
            return self.entry.id
        names = {
            place[-1]: _short(value)
            for place, value in reversed(chosen.items())
            if isinstance(place[-1], str) and not isinstance(value, dict)
        }
        names["number"] = f"{number:03d}"
        at = (*self.loc, "id")
        try:
            return string.Template(self.entry.id).substitute(names)
        except KeyError as error:
            raise self.document.error(at, f"id: {unknown('name', error.args[0], names)}") from None
        except ValueError:
            raise self.document.error(
                at, f"id: a $ is followed by a name, as in $number, or by another $; found {self.entry.id!r}."
            ) from None


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _leaves(spec: object, loc: Loc = ()) -> Iterator[tuple[Loc, Any]]:
    """All values in a declaration of an image; a drawn value counts as one."""
    if isinstance(spec, dict) and spec and not ranges.is_drawn(spec):
        for key, value in spec.items():
            yield from _leaves(value, (*loc, key))
    else:
        yield loc, spec


def _filled(spec: object, chosen: dict[Loc, Any], loc: Loc = ()) -> object:
    """A declaration of an image with its values drawn."""
    if isinstance(spec, dict) and spec and not ranges.is_drawn(spec):
        return {key: _filled(value, chosen, (*loc, key)) for key, value in spec.items()}
    return chosen[loc]


def _named(references: Sequence[Recipe]) -> dict[str, Recipe]:
    """References by a short name each; a second one of a name is numbered."""
    named: dict[str, Recipe] = {}
    for how in references:
        name, count = how.label, 2
        while name in named:
            name, count = f"{how.label}-{count}", count + 1
        named[name] = how
    return named
