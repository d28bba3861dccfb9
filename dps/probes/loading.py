"""From probe files to probes."""

import itertools
import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dps import files, locations, notes
from dps.errors import ProbeError, unknown
from dps.probes import ranges, yaml_files
from dps.probes.cases import Case, Probe, compared_names, equals_original
from dps.probes.declarations import MAX_CASES, Checker, Entry, parse
from dps.probes.recipes import Recipe, standard_reference
from dps.probes.yaml_files import Document, Loc

BUILT_IN = locations.data("probes")
"""The folder of the probes that are used when none are named."""


def load(places: Sequence[str | Path], cases: int | None = None) -> list[Probe]:
    """Read probe files; image files that they name are decoded once, and not kept.

    Args:
        places: YAML files, or folders whose ``*.yaml`` and ``*.yml`` are read (not deeper).
        cases: how many cases each drawn probe expands to, whole scenes at a time; as declared if None.

    Raises:
        ProbeError: with file and line, what was found and what would be right; a line for each mistake of a file.
    """
    paths = [path for place in places for path in _probe_files(files.existing(Path(place)))]
    probes = [_probe(yaml_files.read(path), cases) for path in dict.fromkeys(paths)]
    for name, count in Counter(probe.name for probe in probes).items():
        if count > 1:
            both = " and ".join(str(probe.path) for probe in probes if probe.name == name)
            raise ProbeError(f"probe {name!r} stands in {both}; names must differ.")
    return probes


def of_data(data: dict[str, Any], path: Path) -> Probe:
    """Return a probe of plain data, as if it had been read from a file.

    Args:
        data: the content of the file.
        path: the file; images are relative to it.

    Raises:
        ProbeError: as for `load`, all on line 1.
    """
    return _probe(Document(path=path, data=data, lines={(): 1}), None)


def _probe_files(place: Path) -> list[Path]:
    here = Path.cwd()
    if place.is_relative_to(here):
        place = place.relative_to(here)  # shorter to read in messages
    if not place.exists():
        raise ProbeError(f"{place}: no such file or folder of probes.")
    if not place.is_dir():
        return [place]
    inside = sorted(place.iterdir())
    paths = [path for path in inside if path.suffix.lower() in (".yaml", ".yml")]
    similar = [path for path in inside if path not in paths and _looks_like_probe(path)]
    if not paths:
        named = f"; {similar[0].name} looks like a probe file: name it itself, or rename it" if similar else ""
        raise ProbeError(f"{place}: no *.yaml or *.yml in this folder (deeper ones are not searched){named}.")
    for path in similar:
        notes.add("probes not read in", path, "of a folder, only *.yaml and *.yml are.")
    return paths


_KEYS = re.compile(rb"^[\s{,]*[\"']?(probe|cases)[\"']?\s*:", re.MULTILINE)


def _looks_like_probe(path: Path) -> bool:
    """Return whether a file has a name such as ``rotate.yaml~``, or a probe's keys."""
    try:
        if not path.is_file():
            return False
        if re.search(r"\.ya?ml", path.name, re.IGNORECASE):
            return True
        with path.open("rb") as file:
            return set(_KEYS.findall(file.read(2**14))) == {b"probe", b"cases"}
    except OSError:
        return False


def _probe(document: Document, count: int | None) -> Probe:
    """Return a document's probe, with this many cases of drawn ones."""
    file, entries = parse(document)
    checker = Checker(document=document)
    size = 96 if file is None else file.size
    expandable: list[_Expandable | None] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, Entry):
            expandable.append(_expandable(checker, entry, ("cases", index), size))
        elif isinstance(entry, dict):
            checker.recipes(entry, ("cases", index))
    document.check()
    assert file is not None
    cases: list[Case] = []
    drawn: list[tuple[int, Iterator[list[Case]]]] = []
    for checked in filter(None, expandable):
        scenes = map(checked.cases, itertools.repeat(file.probe), itertools.count())
        if checked.declared.draw is None:
            cases.extend(next(scenes))
        else:
            drawn.append((checked.declared.draw, scenes))
    cases.extend(_interleaved(drawn, count))
    for case_id, times in Counter(case.id for case in cases).items():
        if times > 1:
            line = int(next(case.where for case in reversed(cases) if case.id == case_id).rpartition(":")[2])
            message = f"case id {case_id!r} stands {times} times; ids must differ in a probe."
            document.faults.append((False, line, message))
    document.check()
    return Probe(
        name=file.probe,
        asks=file.asks,
        because=file.because,
        source=file.source,
        severity=file.severity,
        path=document.path,
        cases=tuple(cases),
    )


