"""report.md, and the summary that GitHub shows of a job."""

from collections.abc import Iterable, Sequence

from dps.report import findings, pass_fractions, tables
from dps.report.pass_fractions import PassCounts
from dps.report.tables import Table, escape_markdown
from dps.rows import Row


def as_markdown(document: Row, counts: PassCounts) -> str:
    """Return report.md: what was found, the tables, and where the numbers come from.

    Args:
        document: results.json.
        counts: of its cases.
    """
    run = document["run"]
    parts = ["# dps: which known flaws does the metric have?"]
    if run.get("interrupted"):
        parts += ["", "**The run was interrupted; this is what had been measured.**"]
    parts += _gate(run["gate_outcome"]["summary"])
    parts += ["", "## What to notice", "", *_bullets(findings.of_run(document, counts))]
    parts += _tables(document, counts)
    if counts.variants:
        parts += ["", "A case passes when the distorted image is strictly closer to the original than every reference."]
    parts += ["", "## What the probes ask", ""]
    parts += [f"- **{escape_markdown(name)}**: {escape_markdown(asks)}" for name, asks in run["probes"].items()]
    parts += ["", "## What was measured", ""]
    parts += [f"- `{run['command']}`, dps {run['dps']}, PyTorch {run['torch']}, {run['device']}"]
    parts += [
        f"- {escape_markdown(name)}: weights from {network['weights']}, SHA-256 `{network['sha256'][:12]}`"
        for name, network in run["networks"].items()
    ]
    parts += _bullets(f"{name}: {definition}" for name, definition in run["metrics"].items())
    return "\n".join([*parts, *_bullets(findings.notes(document))]) + "\n"


def as_summary(document: Row, counts: PassCounts) -> str:
    """Return what GitHub shows of a job: what could not be measured or regressed, and the tables."""
    parts = ["## dps", *_gate(document["run"]["gate_outcome"]["summary"]), *_tables(document, counts)]
    return "\n".join(parts) + "\n"


def _tables(document: Row, counts: PassCounts) -> list[str]:
    shown: list[Table] = [pass_fractions.published_table(counts)] if counts.variants else []
    shown += findings.further_tables(document)
    return [line for table in shown for line in ("", *tables.as_section(table))]


def _gate(lines: Sequence[str]) -> list[str]:
    """Return the gate's lines as a list; what is indented belongs to the line above."""
    items = [f"{'  - ' if line.startswith(' ') else '- '}{escape_markdown(line.strip())}" for line in lines]
    return ["", *items] if items else []


def _bullets(sentences: Iterable[str]) -> list[str]:
    return [f"- {escape_markdown(sentence)}" for sentence in sentences]
