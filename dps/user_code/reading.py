"""Parsing of names on the command line: ``spatial+0.5*my_variant.py:quantiles,pixel``, ``alexnet@2+5,my.py:net``."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dps.errors import UsageError

SEPARATORS = {"metric": ",+", "network": ",@"}
"""Characters that end a name, by kind: ``,`` separates values, ``+`` terms; layers follow ``@``."""

_FILE = r"(?:\.py:(?P<attribute>[^\W\d]\w*)|\.ya?ml)(?=\s*(?:[{}]|$))"
_WEIGHT = re.compile(r"(?P<weight>[^*,+]*)\*\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedName:
    """The name of a value, or of a term of a sum.

    Attributes:
        text: as typed.
        path: of an existing file; None for other names.
        attribute: the name in the file; empty for the whole file.
        weight: the text before ``*``; None without it.
    """

    text: str
    path: Path | None = None
    attribute: str = ""
    weight: str | None = None

    def short(self, files: dict[Path, str]) -> str:
        """Return the name in ids and tables; `files` is the result of `shorten`."""
        return self.text if self.path is None else f"{files[self.path]}:{self.attribute}".removesuffix(":")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedValue:
    """One value of a list.

    Attributes:
        text: as typed.
        names: the terms of a sum, or a single name.
        layers: the text after ``@``; None without it.
    """

    text: str
    names: tuple[TypedName, ...]
    layers: str | None = None

    def short(self, files: dict[Path, str]) -> str:
        """Return the name of a metric in ids and tables; `files` is the result of `shorten`."""
        names = ((name.weight, name.short(files)) for name in self.names)
        return "+".join(name if weight is None else f"{weight}*{name}" for weight, name in names)

    def __str__(self) -> str:
        names = (f"{'' if name.weight is None else f'{name.weight} * '}{name.text!r}" for name in self.names)
        return " + ".join(names) + ("" if self.layers is None else f" @ {self.layers}")


def read(text: str, kind: str, is_name: Callable[[str], bool]) -> list[TypedValue]:
    """Parse a list of values of a kind in `SEPARATORS`.

    At the start of each name (after a metric's ``W*``) the longest text that is an existing file, with ``:IDENTIFIER``
    or for metrics ``PATH.yaml``, is one name, whatever characters its path contains. Any other name ends at the next
    separator; `is_name` returns whether such a name is complete.

    Raises:
        UsageError: a name is missing, or there are two complete readings.
    """
    complete = list(_readings(text, 0, kind, is_name))
    if len(complete) > 1:
        ways = ", or as ".join(" and ".join(map(str, values)) for values in complete)
        raise UsageError(f"{text!r} can be read as {ways}. Rename a file, or name it by another path.")
    values = complete[0] if complete else next(_readings(text, 0, kind, lambda _name: True))
    values = [replace(value, text=value.text.strip()) for value in values]
    if any(value.text == "" for value in values):
        raise UsageError(f"an empty name in {text!r}; separate names by single commas.")
    for value in values:
        if len(value.names) > 1 and any(not name.text and name.weight is None for name in value.names):
            raise UsageError(f"{kind} {value.text!r}: a term is missing next to '+'; write a sum as spatial+sort.")
    return values


def shorten(paths: Iterable[Path]) -> dict[Path, str]:
    """Return a unique short name for each file: the base name, with as many parent folders as needed."""
    names = {}
    for path in (unique := set(paths)):
        count = 1
        while any(other.parts[-count:] == path.parts[-count:] for other in unique - {path}):
            count += 1
        names[path] = "/".join(path.parts[-count:])
    return names


def _readings(text: str, start: int, kind: str, is_name: Callable[[str], bool]) -> Iterator[list[TypedValue]]:
    """Yield the complete readings of the text from an index on, those with the longest files first."""
    for name, end in _candidates(text, start, SEPARATORS[kind]):
        if name.path is None and not is_name(name.text):
            continue
        layers = None
        if text[end:].startswith("@"):
            layers_start = end + 1
            end = (text + ",").index(",", layers_start)
            layers = text[layers_start:end].strip()
        value = TypedValue(text=text[start:end], names=(name,), layers=layers)
        if end == len(text):
            yield [value]
        elif text[end] == ",":
            yield from ([value, *rest] for rest in _readings(text, end + 1, kind, is_name))
        else:
            for first, *rest in _readings(text, end + 1, kind, is_name):
                summed = replace(first, text=f"{value.text}+{first.text}", names=(name, *first.names))
                yield [summed, *rest]


def _candidates(text: str, index: int, separators: str) -> Iterator[tuple[TypedName, int]]:
    """Yield possible names from an index on, with the index after each: the longest file first, a plain name last."""
    begin = index + len(text[index:]) - len(text[index:].lstrip())
    weight = _WEIGHT.match(text, begin) if "+" in separators else None
    starts: list[tuple[str | None, int]] = [(None, begin)]
    if weight:
        starts.append((weight["weight"].strip(), weight.end()))
    files = []
    for factor, start in starts:
        for match in re.compile(_FILE.format(separators)).finditer(text, start):
            typed, attribute = text[start : match.end()], match["attribute"] or ""
            file = Path(typed.removesuffix(f":{attribute}"))
            if file.is_file() and (attribute or "+" in separators):
                path = file.parent.resolve() / file.name  # a link keeps its own name
                name = TypedName(text=typed, path=path, attribute=attribute, weight=factor)
                files.append((name, _end(text, match.end(), separators)))
    yield from sorted(files, key=lambda candidate: -candidate[1])
    factor, start = starts[-1]
    end = _end(text, start, separators)
    plain = text[start:end].strip()
    if not any(name.text == plain for name, _ in files):
        yield TypedName(text=plain, weight=factor), end


def _end(text: str, start: int, separators: str) -> int:
    return next((index for index in range(start, len(text)) if text[index] in separators), len(text))
