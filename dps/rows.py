"""Rows of results.json: plain data, shared by measurement and reports.

A row names its variant in three columns, ``network``, ``normalization`` and ``metric``; the first two may be null.
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
"""The normalization of a variant whose terms have different ones."""


class VariantKey(NamedTuple):
    """The names of a variant, in the one order that ids, tables and messages use."""

    network: str | None
    normalization: str | None
    metric: str

    @property
    def label(self) -> str:
        """Return the names joined by hyphens: ``alexnet-none-sort``, or ``pixel`` without network."""
        return "-".join(part for part in self if part)


def backbone_of(network: str) -> str:
    """Return a network's name without its layers: ``vgg16`` of ``vgg16@features.15``."""
    return re.sub(r"@(?!.*\.py:\w).*", "", network)  # a file's path may contain an @


def variant_key(row: Mapping[str, Any]) -> VariantKey:
    """Return the variant of a row."""
    return VariantKey(row["network"], row["normalization"], row["metric"])


def case_name(row: Mapping[str, Any]) -> str:
    """Return the full name of a row's case: ``rotate/rings-045``."""
    return f"{row['probe']}/{row['case']}"


def was_measured(row: Mapping[str, Any]) -> bool:
    """Return whether a row of ``cases`` has both distances.

    A case that could not be drawn or measured has an ``error`` and no distances. It is excluded from fractions,
    significance tests and baselines. A case with an invalid distance, such as a negative one, was measured and failed.
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
    """Return a number, or None where it is missing or not finite, as in strict JSON."""
    return number if number is not None and math.isfinite(number) else None


def case_row(probe: str, case: str, variant: VariantKey, verdict: Mapping[str, Any], images_sha256: str | None) -> Row:
    """Return the row of a case and variant, from the fields of a `verdicts.Verdict`; without digest if not drawn."""
    columns = ("passed", "distance", "nearest_reference", "nearest_reference_distance", "margin")
    row: Row = {"probe": probe, "case": case, **variant._asdict(), **{name: verdict[name] for name in columns}}
    row["images_sha256"] = images_sha256
    if verdict["error"]:
        row["error"] = verdict["error"]
    if verdict["layers"]:
        row |= {name: list(verdict[name]) for name in ("layers", "nearest_reference_layers", "passed_by_layer")}
    return row


def json_lines(data: Row, separators: tuple[str, str] = (", ", ": ")) -> Iterator[str]:
    """Yield strict JSON, each row of a list or dictionary on its own line; numbers that are not finite become null."""
    encode = functools.partial(_encode, separators=separators)
    yield "{"
    for number, (key, value) in enumerate(data.items()):
        yield f"{',' if number else ''}\n{encode(key)}{separators[1]}"
        if isinstance(value, list | Iterator):
            yield from _bracketed("[]", map(encode, value))
        elif isinstance(value, dict):
            yield from _bracketed("{}", (encode(name) + separators[1] + encode(row) for name, row in value.items()))
        else:
            yield encode(value)
    yield "\n}\n"


def _bracketed(brackets: str, lines: Iterable[str]) -> Iterator[str]:
    yield brackets[0]
    for number, line in enumerate(lines):
        yield f"{',' if number else ''}\n{line}"
    yield f"\n{brackets[1]}"


def _encode(value: Any, separators: tuple[str, str]) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=separators)
    except ValueError:  # rare, so the numbers are not checked beforehand, which takes a second
        return json.dumps(_strict(value), ensure_ascii=False, separators=separators)


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return finite(value) if isinstance(value, float) else value
