"""Pass fractions by what cases were drawn with, such as content; by drawn or photographed; and by severity."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from dps import significance
from dps.errors import UsageError, unknown
from dps.report import pass_fractions, tables
from dps.report.pass_fractions import Count, PassCounts, total
from dps.rows import Document, Row, VariantKey, case_name, variant_key, was_measured

Points: TypeAlias = list[tuple[float, float]]
"""Of each case: its severity, and the distorted image's distance divided by the nearest reference's."""

MOST_VALUES = 8
"""Numbers of more different values than this are put into ranges."""

RANGES = 4
"""At most, each of about as many cases."""

AT_LEAST = 5
"""How many cases a column should rest on, or else there are fewer ranges, though no fewer than two."""


def count(rows: Iterable[Row], drawn: Mapping[str, Row], probe: str, name: str) -> PassCounts:
    """Count passed cases of a probe by a value that they were drawn with, such as ``content``, or by ranges of numbers.

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
    """Return the different numbers in ascending groups: of one each where there are few, else of about as many cases.

    With `at_least` cases in a group, where that leaves two groups.
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


# -------------------------------------------------------------------------------- drawn or photographed

SOURCES = ("drawn", "photographs")
"""The strata of a probe by what its cases show."""


def by_source(document: Document, probe: str) -> PassCounts | None:
    """Count passed cases of drawn contents and of photographs; None where the probe does not have both."""
    columns = {name: SOURCES["photo" in values] for name, values in document["drawn"].items()}
    rows = [row for row in document["cases"] if row["probe"] == probe]
    counts = pass_fractions.count(rows, lambda row: columns.get(case_name(row)), SOURCES)
    return counts if len(counts.probes) == len(SOURCES) else None


def split_by_source(document: Document, counts: PassCounts) -> PassCounts:
    """Return the counts with two columns for each probe on which a variant's drawn and photographed cases differ.

    They differ by more than chance: Fisher's exact test for each variant and probe, Holm's correction over them. Where
    there are others, too, the probes that are sanity checks share the last column.
    """
    by_probe = {probe: split for probe in counts.probes if (split := by_source(document, probe)) is not None}
    tested = [(probe, variant) for probe, split in by_probe.items() for variant in split.variants]
    tables_ = [[by_probe[probe].get(variant, source) for source in SOURCES] for probe, variant in tested]
    p_values = significance.holm(
        [significance.fisher(*((c.passed, c.cases - c.passed) for c in two)) for two in tables_]
    )
    different = {probe for (probe, _), p in zip(tested, p_values, strict=True) if p <= significance.LEVEL}
    columns: dict[str, dict[VariantKey, Count]] = {}
    checks = sanity_checks(document, counts)
    for probe in counts.probes:
        if probe in checks:
            continue
        if probe in different:
            split = by_probe[probe]
            for source in SOURCES:
                columns[f"{probe}/{source}"] = {variant: split.get(variant, source) for variant in split.variants}
        else:
            columns[probe] = {v: counts.counts[v, probe] for v in counts.variants if (v, probe) in counts.counts}
    if checks:
        columns[SANITY] = {v: total(counts.get(v, probe) for probe in checks) for v in counts.variants}
    cells = {(variant, name): count for name, column in columns.items() for variant, count in column.items()}
    return PassCounts(counts.variants, tuple(columns), cells)


SANITY = "sanity"
"""The column of the probes on which no two metrics differed on a recorded run: ``sanity: true`` in their files."""


def sanity_checks(document: Document, counts: PassCounts) -> list[str]:
    """Return the probes that are sanity checks; none where nothing else was measured."""
    checks = [probe for probe in counts.probes if probe in document["run"].get("sanity", ())]
    return checks if len(checks) < len(counts.probes) else []


def describe_sanity(document: Document, counts: PassCounts) -> list[str]:
    """Say which sanity checks a variant does not pass in full."""
    checks, sentences = sanity_checks(document, counts), []
    for variant in counts.variants:
        failed = {probe: counts.get(variant, probe) for probe in checks}
        parts = [f"{probe} {c.passed}/{c.cases}" for probe, c in failed.items() if c.passed < c.cases]
        sentences += [f"{variant.label} does not pass all sanity checks: {', '.join(parts)}."] if parts else []
    return sentences


# ------------------------------------------------------------------------------------------- severity


def severity(document: Document, probe: str) -> tuple[Row, dict[str, float]] | None:
    """Return what ``run`` of results.json says of a probe's severity, and that of each case, without its sign.

    None where the probe declares none, or no case was drawn with it.
    """
    declared: Row = document["run"].get("severity", {}).get(probe, {})
    severities = {
        case: abs(values[declared["by"]])
        for case, values in document["drawn"].items()
        if declared and case.startswith(f"{probe}/") and isinstance(values.get(declared["by"]), int | float)
    }
    return (declared, severities) if severities else None


def curves(document: Document, probe: str) -> dict[VariantKey, Points]:
    """Return the severity of each case with its relative distance, by variant, in the order of the tables.

    The distance of the distorted image is divided by that of the nearest reference; below 1 is a pass. Cases that could
    not be measured are left out.
    """
    _, severities = severity(document, probe) or ({}, {})
    points: dict[VariantKey, Points] = {}
    for row in document["cases"]:
        if case_name(row) in severities and was_measured(row) and row["nearest_reference_distance"]:
            ratio = row["distance"] / row["nearest_reference_distance"]
            points.setdefault(variant_key(row), []).append((severities[case_name(row)], ratio))
    return {variant: sorted(points[variant]) for variant in tables.sort_variants(points)}


def by_severity(document: Document, probe: str) -> PassCounts | None:
    """Count passed cases by severity: a column for each value, or range of values; None where there is none."""
    if (declared := severity(document, probe)) is None:
        return None
    severities = {case: {"severity": value} for case, value in declared[1].items()}
    return count(document["cases"], severities, probe, "severity")


def as_sentences(document: Document, probe: str) -> list[str]:
    """Say at which severity each metric fails, where it does not fail at all of them."""
    counts, declared = by_severity(document, probe), severity(document, probe)
    if counts is None or declared is None:
        return []
    networks: dict[tuple[str, str], list[str | None]] = {}
    for variant in counts.variants:
        measured = [stratum for stratum in counts.probes if counts.get(variant, stratum).cases]
        failed = [stratum for stratum in measured if counts.get(variant, stratum).fails]
        if 0 < len(failed) < len(measured):
            name = pass_fractions.metric_name(variant)
            networks.setdefault((name, " and ".join(failed)), []).append(variant.network)
    return [
        f"{name}{' on ' if names[0] else ''}{' and '.join(filter(None, names))} passes fewer than half of {probe} at "
        f"{places} {declared[0]['unit']}."
        for (name, places), names in networks.items()
    ]
