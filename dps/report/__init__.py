"""What a run found: as data, as tables, in words.

results.py           results.json: rows at full precision, written atomically
tables.py            typed tables of variants: on a terminal, in Markdown and in LaTeX
published.py         the paper's published tables, beside which ours are shown
pass_fractions.py    cases passed by variant and probe; and what to notice in it
scores_table.py      scores: agreement with people, or with what stands in for them
strata.py            pass fractions by what cases were drawn with
severity.py          psychometric curves: distances and passes by how far images are distorted
throughput_table.py  throughput beside the bare forward pass
held.py              which invariants are broken
gate.py              the run against its baseline, another metric, and required floors
run_comparison.py    two runs side by side
figure_style.py      the look of figures, whatever else uses Matplotlib
figures.py           figures of each probe
export.py            tables and figures as files for a paper
album.py             the images of a run's cases, and the gallery of the page
page.py              report.html: one page with tables, figures and every case
sheets.py            contact sheets of cases
probe_page.py        probes/README.md
"""

import gc
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dps import files
from dps.errors import one_line
from dps.report import gate, held, page, pass_fractions, published, results, scores_table, tables, throughput_table
from dps.report.results import Gathered
from dps.rows import Row
from dps.session.configuration import RunConfiguration


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a run.

    Attributes:
        lines: for the terminal.
        failed: the gate does not hold, or the report could not be written.
    """

    lines: list[str]
    failed: bool


def finish(
    configuration: RunConfiguration,
    gathered: Gathered,
    command: str,
    *,
    interrupted: bool = False,
    verbose: bool = False,
) -> Finished:
    """Write the report, and say in a few lines what was found.

    Args:
        configuration: what was asked.
        gathered: what was measured.
        command: as it was given.
        interrupted: the run ended early; what there is was measured all the same.
        verbose: show every failed case.
    """
    about = results.about_run(configuration, command, torch.get_num_threads(), interrupted=interrupted)
    document = results.document(about, gathered, configuration.dataset.groups if configuration.dataset else {})
    outcome = gate.judge(configuration, gathered, document, interrupted=interrupted)
    document = results.strict({**document, "run": {**about, "gate_outcome": outcome.row}})
    gc.freeze()  # all rows stay to the end: looking through them again and again costs a quarter of the page's time
    width = shutil.get_terminal_size().columns
    lines = as_text(document, width)
    lines += [line for note in outcome.notes for line in tables.wrapped(f"note: {note}", width)]
    lines += ["", *gate.as_text(outcome, width, verbose=verbose)] if outcome.summary else []
    lines += how_to_go_on(configuration) if interrupted else []
    written, faults = write(
        {
            configuration.report_dir / "results.json": lambda: results.as_json(document),
            configuration.report_dir / "report.md": lambda: [as_markdown(document)],
            configuration.report_dir / "report.html": lambda: page.render(document, gathered.album),
        }
    )
    if written:
        lines.append(f"written: {configuration.report_dir}: {', '.join(path.name for path in written)}")
    lines += faults
    if gathered.album.fault:
        lines.append(f"report.html lacks images: {gathered.album.fault}.")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(as_summary(document))
        except OSError as error:
            lines.append(f"the summary was not written to {summary}: {error.strerror or error}.")
    return Finished(lines, outcome.holds is False or bool(faults))


def as_text(document: Row, width: int) -> list[str]:
    """The tables of a run for a terminal, and what to notice in them."""
    counts = pass_fractions.count(document["cases"])
    lines = [*tables.as_text(pass_fractions.table(counts, published.table1()), width), ""] if counts.variants else []
    if document["scores"]:
        lines += [*tables.as_text(_scores(document), width), ""]
    sentences = [*pass_fractions.in_words(counts), *throughput_table.in_words(document["throughput"])]
    sentences += held.in_words(document.get("invariants", []))
    lines += [line for sentence in sentences for line in tables.wrapped(sentence, width)]
    return lines + _remarks(document, width)


def write(files_of: Mapping[Path, Callable[[], Iterable[str]]]) -> tuple[list[Path], list[str]]:
    """Write files, each whole or not at all; what goes wrong with one is said, and the others are still written.

    Args:
        files_of: what makes the text of each file, piece by piece.

    Returns:
        Paths that were written, and a line for each that was not.
    """
    written, faults = [], []
    for path, made in files_of.items():
        try:
            files.write_text(path, made())
        except OSError as error:
            faults.append(f"{path} was not written: {error.strerror or error}.")
        except Exception as error:  # noqa: BLE001 - a run's verdicts are not lost to a report that cannot be made
            faults.append(f"{path} was not written, which is a fault of dps: {one_line(error)}")
        else:
            written.append(path)
    return written, faults


def as_summary(document: Row) -> str:
    """What GitHub shows of a job: what regressed, what improved, what cannot be told, and the tables."""
    parts = ["## dps", *_of_gate(document["run"]["gate_outcome"]["summary"])]
    counts = pass_fractions.count(document["cases"])
    if counts.variants:
        parts += ["", *tables.as_markdown(pass_fractions.table(counts, published.table1()))]
    if document["scores"]:
        scores = _scores(document)
        parts += ["", scores.title, "", *tables.as_markdown(scores)]
    return "\n".join(parts) + "\n"


def _of_gate(lines: Sequence[str]) -> list[str]:
    """The gate's lines as a list; what is indented belongs to the line above."""
    bullets = ["  - " if line.startswith(" ") else "- " for line in lines]
    items = [bullet + tables.escape_markdown(line.strip()) for bullet, line in zip(bullets, lines, strict=True)]
    return ["", *items] if items else []


