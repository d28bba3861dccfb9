"""What a run found, for all reports: sentences, the tables after that of pass fractions, and notes."""

from collections.abc import Iterable

from dps.report import pass_fractions, published, scores_table, throughput_table
from dps.report.pass_fractions import PassCounts
from dps.report.tables import Table
from dps.rows import Row, variant_key


def of_run(document: Row, counts: PassCounts) -> list[str]:
    """Say what to notice in a run.

    Args:
        document: results.json.
        counts: of its cases.
    """
    return [
        *pass_fractions.in_words(counts),
        *throughput_table.in_words(document["throughput"]),
        *of_invariants(document["invariants"]),
    ]


def of_invariants(rows: Iterable[Row]) -> list[str]:
    """Say how many invariants hold, which do not and why, which do not apply, and what could not be measured."""
    groups: dict[tuple[str, bool | None, str, str], list[str]] = {}
    for row in rows:
        holds, error, reason = row["holds"], row.get("error") or "", row["reason"] or ""
        group = ("", None, error, "") if error else (row["invariant"] if holds is not True else "", holds, "", reason)
        groups.setdefault(group, []).append(variant_key(row).label)
    lines = []
    for (invariant, holds, error, reason), labels in groups.items():
        if error:
            lines.append(f"invariants could not be measured of {_some(labels)}: {error}.")
        elif holds is not True:
            verb = "does not apply to" if holds is None else "does not hold for"
            lines.append(f"{invariant} {verb} {_some(labels)}: {reason}.")
    held = sum(len(labels) for (_, holds, *_), labels in groups.items() if holds)
    return [*([f"{held} invariants hold."] if groups else []), *lines]


def further_tables(document: Row) -> list[Table]:
    """Return the tables of scores and throughput, where they were measured."""
    scores = document["scores"]
    shown = [scores_table.table(scores, published.table2(), document["run"]["dataset"])] if scores else []
    return [*shown, *throughput_table.as_tables(document["throughput"])]


def notes(document: Row) -> list[str]:
    """Return what a reader has to know of the weights."""
    remarks = {network["remark"] for network in document["run"].get("networks", {}).values()}
    return [f"{remark}." for remark in sorted(remarks) if remark]


def _some(labels: Iterable[str]) -> str:
    names = list(dict.fromkeys(labels))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
