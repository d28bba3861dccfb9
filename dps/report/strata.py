"""Pass fractions by what cases were drawn with: at which angle, or on what content, a metric fails."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dps.errors import UsageError, unknown
from dps.report import pass_fractions
from dps.report.pass_fractions import PassCounts
from dps.rows import Row, case_name

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
        UsageError: none of its cases was drawn with that.
    """
    rows = [row for row in rows if row["probe"] == probe]
    values = {case_name(row): drawn.get(case_name(row), {}) for row in rows}
    by_case = {case: columns[name] for case, columns in values.items() if columns.get(name) is not None}
    if rows and not by_case:
        different = {
            key for columns in values.values() for key in columns if len({v.get(key) for v in values.values()}) > 1
        }
        raise UsageError(f"{probe}: {unknown('value to break it down by', name, different)}")
    labels = _labels(list(by_case.values()))
    return pass_fractions.count(rows, lambda row: labels.get(by_case.get(case_name(row))), list(labels.values()))


def grouped(values: Sequence[float], at_least: int = AT_LEAST) -> list[list[float]]:
    """Return numbers in ascending groups: of one value where there are few, else of ranges of about as many cases.

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
    """Return the name of a group of numbers: its value, or both ends."""
    if len(group) == 1:
        return f"{group[0]:.4g}" if isinstance(group[0], float) else str(group[0])
    return f"{group[0]:.3g}..{group[-1]:.3g}"


def _labels(values: Sequence[Any]) -> dict[Any, str]:
    """Return the column of each value, in the order of the columns."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return {value: label(group) for group in grouped(values) for value in group}
    return {value: str(value) for value in sorted(set(values), key=str)}
