"""Which invariants a run found broken, in words."""

from collections.abc import Iterable

from dps.report.results import Row


def in_words(rows: Iterable[Row]) -> list[str]:
    """How many hold, each that is broken, and why some could not be asked."""
    found = list(rows)
    if not found:
        return []
    counts = {holds: [row for row in found if row["holds"] is holds] for holds in (True, False, None)}
    parts = [f"{len(counts[True])} hold", f"{len(counts[False])} do not" if counts[False] else ""]
    parts.append(f"{len(counts[None])} cannot be asked" if counts[None] else "")
    lines = [f"invariants: {', '.join(filter(None, parts))}."]
    lines += [f"{row['invariant']} does not hold for {_variant(row)}: {row['why']}." for row in counts[False]]
    lines += [f"{row['invariant']} is not asked of {_variant(row)}: {row['why']}." for row in counts[None]]
    return lines


def _variant(row: Row) -> str:
    """A variant as sentences have it: ``sort (unit) on vgg16``."""
    return row["metric"] if row["network"] is None else f"{row['metric']} ({row['normalization']}) on {row['network']}"
