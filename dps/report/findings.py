"""The results of a run for all reports: sentences, tables and notes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dps.report import attacks_table, layers, pairs, pass_fractions, scores_table, strata, tables, thresholds_table
from dps.report.pass_fractions import PassCounts
from dps.report.tables import Cell, Table
from dps.rows import Document, Row, VariantKey, variant_key
from dps.throughput import ALL

THROUGHPUT_NOTE = (
    "Medians over rounds in which the forward pass and all variants take turns on the same images, with quartiles of "
    "the ratio; forward is the fastest forward pass in dps."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The contents that the reports of a run share.

    Attributes:
        document: results.json.
        counts: passed cases by variant and probe.
        columns: the same by column of the table of pass fractions; see `strata.split_by_source`.
        sentences: a summary.
        tables: of everything that was measured, in display order.
        notes: remarks on weights and photographs.
    """

    document: Document
    counts: PassCounts
    columns: PassCounts
    sentences: list[str]
    tables: list[Table]
    notes: list[str]


def collect(document: Document) -> Findings:
    """Return the findings of a run, from results.json."""
    counts = pass_fractions.count(document["cases"])
    columns = strata.split_by_source(document, counts)
    return Findings(
        document=document,
        counts=counts,
        columns=columns,
        sentences=_sentences(document, counts, columns),
        tables=_tables(document, columns),
        notes=notes(document),
    )


def _sentences(document: Document, counts: PassCounts, columns: PassCounts) -> list[str]:
    return [
        *describe_same(document.get("same", [])),
        *pass_fractions.as_sentences(columns),
        *pairs.as_sentences(document.get("pairs", [])),
        *strata.describe_sanity(document, counts),
        *layers.as_sentences(document, counts),
        *thresholds_table.as_sentences(document.get("thresholds", [])),
        *_describe_cost(document["throughput"]),
        *_describe_invariants(document["invariants"]),
        *attacks_table.as_sentences(document.get("attacks", [])),
    ]


def _tables(document: Document, columns: PassCounts) -> list[Table]:
    scores = document["scores"]
    return [
        *([pass_fractions.table(columns)] if columns.variants else []),
        *pairs.as_tables(document.get("pairs", [])),
        *thresholds_table.as_tables(document.get("thresholds", [])),
        *(scores_table.table(rows, about) for rows, about in scores_table.by_dataset(scores, document["run"])),
        *throughput_tables(document["throughput"]),
        *attacks_table.attack_tables(document.get("attacks", [])),
    ]


def notes(document: Document) -> list[str]:
    """Return remarks on the networks' weights, and source and digest of the photographs."""
    notes = sorted({network["remark"] for network in document["run"].get("networks", {}).values()} - {""})
    if used := document["run"].get("photographs"):
        notes.append(f"{used['count']} photographs, {used['source']}, SHA-256 {used['sha256'][:16]}")
    return [f"{note}." for note in notes]


def throughput_tables(rows: Iterable[Row]) -> list[Table]:
    """Return a table for each image and batch size: images per second, and time relative to the forward pass."""
    loads: dict[tuple[int, int], dict[tuple[VariantKey, str], Cell]] = {}
    for row in rows:
        variant, speed, ratio = variant_key(row), row["images_per_second"], row["relative_to_forward"]
        cells = loads.setdefault((row["image_size"], row["batch_size"]), {})
        cells[variant, "images per second"] = Cell(f"{speed:.1f}", value=speed)
        cells[variant, "times the forward pass"] = Cell()
        if ratio is not None:
            quartiles = f"{row['relative_to_forward_low']:.2f}-{row['relative_to_forward_high']:.2f}"
            cells[variant, "times the forward pass"] = Cell(f"{ratio:.2f}", quartiles, ratio)
    return [
        tables.build(
            f"Throughput: {size} pixels, {batch} images",
            tables.sort_variants(variant for variant, _ in cells),
            list(dict.fromkeys(head for _, head in cells)),
            lambda *key, cells=cells: cells[key],
            note=THROUGHPUT_NOTE,
        )
        for (size, batch), cells in sorted(loads.items())
    ]


def _describe_cost(rows: Iterable[Row]) -> list[str]:
    """Describe the cost of measuring all variants of a network at once."""
    return [
        f"{row['network']}: measuring all variants at once takes {row['relative_to_forward']:.2f} times the "
        f"forward pass ({row['image_size']} pixels, {row['batch_size']} images)."
        for row in rows
        if row["metric"] == ALL and row["relative_to_forward"] is not None
    ]


def _describe_invariants(rows: Sequence[Row]) -> list[str]:
    """Count the invariants that hold; list those that do not hold, do not apply or could not be measured."""
    labels: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.get("error"):
            labels.setdefault(("invariants could not be measured of", row["error"]), []).append(variant_key(row).label)
        elif row["holds"] is not True:
            verb = "does not apply to" if row["holds"] is None else "does not hold for"
            start = f"{row['invariant']} {verb}"
            labels.setdefault((start, row["reason"] or ""), []).append(variant_key(row).label)
    count = [f"{sum(row['holds'] is True for row in rows)} invariants hold."] if rows else []
    return count + [
        f"{start} {tables.first_three(variants)}: {reason}." for (start, reason), variants in labels.items()
    ]


def describe_same(rows: Iterable[Row]) -> list[str]:
    """State for each variant whether it is the metric of ``--same-as``, and the differences found."""
    sentences = []
    for row in rows:
        label, reference = variant_key(row).label, row["same_as"]
        if row["same"]:
            deviation = f"{row['deviation']:.0e}" if row["deviation"] else "the last bit"
            missing = row["pairs"] - row["compared"]
            rest = f"; {missing} pairs have no distance by {reference}" if missing else ""
            sentences.append(
                f"{label} is {reference}, to {deviation} on {row['compared']} pairs, alone and in batches{rest}."
            )
        elif row.get("error"):
            sentences.append(f"{label} was not compared: {row['error']}.")
        else:
            first, *others = row["findings"]
            sentences += [f"{label} is not {reference}: {first}", *others]
    return sentences
