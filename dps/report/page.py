"""report.html: the run as one page that asks nothing of any other address, with the images of its cases."""

import base64
import functools
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import PIL.Image

from dps.errors import DpsError
from dps.images import Picture
from dps.probes import Case
from dps.report import costs, figures, paper, results, table1, table2
from dps.report.results import Row
from dps.report.table1 import Table
from dps.report.tables import Key

MOST_IMAGES = 16 * 2**20
"""How many bytes of images a page holds, encoded; cases that most variants miss come first."""

MOST_LAYERS = 20_000
"""For how many rows a page holds each layer's contribution."""

DIGITS = 5
"""Significant digits of distances on the page; results.json has all."""


def render(document: Row, cases: Mapping[str, Case], gated: Sequence[str]) -> str:
    """Make the page.

    Args:
        document: results.json.
        cases: the run's, by name; they are drawn again for their images.
        gated: what the gate says, in lines.

    Returns:
        HTML with everything in it. The same for the same input.
    """
    table = table1.count(document["cases"])
    about = document["run"]
    template = environment().get_template("page.html.j2")
    html: str = template.render(
        run=about,
        gated=gated,
        variants=len(table.variants),
        words=table1.in_words(table),
        cells=table1.CELLS,
        paper=paper.table1().source,
        table=_rows_of_table1(table),
        probes=[
            {"name": probe, "asks": about["probes"].get(probe, ""), "figure": _figure(table, document, probe)}
            for probe in table.probes
        ],
        scores=_scores(document),
        throughput=document["throughput"],
        costs=costs.in_words(document["throughput"]),
        data=_as_script(_data(document, table, cases)),
        css=asset("page.css"),
        js=asset("page.js"),
    )
    return html


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


def asset(name: str) -> Any:
    """A file of ours that stands in the page as it is."""
    from markupsafe import Markup

    return Markup(resources.files("dps.report").joinpath(name).read_text(encoding="utf-8"))  # noqa: S704 - our own


def _as_script(data: Any) -> Any:
    """Data as JSON inside a script element, which nothing in it can end."""
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - with no < left


def _figure(table: Table, document: Row, probe: str) -> Any:
    from markupsafe import Markup

    return Markup(figures.as_svg(figures.of_probe(table, document["cases"], probe)))  # noqa: S704 - escaped by Matplotlib


# ------------------------------------------------------------------------------------------- tables


def _rows_of_table1(table: Table) -> Row:
    """Table 1 for the template: heads, and a row of cells for each variant."""
    published = paper.table1()
    has_paper = {probe: any(published.get(*key, probe) for key in table.variants) for probe in table.probes}
    rows = []
    for key in table.variants:
        cells: list[Row] = []
        for probe in table.probes:
            count = table.counts.get((key, probe))
            cells.append(_cell(count) if count else {"text": "", "sort": -1, "shade": None, "interval": ""})
            if has_paper[probe]:
                cells.append({"paper": published.get(*key, probe)})
        rows.append({"key": [part or "" for part in key], "cells": cells})
    heads: list[Row] = []
    for probe in table.probes:
        heads.append({"text": probe})
        heads += [{"text": "paper", "paper": True}] if has_paper[probe] else []
    return {"heads": heads, "rows": rows}


def _cell(count: table1.Count) -> Row:
    low, high = count.interval
    return {
        "text": f"{count.passed}/{count.cases}",
        "interval": f"{100 * low:.0f}-{100 * high:.0f} %",
        "sort": round(count.fraction, 6),
        "shade": round(10 * count.fraction),
    }


