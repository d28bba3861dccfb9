"""Table 1: how many cases of each probe each variant passes, in the form of the paper's Table 1."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dps.metrics import DEFAULT_METRICS
from dps.networks import NETWORKS
from dps.report.paper import Table1 as Paper
from dps.report.results import Row

Key: TypeAlias = tuple[str, str | None, str | None]
"""Metric, network, normalization."""

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

    def __str__(self) -> str:
        return f"{self.passed}/{self.cases} {100 * self.passed // self.cases:3d}"


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
    variants = sorted({key for key, _ in counts}, key=_paper_order)
    probes = sorted({probe for _, probe in counts}, key=lambda name: (_place(name, PROBE_ORDER), name))
    return Table(tuple(variants), tuple(probes), counts)


PROBE_ORDER = ("invert", "rotate", "translate", "color_stain")
"""The paper's; other probes follow by name."""


def as_text(table: Table, paper: Paper, width: int) -> list[str]:
    """The table for a terminal, split by probes where it would be wider than that."""
    width = max(width, NARROWEST)
    columns = [_column(table, paper, probe, width) for probe in table.probes]
    lines: list[str] = []
    for group in _that_fit(columns, width):
        lines += [*_block(table, group, width), ""]
    note = (
        "passed/cases and percent, rounded down; higher is better. A metric fails a probe of which it passes fewer "
        "than half."
    )
    if any(paper.get(*key, probe) for key, probe in table.counts):
        note += f" paper: measured by {paper.source} on its own hand-made images, not on these."
    return [*lines, *wrapped(note, width)]


def as_markdown(table: Table, paper: Paper) -> list[str]:
    """The table for a pull request."""
    beside = [p for p in table.probes if any(paper.get(*key, p) for key in table.variants)]
    heads = ["metric", "network", "normalization"]
    for probe in table.probes:
        heads += [escaped(probe), "paper"] if probe in beside else [escaped(probe)]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * 3 + " ---: |" * (len(heads) - 3)]
    for key in table.variants:
        cells = [escaped(part or "") for part in key]
        for probe in table.probes:
            cells.append(str(table.counts.get((key, probe), "")))
            if probe in beside:
                cells.append(f"*{value}*" if (value := paper.get(*key, probe)) else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


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


def wrapped(sentence: str, width: int) -> list[str]:
    """A sentence in lines of a terminal."""
    return textwrap.wrap(sentence, max(width, NARROWEST), subsequent_indent="  ")


def _fails(found: Count | None) -> bool:
    return found is not None and found.fraction < FEWER_THAN_HALF


def _on(probe: str, networks: Sequence[str | None], of: int) -> str:
    if networks == [None]:
        return probe
    if len(networks) == of > 1:
        return f"{probe} on every network"
    return f"{probe} on {' and '.join(str(network) for network in networks)}"


LABEL = max(map(len, NETWORKS))
"""Width of the first column; a metric's name has a line of its own, so that the columns stay narrow."""

NARROWEST = 40
"""A terminal of fewer columns is written to as if it had these."""

Column: TypeAlias = list[str]
"""A probe's column, all of one width: its head, then one line for each variant."""


def _column(table: Table, paper: Paper, probe: str, width: int) -> Column:
    """What a probe's column holds; the paper's beside it where the paper has any."""
    ours = [str(table.counts.get((key, probe), "")) for key in table.variants]
    theirs = [paper.get(*key, probe) if (key, probe) in table.counts else "" for key in table.variants]
    beside = _right([" paper", *(f" {cell}" for cell in theirs)]) if any(theirs) else [""] * (1 + len(ours))
    head = _cut(probe, width - LABEL - len(GAP) - len(beside[0]))
    return [left + right for left, right in zip(_right([head, *ours]), beside, strict=True)]


GAP = "  "


def _that_fit(columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """Columns in groups that fit beside each other, at least one in each."""
    group: list[Column] = []
    used = LABEL
    for column in columns:
        needed = len(GAP) + len(column[0])
        if group and used + needed > width:
            yield group
            group, used = [], LABEL
        group.append(column)
        used += needed
    if group:
        yield group


def _block(table: Table, columns: Sequence[Column], width: int) -> list[str]:
    """Some columns, each line with its network, or with its metric where it has none."""
    head, *rows = (GAP.join(cells) for cells in zip(*columns, strict=True))
    lines = [" " * LABEL + GAP + head]
    last: tuple[str, str | None] | None = None
    for (metric, network, normalization), row in zip(table.variants, rows, strict=True):
        title = metric if network is None else f"{metric}, {normalization}"
        label = (metric if len(metric) <= LABEL else "") if network is None else network
        if label != metric and (metric, normalization) != last:
            lines += ["", _cut(title, width)]
        last = (metric, normalization)
        lines.append((label.ljust(LABEL) + GAP + row).rstrip())
    return lines


def _right(cells: Sequence[str]) -> list[str]:
    """Flush right."""
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def _cut(text: str, width: int) -> str:
    """A text that fits; of a longer one its end, which says more of a path."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]


def _paper_order(key: Key) -> tuple[object, ...]:
    metric, network, normalization = key
    return (
        _place(metric, DEFAULT_METRICS),
        metric,
        normalization or "",
        _place(network or "", tuple(NETWORKS)),
        network or "",
    )


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def escaped(text: str) -> str:
    """A name as Markdown shows it, in a table too."""
    return re.sub(r"[\\|*_`\[\]]", r"\\\g<0>", text).replace("<", "&lt;")
