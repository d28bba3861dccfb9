"""How many cases of each probe each variant passes, as in the paper's Table 1; and what to notice in it."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from dps import verdicts
from dps.errors import check_known
from dps.report import published, tables
from dps.report.tables import Cell, Table
from dps.rows import Row, VariantKey, variant_key, was_measured

FAILS_BELOW = 0.5
"""A variant is said to fail a probe of which it passes a smaller fraction than this."""

PROBE_ORDER = ("invert", "rotate", "translate", "color_stain")
"""The paper's; other probes follow by name."""

CELLS = "passed/cases, and the 95 % interval of the pass fraction in percent"
"""What stands in a cell."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many of the measured cases passed; what could not be measured counts nowhere else."""

    passed: int = 0
    cases: int = 0
    unmeasured: int = 0

    @property
    def fraction(self) -> float:
        """Return the pass fraction in [0, 1]; NaN where nothing was measured."""
        return self.passed / self.cases if self.cases else math.nan

    @property
    def fails(self) -> bool:
        """Return whether fewer than half of the measured cases passed."""
        return self.fraction < FAILS_BELOW

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval of the fraction, in [0, 1]; all of it where nothing was measured."""
        return verdicts.wilson(self.passed, self.cases) if self.cases else (0.0, 1.0)

    def cell(self) -> Cell:
        """Return the fraction, and its interval in percent, rounded outwards."""
        if not self.cases:
            return Cell("not measured" if self.unmeasured else "", shade="unmeasured" if self.unmeasured else "")
        low, high = math.floor(100 * self.interval[0]), math.ceil(100 * self.interval[1])
        missing = f"; {self.unmeasured} not measured" if self.unmeasured else ""
        shade = "fails" if self.fails else "all" if self.passed == self.cases and not missing else ""
        return Cell(f"{self.passed}/{self.cases}", f"{low}-{high}{missing}", round(self.fraction, 6), shade)


def total(counts: Iterable[Count]) -> Count:
    """Return the sum of counts."""
    columns = zip(*((count.passed, count.cases, count.unmeasured) for count in counts), strict=True)
    return Count(*map(sum, columns))


@dataclass(frozen=True, slots=True)
class PassCounts:
    """Counts by variant and probe, both in the order in which they are shown."""

    variants: tuple[VariantKey, ...]
    probes: tuple[str, ...]
    counts: dict[tuple[VariantKey, str], Count]

    def get(self, variant: VariantKey, probe: str) -> Count:
        """Return one count; an empty one where the variant has no case of the probe."""
        return self.counts.get((variant, probe), Count())


def count(
    rows: Iterable[Row],
    column: Callable[[Row], str | None] = itemgetter("probe"),
    order: Sequence[str] = PROBE_ORDER,
) -> PassCounts:
    """Count passed cases by variant and probe, or by another column of their rows; None in a column counts nowhere.

    The columns are in the given order, and others follow by name.
    """
    numbers: dict[tuple[VariantKey, str], list[int]] = {}
    for row in rows:
        if (name := column(row)) is not None:
            measured = was_measured(row)
            cell = numbers.setdefault((variant_key(row), name), [0, 0, 0])
            for index, holds in enumerate((measured and bool(row["passed"]), measured, not measured)):
                cell[index] += holds
    names = sorted({name for _, name in numbers}, key=lambda name: (tables.position(name, order), name))
    counts = {key: Count(*cell) for key, cell in numbers.items()}
    return PassCounts(tables.sort_variants(variant for variant, _ in counts), tuple(names), counts)


def table(counts: PassCounts, title: str = "Pass fractions") -> Table:
    """Return the typed table, with the numbers of the paper's Table 1 right of ours where it has any."""

    def published_cell(variant: VariantKey, probe: str) -> str:
        name, _, source = probe.partition("/")  # the paper's own images are photographs and drawings; shown once
        return published.cell(variant, name) if (variant, probe) in counts.counts and source != "drawn" else ""

    note = f"{CELLS}; higher is better. A metric fails a probe of which it passes fewer than half."
    if any(count.unmeasured for count in counts.counts.values()):
        note += " What could not be measured counts nowhere else."
    if any(published_cell(*key) for key in counts.counts):
        note += f" paper: measured by {published.source()} on its own hand-made images."
    cells = {key: count.cell() for key, count in counts.counts.items()}
    return tables.build(
        title, counts.variants, counts.probes, lambda *key: cells.get(key, Cell()), published_cell, note
    )


def select(counts: PassCounts, probes: Sequence[str]) -> PassCounts:
    """Return the counts of some probes only; refuse one that was not measured."""
    for probe in probes:
        check_known("probe", probe, counts.probes)
    kept = {key: count for key, count in counts.counts.items() if key[1] in probes}
    variants = tuple(variant for variant in counts.variants if any(variant == key[0] for key in kept))
    return PassCounts(variants, tuple(probe for probe in counts.probes if probe in probes), kept)


def as_sentences(counts: PassCounts) -> list[str]:
    """Say on which probes each metric passes fewer than half of the cases."""
    sentences = []
    groups: dict[str, list[VariantKey]] = {}
    for variant in counts.variants:
        groups.setdefault(metric_name(variant), []).append(variant)
    for name, variants in groups.items():
        parts = []
        for probe in counts.probes:
            failed = [str(key.network) for key in variants if counts.get(key, probe).fails]
            place = "every network" if len(failed) == len(variants) > 1 else " and ".join(failed)
            parts += [f"{probe} on {place}" if variants[0].network else probe] if failed else []
        of_metric = [counts.get(key, probe) for key in variants for probe in counts.probes]
        if parts:
            sentences.append(f"{name} fails {'; '.join(parts)}.")
        elif any(count.cases for count in of_metric):
            broken = " as far as it could be measured" if any(count.unmeasured for count in of_metric) else ""
            sentences.append(f"{name} passes at least half of every probe{broken}.")
    return sentences


def metric_name(variant: VariantKey) -> str:
    """Return a metric with its normalization, as sentences name it: ``sort (none)``."""
    return f"{variant.metric} ({variant.normalization})" if variant.normalization else variant.metric
