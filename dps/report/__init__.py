"""What a run found: as data, as tables, in words.

results.py  results.json: rows at full precision, written atomically
paper.py    the paper's published tables, beside which ours are shown
costs.py    throughput beside the bare forward pass
sheets.py   contact sheets of what is asked
table1.py   pass fractions by metric, network and normalization; and what to notice in them
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dps import files
from dps.report import costs, paper, results, table1
from dps.report.results import Row
from dps.run import Question


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a run.

    Attributes:
        lines: for the terminal.
        failed: a floor was missed, or the report could not be written.
    """

    lines: list[str]
    failed: bool


def finish(
    question: Question,
    rows: Sequence[Row],
    drawn: dict[str, Row],
    throughput: Sequence[Row],
    command: str,
    *,
    interrupted: bool = False,
) -> Finished:
    """Write results.json and report.md, and say in a few lines what was found.

    Args:
        question: what was asked.
        rows: case rows, as `results.case_row` makes them.
        drawn: what each case was drawn with, by ``probe/case``.
        throughput: rows of throughput, as `throughput.row` makes them.
        command: as it was given.
        interrupted: the run ended early; what there is was measured all the same.
    """
    about = results.about_run(question, command, torch.get_num_threads(), interrupted=interrupted)
    document = results.document(about, rows, drawn, throughput)
    width = shutil.get_terminal_size().columns
    table = table1.count(rows)
    published = paper.table1()
    missed = _missed_floors(question, table)
    lines = [*table1.as_text(table, published, width), ""] if rows else []
    sentences = [*table1.in_words(table), *costs.in_words(document["throughput"])]
    lines += [line for sentence in sentences for line in table1.wrapped(sentence, width)]
    lines += [*_remarks(document, width), *missed]
    failed = bool(missed)
    try:
        files.write(question.report_dir / "results.json", results.as_json(document).encode())
        files.write(question.report_dir / "report.md", as_markdown(document, missed).encode())
        lines.append(f"written: {question.report_dir / 'results.json'}, {question.report_dir / 'report.md'}")
    except OSError as error:
        failed = True
        lines.append(f"the report was not written to {question.report_dir}: {error.strerror or error}.")
    return Finished(lines, failed)


def as_markdown(document: Row, missed: Sequence[str] = ()) -> str:
    """report.md: the run, the table, what to notice, where the numbers come from."""
    run = document["run"]
    table = table1.count(document["cases"])
    published = paper.table1()
    parts = ["# dps: which known flaws does the metric have?"]
    if run.get("interrupted"):
        parts += ["", "**The run was interrupted; this is what had been measured.**"]
    if missed:
        parts += ["", *(f"- {table1.escaped(line)}" for line in missed)]
    if table.variants:
        parts += _of_probes(table, published)
    if document["throughput"]:
        parts += ["", "## What it costs", "", *costs.as_markdown(document["throughput"])]
        parts += ["", "Median over rounds; each ratio beside a forward pass of the same images right before it."]
    parts += ["", "## What was asked", ""]
    parts += [f"- **{table1.escaped(name)}**: {asks}" for name, asks in run["probes"].items()]
    parts += ["", "## What was measured", ""]
    parts += [f"- `{run['command']}`, dps {run['dps']}, PyTorch {run['torch']}, {run['device']}"]
    for name, network in run["networks"].items():
        remark = f"; {network['remark']}" if network["remark"] else ""
        parts.append(f"- {name}: weights from {network['weights']}, SHA-256 `{network['sha256'][:12]}`{remark}")
    return "\n".join(parts) + "\n"


def _of_probes(table: table1.Table, published: paper.Table1) -> list[str]:
    """Table 1 and what to notice in it."""
    parts = ["", *table1.as_markdown(table, published), ""]
    parts += [
        "Passed/cases and percent, rounded down; higher is better. A case passes when the distorted image is strictly "
        "closer to the original than every reference."
    ]
    if any(published.get(*key, probe) for key in table.variants for probe in table.probes):
        parts.append(f"*paper*: {published.what}, {published.source}; not measured here, and not on these images.")
    parts += ["", "## What to notice", ""]
    parts += [f"- {table1.escaped(sentence)}" for sentence in table1.in_words(table)]
    return [*parts, "", f"Here a metric *fails* a probe of which it passes fewer than {table1.FEWER_THAN_HALF:.0%}."]


def _missed_floors(question: Question, table: table1.Table) -> list[str]:
    return [
        f"required {floor}: {'-'.join(part for part in (*key[1:], key[0]) if part)} has {found.passed}/{found.cases}"
        for floor in question.floors
        for key in table.variants
        if (found := table.counts.get((key, floor.probe))) is not None and not found.fraction >= floor.at_least
    ]


def _remarks(document: Row, width: int) -> list[str]:
    """What a reader of the table has to know about the weights."""
    remarks = {network["remark"] for network in document["run"]["networks"].values() if network["remark"]}
    return [line for remark in sorted(remarks) for line in table1.wrapped(f"note: {remark}.", width)]