def how_to_go_on(configuration: RunConfiguration) -> list[str]:
    """What to do after a run that was broken off, where something of it is kept."""
    if configuration.store is None or configuration.dataset is None:
        return []
    kept = f"interrupted: what was measured of {configuration.dataset.name} is kept in {configuration.store}"
    return tables.wrapped(f"{kept}; the same command goes on from there.", shutil.get_terminal_size().columns)


def as_markdown(document: Row) -> str:
    """report.md: the run, the table, what to notice, where the numbers come from."""
    run = document["run"]
    counts = pass_fractions.count(document["cases"])
    parts = ["# dps: which known flaws does the metric have?"]
    if run.get("interrupted"):
        parts += ["", "**The run was interrupted; this is what had been measured.**"]
    parts += _of_gate(run["gate_outcome"]["summary"])
    if counts.variants:
        parts += ["", *tables.as_markdown(pass_fractions.table(counts, published.table1()))]
        parts += ["", "A case passes when the distorted image is strictly closer to the original than every reference."]
        parts += ["", "## What to notice", ""]
        parts += [f"- {tables.escape_markdown(sentence)}" for sentence in pass_fractions.in_words(counts)]
    if document["scores"]:
        scores = _scores(document)
        parts += ["", f"## {scores.title}", "", *tables.as_markdown(scores)]
    for table in throughput_table.as_tables(document["throughput"]):
        parts += ["", f"## {table.title}", "", *tables.as_markdown(table)]
    if document["invariants"]:
        broken = (f"- {tables.escape_markdown(line)}" for line in held.in_words(document["invariants"]))
        parts += ["", "## Invariants", "", *broken]
    parts += ["", "## What was asked", ""]
    parts += [f"- **{tables.escape_markdown(name)}**: {asks}" for name, asks in run["probes"].items()]
    parts += ["", "## What was measured", ""]
    parts += [f"- `{run['command']}`, dps {run['dps']}, PyTorch {run['torch']}, {run['device']}"]
    for name, network in run["networks"].items():
        remark = f"; {network['remark']}" if network["remark"] else ""
        parts.append(f"- {name}: weights from {network['weights']}, SHA-256 `{network['sha256'][:12]}`{remark}")
    parts += [f"- {tables.escape_markdown(name)}: {made_of}" for name, made_of in run["metrics"].items()]
    return "\n".join(parts) + "\n"


def _scores(document: Row) -> tables.Table:
    return scores_table.table(document["scores"], published.table2(), document["run"]["dataset"])


def _remarks(document: Row, width: int) -> list[str]:
    """What a reader of the table has to know about the weights."""
    remarks = {network["remark"] for network in document["run"].get("networks", {}).values() if network["remark"]}
    return [line for remark in sorted(remarks) for line in tables.wrapped(f"note: {remark}.", width)]
