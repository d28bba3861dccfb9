"""From text on the command line to names: ``spatial+0.5*my_variant.py:quantiles,pixel``, ``alexnet@2+5,my.py:net``."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dps.errors import UsageError

SEPARATORS = {"metric": ",+", "network": ",@"}
"""What ends a name, by the kind of object: ``,`` separates values, ``+`` terms; layers follow a network's ``@``."""

_FILE = r"(?:\.py:(?P<attribute>[^\W\d]\w*)|\.ya?ml)(?=\s*(?:[{}]|$))"
_WEIGHT = re.compile(r"(?P<weight>[^*,+]*)\*\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedName:
    """One name: of a value, or of a term of a sum.

    Attributes:
        text: as it was typed.
        path: of an existing file; None where the name is another one.
        attribute: what is named of the file; empty for a whole one.
        weight: in front of ``*``; None without.
    """

    text: str
    path: Path | None = None
    attribute: str = ""
    weight: str | None = None

    def short(self, files: dict[Path, str]) -> str:
        """Return the name in ids and tables; `files` is of `shortened`."""
        return self.text if self.path is None else f"{files[self.path]}:{self.attribute}".removesuffix(":")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedValue:
    """One value of a list.

    Attributes:
        text: as it was typed.
        names: the terms of a sum, or a single name.
        layers: behind a network's ``@``; None without.
    """

    text: str
    names: tuple[TypedName, ...]
    layers: str | None = None

    def __str__(self) -> str:
        names = (f"{'' if name.weight is None else f'{name.weight} * '}{name.text!r}" for name in self.names)
        return " + ".join(names) + ("" if self.layers is None else f" @ {self.layers}")


def read(text: str, kind: str, is_name: Callable[[str], bool]) -> list[TypedValue]:
    """Read a list of values of a kind of `SEPARATORS`.

    At the start of each name (after a metric's ``W*``) the longest stretch that is an existing file, with
    ``:IDENTIFIER`` or a metric's ``PATH.yaml``, is one name, whatever characters its path has. Any other name ends at
    the next of `SEPARATORS`; `is_name` tells which of these are complete.

    Raises:
        UsageError: a name is missing, or there are two complete readings.
    """
    complete = list(_readings(text, 0, kind, is_name))
    if len(complete) > 1:
        ways = ", or as ".join(" and ".join(map(str, values)) for values in complete)
        raise UsageError(f"{text!r} can be read as {ways}. Rename a file, or name it by another path.")
    values = complete[0] if complete else next(_readings(text, 0, kind, None))
    values = [replace(value, text=value.text.strip()) for value in values]
    if any(value.text == "" for value in values):
        raise UsageError(f"an empty name in {text!r}; separate names by single commas.")
    for value in values:
        if len(value.names) > 1 and any(not name.text and name.weight is None for name in value.names):
            raise UsageError(f"{kind} {value.text!r}: a term is missing next to '+'; write a sum as spatial+sort.")
    return values


def shortened(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the shortest names of files that tell them apart: base names, with as much of the folder as needed."""
    names = {}
    for path in (unique := set(paths)):
        others = [other for other in unique if other != path]
        count = 1
        while any(other.parts[-count:] == path.parts[-count:] for other in others):
            count += 1
        names[path] = "/".join(path.parts[-count:])
    return names


def _readings(text: str, start: int, kind: str, is_name: Callable[[str], bool] | None) -> Iterator[list[TypedValue]]:
    """Yield complete readings from a place on; or, without `is_name`, one, with the longest file at each name."""
    candidates = list(_candidates(text, start, SEPARATORS[kind]))
    if is_name is None:
        candidates = candidates[:1]
    for name, end in candidates:
        if is_name is not None and name.path is None and not is_name(name.text):
            continue
        layers = None
        if text[end:].startswith("@"):
            behind = end + 1
            end = (text + ",").index(",", behind)
            layers = text[behind:end].strip()
        value = TypedValue(text=text[start:end], names=(name,), layers=layers)
        if end == len(text):
            yield [value]
        elif text[end] == ",":
            yield from ([value, *rest] for rest in _readings(text, end + 1, kind, is_name))
        else:
            for first, *rest in _readings(text, end + 1, kind, is_name):
                summed = replace(first, text=f"{value.text}+{first.text}", names=(name, *first.names))
                yield [summed, *rest]


def _candidates(text: str, start: int, separators: str) -> Iterator[tuple[TypedName, int]]:
    """Yield possible names from a place on, and where they end: the longest file first, a plain name last."""
    begin = start + len(text[start:]) - len(text[start:].lstrip())
    weight = _WEIGHT.match(text, begin) if "+" in separators else None
    beginnings: list[tuple[str | None, int]] = [(None, begin)]
    if weight:
        beginnings.append((weight["weight"].strip(), weight.end()))
    files = []
    for factor, first in beginnings:
        for match in re.compile(_FILE.format(separators)).finditer(text, first):
            typed = Path(text[first : match.end()].removesuffix(f":{match['attribute']}"))
            if typed.is_file() and (match["attribute"] or "+" in separators):
                absolute = Path(os.path.abspath(typed))  # noqa: PTH100 - a link keeps its own name
                path = absolute.parent.resolve() / absolute.name
                name = TypedName(
                    text=text[first : match.end()], path=path, attribute=match["attribute"] or "", weight=factor
                )
                files.append((name, _end(text, match.end(), separators)))
    yield from sorted(files, key=lambda candidate: -candidate[1])
    factor, first = beginnings[-1]
    end = _end(text, first, separators)
    plain = text[first:end].strip()
    if not any(name.text == plain for name, _ in files):
        yield TypedName(text=plain, weight=factor), end


def _end(text: str, start: int, separators: str) -> int:
    return next((place for place in range(start, len(text)) if text[place] in separators), len(text))
