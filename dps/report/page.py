"""report.html: the run as one page that asks nothing of any other address, with the images of its cases."""

import functools
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

from dps.report import costs, figure_style, figures, gallery, held, published, results, table1, table2
from dps.report.album import Album
from dps.report.results import Row
from dps.report.table1 import Table
from dps.report.tables import Column, Key


def render(document: Row, album: Album) -> Iterator[str]:
    """Make the page.

    Args:
        document: results.json.
        album: images of its cases; those that it lacks are shown by their numbers alone.

    Returns:
        HTML with everything in it, piece by piece. The same for the same input.
    """
    table = table1.count(document["cases"])
    about = document["run"]
    pieces: Iterator[str] = environment().get_template("page.html.j2").generate(
        run=about,
        facts=_facts(document, table),
        words=table1.in_words(table),
        cells=table1.CELLS,
        paper=published.table1().source,
        table=_table1(document, table),
        probes=[
            {"name": probe, "asks": about["probes"].get(probe, ""), "figures": _figures(document, table, probe)}
            for probe in table.probes
        ],
        scores=_table2(document),
        costs=_costs(document),
        invariants=held.in_words(document.get("invariants", [])),
        data=_as_script(gallery.data(document, table, album)),
        css=asset("page.css"),
        js=asset("page.js"),
    )  # fmt: skip
    return pieces


def prepare() -> None:
    """Import and load what pages are made with: a second that may pass while somebody else measures."""
    environment().get_template("page.html.j2")
    figure_style.as_svg(figure_style.blank(1, 1))


@functools.cache
def environment() -> Any:
    """Where our templates are found; what they are filled with is escaped."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("dps.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str) -> str:
    """Return the text of a file of ours that stands in the page as it is."""
    return resources.files("dps.report").joinpath(name).read_text(encoding="utf-8")


def _as_script(data: Row) -> Iterator[Any]:
    """Data as JSON inside a script element, which nothing in it can end; piece by piece."""
    for piece in results.as_json(data, separators=(",", ":")):
        yield piece.replace("<", "\\u003c")


def _figures(document: Row, table: Table, probe: str) -> list[Any]:
    found = figures.of_probe(document, table, probe)
    return [figure_style.as_svg(figure) for _, figure in found]


def _facts(document: Row, table: Table) -> list[tuple[str, str]]:
    """What was measured, in a few words each."""
    about = document["run"]
    facts = []
    if table.variants:
        cases = len({(row["probe"], row["case"]) for row in document["cases"]})
        metrics, networks, normalizations = (list(dict.fromkeys(part)) for part in zip(*table.variants, strict=True))
        axes = [metrics, *([each for each in part if each] for part in (networks, normalizations))]
        facts.append((_counted(len(table.variants), "variant"), "; ".join(", ".join(axis) for axis in axes if axis)))
        facts.append(
            (_counted(cases, "case"), f"{_counted(len(table.probes), 'probe')}, SHA-256 {about['probes_sha256'][:8]}…")
        )
    weights = [f"{name} ({of['weights']}, {of['sha256'][:8]}…)" for name, of in about["networks"].items()]
    if weights:
        facts.append(("Weights", ", ".join(weights)))
    facts.append(("Versions", f"dps {about['dps']}, PyTorch {about['torch']}, {about['device']}"))
    return facts


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


# ------------------------------------------------------------------------------------------- tables


def _table1(document: Row, table: Table) -> Row:
    """Table 1 for the template: heads, and a row of cells for each variant."""
    cost = costs.beside_quality(document["throughput"], table.variants)
    columns = [*([cost[0]] if cost else []), *table1.columns(table, published.table1())]
    grid = _grid(table.variants, columns)
    for key, row in zip(table.variants, grid["rows"], strict=True):
        cells = iter(row["cells"])
        for column in columns:
            cell = next(cells)
            if (count := table.counts.get((key, column.head))) is not None:
                low, high = count.percent
                shade = "fails" if count.fraction < table1.FEWER_THAN_HALF else "all" if count.fraction == 1 else ""
                cell.update(text=f"{count.passed}/{count.cases}", small=f"{low}-{high}", shade=shade)
                cell.update(sort=round(count.fraction, 6))
            if any(column.beside):
                next(cells)
    return {**grid, "cost": cost[1] if cost else ""}


def _table2(document: Row) -> Row | None:
    """Table 2 for the template."""
    if not document["scores"]:
        return None
    about = document["run"]["dataset"]
    return {
        **_grid(*table2.laid_out(document["scores"], published.table2())),
        "real": about["name"] == published.table2().dataset,
        "note": table2.note(document["scores"], published.table2(), about),
    }


def _costs(document: Row) -> Row | None:
    """Throughput for the template."""
    rows = document["throughput"]
    if not rows:
        return None
    cells = [costs.cells(row) for row in rows]
    return {
        "words": costs.in_words(rows),
        "about": costs.ABOUT,
        "heads": [{"text": head, "paper": False} for head in costs.HEADS[3:]],
        "rows": [{"key": row[:3], "cells": [_cell(text) for text in row[3:]]} for row in cells],
    }


def _grid(keys: Sequence[Key], columns: Sequence[Column]) -> Row:
    """A table of variants, the paper's values in columns of their own."""
    heads = []
    for column in columns:
        heads.append({"text": column.head, "paper": False})
        heads += [{"text": "paper", "paper": True}] if any(column.beside) else []
    rows = []
    for place, key in enumerate(keys):
        cells = []
        for column in columns:
            cells.append(_cell(column.cells[place]))
            cells += [_cell(column.beside[place], paper=True)] if any(column.beside) else []
        rows.append({"key": [part or "" for part in key], "cells": cells})
    return {"heads": heads, "rows": rows}


def _cell(text: str, *, paper: bool = False) -> Row:
    return {"text": text, "small": "", "sort": None, "shade": "", "paper": paper}
