"""From text on the command line to the names of metrics: ``spatial+0.5*my_variant.py:quantiles,pixel``."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dps.errors import UsageError

_ATTRIBUTE_OF_FILE = re.compile(r"\.py:(?P<attribute>[^\W\d]\w*)(?=\s*(?:[,+]|$))")
_WEIGHT = re.compile(r"(?P<weight>[^*,+]*)\*\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TermText:
    """One term of a sum.

    Attributes:
        weight: in front of ``*``; None without.
        name: as it was typed.
        path: of an existing file; None where the name is another one.
        attribute: what is named of the file.
    """

    weight: str | None
    name: str
    path: Path | None = None
    attribute: str = ""

    def short_name(self, files: dict[Path, str]) -> str:
        """Return its name in ids and tables."""
        return self.name if self.path is None else f"{files[self.path]}:{self.attribute}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricText:
    """One metric: a sum of terms, or a single one; `text` is what was typed."""

    text: str
    terms: tuple[TermText, ...]


def read(text: str, is_name: Callable[[str], bool]) -> list[MetricText]:
    """Read a list of metrics.

    At the start of each term (after ``W*``) the longest stretch that is an existing file with ``:IDENTIFIER`` is one
    name, whatever characters its path has. Any other name ends at the next comma or plus sign.

    Args:
        text: metrics with commas between.
        is_name: whether something that is no file is the name of a metric or comparison.

    Raises:
        UsageError: a name is missing, or there are two complete readings.
    """
    complete = list(_readings(text, 0, is_name))
    if len(complete) > 1:
        ways = ", or as ".join(_describe(reading) for reading in complete)
        raise UsageError(f"{text!r} can be read as {ways}. Rename a file, or name it by another path.")
    reading = complete[0] if complete else next(_readings(text, 0, None))
    if any(metric.text == "" for metric in reading):
        raise UsageError(f"an empty name in {text!r}; separate names by single commas.")
    for metric in reading:
        if any(not term.name and term.weight is None for term in metric.terms):
            raise UsageError(f"metric {metric.text!r}: a term is missing next to '+'; write a sum as spatial+sort.")
    return reading


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


def _readings(text: str, start: int, is_name: Callable[[str], bool] | None) -> Iterator[list[MetricText]]:
    """Yield complete readings; or, without `is_name`, a single one, with the longest file at each term."""
    yield from (_grouped(text, start, terms) for terms in _term_lists(text, start, is_name))


def _term_lists(text: str, start: int, is_name: Callable[[str], bool] | None) -> Iterator[list[tuple[TermText, int]]]:
    """Yield lists of terms, each with the place behind it."""
    candidates = list(_candidates(text, start))
    if is_name is None:
        candidates = candidates[:1]
    for term, end in candidates:
        if is_name is not None and term.path is None and not is_name(term.name):
            continue
        if end == len(text):
            yield [(term, end)]
        else:
            yield from ([(term, end), *rest] for rest in _term_lists(text, end + 1, is_name))


def _candidates(text: str, start: int) -> Iterator[tuple[TermText, int]]:
    """Yield what may stand at the start of a term, and where it ends: the longest file first, a plain name last."""
    begin = start + len(text[start:]) - len(text[start:].lstrip())
    weighted = _WEIGHT.match(text, begin)
    files = []
    for weight, first in [(None, begin)] + ([(weighted["weight"].strip(), weighted.end())] if weighted else []):
        for match in _ATTRIBUTE_OF_FILE.finditer(text, first):
            typed = Path(text[first : match.start()] + ".py")
            if typed.is_file():
                absolute = Path(os.path.abspath(typed))  # noqa: PTH100 - a link keeps its own name
                path = absolute.parent.resolve() / absolute.name
                name = text[first : match.end()]
                term = TermText(weight=weight, name=name, path=path, attribute=match["attribute"])
                files.append((term, _next_separator(text, match.end())))
    yield from sorted(files, key=lambda candidate: -candidate[1])
    end = _next_separator(text, begin)
    stretch = text[begin:end].strip()
    weight = _WEIGHT.match(stretch)
    name = stretch[weight.end() :] if weight else stretch
    if not any(term.name == name for term, _ in files):
        yield TermText(weight=weight["weight"].strip() if weight else None, name=name), end


def _next_separator(text: str, start: int) -> int:
    match = re.compile(r"[,+]").search(text, start)
    return match.start() if match else len(text)


def _grouped(text: str, start: int, terms: Sequence[tuple[TermText, int]]) -> list[MetricText]:
    """Put the terms of each sum together."""
    metrics, sum_so_far = [], []
    for term, end in terms:
        sum_so_far.append(term)
        if end == len(text) or text[end] == ",":
            metrics.append(MetricText(text=text[start:end].strip(), terms=tuple(sum_so_far)))
            sum_so_far, start = [], end + 1
    return metrics


def _describe(reading: Sequence[MetricText]) -> str:
    return " and ".join(
        " + ".join(("" if term.weight is None else f"{term.weight} * ") + repr(term.name) for term in metric.terms)
        for metric in reading
    )
