"""Pass fractions by what cases were drawn with: at which angle, or on what content, a metric gives up."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dps.errors import UsageError, unknown
from dps.report import tables
from dps.report.pass_fractions import PassCounts, tally
from dps.rows import Row, case_name, variant_key

MOST_VALUES = 8
"""Numbers of more different values than this are put into ranges."""

RANGES = 4
"""At most, each of about as many cases."""

AT_LEAST = 5
"""How many cases a column should rest on, or else there are fewer ranges, though no fewer than two."""


def count(rows: Iterable[Row], drawn: Mapping[str, Row], probe: str, name: str) -> PassCounts:
    """Count passed cases of one probe by one of the values that they were drawn with.

    Args:
        rows: case rows of results.json.
        drawn: its record of what each case was drawn with, by ``probe/case``.
        probe: whose cases.
        name: of the value, such as ``degrees`` or ``content``.

    Returns:
        A table whose columns are values, or ranges of numbers with both ends.

    Raises:
        UsageError: there is no such probe, or none of its cases was drawn with that.
    """
    rows = list(rows)
    if probe not in {row["probe"] for row in rows}:
        raise UsageError(unknown("probe", probe, {row["probe"] for row in rows}))
    mine = {key: values for key, values in drawn.items() if key.partition("/")[0] == probe}
    by_case = {key: values[name] for key, values in mine.items() if values.get(name) is not None}
    if not by_case:
        raise UsageError(f"{probe}: {unknown('value to break it down by', name, named(mine.values()))}")
    labels = _labels(list(by_case.values()))
    counts = tally(
        (variant_key(row), labels[by_case[case_name(row)]], row) for row in rows if case_name(row) in by_case
    )
    return PassCounts(tables.in_order(variant for variant, _ in counts), tuple(dict.fromkeys(labels.values())), counts)


def named(drawn: Iterable[Row]) -> list[str]:
    """The values that some, but not all cases share: what a probe can be broken down by."""
    seen: dict[str, Counter[Any]] = {}
    for values in drawn:
        for name, value in values.items():
            seen.setdefault(name, Counter())[value] += 1
    return [name for name, values in seen.items() if len(values) > 1]


def grouped(values: Sequence[float], at_least: int = AT_LEAST) -> list[list[float]]:
    """Numbers in ascending groups: of one value each where there are few, else of ranges with as many cases each.

    Args:
        values: one for each case.
        at_least: how many cases a group should have.

    Returns:
        The different values of each group.
    """
    different = sorted(set(values))
    if len(different) <= 2 or (len(different) <= MOST_VALUES and len(values) >= at_least * len(different)):
        return [[value] for value in different]
    ranges = min(RANGES, max(2, len(values) // at_least))
    edges = np.quantile(np.array(values, dtype=np.float64), np.linspace(0, 1, ranges + 1)[1:-1])
    return [list(group) for _, group in itertools.groupby(different, lambda value: int(np.searchsorted(edges, value)))]


def label(group: Sequence[float]) -> str:
    """What a group of numbers is called: its value, or both ends."""
    if len(group) == 1:
        return f"{group[0]:.4g}" if isinstance(group[0], float) else str(group[0])
    return f"{group[0]:.3g}..{group[-1]:.3g}"


def _labels(values: Sequence[Any]) -> dict[Any, str]:
    """What each value's column is called, in the order of the columns."""
    if not _are_numbers(values):
        return {value: str(value) for value in sorted(set(values), key=str)}
    return {value: label(group) for group in grouped(values) for value in group}


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
