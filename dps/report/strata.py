"""Pass fractions by stratum: by what cases were drawn with, by source (drawn or photographed), and by severity."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from dps.errors import UsageError, unknown
from dps.report import pass_fractions, tables
from dps.report.pass_fractions import Count, PassCounts, total
from dps.rows import Document, Row, VariantKey, case_name, variant_key, was_measured

Points: TypeAlias = list[tuple[float, float]]
"""Of each case: its severity, and the distance of the distorted image divided by that of the nearest reference."""

MAX_VALUES = 8
"""Largest number of distinct numbers with a column each; more are grouped into ranges."""

MAX_RANGES = 4
"""Largest number of ranges, each with about the same number of cases."""

MIN_CASES = 5
"""Cases wanted in each column; with fewer, there are fewer ranges, but at least two."""


def count(rows: Iterable[Row], drawn: Mapping[str, Row], probe: str, name: str) -> PassCounts:
    """Count passed cases of a probe by a value that they were drawn with, such as ``content``, or by ranges of numbers.

    Raises:
        UsageError: no case of the probe was drawn with such a value.
    """
    rows = [row for row in rows if row["probe"] == probe]
    parameters = {case_name(row): drawn.get(case_name(row), {}) for row in rows}
    values = {case: value for case, columns in parameters.items() if (value := columns.get(name)) is not None}
    if rows and not values:
        varied = {
            key
            for columns in parameters.values()
            for key in columns
            if len({p.get(key) for p in parameters.values()}) > 1
        }
        raise UsageError(f"{probe}: {unknown('value to break it down by', name, varied)}")
    labels = _labels(list(values.values()))
    return pass_fractions.count(rows, lambda row: labels.get(values.get(case_name(row))), list(labels.values()))


def group_numbers(values: Sequence[float], min_cases: int = MIN_CASES) -> list[list[float]]:
    """Group the distinct numbers, ascending: one number each where there are few, else about equally many cases.

    Groups have about `min_cases` cases or more, except where there are only two groups.
    """
    distinct = sorted(set(values))
    if len(distinct) <= 2 or (len(distinct) <= MAX_VALUES and len(values) >= min_cases * len(distinct)):
        return [[value] for value in distinct]
    ranges = min(MAX_RANGES, max(2, len(values) // min_cases))
    edges = np.quantile(np.array(values, dtype=np.float64), np.linspace(0, 1, ranges + 1)[1:-1])
    return [list(group) for _, group in itertools.groupby(distinct, lambda value: int(np.searchsorted(edges, value)))]


def label(group: Sequence[float]) -> str:
    """Return the label of a group of numbers: its value, or both ends."""
    if len(group) == 1:
        return f"{group[0]:.4g}" if isinstance(group[0], float) else str(group[0])
    return f"{group[0]:.3g}..{group[-1]:.3g}"


def _labels(values: Sequence[Any]) -> dict[Any, str]:
    """Return the column of each value, in the order of the columns."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return {value: label(group) for group in group_numbers(values) for value in group}
    return {value: str(value) for value in sorted(set(values), key=str)}


# -------------------------------------------------------------------------------- drawn or photographed

SOURCES = ("drawn", "photographs")
"""Strata by the content of cases."""


def by_source(document: Document) -> dict[str, PassCounts]:
    """Count passed cases with drawn contents and with photographs, for each probe that has both."""
    columns = {case: SOURCES["photo" in values] for case, values in document["drawn"].items()}
    rows: dict[str, list[Row]] = {}
    for row in document["cases"]:
        rows.setdefault(row["probe"], []).append(row)
    counts = {
        probe: pass_fractions.count(probe_rows, lambda row: columns.get(case_name(row)), SOURCES)
        for probe, probe_rows in rows.items()
    }
    return {probe: split for probe, split in counts.items() if len(split.probes) == len(SOURCES)}


