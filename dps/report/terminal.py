"""What a run found, for a terminal: the findings in words, then the tables."""

from collections.abc import Sequence

from dps.report import findings, gate, pass_fractions, tables
from dps.report.pass_fractions import PassCounts
from dps.report.tables import wrapped
from dps.rows import Row

MOST_LINES = 30
"""Of the table of pass fractions; a longer one shows only the paper's probes."""

WITHOUT_PEOPLE = "agreement with people was not measured: dps bapps fetch DIR, then --bapps DIR"


def as_text(document: Row, counts: PassCounts, width: int, *, verbose: bool = False) -> list[str]:
    """Return the lines for a terminal or a log file.

    Args:
        document: results.json.
        counts: of its cases.
        width: of the terminal, in characters.
        verbose: with each case that the gate names.
    """
    outcome = document["run"].get("gate_outcome")
    blocks = [gate.as_text(outcome, width, verbose=verbose) if outcome else []]
    whole = pass_fractions.passed_in_full(counts)
    sentences = [*findings.of_run(document, counts), *([_of_whole(counts, whole)] if whole else [])]
    blocks.append([line for sentence in sentences for line in wrapped(sentence, width)])
    blocks.append(_pass_fractions(counts, [probe for probe in counts.probes if probe not in whole], width))
    blocks += [tables.as_text(table, width) for table in findings.further_tables(document)]
    blocks.append([line for note in findings.notes(document) for line in wrapped(f"note: {note}", width)])
    if counts.variants and not document["run"].get("dataset"):
        blocks[-1] += wrapped(WITHOUT_PEOPLE, width)
    return [line for block in blocks if block for line in ("", *block)][1:]


def _pass_fractions(counts: PassCounts, probes: Sequence[str], width: int) -> list[str]:
    """Lay out the probes that are not passed in full; of many, the paper's."""
    if not probes:
        return []
    lines = tables.as_text(pass_fractions.published_table(pass_fractions.selected(counts, probes)), width)
    papers = [probe for probe in probes if probe in pass_fractions.PROBE_ORDER]
    if len(lines) <= MOST_LINES or len(papers) in (0, len(probes)):
        return lines
    more = f"{len(probes) - len(papers)} more probes are in the report; what fails them is said above."
    table = pass_fractions.published_table(pass_fractions.selected(counts, papers))
    return [*tables.as_text(table, width), *wrapped(more, width)]


def _of_whole(counts: PassCounts, probes: Sequence[str]) -> str:
    cases = {probe: max(counts.of(variant, probe).cases for variant in counts.variants) for probe in probes}
    return f"Every variant passes all cases of {', '.join(f'{probe} ({cases[probe]})' for probe in probes)}."