def _scores(document: Row) -> Row | None:
    """Table 2 for the template."""
    if not document["scores"]:
        return None
    about = document["run"]["dataset"]
    keys, columns = table2.laid_out(document["scores"], paper.table2())
    heads: list[Row] = []
    for column in columns:
        heads.append({"text": column.head})
        heads += [{"text": "paper", "paper": True}] if any(column.beside) else []
    rows = []
    for place, key in enumerate(keys):
        cells: list[Row] = []
        for column in columns:
            cells.append({"text": column.cells[place]})
            cells += [{"paper": column.beside[place]}] if any(column.beside) else []
        rows.append({"key": [part or "" for part in key], "cells": cells})
    return {
        "real": about["name"] == paper.table2().dataset,
        "note": table2.note(document["scores"], paper.table2(), about),
        "heads": heads,
        "rows": rows,
    }


# ------------------------------------------------------------------------------------------- the gallery


@dataclass(frozen=True, slots=True)
class _Images:
    """Each image once, as a data URI, as long as there is room."""

    uris: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    size: list[int] = field(default_factory=lambda: [0])

    def add(self, picture: Picture) -> int | None:
        """Where it stands; None where there is no more room."""
        if picture.digest not in self.places:
            if self.size[0] > MOST_IMAGES:
                return None
            png = io.BytesIO()
            PIL.Image.fromarray(picture.pixels).save(png, "PNG")
            uri = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
            self.places[picture.digest] = len(self.uris)
            self.uris.append(uri)
            self.size[0] += len(uri)
        return self.places[picture.digest]


def _data(document: Row, table: Table, cases: Mapping[str, Case]) -> Row:
    """What the gallery shows, in columns: case by case, the worst ones first."""
    by_case: dict[str, dict[Key, Row]] = {}
    for row in document["cases"]:
        key = row["metric"], row["network"], row["normalization"]
        by_case.setdefault(f"{row['probe']}/{row['case']}", {})[key] = row
    missed = {name: sum(not row["passed"] for row in rows.values()) / len(rows) for name, rows in by_case.items()}
    order = sorted(by_case, key=lambda name: (-missed[name], name))
    images = _Images()
    with_layers = len(document["cases"]) <= MOST_LAYERS
    return {
        "variants": [[part or "" for part in key] for key in table.variants],
        "probes": list(table.probes),
        "cases": [_of_case(name, by_case[name], table, document, cases.get(name), images) for name in order],
        "rows": [[_verdict(by_case[name].get(key), with_layers) for key in table.variants] for name in order],
        "images": images.uris,
        "shown": len(images.uris),
    }


def _of_case(
    name: str, rows: Mapping[Key, Row], table: Table, document: Row, case: Case | None, images: _Images
) -> Row:
    probe, _, case_id = name.partition("/")
    found: Row = {"probe": table.probes.index(probe), "id": case_id, "drawn": document["drawn"].get(name, {})}
    digest = next(iter(rows.values())).get("images_sha256")
    if case is None or digest is None:
        return found
    try:
        triple = case.draw()
    except DpsError:
        return found  # it could be drawn before: a file is gone by now
    nearest = {row["nearest_reference"] for row in rows.values()}
    found["original"], found["distorted"] = images.add(triple.original), images.add(triple.distorted)
    found["references"] = {ref: images.add(each) for ref, each in triple.references.items() if ref in nearest}
    return found


def _verdict(row: Row | None, with_layers: bool) -> list[Any] | None:
    """Passed, distance, nearest reference, its distance, margin, error, and each layer's part in both distances."""
    if row is None:
        return None
    distances = [_short(row["distance"]), row["nearest_reference"], _short(row["nearest_reference_distance"])]
    found = [int(bool(row["passed"])), *distances, _short(row["margin"]), row.get("error", "")]
    if with_layers and row.get("layers"):
        found += [[_short(each) for each in row[part]] for part in ("layers", "nearest_reference_layers")]
    return found


def _short(number: float | None) -> float | None:
    finite = results.finite(number)
    return None if finite is None else float(f"{finite:.{DIGITS}g}")


def named(cases: Iterable[Case]) -> dict[str, Case]:
    """Cases by name."""
    return {case.name: case for case in cases}
