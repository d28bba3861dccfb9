"""What a run found, as text: for a terminal, as report.md, and as the summary that GitHub shows of a job."""

from collections.abc import Iterable

from dps.report import findings, gate, pass_fractions, tables
from dps.report.pass_fractions import PassCounts
from dps.report.tables import escape_markdown, wrapped
from dps.rows import Document

MOST_LINES = 30
"""Of the table of pass fractions on a terminal; a longer one shows only the paper's probes."""

WITHOUT_PEOPLE = "agreement with people was not measured: dps bapps fetch DIR, then --bapps DIR"


def as_text(document: Document, counts: PassCounts, width: int, *, verbose: bool = False) -> list[str]:
    """Return the lines for a terminal or a log file: the findings in words, then the tables."""
    outcome = document["run"].get("gate_outcome")
    sentences = findings.in_words(document, counts)
    short = {probe for (_, probe), count in counts.counts.items() if count.passed < count.cases + count.unmeasured}
    whole = {
        probe: max(counts.of(variant, probe).cases for variant in counts.variants)
        for probe in counts.probes
        if probe not in short
    }
    if whole:
        probes = ", ".join(f"{probe} ({cases})" for probe, cases in whole.items())
        sentences.append(f"Every variant passes all cases of {probes}.")
    notes = [f"note: {note}" for note in findings.notes(document)]
    if counts.variants and not document["run"].get("dataset"):
        notes.append(WITHOUT_PEOPLE)
    blocks = [
        gate.as_text(outcome, width, verbose=verbose) if outcome else [],
        [line for sentence in sentences for line in wrapped(sentence, width)],
        *_as_text(document, counts, [probe for probe in counts.probes if probe not in whole], width),
        [line for note in notes for line in wrapped(note, width)],
    ]
    return [line for block in blocks if block for line in ("", *block)][1:]


def _as_text(document: Document, counts: PassCounts, probes: list[str], width: int) -> list[list[str]]:
    """Lay out the tables, with the pass fractions of some probes; of many, of the paper's."""
    shown = [
        tables.as_text(table, width) for table in findings.as_tables(document, pass_fractions.selected(counts, probes))
    ]
    papers = [probe for probe in probes if probe in pass_fractions.PROBE_ORDER]
    if probes and len(shown[0]) > MOST_LINES and len(papers) not in (0, len(probes)):
        more = f"{len(probes) - len(papers)} more probes are in the report; what fails them is said above."
        table = pass_fractions.table(pass_fractions.selected(counts, papers))
        shown[0] = [*tables.as_text(table, width), *wrapped(more, width)]
    return shown


def as_markdown(document: Document, counts: PassCounts) -> str:
    """Return report.md: what was found, the tables, and where the numbers come from."""
    run = document["run"]
    parts = ["# dps: which known flaws does the metric have?"]
    if run.get("interrupted"):
        parts += ["", "**The run was interrupted; this is what had been measured.**"]
    parts += _gate(document)
    parts += ["", "## What to notice", "", *_bullets(findings.in_words(document, counts))]
    parts += _tables(document, counts)
    if counts.variants:
        parts += ["", "A case passes when the distorted image is strictly closer to the original than every reference."]
        parts += ["", "## What the probes ask", ""]
        parts += [
            f"- **{escape_markdown(name)}**: {escape_markdown(run['probes'].get(name, ''))}" for name in counts.probes
        ]
    parts += ["", "## What was measured", ""]
    parts += [f"- `{run['command']}`, dps {run['dps']}, PyTorch {run['torch']}, {run['device']}"]
    parts += [
        f"- {escape_markdown(name)}: weights from {network['weights']}, SHA-256 `{network['sha256'][:12]}`; layers "
        + escape_markdown(", ".join(network["layers"]))
        for name, network in run["networks"].items()
    ]
    parts += _bullets(f"{name}: {definition}" for name, definition in run["metrics"].items())
    return "\n".join([*parts, *_bullets(findings.notes(document))]) + "\n"


def as_github_summary(document: Document, counts: PassCounts) -> str:
    """Return what GitHub shows of a job: what could not be measured or regressed, and the tables."""
    return "\n".join(["## dps", *_gate(document), *_tables(document, counts)]) + "\n"


def _tables(document: Document, counts: PassCounts) -> list[str]:
    return [line for table in findings.as_tables(document, counts) for line in ("", *tables.as_section(table))]


def _gate(document: Document) -> list[str]:
    """Return the gate's lines as a list; what is indented belongs to the line above."""
    lines = document["run"]["gate_outcome"]["summary"]
    items = [f"{'  - ' if line.startswith(' ') else '- '}{escape_markdown(line.strip())}" for line in lines]
    return ["", *items] if items else []


def _bullets(sentences: Iterable[str]) -> list[str]:
    return [f"- {escape_markdown(sentence)}" for sentence in sentences]
