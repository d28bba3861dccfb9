"""A run's tables and figures as files for a paper: LaTeX, SVG and PNG."""

import re
from collections.abc import Iterator
from pathlib import Path

from dps import files
from dps.report import figure_style, figures, latex, published, table1, table2
from dps.report.results import Row


def export(document: Row, folder: Path) -> Iterator[Path]:
    """Write ``table1.tex``, ``table2.tex``, and of each probe every figure as ``PROBE-FIGURE.svg`` and ``.png``.

    Args:
        document: results.json.
        folder: where; it is made if it is not there.

    Yields:
        The files, as they are written.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = table1.count(document["cases"])
    if table.variants:
        columns = table1.columns(table, published.table1())
        note = f"{table1.CELLS}; higher is better. paper: {published.table1().source}, on its own hand-made images."
        yield _written(folder / "table1.tex", latex.table(table.variants, columns, note))
    if document["scores"]:
        note = table2.note(document["scores"], published.table2(), document["run"]["dataset"])
        tex = latex.table(*table2.laid_out(document["scores"], published.table2()), note)
        yield _written(folder / "table2.tex", tex)
    for probe in table.probes:
        for name, figure in figures.of_probe(document, table, probe):
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