def _interleaved(drawn: list[tuple[int, Iterator[list[Case]]]], count: int | None) -> list[Case]:
    """Return the cases of all ranges of a probe, scene by scene, in the proportion in which they are declared.

    The order is one endless sequence: ten cases are the beginning of two hundred.
    """
    if not drawn:
        return []
    counts = [scenes for scenes, _ in drawn]
    lap = [scenes for scenes_in_range, scenes in drawn for _ in range(scenes_in_range // math.gcd(*counts))]
    turns = itertools.cycle(lap)
    if count is None:
        return [case for scenes in itertools.islice(turns, sum(counts)) for case in next(scenes)]
    cases: list[Case] = []
    while len(cases) < count:
        cases.extend(next(next(turns)))
    return cases


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expandable:
    """One checked entry of a file, from which cases are made scene by scene."""

    declared: Entry
    where: str
    shape: tuple[int, int]
    recipes: dict[str, Recipe]  # by place in the case; parameters may be ranges
    references: list[str]  # their names
    values: dict[str, Any]  # all parameters by place

    def cases(self, probe: str, number: int) -> list[Case]:
        """Return the cases of one scene: one, unless something stands under ``each``."""
        seed = self.declared.seed
        cases = []
        for values in ranges.expand(self.values, seed, number):
            original, distorted, *references = (
                recipe.with_values(key, values, (seed, number, key)) for key, recipe in self.recipes.items()
            )
            case = Case(
                probe=probe,
                id=self._id(values, number),
                where=self.where,
                shape=self.shape,
                original=original,
                distorted=distorted,
                references=dict(zip(self.references, references, strict=True)),
            )
            cases.append(case)
        return cases

    def _id(self, values: dict[str, Any], number: int) -> str:
        """Return the declared id; of drawn cases with ``$number``, ``$content`` and the like filled in."""
        if self.declared.draw is None:
            return self.declared.id
        names = _id_names(self.recipes, values)
        return string.Template(self.declared.id).substitute({**names, "number": f"{number:03d}"})


def _id_names(recipes: dict[str, Recipe], values: dict[str, Any]) -> dict[str, str]:
    """Return the names that an id may have, with their values; the original's win."""
    names: dict[str, str] = {}
    for place, value in values.items():
        names.setdefault(place.rpartition(".")[2], f"{value:g}" if isinstance(value, float) else str(value))
    for recipe in recipes.values():
        if recipe.scene is not None:
            names.setdefault("scene", recipe.scene.name)
        if recipe.file is not None:
            names.setdefault("image", recipe.label)
    return names


def _expandable(checker: Checker, entry: Entry, loc: Loc, size: int) -> _Expandable | None:
    """Check one entry of a file as a whole; None where one of its images is wrong."""
    document, before = checker.document, len(checker.document.faults)
    by_loc = checker.recipes(vars(entry), loc)
    if len(document.faults) > before:
        return None
    recipes = {".".join(map(str, key)): recipe for key, recipe in by_loc.items()}
    values = {place: value for key, recipe in recipes.items() for place, value in recipe.values(key).items()}
    original, _, *references = recipes.values()
    named = _named(references)
    facts = {key: checker.digests[recipe.file] for key, recipe in by_loc.items() if recipe.file is not None}
    shape = (size, size) if original.file is None else checker.digests[original.file][0]
    for key, (other, _) in facts.items():
        if other != shape:
            document.fault(
                (*loc, *key, "image"),
                f"{by_loc[key].file} measures {other[1]} x {other[0]} pixels{_notes(by_loc[key])}, but its case "
                f"{shape[1]} x {shape[0]}{_notes(original)}; the images of a case must have one size.",
            )
    for key, recipe in by_loc.items():
        if recipe.needs_scene and original.scene is None:
            name = recipe.steps[0].name
            message = f"{name} changes a scene, but the original is a file; give this image as a file, too."
            document.fault((*loc, *key), message)
    if original.file is not None:
        digests = {key: digest for key, (_, digest) in facts.items()}
        digests |= {k: standard_reference(r.reference, *shape).digest for k, r in by_loc.items() if r.reference}
        for what, key in zip(compared_names(named), list(by_loc)[1:], strict=True):
            if digests.get(key) == digests["original",]:
                document.fault(
                    loc, f"case {entry.id!r}: {equals_original(what + _notes(by_loc[key]), _notes(original))}"
                )
    count = (entry.draw or 1) * math.prod(ranges.count(value) for value in values.values())
    if count > MAX_CASES:
        document.fault(loc, f"this stands for {count:,} cases; at most {MAX_CASES:,} are right.")
    if entry.draw is None and any(map(ranges.is_drawn, values.values())):
        document.fault(loc, "a value is drawn, so the case needs 'draw: COUNT'.")
    if entry.draw is not None:
        _check_id(entry.id, _id_names(recipes, values), document, (*loc, "id"))
    where = f"{document.path}:{document.line(loc)}"
    return _Expandable(declared=entry, where=where, shape=shape, recipes=recipes, references=list(named), values=values)


def _notes(recipe: Recipe) -> str:
    return "" if recipe.file is None else notes.about(recipe.file)


def _check_id(declared: str, names: dict[str, str], document: Document, loc: Loc) -> None:
    template = string.Template(declared)
    if not template.is_valid():
        document.fault(loc, f"id: a $ is followed by a name, as in $number, or by another $; found {declared!r}.")
    for name in template.get_identifiers() if template.is_valid() else ():
        if name not in (*names, "number"):
            document.fault(loc, f"id: {unknown('name', name, [*names, 'number'])}")


def _named(references: Sequence[Recipe]) -> dict[str, Recipe]:
    """Return references by a short name each; a second one of a name is numbered."""
    named: dict[str, Recipe] = {}
    for recipe in references:
        name, count = recipe.label, 2
        while name in named:
            name, count = f"{recipe.label}-{count}", count + 1
        named[name] = recipe
    return named
