"""A run for other programs: its cases as CSV, its figures as SVG and PNG."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dps import files
from dps.report import figure_style, figures
from dps.report.pass_fractions import PassCounts
from dps.rows import Row, case_name, variant_key, was_measured

NONE = "-"
"""What stands in a key column of CSV that a row has nothing for, so that grouping by it loses no row."""

COLUMNS = ("distance", "nearest_reference", "nearest_reference_distance", "margin", "images_sha256", "error")


def as_csv(rows: Sequence[Row], drawn: Mapping[str, Row], by: str | None = None) -> str:
    """Return a tidy table: one row for each case and variant.

    Args:
        rows: case rows of results.json.
        drawn: what each case was drawn with, by ``probe/case``.
        by: a value of these that has a column of its own, such as ``degrees``.

    Returns:
        CSV with a line of heads: probe, case, the value, network, normalization and metric, of which none is empty;
        measured and passed (True or False); and the numbers of the row at full precision, empty where missing.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    own = () if by is None else (by,)
    writer.writerow(["probe", "case", *own, "network", "normalization", "metric", "measured", "passed", *COLUMNS])
    for row in rows:
        values = drawn.get(case_name(row), {})
        keys = [row["probe"], row["case"], *(values.get(name, NONE) for name in own), *variant_key(row)]
        numbers = [row.get(name) for name in COLUMNS]
        writer.writerow(
            [*(NONE if key in (None, "") else key for key in keys), was_measured(row), row["passed"], *numbers]
        )
    return text.getvalue()


def draw_figures(document: Row, counts: PassCounts, folder: Path) -> Iterator[Path]:
    """Write every figure of each probe as ``PROBE-FIGURE.svg`` and ``.png``.

    Args:
        document: results.json.
        counts: of its cases; of the probes that are drawn.
        folder: is made if it is not there.

    Yields:
        The files, as they are written.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for probe in counts.probes:
        stem = files.safe_name(probe)
        for name, figure in figures.of_probe(document, counts, probe):
            for suffix in ("svg", "png"):
                path = folder / f"{stem}-{name}.{suffix}"
                files.write(path, figure_style.as_file(figure, suffix))
                yield path
