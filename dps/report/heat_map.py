"""The heat map at the top of the page: pass fractions of every variant and probe, drawn and photographed."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dps.report import strata
from dps.report.pass_fractions import Count, PassCounts, total
from dps.report.tables import Cell, Table
from dps.rows import Document, VariantKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A probe and stratum, or a column of another table.

    Attributes:
        head: the probe, or the head of the other column.
        cells: by variant; the values of a probe's are pass fractions in [0, 1].
        stratum: drawn or photographs; empty if the probe is not divided.
        first: the first column of a group of counterparts.
        shaded: by its values; only columns of probes are.
    """

    head: str
    cells: dict[VariantKey, Cell]
    stratum: str = ""
    first: bool = True
    shaded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Columns by group; rows with their number of flaws, in ascending order of it; None if nothing was measured."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[VariantKey, int | None, tuple[Cell, ...]], ...]

    def heads(self) -> list[tuple[str, int, bool]]:
        """Return each head, its number of columns, and whether it begins a group."""
        groups = [list(columns) for _, columns in itertools.groupby(self.columns, lambda column: column.head)]
        return [(columns[0].head, len(columns), columns[0].first) for columns in groups]


def build(document: Document, counts: PassCounts, others: Iterable[Table] = ()) -> HeatMap:
    """Return the heat map of a run; the columns of other tables of variants follow those of the probes.

    A flaw is a probe with a stratum of which a variant passes fewer than half of the cases, or a column of another
    table in which its cell is marked as failing.
    """
    columns = (*_probe_columns(document, counts), *(column for table in others for column in _table_columns(table)))
    rows = []
    for variant in dict.fromkeys(variant for column in columns for variant in column.cells):
        cells = tuple(column.cells.get(variant, Cell()) for column in columns)
        pairs = list(zip(columns, cells, strict=True))
        flaws = (
            len({column.head for column, cell in pairs if cell.shade == "fails"})
            if any(cell.text for cell in cells)
            else None
        )
        rows.append((flaws, -sum(cell.value or 0 for column, cell in pairs if column.shaded), variant, cells))
    rows.sort(key=lambda row: (row[0] is None, row[0] or 0, row[1]))
    return HeatMap(columns=columns, rows=tuple((variant, flaws, cells) for flaws, _, variant, cells in rows))


def _probe_columns(document: Document, counts: PassCounts) -> Iterator[Column]:
    """Yield the columns of each probe, and one of all sanity checks."""
    checks, splits = strata.sanity_checks(document, counts), strata.by_source(document)
    for group in _groups(document, [probe for probe in counts.probes if probe not in checks]):
        for place, probe in enumerate(group):
            split = splits.get(probe)
            for number, stratum in enumerate(split.probes if split else [probe]):
                name = f"{probe}, {stratum}" if split else probe
                cells = {variant: _cell(name, (split or counts).get(variant, stratum)) for variant in counts.variants}
                first = place == number == 0
                yield Column(head=probe, stratum=stratum if split else "", first=first, cells=cells)
    if checks:
        sums = {variant: total(counts.get(variant, probe) for probe in checks) for variant in counts.variants}
        yield Column(head=strata.SANITY, cells={v: _cell(strata.SANITY, count) for v, count in sums.items()})


def _table_columns(table: Table) -> Iterator[Column]:
    """Yield the columns of a table of variants, without published rows."""
    keys = [VariantKey(*row) for row in table.rows]  # type: ignore[arg-type]  # a metric is never None
    measured = {k: row for k, row in zip(keys, table.cells, strict=True) if not any(cell.published for cell in row)}
    for place, head in enumerate(table.heads):
        cells = {key: replace(row[place], detail=f"{head}: {row[place]}") for key, row in measured.items()}
        yield Column(head=head, first=place == 0, cells=cells, shaded=False)


def _cell(name: str, count: Count) -> Cell:
    """Return the cell of a probe and stratum, without a value if no case was measured."""
    if not count.cases:
        return Cell(detail=f"{name}: not measured")
    detail = f"{name}: {count.passed} of {count.cases} cases passed"
    return Cell(f"{math.floor(100 * count.fraction)}", detail, count.fraction, "fails" if count.fails else "")


def _groups(document: Document, probes: Sequence[str]) -> list[list[str]]:
    """Return the probes in groups of counterparts, in the order of the first of each."""
    groups = [[probe] for probe in probes]
    for probe, counterparts in document["run"].get("counterparts", {}).items():
        joined = [group for group in groups if {probe, *counterparts} & set(group)]
        if joined and probe in probes:
            first, *others = joined
            first += [name for group in others for name in group]
            groups = [group for group in groups if group not in others]
    return groups
