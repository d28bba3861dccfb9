"""What attacks on photographs found: in words, as tables, and the photographs that the page shows."""

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dps.attacks import BOUNDS, SHOWN_BOUND
from dps.images import Triple
from dps.report import album, tables
from dps.report.album import Album
from dps.report.tables import Cell, Table
from dps.rows import Row, VariantKey, variant_key

HALF = "half give way at"
NOTE = (
    "Held/photographs: how many stay closer to the original than the same photograph blurred by 2 pixels, as JPEG of "
    "quality 10, and with noise of 15 of 255, when each channel changes by at most so many levels of 255 in favor of "
    "the metric's own distance. Half give way at: interpolated over the logarithm of the bound. Higher is better; a "
    "stronger attack can only lower it."
)


def half_gives_way(held: Mapping[int, float]) -> float:
    """Return the bound at which half of the photographs hold, between the last two where they do and no longer do.

    Args:
        held: by bound, in levels of 255, the share of photographs that hold.

    Returns:
        In levels of 255, interpolated linearly over the logarithm; 0 below the first bound, infinity above the last.
    """
    bounds = sorted(held)
    if held[bounds[0]] < 0.5:
        return 0.0
    for low, high in itertools.pairwise(bounds):
        if held[high] < 0.5:
            return float(low * (high / low) ** ((held[low] - 0.5) / (held[low] - held[high])))
    return math.inf


def as_sentences(rows: Sequence[Row]) -> list[str]:
    """Say within which bound half of the photographs give way, and what could not be attacked or judged, and why."""
    halves = {label: half for label, half in _halves(rows).items() if half is not None}
    reasons = {variant_key(row).label: f"could not judge: {row['error']}" for row in rows if row["error"]}
    failed = {label: row["error"] for (label, _), row in _own(rows).items() if row["error"]}
    reasons |= {label: f"could not be attacked: {error}" for label, error in failed.items()}
    sentences = [
        f"{tables.first_three(label for label in reasons if reasons[label] == reason)} {reason}."
        for reason in dict.fromkeys(reasons.values())
    ]
    if not halves:
        return sentences
    median = statistics.median_low(halves.values())
    first, last = min(halves, key=halves.__getitem__), max(halves, key=halves.__getitem__)
    whose = f"by {first}"
    if len(halves) > 1:
        extent = f"first {first} ({_text(halves[first])}), last {last} ({_text(halves[last])})"
        whose = f"on the median of {len(halves)} variants; {extent}"
    change = f"an attack of {_text(median)} levels of 255"
    return [f"Half of the photographs are farther than a damaged one after {change}, {whose}.", *sentences]


def attack_tables(rows: Sequence[Row]) -> list[Table]:
    """Return the table of attacks by bound, and where others judged attacked photographs, that of who judged whose."""
    own, halves = _own(rows), _halves(rows)
    if not rows:
        return []
    variants = tables.sort_variants(variant_key(row) for row in own.values())
    bounds = sorted({bound for _, bound in own})

    def cell(variant: VariantKey, head: str) -> Cell:
        if head == HALF:
            half = halves[variant.label]
            return Cell("-") if half is None else Cell(_text(half), value=half)
        return _cell(own.get((variant.label, int(head.split()[0]))))

    heads = [f"{bound} of 255" for bound in bounds]
    shown = [tables.build("Attacked photographs", variants, [*heads, HALF], cell, note=NOTE)]
    bound = SHOWN_BOUND if SHOWN_BOUND in bounds else bounds[-1]
    by_pair = {(row["attacked_on"], variant_key(row)): row for row in rows if row["bound"] == bound}
    judges = tables.sort_variants(judge for _, judge in by_pair)
    attacked = [label for label in dict.fromkeys(label for label, _ in by_pair) if not own[label, bound]["error"]]
    if len(by_pair) > len(attacked) > 0 and len(rows) > len(own):
        shown.append(
            Table(
                title=f"Attacked photographs judged by others, {bound} of 255",
                rows=tuple((label,) for label in attacked),
                heads=tuple(judge.label for judge in judges),
                cells=tuple(tuple(_cell(by_pair.get((label, judge))) for judge in judges) for label in attacked),
                note="Held/photographs, by the variant of the column, of photographs attacked on that of the row.",
                keys=("attacked on",),
            )
        )
    return shown


def halves_table(rows: Sequence[Row]) -> list[Table]:
    """Return the last column of the table of attacks by itself; none where there were no attacks."""
    return [
        replace(table, heads=(f"attack: {HALF}",), cells=tuple((*cells[-1:],) for cells in table.cells))
        for table in attack_tables(rows)[:1]
    ]


def example(row: Row, images: Triple) -> Row:
    """Return an attacked photograph as an album takes it."""
    return album.entry(_name(row), images, ())


def examples(rows: Iterable[Row], images: Album) -> list[Row]:
    """Return what the page shows: for each variant the photograph that an attack made the farthest, as data URIs.

    Within `SHOWN_BOUND` levels; the difference is magnified to the full range about middle gray.
    """
    shown = []
    for row in rows:
        entry = images.cases.get(_name(row)) if row["bound"] == SHOWN_BOUND else None
        if entry is not None and row["attacked_on"] == variant_key(row).label:
            digests = {"original": entry["original"], "attacked": entry["distorted"], **entry["references"]}
            shown.append({"label": row["attacked_on"], "images": {what: images.uri(d) for what, d in digests.items()}})
    return shown


def _name(row: Row) -> str:
    return f"{row['attacked_on']} within {row['bound']}"


def _own(rows: Iterable[Row]) -> dict[tuple[str, int], Row]:
    """Return the rows of variants that judge photographs attacked on themselves, by label and bound."""
    return {(r["attacked_on"], r["bound"]): r for r in rows if variant_key(r).label == r["attacked_on"]}


def _halves(rows: Iterable[Row]) -> dict[str, float | None]:
    """Return for each attacked variant the bound at which half give way; None where one was not measured."""
    held: dict[str, dict[int, float]] = {}
    for (label, bound), row in _own(rows).items():
        of_label = held.setdefault(label, {})
        if not row["error"]:
            of_label[bound] = row["held"] / row["photographs"]
    return {
        label: half_gives_way(of_label) if set(of_label) == set(BOUNDS) else None for label, of_label in held.items()
    }


def _cell(row: Row | None) -> Cell:
    if row is None or row["error"]:
        return Cell("-")
    share = row["held"] / row["photographs"]
    return Cell(f"{row['held']}/{row['photographs']}", value=share, shade="fails" if share < 0.5 else "")


def _text(bound: float) -> str:
    """Return the bound at which half give way, as text."""
    if bound == 0:
        return f"below {BOUNDS[0]}"
    return f"above {BOUNDS[-1]}" if math.isinf(bound) else f"{bound:.1f}"