def split_by_source(document: Document, counts: PassCounts) -> PassCounts:
    """Return counts with separate columns for drawn and photographed cases where these differ significantly.

    The test is Fisher's exact test for each variant and probe, with Holm's correction. The last column is the sum of
    all sanity checks, if there are other probes.
    """
    splits = {probe: split for probe, split in by_source(document).items() if probe in counts.probes}
    pairs = {
        (probe, variant): (split.get(variant, "drawn"), split.get(variant, "photographs"))
        for probe, split in splits.items()
        for variant in split.variants
    }
    different = {probe for probe, _ in pass_fractions.differing(pairs)}
    checks = sanity_checks(document, counts)
    columns: list[str] = []
    cells: dict[tuple[VariantKey, str], Count] = {}
    for probe in counts.probes:
        if probe in checks:
            continue
        if probe in different:
            columns += [f"{probe}/{source}" for source in SOURCES]
            cells |= {(v, f"{probe}/{source}"): count for (v, source), count in splits[probe].counts.items()}
        else:
            columns.append(probe)
            cells |= {key: count for key, count in counts.counts.items() if key[1] == probe}
    if checks:
        columns.append(SANITY)
        cells |= {(v, SANITY): total(counts.get(v, probe) for probe in checks) for v in counts.variants}
    return PassCounts(counts.variants, tuple(columns), cells)


SANITY = "sanity"
"""Column of the sanity checks: probes with ``sanity: true``, on which no two metrics differed in a recorded run."""


def sanity_checks(document: Document, counts: PassCounts) -> list[str]:
    """Return the probes that are sanity checks; none where there are no other probes."""
    checks = [probe for probe in counts.probes if probe in document["run"].get("sanity", ())]
    return checks if len(checks) < len(counts.probes) else []


def describe_sanity(document: Document, counts: PassCounts) -> list[str]:
    """List the sanity checks of which a variant does not pass all cases."""
    checks, sentences = sanity_checks(document, counts), []
    for variant in counts.variants:
        by_probe = {probe: counts.get(variant, probe) for probe in checks}
        if parts := [f"{probe} {c}" for probe, c in by_probe.items() if c.passed < c.cases]:
            sentences.append(f"{variant.label} does not pass all sanity checks: {', '.join(parts)}.")
    return sentences


# ------------------------------------------------------------------------------------------- severity


def severity(document: Document, probe: str) -> tuple[Row, dict[str, float]] | None:
    """Return a probe's entry in ``run.severity`` of results.json, and the absolute severity of each case.

    None where the probe declares no severity, or no case was drawn with it.
    """
    declared: Row = document["run"].get("severity", {}).get(probe, {})
    severities = {
        case: abs(values[declared["by"]])
        for case, values in document["drawn"].items()
        if declared and case.startswith(f"{probe}/") and isinstance(values.get(declared["by"]), int | float)
    }
    return (declared, severities) if severities else None


def curves(document: Document, probe: str) -> dict[VariantKey, Points]:
    """Return the severity and the relative distance of each case, by variant, in the order of tables.

    The distance of the distorted image is divided by that of the nearest reference; below 1 the case passes. Cases
    that could not be measured are left out.
    """
    _, severities = severity(document, probe) or ({}, {})
    points: dict[VariantKey, Points] = {}
    for row in document["cases"]:
        if case_name(row) in severities and was_measured(row) and row["nearest_reference_distance"]:
            ratio = row["distance"] / row["nearest_reference_distance"]
            points.setdefault(variant_key(row), []).append((severities[case_name(row)], ratio))
    return {variant: sorted(points[variant]) for variant in tables.sort_variants(points)}


def by_severity(document: Document, probe: str) -> PassCounts | None:
    """Count passed cases by severity, a column for each value or range; None without severities."""
    if (declared := severity(document, probe)) is None:
        return None
    severities = {case: {"severity": value} for case, value in declared[1].items()}
    return count(document["cases"], severities, probe, "severity")


def as_sentences(document: Document, probe: str) -> list[str]:
    """List the severities at which each metric fails, unless it fails at all of them or at none."""
    counts, declared = by_severity(document, probe), severity(document, probe)
    if counts is None or declared is None:
        return []
    networks: dict[tuple[str, str], list[str]] = {}
    for variant in counts.variants:
        measured = [stratum for stratum in counts.probes if counts.get(variant, stratum).cases]
        failed = [stratum for stratum in measured if counts.get(variant, stratum).fails]
        if 0 < len(failed) < len(measured):
            key = pass_fractions.metric_name(variant), " and ".join(failed)
            networks.setdefault(key, []).extend([variant.network] if variant.network else [])
    return [
        f"{name}{' on ' if names else ''}{' and '.join(names)} passes fewer than half of {probe} at "
        f"{strata} {declared[0]['unit']}."
        for (name, strata), names in networks.items()
    ]
