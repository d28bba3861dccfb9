"""Two runs side by side: what changed first, then the table of both."""

import itertools
from collections.abc import Iterable

from dps.report import pass_fractions, tables
from dps.report.pass_fractions import Count
from dps.report.tables import Cell, Table, wrapped
from dps.rows import Row, VariantKey, case_name, finite, variant_key, was_measured

MOST_CASES = 20
"""How many cases whose verdict differs are named."""


def changes(first: Row, second: Row) -> list[tuple[Row, Row]]:
    """Return the rows of cases that both runs measured and judge differently, in the order of tables.

    Args:
        first, second: each a results.json.
    """
    before, after = _by_case(first["cases"]), _by_case(second["cases"])
    both = [(before[key], row) for key, row in after.items() if key in before]
    changed = [
        (old, new) for old, new in both if was_measured(old) and was_measured(new) and old["passed"] != new["passed"]
    ]
    order = tables.in_order(variant_key(new) for _, new in changed)
    return sorted(changed, key=lambda rows: (rows[1]["probe"], order.index(variant_key(rows[1])), rows[1]["case"]))


def as_text(first: Row, second: Row, width: int) -> list[str]:
    """Show both runs on a terminal: what they differ in, which verdicts changed, and the table."""
    changed = changes(first, second)
    lines = [f"A: {first['run'].get('command')}", f"B: {second['run'].get('command')}", *differences(first, second), ""]
    lines.append("1 verdict differs." if len(changed) == 1 else f"{len(changed)} verdicts differ.")
    for (probe, label), rows in itertools.groupby(changed, lambda rows: (rows[1]["probe"], variant_key(rows[1]).label)):
        outcomes = [new["passed"] for _, new in rows]
        lines.append(f"{probe}, {label}: {outcomes.count(True)} better, {outcomes.count(False)} worse in B")
    lines += ["", *(_in_words(*rows) for rows in changed[:MOST_CASES])] if changed else []
    lines += [f"... and {len(changed) - MOST_CASES} more"] if len(changed) > MOST_CASES else []
    shown = [part for line in lines for part in wrapped(line, width) or [""]]
    return [*shown, "", *tables.as_text(table(first, second), width)]


def _in_words(first: Row, second: Row) -> str:
    margins = (finite(row.get("margin")) for row in (first, second))
    before, after = ("no margin" if margin is None else f"{100 * margin:+.1f} %" for margin in margins)
    outcome = "passed" if second["passed"] else "failed"
    return f"{case_name(second)}, {variant_key(second).label}: {outcome} in B ({before} -> {after})"


def table(first: Row, second: Row) -> Table:
    """Return the pass fractions of both runs in one table."""
    a, b = (pass_fractions.count(run["cases"]) for run in (first, second))
    variants = tables.in_order([*a.variants, *b.variants])
    probes = tuple(dict.fromkeys([*a.probes, *b.probes]))
    note = "passed/cases; A -> B where they differ."
    return tables.build("Pass fractions", variants, probes, lambda *key: _cell(a.of(*key), b.of(*key)), note=note)


def differences(first: Row, second: Row) -> list[str]:
    """Say what two runs were made with that is not the same, a line each; and what only one of them has."""
    a, b = first["run"], second["run"]
    lines = [
        f"{name}: {a.get(name)} in A, {b.get(name)} in B"
        for name in ("dps", "torch", "device", "reduction")
        if a.get(name) != b.get(name)
    ]
    if a.get("probes_sha256") != b.get("probes_sha256"):
        lines.append("the probe files are not the same")
    networks = a.get("networks", {}), b.get("networks", {})
    for network in sorted(networks[0].keys() & networks[1].keys()):
        digests = [by_name[network]["sha256"][:8] for by_name in networks]
        if digests[0] != digests[1]:
            lines.append(f"{network}: other weights, SHA-256 {digests[0]}... in A, {digests[1]}... in B")
    before, after = _by_case(first["cases"]), _by_case(second["cases"])
    redrawn = {
        key[0]
        for key in before.keys() & after.keys()
        if before[key].get("images_sha256") != after[key].get("images_sha256")
    }
    if redrawn:
        lines.append(f"{len(redrawn)} cases have the same name, but other images: {min(redrawn)}, ...")
    for name, rows, others in (("A", before, after), ("B", after, before)):
        if unmeasured := sum(not was_measured(row) for row in rows.values()):
            lines.append(f"could not be measured in {name}: {unmeasured} of {len(rows)} results")
        if alone := len(rows.keys() - others.keys()):
            lines.append(f"only in {name}: {alone} of {len(rows)} results")
    return lines


def _cell(first: Count, second: Count) -> Cell:
    a, b = (count.cell().text or "-" for count in (first, second))
    return Cell(("" if a == "-" else a) if a == b else f"{a} -> {b}")


def _by_case(rows: Iterable[Row]) -> dict[tuple[str, VariantKey], Row]:
    return {(case_name(row), variant_key(row)): row for row in rows}
