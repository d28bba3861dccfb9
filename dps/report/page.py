"""report.html: the run as one page that asks nothing of any other address, with the images of its cases."""

import functools
from collections.abc import Iterator
from importlib import resources
from typing import Any

from dps.report import (
    figure_style,
    figures,
    gallery,
    held,
    pass_fractions,
    published,
    results,
    scores_table,
    throughput_table,
)
from dps.report.album import Album
from dps.report.pass_fractions import PassCounts
from dps.report.results import Row


def render(document: Row, album: Album) -> Iterator[str]:
    """Make the page.

    Args:
        document: results.json.
        album: images of its cases; those that it lacks are shown by their numbers alone.

    Returns:
        HTML with everything in it, piece by piece. The same for the same input.
    """
    table = pass_fractions.count(document["cases"])
    about = document["run"]
    pieces: Iterator[str] = environment().get_template("page.html.j2").generate(
        run=about,
        facts=_facts(document, table),
        words=pass_fractions.in_words(table),
        table=pass_fractions.table(table, published.table1()),
        probes=[
            {"name": probe, "asks": about["probes"].get(probe, ""), "figures": _figures(document, table, probe)}
            for probe in table.probes
        ],
        scores=document["scores"] and scores_table.table(document["scores"], published.table2(), about["dataset"]),
        throughput=throughput_table.as_tables(document["throughput"]),
        costs=throughput_table.in_words(document["throughput"]),
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


def _figures(document: Row, table: PassCounts, probe: str) -> list[Any]:
    found = figures.of_probe(document, table, probe)
    return [figure_style.as_svg(figure) for _, figure in found]


def _facts(document: Row, table: PassCounts) -> list[tuple[str, str]]:
    """What was measured, in a few words each."""
    about = document["run"]
    facts = []
    if table.variants:
        cases = len({(row["probe"], row["case"]) for row in document["cases"]})
        networks, normalizations, metrics = (list(dict.fromkeys(part)) for part in zip(*table.variants, strict=True))
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
