"""A run's tables and figures as files for a paper: LaTeX, SVG and PNG."""

import re
from collections.abc import Iterator
from pathlib import Path

from dps import files
from dps.report import figure_style, figures, pass_fractions, published, scores_table, tables
from dps.rows import Row


def export(document: Row, folder: Path) -> Iterator[Path]:
    """Write ``pass_fractions.tex``, ``scores.tex``, and each probe's figures as ``PROBE-FIGURE.svg`` and ``.png``.

    Args:
        document: results.json.
        folder: where; it is made if it is not there.

    Yields:
        The files, as they are written.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = pass_fractions.count(document["cases"])
    if counts.variants:
        table = pass_fractions.table(counts, published.table1())
        yield _written(folder / "pass_fractions.tex", tables.as_latex(table))
    if document["scores"]:
        table = scores_table.table(document["scores"], published.table2(), document["run"]["dataset"])
        yield _written(folder / "scores.tex", tables.as_latex(table))
    for probe in counts.probes:
        for name, figure in figures.of_probe(document, counts, probe):
            for suffix in ("svg", "png"):
                path = folder / f"{_file_name(probe)}-{name}.{suffix}"
                files.write(path, figure_style.as_file(figure, suffix))
                yield path


def _written(path: Path, text: str) -> Path:
    files.write(path, text.encode())
    return path


def _file_name(probe: str) -> str:
    """A probe's name as that of a file in this folder and no other."""
    return re.sub(r"[^\w.-]|^\.", "_", probe)
