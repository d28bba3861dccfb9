"""Psychometric thresholds of each variant, with people's where they are published; and what to notice in them."""

from collections.abc import Iterable

from dps.report import tables
from dps.report.pass_fractions import metric_name
from dps.report.tables import Cell, Table
from dps.rows import Document, Row, VariantKey, variant_key
from dps.thresholds import GRADED_DISTORTIONS, below_people

PEOPLE = VariantKey(None, None, "people")
"""What stands in the place of a variant where the thresholds are people's."""

NOTE = (
    "The severity up to which half of the scenes pass, with its 95 % bootstrap interval over scenes; higher is better; "
    "< and > stand before the first and the last level that was measured. A scene passes where the distorted image is "
    "closer to the original than each visibly damaged one: blurred by 2 pixels, as JPEG of quality 10, with noise of "
    "15/255 (a distortion of these kinds: than the other two)."
)


def table(document: Document) -> Table:
    """Return the typed table: a column for each distortion, and a row of people's published thresholds."""
    rows = in_order(document["thresholds"])
    cells = {(variant_key(row), row["distortion"]): _cell(row) for row in rows}
    known = {row["distortion"]: row for row in rows if row["people"] is not None}
    cells |= {
        (PEOPLE, name): Cell(f"{row['people']:g}", "", row["people"], published=True) for name, row in known.items()
    }
    units = "; ".join(f"{name}: {unit}" for name, unit in {row["distortion"]: row["unit"] for row in rows}.items())
    sources = ", ".join(dict.fromkeys(row["source"].partition(",")[0] for row in known.values()))
    published = f" people: detection thresholds published in {sources}, not measured here." if known else ""
    return tables.build(
        "Thresholds",
        [*tables.sort_variants(variant_key(row) for row in rows), *([PEOPLE] if known else [])],
        distortions(document),
        lambda *key: cells.get(key, Cell()),
        note=f"{NOTE}{published} Units: {units}.",
    )


def distortions(document: Document) -> list[str]:
    """Return the distortions of which a run has thresholds, in their order."""
    return list(dict.fromkeys(row["distortion"] for row in in_order(document.get("thresholds", []))))


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return rows in the order of distortions in tables."""
    order = [graded.name for graded in GRADED_DISTORTIONS]
    return sorted(rows, key=lambda row: tables.position(row["distortion"], order))


def _cell(row: Row) -> Cell:
    if row.get("error"):
        return Cell("not measured", shade="unmeasured")
    fails = below_people(row)
    return Cell(
        _number(row, "threshold"),
        f"{_number(row, 'low')}..{_number(row, 'high')}",
        row["threshold"],
        "fails" if fails else "",
    )


def _number(row: Row, name: str) -> str:
    """Return a severity with three digits, or on which side of the levels it lies."""
    first, *_, last = row["levels"]
    ends = {"below": f"<{first:.3g}", "above": f">{last:.3g}"}
    return ends[row[f"{name}_beyond"]] if row[f"{name}_beyond"] else f"{row[name]:.3g}"


def describe(row: Row) -> str:
    """Describe a measured row of ``thresholds`` in one line."""
    return (
        f"half of the scenes pass up to {_number(row, 'threshold')} {row['unit']} (95 % interval {_number(row, 'low')} "
        f"to {_number(row, 'high')}), but people notice {row['people']:g} ({row['source']})"
    )


def as_sentences(rows: Iterable[Row]) -> list[str]:
    """Say which metrics find images farther that people cannot tell from the original than visibly damaged ones."""
    metrics: dict[str, dict[str, list[str]]] = {}
    for row in (row for row in in_order(rows) if below_people(row)):
        places = metrics.setdefault(metric_name(variant_key(row)), {}).setdefault(row["distortion"], [])
        places += [row["network"]] if row["network"] else []
    return [
        f"{name} finds visible damage closer than a change too small for people to notice: "
        + "; ".join(f"{what} on {' and '.join(where)}" if where else what for what, where in places.items())
        + "."
        for name, places in metrics.items()
    ]
