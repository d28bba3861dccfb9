"""Pairs of counterparts, such as translate and rearrange: passing only one indicates that a metric ignores both."""

from dps.report import tables
from dps.report.pass_fractions import PassCounts, metric_name
from dps.report.tables import Cell, Table
from dps.rows import Document, Row, VariantKey, variant_key

BALANCED_FROM = 0.9
"""A metric is balanced on a pair if it passes at least this fraction of both."""


def rows(document: Document, counts: PassCounts) -> list[Row]:
    """Return ``pairs`` of results.json: both pass fractions of each measured pair, and whether it is balanced.

    ``balanced`` is null if a case of either could not be measured.
    """
    pairs = [
        (probe, counterpart)
        for probe, counterparts in document["run"].get("counterparts", {}).items()
        for counterpart in counterparts
        if {probe, counterpart} <= set(counts.probes)
    ]
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
        for probe, counterpart in pairs
        for variant in counts.variants
        if (one := counts.get(variant, probe)).cases and (other := counts.get(variant, counterpart)).cases
    ]


def as_tables(measured: list[Row]) -> list[Table]:
    """Return the table of pairs; none if no pair was measured."""
    cells: dict[tuple[VariantKey, str], Cell] = {}
    for row in measured:
        low = min(row["passed"], row["counterpart_passed"])
        shade = "unmeasured" if row["balanced"] is None else "all" if row["balanced"] else "fails" if low < 0.5 else ""
        text = f"{100 * row['counterpart_passed']:.0f} + {100 * row['passed']:.0f}"
        cells[variant_key(row), f"{row['counterpart']} + {row['probe']}"] = Cell(text, value=low, shade=shade)
    if not cells:
        return []
    note = (
        "Percent of cases passed of two counterparts: what one probe rewards, the other penalizes. A metric is "
        f"balanced if both are {BALANCED_FROM:.0%} or more."
    )
    heads = list(dict.fromkeys(head for _, head in cells))
    variants = tables.sort_variants(variant for variant, _ in cells)
    return [tables.build("Pairs", variants, heads, lambda *key: cells.get(key, Cell()), note=note)]


def as_sentences(measured: list[Row]) -> list[str]:
    """Name the metrics that are balanced on each pair."""
    by_pair: dict[str, list[Row]] = {}
    for row in measured:
        by_pair.setdefault(f"{row['counterpart']} and {row['probe']}", []).append(row)
    sentences = []
    for pair, pair_rows in by_pair.items():
        balanced = [variant_key(row) for row in pair_rows if row["balanced"]]
        names = ", ".join(dict.fromkeys(map(metric_name, balanced)))
        some = " on some network" if len({variant_key(row).network for row in pair_rows} - {None}) > 1 else ""
        metrics = f": {names}{some}" if 0 < len(balanced) < len(pair_rows) else ""
        sentences.append(f"Balanced on {pair}: {len(balanced)} of {len(pair_rows)} variants{metrics}.")
    return sentences
