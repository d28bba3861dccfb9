"""Which invariants a run found broken, in words."""

from collections.abc import Iterable

from dps.report.results import Row


def in_words(rows: Iterable[Row]) -> list[str]:
    """Return how many hold, each that does not, why some do not concern a variant, and what could not be measured."""
    all_rows = list(rows)
    if not all_rows:
        return []
    errors = {_variant(row): row["error"] for row in all_rows if row["error"]}
    counts = {
        holds: [row for row in all_rows if row["holds"] is holds and not row["error"]] for holds in (True, False, None)
    }
    parts = [f"{len(counts[True])} hold", f"{len(counts[False])} do not" if counts[False] else ""]
    parts.append(f"{len(counts[None])} do not apply" if counts[None] else "")
    lines = [f"{variant} could not be measured: {error}." for variant, error in errors.items()]
    lines.append(f"invariants: {', '.join(filter(None, parts))}.")
    lines += [f"{row['invariant']} does not hold for {_variant(row)}: {row['reason']}." for row in counts[False]]
    lines += [f"{row['invariant']} does not apply to {_variant(row)}: {row['reason']}." for row in counts[None]]
    return lines


def _variant(row: Row) -> str:
    """A variant as sentences have it: ``sort (unit) on vgg16``."""
    return row["metric"] if row["network"] is None else f"{row['metric']} ({row['normalization']}) on {row['network']}"
