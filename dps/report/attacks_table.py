"""Results of attacks on photographs: in sentences, as tables, and as examples for the page."""

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

MEDIAN_HEAD = "half hold up to"

NOTE = (
    "Held/photographs: the number of attacked photographs that stay closer to the original than the same photograph "
    "blurred by 2 pixels, as JPEG of quality 10, and with noise of 15/255. The attack changes each channel by at most "
    "the given bound and follows the gradient of the metric. Half hold up to: the bound, interpolated on a logarithmic "
    "scale, up to which half of the photographs hold. Higher is better; a stronger attack can only lower it."
)


def median_bound(held: Mapping[int, float]) -> float:
    """Return the bound up to which half of the photographs hold.

    Args:
        held: the share of photographs that hold, by bound in levels of 255.

    Returns:
        In levels of 255, interpolated linearly over the logarithm between the last bound at which half hold and the
        next; 0 if fewer hold at the first bound, infinity if half hold at the last.
    """
    bounds = sorted(held)
    if held[bounds[0]] < 0.5:
        return 0.0
    for low, high in itertools.pairwise(bounds):
        if held[high] < 0.5:
            return float(low * (high / low) ** ((held[low] - 0.5) / (held[low] - held[high])))
    return math.inf


def as_sentences(rows: Sequence[Row]) -> list[str]:
    """Describe the bounds up to which half of the photographs hold, and what could not be attacked or judged."""
    medians = {label: median for label, median in _medians(rows).items() if median is not None}
    reasons = {variant_key(row).label: f"could not judge: {row['error']}" for row in rows if row["error"]}
    failed = {label: row["error"] for (label, _), row in _direct_attacks(rows).items() if row["error"]}
    reasons |= {label: f"could not be attacked: {error}" for label, error in failed.items()}
    sentences = [
        f"{tables.first_three(label for label in reasons if reasons[label] == reason)} {reason}."
        for reason in dict.fromkeys(reasons.values())
    ]
    if not medians:
        return sentences
    median = statistics.median_low(medians.values())
    first, last = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    variants = f"on {first}"
    if len(medians) > 1:
        extremes = f"least robust {first} ({_text(medians[first])}), most {last} ({_text(medians[last])})"
        variants = f"the median of {len(medians)} variants; {extremes}"
    change = f"an attack of {_text(median)} levels of 255"
    return [f"Half of the photographs are farther than a damaged one after {change}, {variants}.", *sentences]


def attack_tables(rows: Sequence[Row]) -> list[Table]:
    """Return the table of attacks by bound and, if other variants judged them, the table of transferred attacks."""
    attacks, medians = _direct_attacks(rows), _medians(rows)
    if not rows:
        return []
    variants = tables.sort_variants(variant_key(row) for row in attacks.values())
    bounds = sorted({bound for _, bound in attacks})
    heads = {f"{bound} of 255": bound for bound in bounds}

    def cell(variant: VariantKey, head: str) -> Cell:
        if head in heads:
            return _cell(attacks.get((variant.label, heads[head])))
        median = medians[variant.label]
        return Cell("-") if median is None else Cell(_text(median), value=median)

    by_bound = tables.build("Attacked photographs", variants, [*heads, MEDIAN_HEAD], cell, note=NOTE)
    bound = SHOWN_BOUND if SHOWN_BOUND in bounds else bounds[-1]
    by_pair = {(row["attacked_on"], variant_key(row)): row for row in rows if row["bound"] == bound}
    judges = tables.sort_variants(judge for _, judge in by_pair)
    attacked = [label for label in dict.fromkeys(label for label, _ in by_pair) if not attacks[label, bound]["error"]]
    if len(rows) == len(attacks) or not len(by_pair) > len(attacked) > 0:
        return [by_bound]
    transfers = Table(
        title=f"Attacked photographs judged by others, {bound} of 255",
        rows=tuple((label,) for label in attacked),
        heads=tuple(judge.label for judge in judges),
        cells=tuple(tuple(_cell(by_pair.get((label, judge))) for judge in judges) for label in attacked),
        note="Held/photographs, judged by the variant of the column, after an attack on the variant of the row.",
        keys=("attacked on",),
    )
    return [by_bound, transfers]


def medians_table(rows: Sequence[Row]) -> list[Table]:
    """Return the last column of the table of attacks as a table; none if there were no attacks."""
    return [
        replace(table, heads=(f"attack: {MEDIAN_HEAD}",), cells=tuple((*cells[-1:],) for cells in table.cells))
        for table in attack_tables(rows)[:1]
    ]


def example(row: Row, images: Triple) -> Row:
    """Return an attacked photograph as an entry of an album."""
    return album.entry(_name(row), images, ())


def examples(rows: Iterable[Row], images: Album) -> list[Row]:
    """Return each variant's photograph with the largest ratio within `SHOWN_BOUND`, as data URIs."""
    results = []
    for row in rows:
        entry = images.cases.get(_name(row)) if row["bound"] == SHOWN_BOUND else None
        if entry is not None and row["attacked_on"] == variant_key(row).label:
            digests = {"original": entry["original"], "attacked": entry["distorted"], **entry["references"]}
            uris = {name: images.uri(digest) for name, digest in digests.items()}
            results.append({"label": row["attacked_on"], "images": uris})
    return results


def _name(row: Row) -> str:
    return f"{row['attacked_on']} within {row['bound']}"


def _direct_attacks(rows: Iterable[Row]) -> dict[tuple[str, int], Row]:
    """Return the rows of variants that judge attacks on themselves, by label and bound."""
    return {(r["attacked_on"], r["bound"]): r for r in rows if variant_key(r).label == r["attacked_on"]}


def _medians(rows: Iterable[Row]) -> dict[str, float | None]:
    """Return the `median_bound` of each attacked variant; None if a bound was not measured."""
    held: dict[str, dict[int, float]] = {}
    for (label, bound), row in _direct_attacks(rows).items():
        by_bound = held.setdefault(label, {})
        if not row["error"]:
            by_bound[bound] = row["held"] / row["photographs"]
    return {
        label: median_bound(by_bound) if by_bound.keys() == set(BOUNDS) else None for label, by_bound in held.items()
    }


def _cell(row: Row | None) -> Cell:
    if row is None or row["error"]:
        return Cell("-")
    share = row["held"] / row["photographs"]
    return Cell(f"{row['held']}/{row['photographs']}", value=share, shade="fails" if share < 0.5 else "")


def _text(bound: float) -> str:
    if bound == 0:
        return f"below {BOUNDS[0]}"
    return f"above {BOUNDS[-1]}" if math.isinf(bound) else f"{bound:.1f}"
