"""Two runs side by side: what changed first, then the table of both."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dps.report import table1, tables
from dps.report.results import Row
from dps.report.tables import Column, Key, wrapped

MOST_CASES = 20
"""How many cases whose verdict differs are named."""


@dataclass(frozen=True, slots=True)
class Change:
    """A case whose verdict differs between two runs."""

    probe: str
    case: str
    key: Key
    now_passes: bool
    margins: tuple[float | None, float | None]

    def __str__(self) -> str:
        first, second = (_percent(margin) for margin in self.margins)
        what = "now passes" if self.now_passes else "now missed"
        return f"{self.probe}/{self.case}, {_name(self.key)}: {what} ({first} -> {second})"


def changes(first: Row, second: Row) -> list[Change]:
    """Cases that both runs measured and judge differently, in the order of tables."""
    before = _by_case(first["cases"])
    found = [
        Change(row["probe"], row["case"], key, bool(row["passed"]), (before[place].get("margin"), row.get("margin")))
        for place, row in _by_case(second["cases"]).items()
        if place in before and bool(before[place]["passed"]) != bool(row["passed"])
        for key in [place[2]]
    ]
    order = {key: number for number, key in enumerate(tables.in_order(change.key for change in found))}
    return sorted(found, key=lambda change: (change.probe, order[change.key], change.case))


def as_text(first: Row, second: Row, width: int) -> list[str]:
    """Both runs for a terminal: what they differ in, which verdicts changed, and the table."""
    lines = [*(f"{name}: {run['run'].get('command')}" for name, run in (("A", first), ("B", second)))]
    lines += differences(first, second)
    found = changes(first, second)
    lines += ["", f"{len(found)} verdicts differ." if len(found) != 1 else "1 verdict differs."]
    by_cell: dict[tuple[str, Key], list[Change]] = {}
    for change in found:
        by_cell.setdefault((change.probe, change.key), []).append(change)
    for (probe, key), of in by_cell.items():
        won = sum(change.now_passes for change in of)
        lines.append(f"{probe}, {_name(key)}: {won} won, {len(of) - won} lost in B")
    if found:
        lines += ["", *map(str, found[:MOST_CASES])]
        lines += [f"... and {len(found) - MOST_CASES} more"] if len(found) > MOST_CASES else []
    wrapped_lines = [part for line in lines for part in wrapped(line, width) or [""]]
    return [*wrapped_lines, "", *_table(first, second, width), "passed/cases; A -> B where they differ."]


def differences(first: Row, second: Row) -> list[str]:
    """What two runs were made with that is not the same, a line each; and what only one of them measured."""
    a, b = first["run"], second["run"]
    lines = [
        f"{name}: {a.get(name)} in A, {b.get(name)} in B"
        for name in ("dps", "torch", "device", "reduction")
        if a.get(name) != b.get(name)
    ]
    if a.get("probes_sha256") != b.get("probes_sha256"):
        lines.append("the probe files are not the same")
    mine, theirs = (run.get("networks", {}) for run in (a, b))
    for network in sorted(mine.keys() & theirs.keys()):
        digests = [of[network]["sha256"][:8] for of in (mine, theirs)]
        if digests[0] != digests[1]:
            lines.append(f"{network}: other weights, SHA-256 {digests[0]}... in A, {digests[1]}... in B")
    before, after = _by_case(first["cases"]), _by_case(second["cases"])
    other = {
        place[:2]
        for place in before.keys() & after.keys()
        if before[place].get("images_sha256") != after[place].get("images_sha256")
    }
    if other:
        lines.append(f"{len(other)} cases have the same name, but other images: {'/'.join(min(other))}, ...")
    for name, found, other_run in (("A", before, after), ("B", after, before)):
        if alone := len(found.keys() - other_run.keys()):
            lines.append(f"measured only in {name}: {alone} of {len(found)} verdicts")
    return lines


def _table(first: Row, second: Row, width: int) -> list[str]:
    a, b = table1.count(first["cases"]), table1.count(second["cases"])
    keys = tables.in_order([*a.variants, *b.variants])
    columns = [
        Column(
            head=probe,
            cells=tuple(_cell(a.counts.get((key, probe)), b.counts.get((key, probe))) for key in keys),
            beside=("",) * len(keys),
        )
        for probe in dict.fromkeys([*a.probes, *b.probes])
    ]
    return tables.as_text(keys, columns, width)


def _cell(first: table1.Count | None, second: table1.Count | None) -> str:
    a, b = (f"{count.passed}/{count.cases}" if count else "-" for count in (first, second))
    return ("" if a == "-" else a) if a == b else f"{a} -> {b}"


def _by_case(rows: Iterable[Row]) -> Mapping[tuple[str, str, Key], Row]:
    return {(row["probe"], row["case"], (row["metric"], row["network"], row["normalization"])): row for row in rows}


def _name(key: Key) -> str:
    metric, network, normalization = key
    return ", ".join(part for part in (metric, normalization, network) if part)


def _percent(margin: float | None) -> str:
    return "no margin" if margin is None else f"{100 * margin:+.1f} %"
