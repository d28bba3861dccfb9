"""Psychometric curves: how distances and pass fractions depend on how far images are distorted."""

from collections.abc import Sequence
from typing import TypeAlias

from dps.report import strata, tables
from dps.report.pass_fractions import PassCounts
from dps.rows import Row, VariantKey, case_name, variant_key, was_measured

Points: TypeAlias = list[tuple[float, float]]
"""Of each case: its severity, and the distorted image's distance divided by the nearest reference's."""


def declaration(document: Row, probe: str) -> Row | None:
    """Return what a probe declares as its severity, if it does and cases were drawn with it.

    Args:
        document: results.json.
        probe: its name.

    Returns:
        ``by``, the value that cases were drawn with, its ``unit``, and the ``detection_threshold`` of people, which
        may be None, with its ``source``.
    """
    declared: Row | None = document["run"].get("severity", {}).get(probe)
    return declared if declared and _severities(document, probe, declared["by"]) else None


def curves(document: Row, probe: str) -> dict[VariantKey, Points]:
    """Return the severity of each case with its relative distance, by variant, in the order of the tables.

    The distance of the distorted image is divided by that of the nearest reference; below 1 is a pass. The sign of a
    severity does not count. Cases that could not be measured are left out.
    """
    declared = declaration(document, probe)
    if declared is None:
        return {}
    severities = _severities(document, probe, declared["by"])
    points: dict[VariantKey, Points] = {}
    for row in document["cases"]:
        if case_name(row) in severities and was_measured(row) and row["nearest_reference_distance"]:
            ratio = row["distance"] / row["nearest_reference_distance"]
            points.setdefault(variant_key(row), []).append((severities[case_name(row)], ratio))
    return {variant: sorted(points[variant]) for variant in tables.in_order(points)}


def pass_counts(document: Row, probe: str) -> PassCounts | None:
    """Count passed cases by severity: a column for each value, or range of values."""
    declared = declaration(document, probe)
    if declared is None:
        return None
    by = declared["by"]
    severities = {case: {by: value} for case, value in _severities(document, probe, by).items()}
    return strata.count(document["cases"], severities, probe, by)


def in_words(document: Row, probe: str) -> list[str]:
    """Say at which severity each metric fails, where it does not fail at all of them."""
    counts, declared = pass_counts(document, probe), declaration(document, probe)
    if counts is None or declared is None:
        return []
    networks: dict[tuple[str, str | None, str], list[str | None]] = {}
    for variant in counts.variants:
        measured = [stratum for stratum in counts.probes if counts.of(variant, stratum).cases]
        failed = [stratum for stratum in measured if counts.of(variant, stratum).fails]
        if 0 < len(failed) < len(measured):
            alike = variant.metric, variant.normalization, " and ".join(failed)
            networks.setdefault(alike, []).append(variant.network)
    return [
        f"{metric if normalization is None else f'{metric} ({normalization}) on {_and(names)}'} passes fewer than "
        f"half of {probe} at {places} {declared['unit']}."
        for (metric, normalization, places), names in networks.items()
    ]


def _and(names: Sequence[str | None]) -> str:
    return " and ".join(str(name) for name in names)


def _severities(document: Row, probe: str, by: str) -> dict[str, float]:
    """Return how far each case of a probe is distorted, by ``probe/case``."""
    return {
        case: abs(values[by])
        for case, values in document["drawn"].items()
        if case.startswith(f"{probe}/") and isinstance(values.get(by), int | float)
    }
