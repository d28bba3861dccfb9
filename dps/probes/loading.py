"""From probe files to probes."""

import itertools
import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dps import files, locations, notes
from dps.errors import ProbeError, unknown
from dps.probes import ranges, yaml_files
from dps.probes.cases import Case, Probe
from dps.probes.declarations import MAX_CASES, Entry, ProbeFile, validated
from dps.probes.recipes import Checker
from dps.probes.yaml_files import Document, Loc

BUILT_IN = locations.data("probes")
"""The folder of the probes that are used when none are named."""


def load(places: Sequence[str | Path], cases: int | None = None, size: int | None = None) -> list[Probe]:
    """Read probe files, or folders' ``*.yaml`` and ``*.yml`` (not deeper); images that they name are not kept.

    Args:
        cases: how many cases each drawn probe expands to, whole scenes at a time; as declared if None.
        size: height and width in pixels at which scenes are drawn; as declared if None.

    Raises:
        ProbeError: with file and line, what was found and what would be right; a line for each mistake of each file.
    """
    paths = [path for place in places for path in _probe_files(files.existing(Path(place)))]
    probes, faults = [], []
    for path in dict.fromkeys(paths):
        try:
            probes.append(_probe(yaml_files.read(path), cases, size))
        except ProbeError as error:
            faults.append(str(error))
    if faults:
        raise ProbeError("\n".join(faults))
    for name, count in Counter(probe.name for probe in probes).items():
        if count > 1:
            both = " and ".join(str(probe.path) for probe in probes if probe.name == name)
            raise ProbeError(f"probe {name!r} stands in {both}; names must differ.")
    return probes


def of_data(data: dict[str, Any], path: Path) -> Probe:
    """Return a probe of plain data, as if it had been read from a file; a ProbeError as for `load`, all on line 1."""
    return _probe(Document(path=path, data=data, lines={(): 1}))


def _probe_files(place: Path) -> list[Path]:
    here = Path.cwd()
    if place.is_relative_to(here):
        place = place.relative_to(here)  # shorter to read in messages
    if not place.exists():
        raise ProbeError(f"{place}: no such file or folder of probes.")
    if not place.is_dir():
        return [place]
    similar = [path for path in sorted(place.iterdir()) if re.search(r"\.ya?ml", path.name, re.IGNORECASE)]
    paths = [path for path in similar if path.suffix.lower() in (".yaml", ".yml")]
    if not paths:
        named = f"; {similar[0].name} looks like a probe file: name it itself, or rename it" if similar else ""
        raise ProbeError(f"{place}: no *.yaml or *.yml in this folder (deeper ones are not searched){named}.")
    for path in similar:
        if path not in paths:
            notes.add("probes not read in", path, "of a folder, only *.yaml and *.yml are.")
    return paths


def _probe(document: Document, count: int | None = None, size: int | None = None) -> Probe:
    """Return a document's probe, with this many cases of drawn ones, at this size."""
    if not isinstance(document.data, dict):
        document.fault((), "a probe file is a mapping that begins with 'probe: NAME'.")
        document.check()
    file = validated(ProbeFile, document, document.data)
    size = size or (file.size if file else 96)
    checker, listed = Checker(document=document), document.data.get("cases")
    unvaried: list[Iterator[list[Case]]] = []
    drawn: list[tuple[int, Iterator[list[Case]]]] = []
    for index, data in enumerate(listed if isinstance(listed, list) else []):
        loc: Loc = ("cases", index)
        entry = validated(Entry, document, data, loc)
        declared = checker.case(data, loc, size) if isinstance(data, dict) else None
        if entry is None or declared is None:
            continue
        _check_values(document, loc, entry, declared)
        scenes = map(partial(_scene_cases, declared, entry), itertools.count())
        if entry.draw is None:
            unvaried.append(scenes)
        else:
            drawn.append((entry.draw, scenes))
    document.check()
    assert file is not None
    cases = [case for scenes in unvaried for case in next(scenes)] + _interleaved(drawn, count)
    for case_id, times in Counter(case.id for case in cases).items():
        if times > 1:
            line = int(next(case.where for case in reversed(cases) if case.id == case_id).rpartition(":")[2])
            message = f"case id {case_id!r} stands {times} times; ids must differ in a probe."
            document.faults.append((line, message))
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


def _check_values(document: Document, loc: Loc, entry: Entry, declared: Case) -> None:
    """Check the ranges of an entry as a whole, and that its id names what there is."""
    values = declared.values()
    count = (entry.draw or 1) * math.prod(map(ranges.count, values.values()))
    if count > MAX_CASES:
        document.fault(loc, f"this stands for {count:,} cases; at most {MAX_CASES:,} are right.")
    if entry.draw is None:
        if any(map(ranges.is_drawn, values.values())):
            document.fault(loc, "a value is drawn, so the case needs 'draw: COUNT'.")
        return
    template, names = string.Template(entry.id), [*_id_names(declared, values), "number"]
    if not template.is_valid():
        message = f"id: a $ is followed by a name, as in $number, or by another $; found {entry.id!r}."
        document.fault((*loc, "id"), message)
        return
    for name in template.get_identifiers():
        if name not in names:
            document.fault((*loc, "id"), f"id: {unknown('name', name, names)}")


def _scene_cases(declared: Case, entry: Entry, number: int) -> list[Case]:
    """Return the cases of one scene: one, unless something stands under ``each``."""
    cases = []
    for values in ranges.expand(declared.values(), entry.seed, number):
        names = {**_id_names(declared, values), "number": f"{number:03d}"}
        case = replace(
            declared,
            id=declared.id if entry.draw is None else string.Template(declared.id).substitute(names),
            original=declared.original.with_values(values, entry.seed, number),
            distorted=declared.distorted.with_values(values, entry.seed, number),
            references={
                name: recipe.with_values(values, entry.seed, number) for name, recipe in declared.references.items()
            },
        )
        cases.append(case)
    return cases


def _id_names(declared: Case, values: dict[str, Any]) -> dict[str, str]:
    """Return the names that an id may have, with their values; the original's win."""
    names: dict[str, str] = {}
    for place, value in values.items():
        names.setdefault(place.rpartition(".")[2], f"{value:g}" if isinstance(value, float) else str(value))
    for recipe in declared.recipes():
        if recipe.scene is not None:
            names.setdefault("scene", recipe.scene.name)
        if recipe.file is not None:
            names.setdefault("image", recipe.label)
    return names


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
