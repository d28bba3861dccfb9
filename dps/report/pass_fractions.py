"""Passed cases by variant and probe, as in the paper's Table 1."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, TypeVar

from dps import significance, verdicts
from dps.errors import check_known
from dps.report import published, tables
from dps.report.tables import Cell, Table
from dps.rows import Row, VariantKey, variant_key, was_measured

PROBE_ORDER = ("invert", "rotate", "translate", "color_stain")
"""Order of the paper's probes; others follow by name."""

CELLS = "passed/cases, and the 95 % interval of the pass fraction in percent"
"""Description of the cells in notes."""


class Count(NamedTuple):
    """Numbers of cases: passed, measured (passed or failed), and not measured."""

    passed: int = 0
    cases: int = 0
    unmeasured: int = 0

    def __str__(self) -> str:
        return f"{self.passed}/{self.cases}"

    @property
    def fraction(self) -> float:
        """Return the pass fraction in [0, 1]; NaN without measured cases."""
        return self.passed / self.cases if self.cases else math.nan

    @property
    def fails(self) -> bool:
        """Return whether fewer than half of the measured cases passed."""
        return self.fraction < 0.5

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval of the fraction; [0, 1] without measured cases."""
        return verdicts.wilson(self.passed, self.cases) if self.cases else (0.0, 1.0)

    def cell(self) -> Cell:
        """Return the cell with the fraction, and its interval in percent, rounded outwards."""
        if not self.cases:
            return Cell("not measured", shade="unmeasured") if self.unmeasured else Cell()
        low, high = math.floor(100 * self.interval[0]), math.ceil(100 * self.interval[1])
        missing = f"; {self.unmeasured} not measured" if self.unmeasured else ""
        shade = "fails" if self.fails else "all" if self.passed == self.cases and not missing else ""
        return Cell(str(self), f"{low}-{high}{missing}", round(self.fraction, 6), shade)


K = TypeVar("K")


def total(counts: Iterable[Count]) -> Count:
    """Return the sum of counts."""
    return Count(*map(sum, zip(*counts, strict=True)))


def differing(pairs: Mapping[K, tuple[Count, Count]]) -> list[K]:
    """Return the keys of pairs that differ significantly, by Fisher's exact test with Holm's correction."""
    tables_ = [[(count.passed, count.cases - count.passed) for count in pair] for pair in pairs.values()]
    p_values = significance.holm([significance.fisher(*rows) for rows in tables_])
    return [key for key, p in zip(pairs, p_values, strict=True) if p <= significance.LEVEL]


@dataclass(frozen=True, slots=True)
class PassCounts:
    """Counts by variant and probe, or by variant and another column, both in display order."""

    variants: tuple[VariantKey, ...]
    probes: tuple[str, ...]
    counts: dict[tuple[VariantKey, str], Count]

    def get(self, variant: VariantKey, probe: str) -> Count:
        """Return the count of a variant and probe, zero without cases."""
        return self.counts.get((variant, probe), Count())


def count(
    rows: Iterable[Row],
    column: Callable[[Row], str | None] = itemgetter("probe"),
    order: Sequence[str] = PROBE_ORDER,
) -> PassCounts:
    """Count passed cases by variant and column.

    Args:
        rows: of cases.
        column: returns the column of a row; rows with None are left out.
        order: of the columns; others follow by name.
    """
    counts: dict[tuple[VariantKey, str], list[Count]] = {}
    for row in rows:
        if (name := column(row)) is not None:
            measured = was_measured(row)
            one = Count(int(measured and bool(row["passed"])), int(measured), int(not measured))
            counts.setdefault((variant_key(row), name), []).append(one)
    names = sorted({name for _, name in counts}, key=lambda name: (tables.position(name, order), name))
    variants = tables.sort_variants(variant for variant, _ in counts)
    return PassCounts(variants, tuple(names), {key: total(ones) for key, ones in counts.items()})


def table(counts: PassCounts, title: str = "Pass fractions") -> Table:
    """Return the table, with the numbers of the paper's Table 1 where they exist."""

    def published_cell(variant: VariantKey, probe: str) -> str:
        name, _, source = probe.partition("/")  # the paper's images are photographs and drawings; shown once
        return published.cell(variant, name) if (variant, probe) in counts.counts and source != "drawn" else ""

    note = f"{CELLS}; higher is better. A metric fails a probe of which it passes fewer than half."
    if any(count.unmeasured for count in counts.counts.values()):
        note += " Cases that could not be measured are not counted."
    if any(published_cell(*key) for key in counts.counts):
        note += f" paper: measured by {published.source()} on its own hand-made images."
    cells = {key: count.cell() for key, count in counts.counts.items()}
    return tables.build(
        title, counts.variants, counts.probes, lambda *key: cells.get(key, Cell()), published_cell, note
    )


def select(counts: PassCounts, probes: Sequence[str]) -> PassCounts:
    """Return the counts of some probes; refuse a probe without results."""
    for probe in probes:
        check_known("probe", probe, counts.probes)
    selected = {key: count for key, count in counts.counts.items() if key[1] in probes}
    variants = {variant for variant, _ in selected}
    return PassCounts(
        tuple(variant for variant in counts.variants if variant in variants),
        tuple(probe for probe in counts.probes if probe in probes),
        selected,
    )


def as_sentences(counts: PassCounts) -> list[str]:
    """List the probes of which each metric passes fewer than half of the cases."""
    sentences = []
    groups: dict[str, list[VariantKey]] = {}
    for variant in counts.variants:
        groups.setdefault(metric_name(variant), []).append(variant)
    for name, variants in groups.items():
        parts = []
        for probe in counts.probes:
            if failed := [str(variant.network) for variant in variants if counts.get(variant, probe).fails]:
                place = "every network" if len(failed) == len(variants) > 1 else " and ".join(failed)
                parts.append(f"{probe} on {place}" if variants[0].network else probe)
        sum_ = total(counts.get(variant, probe) for variant in variants for probe in counts.probes)
        if parts:
            sentences.append(f"{name} fails {'; '.join(parts)}.")
        elif sum_.cases:
            limit = " as far as it could be measured" if sum_.unmeasured else ""
            sentences.append(f"{name} passes at least half of every probe{limit}.")
    return sentences


def metric_name(variant: VariantKey) -> str:
    """Return a metric with its normalization, as used in sentences: ``sort (none)``."""
    return f"{variant.metric} ({variant.normalization})" if variant.normalization else variant.metric
