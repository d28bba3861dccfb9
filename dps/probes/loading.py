"""From probe files to probes."""

import itertools
import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dps import files, locations, notes, photographs, yaml_files
from dps.errors import ProbeError, unknown
from dps.photographs import Photograph
from dps.probes import ranges
from dps.probes.cases import Case, Probe
from dps.probes.declarations import MAX_CASES, Entry, ProbeFile
from dps.probes.recipes import Checker
from dps.scenes.contents import PHOTO, is_photograph
from dps.yaml_files import Document, Loc, validated

BUILT_IN = locations.data("probes")
"""The folder of the built-in probes."""

NOTHING_TO_REPLACE = "no content that a photograph can replace"

CONTENT = "original.content"
"""The place in a case of the content that a user's photographs replace."""


def load(
    places: Sequence[str | Path],
    cases: int | None = None,
    size: int | None = None,
    images: Sequence[Photograph] = (),
    shift: int = 0,
) -> list[Probe]:
    """Read probe files, and the ``*.yaml`` and ``*.yml`` files of folders, without subfolders.

    Args:
        cases: number of cases of each drawn probe, rounded up to whole scenes; as declared if None.
        size: height and width in pixels of drawn scenes; as declared if None.
        images: photographs that replace the built-in contents; probes without such contents then have no cases, which
            is noted.
        shift: added to all seeds, for cases that are independent of those of other shifts.

    Raises:
        ProbeError: one line for each mistake in each file, with its file and line.
    """
    paths = [path for place in places for path in _probe_files(files.find(Path(place)))]
    probes, faults = [], []
    for path in dict.fromkeys(paths):
        try:
            probes.append(_probe(yaml_files.read(path), cases, size, images, shift))
        except ProbeError as error:
            faults.append(str(error))
    if faults:
        raise ProbeError("\n".join(faults))
    for name, count in Counter(probe.name for probe in probes).items():
        if count > 1:
            both = " and ".join(str(probe.path) for probe in probes if probe.name == name)
            raise ProbeError(f"probe {name!r} is declared in {both}; names must differ.")
    if images and (left_out := [probe.name for probe in probes if not probe.cases]):
        notes.add_text(f"left out, {', '.join(left_out)}: {NOTHING_TO_REPLACE}.")
    return probes


def from_data(data: dict[str, Any], path: Path, *arguments: Any) -> Probe:
    """Return the probe that plain data declare, as if read from line 1 of a file; a ProbeError as for `load`.

    Further arguments are those of `load`: cases, size, images.
    """
    return _probe(Document(path=path, data=data, lines={(): 1}), *arguments)


def _probe_files(place: Path) -> list[Path]:
    if place.is_relative_to(Path.cwd()):
        place = place.relative_to(Path.cwd())  # shorter in messages
    if not place.exists():
        raise ProbeError(f"{place}: no such file or folder of probes.")
    if not place.is_dir():
        return [place]
    similar = [path for path in sorted(place.iterdir()) if re.search(r"\.ya?ml", path.name, re.IGNORECASE)]
    paths = [path for path in similar if path.suffix.lower() in (".yaml", ".yml")]
    if not paths:
        hint = f"; {similar[0].name} looks like a probe file: pass its path, or rename it" if similar else ""
        raise ProbeError(f"{place}: no *.yaml or *.yml in this folder (subfolders are not searched){hint}.")
    for path in similar:
        if path not in paths:
            notes.add("probes not read in", path, "only *.yaml and *.yml files of a folder are read.")
    return paths


def _probe(
    document: Document,
    count: int | None = None,
    size: int | None = None,
    images: Sequence[Photograph] = (),
    shift: int = 0,
) -> Probe:
    """Return the probe of a document; see `load`."""
    if not isinstance(document.data, dict):
        document.fault((), "a probe file is a mapping that begins with 'probe: NAME'.")
        document.check()
    file = validated(ProbeFile, document, document.data)
    size = size or (file.size if file else 96)
    checker, declarations = Checker(document=document), document.data.get("cases")
    entries: list[tuple[Entry, Case]] = []
    for index, data in enumerate(declarations if isinstance(declarations, list) else []):
        loc: Loc = ("cases", index)
        entry = validated(Entry, document, data, loc)
        template = checker.case(data, loc, size) if isinstance(data, dict) else None
        if entry is None or template is None:
            continue
        _check_values(document, loc, entry, template)
        entries.append((entry.model_copy(update={"seed": entry.seed + shift}), template))
    document.check()
    assert file is not None
    cases = _expanded(_with_contents(entries) if images else entries, count, images)
    for case_id, times in Counter(case.id for case in cases).items():
        if times > 1:
            line = int(next(case.where for case in reversed(cases) if case.id == case_id).rpartition(":")[2])
            message = f"case id {case_id!r} occurs {times} times; ids must differ in a probe."
            document.faults.append((line, message))
    document.check()
    return Probe(
        name=file.probe,
        asks=file.asks,
        because=file.because,
        source=file.source,
        severity=file.severity,
        counterparts=tuple(file.counterparts),
        sanity=file.sanity,
        path=document.path,
        cases=tuple(cases),
    )


