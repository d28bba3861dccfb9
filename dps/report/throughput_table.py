"""How fast each variant measures, beside the bare forward pass: rows of throughput as tables and sentences."""

from collections.abc import Iterable, Sequence

from dps.report import tables
from dps.report.tables import Cell, Column, Table
from dps.rows import Row, variant_key
from dps.throughput import ALL

COLUMNS = (Column("images per second"), Column("times the forward pass"))
NOTE = "Median over rounds; each ratio to a forward pass of the same images right before it."


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
    """Say what all variants of a network cost at once."""
    return [
        f"{row['network']}: measuring all variants at once takes {row['relative_to_forward']:.2f} times the bare "
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
    return Cell(f"{speed:.1f}", value=speed), Cell() if ratio is None else Cell(f"{ratio:.2f}", value=ratio)
