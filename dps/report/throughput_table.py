"""Throughput of each variant, and its ratio to the forward pass: rows of results.json as tables and sentences."""

from collections.abc import Iterable, Sequence

from dps.report import tables
from dps.report.tables import Cell, Column, Table
from dps.rows import Row, variant_key
from dps.throughput import ALL

COLUMNS = (Column("images per second"), Column("times the forward pass"))
NOTE = (
    "Medians over rounds in which the forward pass and all variants take turns on the same images, with quartiles of "
    "the ratio; forward is the fastest forward pass that dps has."
)


def as_tables(rows: Sequence[Row]) -> list[Table]:
    """Return a table for each image size and batch size."""
    loads = sorted({(row["image_size"], row["batch_size"]) for row in rows})
    return [
        _table(
            [row for row in rows if (row["image_size"], row["batch_size"]) == load],
            f"{load[0]} pixels, {load[1]} images",
        )
        for load in loads
    ]


def in_words(rows: Iterable[Row]) -> list[str]:
    """Return the cost of all variants of a network at once, in a sentence for each."""
    return [
        f"{row['network']}: measuring all variants at once takes {row['relative_to_forward']:.2f} times the "
        f"forward pass ({row['image_size']} pixels, {row['batch_size']} images)."
        for row in rows
        if row["metric"] == ALL and row["relative_to_forward"] is not None
    ]


def _table(rows: Sequence[Row], title: str) -> Table:
    by_variant = {variant_key(row): row for row in rows}
    variants = tables.in_order(by_variant)
    return Table(
        title=f"Throughput: {title}",
        rows=variants,
        columns=COLUMNS,
        cells=tuple(_cells(by_variant[variant]) for variant in variants),
        note=NOTE,
    )


def _cells(row: Row) -> tuple[Cell, Cell]:
    speed, ratio = row["images_per_second"], row["relative_to_forward"]
    if ratio is None:
        return Cell(f"{speed:.1f}", value=speed), Cell()
    quartiles = f"{row['relative_to_forward_low']:.2f}-{row['relative_to_forward_high']:.2f}"
    return Cell(f"{speed:.1f}", value=speed), Cell(f"{ratio:.2f}", detail=quartiles, value=ratio)
