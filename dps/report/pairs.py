"""Probes that answer each other, such as translate and rearrange: a metric that passes one alone is blind to both."""

from collections.abc import Iterator

from dps.report import tables
from dps.report.pass_fractions import PassCounts, metric_name
from dps.report.tables import Cell, Table
from dps.rows import Document, Row, VariantKey, variant_key

BALANCED_FROM = 0.9
"""A metric is balanced on a pair where it passes at least this fraction of both."""


def rows(document: Document, counts: PassCounts) -> list[Row]:
    """Return ``pairs`` of results.json: both pass fractions of each pair that was measured, and whether it is balanced.

    ``balanced`` is null where a case of either could not be measured.
    """
    return [
        {
            "probe": probe,
            "counterpart": counterpart,
            **variant._asdict(),
            "passed": one.fraction,
            "counterpart_passed": other.fraction,
            "balanced": None
            if one.unmeasured or other.unmeasured
            else min(one.fraction, other.fraction) >= BALANCED_FROM,
        }
        for probe, counterpart in _pairs(document, counts)
        for variant in counts.variants
        if (one := counts.get(variant, probe)).cases and (other := counts.get(variant, counterpart)).cases
    ]


def _pairs(document: Document, counts: PassCounts) -> Iterator[tuple[str, str]]:
    """Yield each probe with each of its counterparts, where both were measured."""
    for probe, counterparts in document["run"].get("counterparts", {}).items():
        yield from ((probe, other) for other in counterparts if {probe, other} <= set(counts.probes))


def as_tables(measured: list[Row]) -> list[Table]:
    """Return the table of pairs; none where there is no pair."""
    cells: dict[tuple[VariantKey, str], Cell] = {}
    for row in measured:
        low = min(row["passed"], row["counterpart_passed"])
        shade = "unmeasured" if row["balanced"] is None else "all" if row["balanced"] else "fails" if low < 0.5 else ""
        text = f"{100 * row['counterpart_passed']:.0f} + {100 * row['passed']:.0f}"
        cells[variant_key(row), f"{row['counterpart']} + {row['probe']}"] = Cell(text, value=low, shade=shade)
    if not cells:
        return []
    note = (
        "Percent of cases passed of two probes that answer each other; what one rewards, the other punishes. A metric "
        f"is balanced where both are {BALANCED_FROM:.0%} or more."
    )
    heads = list(dict.fromkeys(head for _, head in cells))
    variants = tables.sort_variants(variant for variant, _ in cells)
    return [tables.build("Pairs", variants, heads, lambda *key: cells.get(key, Cell()), note=note)]


def as_sentences(measured: list[Row]) -> list[str]:
    """Say which metrics are balanced on each pair."""
    by_pair: dict[str, list[Row]] = {}
    for row in measured:
        by_pair.setdefault(f"{row['counterpart']} and {row['probe']}", []).append(row)
    sentences = []
    for pair, of_pair in by_pair.items():
        balanced = [variant_key(row) for row in of_pair if row["balanced"]]
        names = ", ".join(dict.fromkeys(map(metric_name, balanced)))
        shown = f": {names} on some network" if 0 < len(balanced) < len(of_pair) else ""
        sentences.append(f"Balanced on {pair}: {len(balanced)} of {len(of_pair)} variants{shown}.")
    return sentences
