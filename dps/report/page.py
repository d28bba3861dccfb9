"""report.html: a run as one self-contained HTML file (no external requests), with the images of its cases."""

import csv
import functools
import io
from collections.abc import Iterator, Mapping
from typing import Any

from dps import attacks
from dps.errors import one_line
from dps.report import (
    album,
    attacks_table,
    figure_style,
    figures,
    heat_map,
    layers,
    tables,
    thresholds_table,
)
from dps.report.album import Album
from dps.report.figures import Plot
from dps.report.findings import Findings
from dps.rows import Document, Row, case_name, json_lines


def render(findings: Findings, images: Album) -> Iterator[str]:
    """Yield the page piece by piece, identical for equal input; cases without images are shown by numbers alone."""
    document, counts = findings.document, findings.counts
    tables_of_run = [*findings.tables, *layers.tables(document)]
    grids = {f"table-{n}": table for n, table in enumerate(tables_of_run, start=1)}
    data = album.gallery(document["cases"], document["drawn"], counts.variants, images)
    questions, sanity = document["run"]["probes"], document["run"].get("sanity", [])
    probes = [
        {
            "name": name,
            "asks": questions.get(name, ""),
            "figures": list(_figures({} if name in sanity else figures.PLOTS, document, name)),
        }
        for name in counts.probes
    ]
    thresholds = [
        {"name": name, "figures": list(_figures(figures.THRESHOLD_PLOTS, document, name))}
        for name in thresholds_table.distortions(document.get("thresholds", []))
    ]
    extra_columns = thresholds_table.as_tables(document.get("thresholds", []))
    extra_columns += attacks_table.medians_table(document.get("attacks", []))
    pieces: Iterator[str] = environment().get_template("page.html.j2").generate(
        run=document["run"],
        counts=counts,
        heat=heat_map.build(document, counts, extra_columns),
        cases=len({case_name(row) for row in document["cases"]}),
        words=findings.sentences,
        grids=grids,
        folded=[*grids][len(findings.tables) :],
        probes=probes,
        thresholds=thresholds,
        attacked=attacks_table.examples(document.get("attacks", []), images),
        shown_bound=attacks.SHOWN_BOUND,
        data=_as_script({"tables": {name: _as_texts(grid) for name, grid in grids.items()}, **data}),
    )  # fmt: skip
    return pieces


@functools.cache
def environment() -> Any:
    """Return the environment of the templates; it escapes values in HTML."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("dps.report", ""),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["escape_markdown"] = tables.escape_markdown
    return templates


def _as_script(data: Row) -> Iterator[str]:
    """Yield data as JSON for a script element, which no text in it can end."""
    for piece in json_lines(data, separators=(",", ":")):
        yield piece.replace("<", "\\u003c")


def _as_texts(table: tables.Table) -> Row:
    """Return a table as Markdown, CSV and LaTeX, for the buttons that copy it."""
    text = io.StringIO()
    write = csv.writer(text).writerow
    write([*table.keys, *table.heads])
    for names, cells in zip(table.rows, table.cells, strict=True):
        write([*(name or "" for name in names), *map(str, cells)])
    return {"markdown": "\n".join(tables.as_markdown(table)), "csv": text.getvalue(), "latex": tables.as_latex(table)}


def _figures(plots: Mapping[str, Plot], document: Document, subject: str) -> Iterator[Row]:
    """Yield each figure as SVG, or the reason that it could not be drawn."""
    for name, plot in plots.items():
        try:
            if (figure := plot(document, subject)) is not None:
                yield {"svg": figure_style.as_svg(figure), "fault": ""}
        except Exception as error:  # noqa: BLE001 - a report without a figure is better than none
            yield {"svg": "", "fault": f"The figure {name!r} could not be drawn: {one_line(error)}"}
