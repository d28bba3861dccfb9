"""Throughput of each variant, and its ratio to the forward pass: rows of results.json as tables and sentences."""

from collections.abc import Iterable, Sequence

from dps.report import tables
from dps.report.tables import Cell, Table
from dps.rows import Row, VariantKey, variant_key
from dps.throughput import ALL

NOTE = (
    "Medians over rounds in which the forward pass and all variants take turns on the same images, with quartiles of "
    "the ratio; forward is the fastest forward pass that dps has."
)


def as_tables(rows: Sequence[Row]) -> list[Table]:
    """Return a table for each image size and batch size."""
    loads: dict[tuple[int, int], dict[VariantKey, Row]] = {}
    for row in rows:
        loads.setdefault((row["image_size"], row["batch_size"]), {})[variant_key(row)] = row
    return [
        tables.build(
            f"Throughput: {size} pixels, {batch} images",
            tables.in_order(by_variant),
            list(CELLS),
            lambda variant, head, by_variant=by_variant: CELLS[head](by_variant[variant]),  # type: ignore[misc]
            note=NOTE,
        )
        for (size, batch), by_variant in sorted(loads.items())
    ]


def in_words(rows: Iterable[Row]) -> list[str]:
    """Return the cost of all variants of a network at once, in a sentence for each."""
    return [
        f"{row['network']}: measuring all variants at once takes {row['relative_to_forward']:.2f} times the "
        f"forward pass ({row['image_size']} pixels, {row['batch_size']} images)."
        for row in rows
        if row["metric"] == ALL and row["relative_to_forward"] is not None
    ]


def _speed(row: Row) -> Cell:
    return Cell(f"{row['images_per_second']:.1f}", value=row["images_per_second"])


def _ratio(row: Row) -> Cell:
    if (ratio := row["relative_to_forward"]) is None:
        return Cell()
    quartiles = f"{row['relative_to_forward_low']:.2f}-{row['relative_to_forward_high']:.2f}"
    return Cell(f"{ratio:.2f}", quartiles, ratio)


CELLS = {"images per second": _speed, "times the forward pass": _ratio}
"""By the head of their column."""
