"""Rows of results.json: plain data, and what the rest of the program reads off them.

A row of ``cases`` is the one shape that a result has between the measurement and every report of it. It names its
variant in three columns, ``network``, ``normalization`` and ``metric``; the last two may be null.
"""

import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

Row: TypeAlias = dict[str, Any]
"""One row of results.json."""

Document: TypeAlias = Row
"""All of results.json."""


MIXED = "mixed"
"""The normalization of a variant whose terms each have their own."""


class VariantKey(NamedTuple):
    """The names of a variant, in the one order that ids, tables and messages use."""

    network: str | None
    normalization: str | None
    metric: str

    @property
    def label(self) -> str:
        """Return the names joined by hyphens: ``alexnet-none-sort``, or ``pixel`` without network."""
        return "-".join(part for part in self if part)


_FILE_OR_NAME = re.compile(r".*\.py:\w+|[^@]*")


def backbone_of(network: str) -> str:
    """Return a network's name without its choice of layers: ``vgg16`` of ``vgg16@features.15``."""
    match = _FILE_OR_NAME.match(network)
    return match[0] if match else network


def variant_key(row: Mapping[str, Any]) -> VariantKey:
    """Return the variant that a row belongs to."""
    return VariantKey(row["network"], row["normalization"], row["metric"])


def case_name(row: Mapping[str, Any]) -> str:
    """Return probe and case of a row: ``rotate/rings-045``."""
    return f"{row['probe']}/{row['case']}"


def was_measured(row: Mapping[str, Any]) -> bool:
    """Return whether a row of ``cases`` has both of its distances.

    A case that could not be drawn or measured has an ``error`` and no distances. It counts in no fraction, no test and
    no baseline. A case whose distances exist but break a rule, such as a negative one, was measured, and failed.
    """
    return finite(row.get("distance")) is not None and finite(row.get("nearest_reference_distance")) is not None


def describe(row: Mapping[str, Any]) -> str:
    """Describe the verdict of a row of ``cases`` in one line."""
    if row.get("error"):
        return str(row["error"])
    if not was_measured(row):
        return "a distance is missing"
    margin = finite(row.get("margin"))
    return (
        f"distorted at {row['distance']:.5g}, {'and' if row['passed'] else 'but'} reference "
        f"{row['nearest_reference']!r} at {row['nearest_reference_distance']:.5g} "
        f"({'no margin' if margin is None else f'margin {margin:+.1%}'})"
    )


def finite(number: float | None) -> float | None:
    """Return a number, or None where it is missing or not finite, as strict JSON has it."""
    return number if number is not None and math.isfinite(number) else None


def case_row(probe: str, case: str, variant: VariantKey, verdict: Mapping[str, Any], images_sha256: str | None) -> Row:
    """Return the row of a case and variant, with the fields of a `verdicts.Verdict`; no digest if it was not drawn."""
    row: Row = {"probe": probe, "case": case, **variant._asdict()}
    columns = ("passed", "distance", "nearest_reference", "nearest_reference_distance", "margin")
    row |= {name: verdict[name] for name in columns}
    row["images_sha256"] = images_sha256
    if verdict["error"]:
        row["error"] = verdict["error"]
    if verdict["layers"]:
        row["layers"] = list(verdict["layers"])
        row["nearest_reference_layers"] = list(verdict["nearest_reference_layers"])
        row["passed_by_layer"] = list(verdict["passed_by_layer"])
    return row


def json_lines(data: Row, separators: tuple[str, str] = (", ", ": ")) -> Iterator[str]:
    """Yield strict JSON, a row of each list or dictionary on a line: a number that is not finite becomes null."""
    one_line = functools.partial(_one_line, separators=separators)
    yield "{"
    for number, (key, value) in enumerate(data.items()):
        yield f"{',' if number else ''}\n{one_line(key)}{separators[1]}"
        if isinstance(value, list | Iterator):
            yield from _lines("[]", map(one_line, value))
        elif isinstance(value, dict):
            yield from _lines("{}", (one_line(name) + separators[1] + one_line(row) for name, row in value.items()))
        else:
            yield one_line(value)
    yield "\n}\n"


def _lines(brackets: str, rows: Iterable[str]) -> Iterator[str]:
    yield brackets[0]
    for number, row in enumerate(rows):
        yield f"{',' if number else ''}\n{row}"
    yield f"\n{brackets[1]}"


def _one_line(value: Any, separators: tuple[str, str]) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=separators)
    except ValueError:  # rare, and checking every number first would take a second
        return json.dumps(_strict(value), ensure_ascii=False, separators=separators)


def _strict(value: Any) -> Any:
    """Return data with None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return finite(value) if isinstance(value, float) else value
