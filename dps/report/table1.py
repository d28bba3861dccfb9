"""Table 1: how many cases of each probe each variant passes, in the form of the paper's Table 1."""

import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import rich.box
import rich.console
import rich.table
import rich.text

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
        return f"{self.passed}/{self.cases} {100 * self.fraction:3.0f}"


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
    lines: list[str] = []
    beside = [p for p in table.probes if any(paper.get(*key, p) for key in table.variants)]
    for probes in _that_fit(table.probes, beside, width):
        lines += [*_block(table, paper, probes, width), ""]
    note = "passed/cases and percent; higher is better."
    if beside:
        note += f" paper: measured by {paper.source} on its own hand-made images, not on these."
    return [*lines, *wrapped(note, width)]


def as_markdown(table: Table, paper: Paper) -> list[str]:
    """The table for a pull request."""
    beside = [p for p in table.probes if any(paper.get(*key, p) for key in table.variants)]
    heads = ["metric", "network", "normalization"]
    for probe in table.probes:
        heads += [probe, "paper"] if probe in beside else [probe]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * 3 + " ---: |" * (len(heads) - 3)]
    for key in table.variants:
        cells = [_escaped(part or "") for part in key]
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
    return textwrap.wrap(sentence, max(width, 40), subsequent_indent="  ")


def _fails(found: Count | None) -> bool:
    return found is not None and found.fraction < FEWER_THAN_HALF


def _on(probe: str, networks: Sequence[str | None], of: int) -> str:
    if networks == [None]:
        return probe
    if len(networks) == of > 1:
        return f"{probe} on every network"
    return f"{probe} on {' and '.join(str(network) for network in networks)}"


def _that_fit(probes: Sequence[str], beside: Sequence[str], width: int) -> Iterator[list[str]]:
    """Probes in groups whose columns fit beside each other, at least one in each."""
    group: list[str] = []
    used = LABEL
    for probe in probes:
        needed = 2 + max(len(probe), 9) + (6 if probe in beside else 0)
        if group and used + needed > width:
            yield group
            group, used = [], LABEL
        group.append(probe)
        used += needed
    if group:
        yield group


LABEL = max(map(len, NETWORKS))
"""Width of the first column; a metric's name has a line of its own, so that the columns stay narrow."""


def _block(table: Table, paper: Paper, probes: Sequence[str], width: int) -> list[str]:
    """The columns of some probes, each with the paper's beside it where the paper has any."""
    grid = rich.table.Table(box=None, padding=(0, 0, 0, 1), pad_edge=False)
    grid.add_column("", min_width=LABEL, no_wrap=True, overflow="ellipsis")
    beside = {probe: any(paper.get(*key, probe) for key in table.variants) for probe in probes}
    for probe in probes:
        grid.add_column(probe, justify="right", no_wrap=True, min_width=max(10, 1 + len(probe)))
        if beside[probe]:
            grid.add_column("paper", justify="right", no_wrap=True)
    titles: list[list[str]] = []
    last: tuple[str, str | None] | None = None
    for key in table.variants:
        metric, network, normalization = key
        new = network is not None and (metric, normalization) != last
        titles.append(["", f"{metric}, {normalization}"] if new else [])
        last = (metric, normalization)
        cells = [metric if network is None else network]
        for probe in probes:
            cells.append(str(table.counts.get((key, probe), "")))
            if beside[probe]:
                cells.append(paper.get(*key, probe))
        grid.add_row(*(rich.text.Text(cell) for cell in cells))
    console = rich.console.Console(file=io.StringIO(), width=max(width, 40), color_system=None)
    with console.capture() as captured:
        console.print(grid)
    head, *lines = (line.rstrip() for line in captured.get().splitlines())
    rows = [[*above, line] for above, line in zip(titles, lines, strict=True)]
    return [head, *(line for row in rows for line in row)]


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


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
