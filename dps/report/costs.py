"""What each variant costs, beside the bare forward pass: rows of throughput as tables and sentences."""

from collections.abc import Iterable, Sequence

from dps.report.results import Row
from dps.report.tables import Column, Key, escaped
from dps.throughput import ALL

HEADS = ("metric", "network", "normalization", "image", "batch", "images per second", "times the forward pass")
ABOUT = "Median over rounds; each ratio beside a forward pass of the same images right before it."


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table, under `HEADS`."""
    names = (row[key] or "" for key in ("metric", "network", "normalization"))
    ratio = row["relative_to_forward"]
    numbers = (f"{row['image_size']} px", str(row["batch_size"]), f"{row['images_per_second']:.1f}")
    return (*names, *numbers, "" if ratio is None else f"{ratio:.2f}")


def as_markdown(rows: Sequence[Row]) -> list[str]:
    """A table of images per second and the ratio to the forward pass of the same run."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * 3 + " ---: |" * (len(HEADS) - 3)]
    return lines + ["| " + " | ".join(escaped(cell) for cell in cells(row)) + " |" for row in rows]


def beside_quality(rows: Sequence[Row], keys: Sequence[Key]) -> tuple[Column, str] | None:
    """What each variant adds to the forward pass, as a column of the table of pass fractions, and what it means.

    Args:
        rows: of throughput; of several sizes, the largest that was measured counts.
        keys: the variants, in the order of the table.

    Returns:
        None where no variant's cost was measured.
    """
    largest = max(((row["image_size"], row["batch_size"]) for row in rows), default=None)
    ratios = {
        (row["metric"], row["network"], row["normalization"]): row["relative_to_forward"]
        for row in rows
        if (row["image_size"], row["batch_size"]) == largest and row["relative_to_forward"] is not None
    }
    if largest is None or not ratios.keys() & set(keys):
        return None
    size, batch = largest
    note = (
        f"cost: what measuring it alone adds to the bare forward pass of the network ({size} pixels, {batch} images)."
    )
    adds = tuple(f"{100 * (ratios[key] - 1):+.0f} %" if key in ratios else "" for key in keys)
    return Column(head="cost", cells=adds, beside=("",) * len(adds)), note


def in_words(rows: Iterable[Row]) -> list[str]:
    """What all variants of a network cost at once."""
    return [
        f"{row['network']}: measuring all variants at once takes {row['relative_to_forward']:.2f} times the bare "
        f"forward pass ({row['image_size']} pixels, {row['batch_size']} images)."
        for row in rows
        if row["metric"] == ALL and row["relative_to_forward"] is not None
    ]
