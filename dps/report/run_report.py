"""The end of a run: write results.json, report.md and report.html, and summarize the results for the terminal."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch

from dps import files, notes
from dps.errors import one_line
from dps.report import findings, gate, page, pairs, pass_fractions, results, summary
from dps.report.gate import GateOutcome
from dps.report.results import RunRecords
from dps.report.tables import wrapped
from dps.rows import Document, json_lines
from dps.session.configuration import RunConfiguration


def finish(
    configuration: RunConfiguration,
    records: RunRecords,
    command: str,
    *,
    interrupted: bool = False,
    verbose: bool = False,
) -> tuple[list[str], bool]:
    """Write the report, and summarize the results; if verbose, with all lines of the gate.

    Returns:
        The lines for the terminal; and whether the run failed: the gate does not hold, or the report was not written.
    """
    document, outcome = assemble(configuration, records, command, interrupted=interrupted)
    collected = findings.collect(document)
    width = shutil.get_terminal_size().columns
    lines = summary.as_text(collected, width, verbose=verbose)
    lines += [line for note in [*outcome.notes, *notes.lines()] for line in wrapped(f"note: {note}", width)]
    lines += describe_resumption(configuration) if interrupted else []
    file_lines, failed = write(
        configuration.report_dir,
        {
            "results.json": lambda: json_lines(document),
            "report.md": lambda: [summary.as_markdown(collected)],
            "report.html": lambda: page.render(collected, records.album),
        },
    )
    lines += file_lines
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(summary.as_markdown(collected, brief=True))
        except OSError as error:
            lines.append(f"the summary was not written to {path}: {error.strerror or error}.")
    return lines, outcome.holds is False or failed


def assemble(
    configuration: RunConfiguration, records: RunRecords, command: str, *, interrupted: bool = False
) -> tuple[Document, GateOutcome]:
    """Return all of results.json, and the outcome of the gate."""
    about = results.about_run(configuration, command, torch.get_num_threads(), interrupted=interrupted)
    about["photographs"] = results.photographs_used(configuration, records.drawn)
    document = results.document(about, records, configuration.datasets)
    if pair_rows := pairs.rows(document, pass_fractions.count(document["cases"])):
        document["pairs"] = pair_rows
    outcome = gate.judge(configuration, records, document, interrupted=interrupted)
    about["gate_outcome"] = outcome.row
    return document, outcome


def describe_resumption(configuration: RunConfiguration) -> list[str]:
    """Return the lines on how to resume an interrupted run; none if nothing of it is stored."""
    if configuration.store is None or not configuration.datasets:
        return []
    names = ", ".join(dataset.name for dataset in configuration.datasets)
    stored = f"interrupted: the distances measured on {names} are stored in {configuration.store}"
    return wrapped(f"{stored}; the same command resumes the run.", shutil.get_terminal_size().columns)


def write(folder: Path, contents: Mapping[str, Callable[[], Iterable[str]]]) -> tuple[list[str], bool]:
    """Write each file completely or not at all; return lines that report this, and whether any was not written."""
    written, faults = [], []
    for name, make in contents.items():
        path = folder / name
        try:
            files.write(path, make())
        except OSError as error:
            faults.append(f"{path} was not written: {error.strerror or error}.")
        except Exception as error:  # noqa: BLE001 - a fault in a report must not lose the others
            faults.append(f"{path} was not written, which is a fault of dps: {one_line(error)}")
        else:
            written.append(name)
    return [*([f"written: {folder}: {', '.join(written)}"] if written else []), *faults], bool(faults)
