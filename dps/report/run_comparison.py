"""Comparison of two runs: the first as the baseline of the second, and a table of both."""

from dps import baseline
from dps.errors import UsageError
from dps.report import gate, pass_fractions, tables
from dps.report.pass_fractions import Count
from dps.report.tables import Cell, Table, wrapped
from dps.rows import Document, was_measured

MAX_CHANGES = 30
"""Largest number of changes that are listed."""


def as_text(first: Document, second: Document, width: int) -> list[str]:
    """Return lines for a terminal: differences of the runs, changed verdicts, and the table.

    Raises:
        UsageError: the first run has no measured case, or no description of the run.
    """
    if not first["run"]:
        raise UsageError("A has no 'run', which describes how it was measured.")
    reference = baseline.record(filter(was_measured, first["cases"]), first["run"], "A")
    lines = [f"A, the baseline: {first['run']['command']}", f"B: {second['run'].get('command')}"]
    lines += baseline.notes(reference, {"networks": {}, **second["run"]})
    for name, run in (("A", first), ("B", second)):
        if unmeasured := sum(not was_measured(row) for row in run["cases"]):
            lines.append(f"could not be measured in {name}: {unmeasured} of {len(run['cases'])} results")
    changes = [*gate.judge_verdicts(reference, second["cases"], requested=False, improved="in B").lines]
    changes += baseline.missing(reference, second["cases"])
    lines += ["", *changes[:MAX_CHANGES]]
    lines += [f"... and {len(changes) - MAX_CHANGES} more"] if len(changes) > MAX_CHANGES else []
    shown = [part for line in lines for part in wrapped(line, width) or [""]]
    return [*shown, "", *tables.as_text(table(first, second), width)]


def table(first: Document, second: Document) -> Table:
    """Return the pass fractions of both runs in one table."""
    a, b = (pass_fractions.count(run["cases"]) for run in (first, second))
    variants = tables.sort_variants([*a.variants, *b.variants])
    probes = tuple(dict.fromkeys([*a.probes, *b.probes]))
    note = "passed/cases; A -> B where they differ."
    return tables.build("Pass fractions", variants, probes, lambda *key: _cell(a.get(*key), b.get(*key)), note=note)


def _cell(first: Count, second: Count) -> Cell:
    a, b = (count.cell().text or "-" for count in (first, second))
    return Cell(("" if a == "-" else a) if a == b else f"{a} -> {b}")
