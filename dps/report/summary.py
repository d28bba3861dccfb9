"""The results of a run as text: for a terminal, as report.md, and as GitHub's summary of a job."""

from dps.report import findings, gate, pass_fractions, strata, tables
from dps.report.page import environment
from dps.report.pass_fractions import PassCounts
from dps.report.tables import wrapped
from dps.rows import Document

MAX_LINES = 30
"""Limit of the table of pass fractions on a terminal; a longer one is reduced to the paper's probes."""

WITHOUT_PEOPLE = "agreement with people was not measured: dps bapps fetch DIR, --judgments DIR"


def as_text(document: Document, counts: PassCounts, width: int, *, verbose: bool = False) -> list[str]:
    """Return the lines for a terminal or a log file: gate, sentences, tables and notes."""
    outcome = document["run"].get("gate_outcome")
    notes = [f"note: {note}" for note in findings.notes(document)]
    if counts.variants and not document["run"].get("dataset"):
        notes.append(WITHOUT_PEOPLE)
    blocks = [tables.as_text(table, width) for table in findings.as_tables(document, counts)]
    paper_probes = [probe for probe in counts.probes if probe in pass_fractions.PROBE_ORDER]
    if counts.probes and len(blocks[0]) > MAX_LINES and len(paper_probes) not in (0, len(counts.probes)):
        more = len(counts.probes) - len(paper_probes)
        selected = strata.split_by_source(document, pass_fractions.select(counts, paper_probes))
        blocks[0] = tables.as_text(pass_fractions.table(selected), width)
        blocks[0] += wrapped(f"{more} more probes are in the report; their failures are listed above.", width)
    blocks = [
        gate.as_text(outcome, width, verbose=verbose) if outcome else [],
        [line for sentence in findings.as_sentences(document, counts) for line in wrapped(sentence, width)],
        *blocks,
        [line for note in notes for line in wrapped(note, width)],
    ]
    return [line for block in blocks if block for line in ("", *block)][1:]


def as_markdown(document: Document, counts: PassCounts, *, brief: bool = False) -> str:
    """Return report.md: the sentences, the tables and the provenance; if brief, only the gate and the tables."""
    text: str = environment().get_template("report.md.j2").render(
        brief=brief,
        run=document["run"],
        sentences=findings.as_sentences(document, counts),
        tables=[line for table in findings.as_tables(document, counts) for line in ("", *tables.as_section(table))],
        probes=counts.probes,
        notes=findings.notes(document),
    )  # fmt: skip
    return text
