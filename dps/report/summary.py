"""The results of a run as text: for a terminal, as report.md, and as GitHub's summary of a job."""

from dps.report import gate, pass_fractions, tables
from dps.report.findings import Findings
from dps.report.page import environment
from dps.report.tables import wrapped

MAX_LINES = 30
"""Limit of the table of pass fractions on a terminal; a longer one is reduced to the paper's probes."""

WITHOUT_PEOPLE = "agreement with people was not measured: dps bapps fetch DIR, --judgments DIR"


def as_text(findings: Findings, width: int, *, verbose: bool = False) -> list[str]:
    """Return the lines for a terminal or a log file: gate, sentences, tables and notes."""
    run, counts, columns = findings.document["run"], findings.counts, findings.columns
    notes = [f"note: {note}" for note in findings.notes]
    if counts.variants and not run.get("dataset"):
        notes.append(WITHOUT_PEOPLE)
    blocks = [tables.as_text(table, width) for table in findings.tables]
    paper_probes = [probe for probe in counts.probes if probe in pass_fractions.PROBE_ORDER]
    if counts.probes and len(blocks[0]) > MAX_LINES and len(paper_probes) not in (0, len(counts.probes)):
        more = len(counts.probes) - len(paper_probes)
        selected = pass_fractions.select(columns, [c for c in columns.probes if c.partition("/")[0] in paper_probes])
        blocks[0] = tables.as_text(pass_fractions.table(selected), width)
        blocks[0] += wrapped(f"{more} more probes are in the report; their failures are listed above.", width)
    blocks = [
        ["The run was interrupted; these are its results so far."] if run.get("interrupted") else [],
        gate.as_text(run["gate_outcome"], width, verbose=verbose) if run.get("gate_outcome") else [],
        [line for sentence in findings.sentences for line in wrapped(sentence, width)],
        *blocks,
        [line for note in notes for line in wrapped(note, width)],
    ]
    return [line for block in blocks if block for line in ("", *block)][1:]


def as_markdown(findings: Findings, *, brief: bool = False) -> str:
    """Return report.md: the sentences, the tables and the provenance; if brief, only the gate and the tables."""
    text: str = environment().get_template("report.md.j2").render(
        brief=brief,
        run=findings.document["run"],
        sentences=findings.sentences,
        tables=[line for table in findings.tables for line in ("", *tables.as_section(table))],
        probes=findings.counts.probes,
        notes=findings.notes,
    )  # fmt: skip
    return text
