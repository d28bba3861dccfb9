"""Table 1: how many cases of each probe each variant passes, in the form of the paper's Table 1."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dps import verdicts
from dps.report import tables
from dps.report.published import Table1 as Paper
from dps.report.results import Row
from dps.report.tables import Column, Key, place, wrapped

FEWER_THAN_HALF = 0.5
"""A metric is said to fail a probe of which it passes fewer than this."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many cases passed."""

    passed: int = 0
    cases: int = 0

    @property
    def fraction(self) -> float:
        """In [0, 1]."""
        return self.passed / self.cases

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the fraction, in [0, 1]."""
        return verdicts.wilson(self.passed, self.cases)

    @property
    def percent(self) -> tuple[int, int]:
        """The same in percent, rounded outwards."""
        low, high = self.interval
        return math.floor(100 * low), math.ceil(100 * high)

    def __str__(self) -> str:
        low, high = self.percent
        return f"{self.passed}/{self.cases} {low}-{high}"


@dataclass(frozen=True, slots=True)
class Table:
    """Counts by variant and probe, in the order in which they are shown."""

    variants: tuple[Key, ...]
    probes: tuple[str, ...]
    counts: dict[tuple[Key, str], Count]


def count(rows: Iterable[Row]) -> Table:
    """Count passed cases.

    Args:
        rows: case rows of results.json.
    """
    counts: dict[tuple[Key, str], Count] = {}
    for row in rows:
        cell = (row["metric"], row["network"], row["normalization"]), row["probe"]
        before = counts.get(cell, Count())
        counts[cell] = Count(before.passed + bool(row["passed"]), before.cases + 1)
    probes = sorted({probe for _, probe in counts}, key=lambda name: (place(name, PROBE_ORDER), name))
    return Table(tables.in_order(key for key, _ in counts), tuple(probes), counts)


PROBE_ORDER = ("invert", "rotate", "translate", "color_stain")
"""The paper's; other probes follow by name."""


def as_text(table: Table, paper: Paper, width: int) -> list[str]:
    """The table for a terminal, split by probes where it would be wider than that.

    Of many variants on many probes, only the paper's probes are shown.
    """
    lines = tables.as_text(table.variants, columns(table, paper), width)
    note = f"{CELLS}; higher is better. A metric fails a probe of which it passes fewer than half."
    shown = tuple(probe for probe in table.probes if probe in PROBE_ORDER)
    if len(lines) > MOST_LINES and 0 < len(shown) < len(table.probes):
        lines = tables.as_text(table.variants, columns(replace(table, probes=shown), paper), width)
        note += f" {len(table.probes) - len(shown)} more probes are in the report; what fails them is said below."
    if any(paper.get(*key, probe) for key, probe in table.counts):
        note += f" paper: measured by {paper.source} on its own hand-made images, not on these."
    return [*lines, *wrapped(note, width)]


CELLS = "passed/cases, and the 95 % interval of the pass fraction in percent"
"""What stands in a cell."""

MOST_LINES = 120
"""How long a table may be on a terminal."""


def as_markdown(table: Table, paper: Paper, beside: Sequence[Column] = ()) -> list[str]:
    """The table for a pull request, with more columns before it, if any."""
    return tables.as_markdown(table.variants, [*beside, *columns(table, paper)])


def in_words(table: Table) -> list[str]:
    """What to notice: on which probes each metric passes fewer than half of the cases."""
    sentences = []
    groups: dict[tuple[str, str | None], list[Key]] = {}
    for key in table.variants:
        groups.setdefault((key[0], key[2]), []).append(key)
    for (metric, normalization), keys in groups.items():
        name = metric if normalization is None else f"{metric} ({normalization})"
        failed = {probe: [key[1] for key in keys if _fails(table.counts.get((key, probe)))] for probe in table.probes}
        parts = [_on(probe, networks, len(keys)) for probe, networks in failed.items() if networks]
        sentences.append(f"{name} fails {'; '.join(parts)}." if parts else f"{name} fails no probe.")
    return sentences


def columns(table: Table, paper: Paper) -> list[Column]:
    """A column for each probe, the paper's beside it where the paper has any."""
    return [
        Column(
            head=probe,
            cells=tuple(str(table.counts.get((key, probe), "")) for key in table.variants),
            beside=tuple(paper.get(*key, probe) if (key, probe) in table.counts else "" for key in table.variants),
        )
        for probe in table.probes
    ]


def _fails(found: Count | None) -> bool:
    return found is not None and found.fraction < FEWER_THAN_HALF


def _on(probe: str, networks: Sequence[str | None], of: int) -> str:
    if networks == [None]:
        return probe
    if len(networks) == of > 1:
        return f"{probe} on every network"
    return f"{probe} on {' and '.join(str(network) for network in networks)}"
