"""The first screen of the page: every variant on every probe, drawn and photographed, best first, as shades."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dps.report import strata
from dps.report.pass_fractions import Count, PassCounts, total
from dps.report.tables import Cell, Table
from dps.rows import Document, VariantKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The cells of one probe and stratum, or of one column of another table.

    Attributes:
        head: the probe, or what else was measured.
        cells: by variant; of a probe, their values are pass fractions in [0, 1].
        stratum: drawn or photographs; empty where there is no such division.
        first: first of a group, which is one probe with those that answer it.
        shaded: the cells are of a probe, and shaded by their values.
    """

    head: str
    cells: dict[VariantKey, Cell]
    stratum: str = ""
    first: bool = True
    shaded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Columns by group; rows with the number of flaws, from the fewest to the most."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[VariantKey, int, tuple[Cell, ...]], ...]

    def heads(self) -> list[tuple[str, int, bool]]:
        """Return each head with the number of its columns, and whether it begins a group."""
        groups = [list(same) for _, same in itertools.groupby(self.columns, lambda column: column.head)]
        return [(same[0].head, len(same), same[0].first) for same in groups]


def build(document: Document, counts: PassCounts, others: Iterable[Table] = ()) -> HeatMap:
    """Return the heat map of a run; the columns of other tables of variants follow those of the probes.

    A flaw is a probe of which a variant passes fewer than half of the cases of a stratum, or another table's cell that
    is marked as failing.
    """
    checks = strata.sanity_checks(document, counts)
    columns: list[Column] = []
    for group in _groups(document, [probe for probe in counts.probes if probe not in checks]):
        for place, probe in enumerate(group):
            split = strata.by_source(document, probe)
            for number, stratum in enumerate(split.probes if split else [""]):
                counted = {v: split.get(v, stratum) if split else counts.get(v, probe) for v in counts.variants}
                name = ", ".join(filter(None, (probe, stratum)))
                cells = {variant: _cell(name, count) for variant, count in counted.items()}
                columns.append(Column(head=probe, stratum=stratum, first=place == number == 0, cells=cells))
    if checks:
        of_checks = {v: total(counts.get(v, probe) for probe in checks) for v in counts.variants}
        cells = {variant: _cell(strata.SANITY, count) for variant, count in of_checks.items()}
        columns.append(Column(head=strata.SANITY, cells=cells))
    variants = dict.fromkeys(counts.variants)
    for table in others:
        keys = [VariantKey(*row) for row in table.rows]  # type: ignore[arg-type]  # a metric is never None
        measured = {k: row for k, row in zip(keys, table.cells, strict=True) if not any(c.published for c in row)}
        variants |= dict.fromkeys(measured)
        for place, head in enumerate(table.heads):
            cells = {key: replace(row[place], detail=f"{head}: {row[place]}") for key, row in measured.items()}
            columns.append(Column(head=head, first=place == 0, cells=cells, shaded=False))
    rows = [(variant, tuple(column.cells.get(variant, Cell()) for column in columns)) for variant in variants]
    of_rows = [(variant, _flaws(columns, cells), cells) for variant, cells in rows]
    of_probes = [place for place, column in enumerate(columns) if column.shaded]
    of_rows.sort(key=lambda row: (row[1], -sum(row[2][place].value or 0 for place in of_probes)))
    return HeatMap(columns=tuple(columns), rows=tuple(of_rows))


def _cell(name: str, count: Count) -> Cell:
    """Return the cell of a probe and stratum, without a value where nothing was measured."""
    if not count.cases:
        return Cell(detail=f"{name}: not measured")
    detail = f"{name}: {count.passed} of {count.cases} cases passed"
    return Cell(f"{math.floor(100 * count.fraction)}", detail, count.fraction, "fails" if count.fails else "")


def _flaws(columns: Sequence[Column], cells: Sequence[Cell]) -> int:
    return len({column.head for column, cell in zip(columns, cells, strict=True) if cell.shade == "fails"})


def _groups(document: Document, probes: Sequence[str]) -> list[list[str]]:
    """Return the probes in groups of those that answer each other, in the order of the first of each."""
    groups = [[probe] for probe in probes]
    for probe, counterparts in document["run"].get("counterparts", {}).items():
        joined = [group for group in groups if {probe, *counterparts} & set(group)]
        if joined and probe in probes:
            first, *others = joined
            first += [name for group in others for name in group]
            groups = [group for group in groups if group not in others]
    return groups
