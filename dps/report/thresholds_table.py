"""Psychometric thresholds by variant, with the published thresholds of people."""

from collections.abc import Iterable

from dps.report import tables
from dps.report.pass_fractions import metric_name
from dps.report.tables import Cell, Table
from dps.rows import Row, VariantKey, variant_key
from dps.thresholds import GRADED_DISTORTIONS, below_people

PEOPLE = VariantKey(None, None, "people")
"""The row of people's thresholds, in place of a variant."""

NOTE = (
    "The severity up to which half of the scenes pass, with its 95 % bootstrap interval over scenes; higher is better; "
    "< and > mark severities below the first and above the last measured level. A scene passes where the distorted "
    "image is closer to the original than each visibly damaged one: blurred by 2 pixels, as JPEG of quality 10, with "
    "noise of 15/255 (blur, JPEG and noise: than the other two)."
)


def as_tables(rows: Iterable[Row]) -> list[Table]:
    """Return the table, with a column for each distortion and a last row of published thresholds; none without rows."""
    rows = _sorted(rows)
    cells = {(variant_key(row), row["distortion"]): _cell(row) for row in rows}
    published = {row["distortion"]: row for row in rows if row["people"] is not None}
    cells |= {
        (PEOPLE, name): Cell(f"{row['people']:g}", "", row["people"], published=True) for name, row in published.items()
    }
    units = {row["distortion"]: row["unit"] for row in rows}
    note = NOTE
    if published:
        sources = dict.fromkeys(row["source"].partition(",")[0] for row in published.values())
        note += f" people: detection thresholds published in {', '.join(sources)}, not measured here."
    table = tables.build(
        "Thresholds",
        [*tables.sort_variants(variant_key(row) for row in rows), *([PEOPLE] if published else [])],
        list(units),
        lambda *key: cells.get(key, Cell()),
        note=f"{note} Units: {'; '.join(f'{name}: {unit}' for name, unit in units.items())}.",
    )
    return [table] if rows else []


def distortions(rows: Iterable[Row]) -> list[str]:
    """Return the distortions with thresholds, in the order of tables."""
    return list(dict.fromkeys(row["distortion"] for row in _sorted(rows)))


def _sorted(rows: Iterable[Row]) -> list[Row]:
    order = [graded.name for graded in GRADED_DISTORTIONS]
    return sorted(rows, key=lambda row: tables.position(row["distortion"], order))


def _cell(row: Row) -> Cell:
    if row.get("error"):
        return Cell("not measured", shade="unmeasured")
    interval = f"{_number(row, 'low')}..{_number(row, 'high')}"
    return Cell(_number(row, "threshold"), interval, row["threshold"], "fails" if below_people(row) else "")


def _number(row: Row, name: str) -> str:
    """Return a severity with three digits, or as a bound where it is outside the levels."""
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
    """List the metrics that prefer visibly damaged images to distorted ones that people find indistinguishable."""
    networks: dict[str, dict[str, list[str]]] = {}
    for row in filter(below_people, _sorted(rows)):
        names = networks.setdefault(metric_name(variant_key(row)), {}).setdefault(row["distortion"], [])
        names += filter(None, [row["network"]])
    return [
        f"{metric} finds visible damage closer than a change too small for people to notice: "
        + "; ".join(f"{name} on {' and '.join(names)}" if names else name for name, names in by_distortion.items())
        + "."
        for metric, by_distortion in networks.items()
    ]