def _check_values(document: Document, loc: Loc, entry: Entry, template: Case) -> None:
    """Check the number of cases of an entry, and the names in its id."""
    values = template.values()
    count = (entry.draw or 1) * math.prod(map(ranges.count, values.values()))
    if count > MAX_CASES:
        document.fault(loc, f"this declares {count:,} cases; at most {MAX_CASES:,} are allowed.")
    if entry.draw is None:
        if any(map(ranges.is_drawn, values.values())):
            document.fault(loc, "a value is drawn, so the case needs 'draw: COUNT'.")
        return
    id_template, names = string.Template(entry.id), [*_id_names(template, values), "number"]
    if not id_template.is_valid():
        message = f"id: $ must be followed by a name, as in $number, or by another $; found {entry.id!r}."
        document.fault((*loc, "id"), message)
        return
    for name in id_template.get_identifiers():
        if name not in names:
            document.fault((*loc, "id"), f"id: {unknown('name', name, names)}")


def _with_contents(entries: Sequence[tuple[Entry, Case]]) -> list[tuple[Entry, Case]]:
    """Return the entries whose contents photographs can replace: only those with photographs, if there are any."""
    replaceable = [item for item in entries if CONTENT in item[1].values()]
    photographed = [item for item in replaceable if all(map(is_photograph, ranges.possible(item[1].values()[CONTENT])))]
    return photographed or replaceable


def _scene_cases(template: Case, entry: Entry, number: int, image: Photograph | None) -> Iterator[Case]:
    """Yield a case of one scene for each combination of values under ``each``; `image` replaces the content."""
    ranges_by_place = template.values() if image is None else {**template.values(), CONTENT: image}
    for drawn in ranges.expand(ranges_by_place, entry.seed, number):
        values = {place: _photograph(value, entry.seed, number, place) for place, value in drawn.items()}
        names = {**_id_names(template, values), "number": f"{number:03d}"}
        arguments = values, entry.seed, number
        yield replace(
            template,
            id=template.id if entry.draw is None else string.Template(template.id).substitute(names),
            original=template.original.with_values(*arguments),
            distorted=template.distorted.with_values(*arguments),
            references={name: recipe.with_values(*arguments) for name, recipe in template.references.items()},
        )


def _photograph(value: Any, seed: int, number: int, place: str) -> Any:
    """Return the built-in photograph of a name, or of a deal; other values are returned unchanged."""
    if value == PHOTO:
        value = ranges.draw({"deal": list(photographs.BUILT_IN)}, seed, number, place)
    if isinstance(value, str) and value in photographs.BUILT_IN:
        return Photograph(value, pool=tuple(photographs.BUILT_IN))
    return value


def _id_names(template: Case, values: dict[str, Any]) -> dict[str, str]:
    """Return the names that an id may contain, with their values; those of the original take precedence."""
    names: dict[str, str] = {}
    for place, value in values.items():
        text = files.safe_name(value.name) if isinstance(value, Photograph) else str(value)
        names.setdefault(place.rpartition(".")[2], f"{value:g}" if isinstance(value, float) else text)
    for recipe in template.recipes():
        if recipe.scene is not None:
            names.setdefault("scene", recipe.scene.name)
        if recipe.file is not None:
            names.setdefault("image", recipe.label)
    return names


def _expanded(entries: Sequence[tuple[Entry, Case]], count: int | None, images: Sequence[Photograph]) -> list[Case]:
    """Return the cases of all entries: single ones, then drawn ones, scene by scene, in the declared proportions.

    They are the beginning of one endless sequence, whatever their number. Images are used as contents in turn.
    """
    single = [item for item in entries if item[0].draw is None]
    counts = [entry.draw for entry, _ in entries if entry.draw is not None]
    lap = [item for item in entries for _ in range((item[0].draw or 0) // (math.gcd(*counts) or 1))]
    contents, numbers = itertools.cycle(images or [None]), Counter[int]()
    cases: list[Case] = []
    limit = None if count is None else count + len(single)
    for entry, template in itertools.chain(single, itertools.cycle(lap)):
        if len(cases) >= limit if limit is not None else numbers.total() == len(single) + sum(counts):
            break
        cases += _scene_cases(template, entry, numbers[id(entry)], next(contents))
        numbers[id(entry)] += 1
    return cases
