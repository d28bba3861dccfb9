"""What each variant costs, beside the bare forward pass: rows of throughput as tables and sentences."""

from collections.abc import Iterable, Sequence

from dps.report.results import Row
from dps.report.tables import escaped
from dps.throughput import ALL


def as_markdown(rows: Sequence[Row]) -> list[str]:
    """A table of images per second and the ratio to the forward pass of the same run."""
    lines = [
        "| image | batch | network | metric | normalization | images per second | times the forward pass |",
        "| ---: | ---: | --- | --- | --- | ---: | ---: |",
    ]
    for row in rows:
        names = [escaped(row[key] or "") for key in ("network", "metric", "normalization")]
        ratio = row["relative_to_forward"]
        cells = [f"{row['image_size']} px", str(row["batch_size"]), *names, f"{row['images_per_second']:.1f}"]
        lines.append("| " + " | ".join([*cells, "" if ratio is None else f"{ratio:.2f}"]) + " |")
    return lines


def in_words(rows: Iterable[Row]) -> list[str]:
    """What all variants of a network cost at once."""
    return [
        f"{row['network']}: measuring all variants at once takes {row['relative_to_forward']:.2f} times the bare "
        f"forward pass ({row['image_size']} pixels, {row['batch_size']} images)."
        for row in rows
        if row["metric"] == ALL and row["relative_to_forward"] is not None
    ]
