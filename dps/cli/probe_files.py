"""Probe files and their images: ``dps probes``."""

import sys
from pathlib import Path
from typing import Any

import click

from dps.cli.shared import CASES, IMAGES, PATH, PROBES, SIZE, echo_wrapped, load, main
from dps.errors import DpsError, UsageError, check_known


@main.group(name="probes")
def probes_() -> None:
    """List, check and draw probes."""


@probes_.command(name="list")
@PROBES
@CASES
@click.option("--ids", is_flag=True, help="Also list all cases.")
def list_(probes: tuple[str, ...], cases: int | None, ids: bool) -> None:
    """List the probes with their question, its rationale and their number of cases."""
    for probe in load(probes, cases):
        click.echo(f"{probe.name}: {len(probe.cases)} cases, {probe.path}")
        for text in (probe.asks, probe.because, probe.source and f"Source: {probe.source}"):
            if text:
                click.echo(click.wrap_text(text, initial_indent="  ", subsequent_indent="  "))
        if ids:
            for case in probe.cases:
                click.echo(f"  {case.name}")


@probes_.command()
@click.argument("names", nargs=-1, metavar="[PROBE]...")
@PROBES
@CASES
@SIZE
@IMAGES
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for the PNG files.")
def draw(names: tuple[str, ...], probes: tuple[str, ...], out: Path, **options: Any) -> None:
    """Draw contact sheets: the original, distorted image and specific references of each case."""
    from dps import probes as library
    from dps.report import sheets

    loaded = {probe.name: probe for probe in load(probes, **options)}
    for name in names:
        check_known("probe", name, loaded)
    selected = [loaded[name] for name in names or loaded if loaded[name].cases]
    if not selected:
        raise UsageError(f"{', '.join(names)}: {library.NOTHING_TO_REPLACE}.")
    out.mkdir(parents=True, exist_ok=True)
    for probe in selected:
        for path in sheets.draw(probe, out):
            click.echo(path)


@probes_.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@CASES
@click.option("--out", type=PATH, default="sheets", show_default=True, metavar="DIR", help="Folder for contact sheets.")
def check(paths: tuple[str, ...], cases: int | None, out: Path) -> None:
    """Check probe files or folders of them: draw every case, and count the drawn values.

    Exit code 4 if a file is invalid, 1 if a case cannot be drawn, or one of its images equals its original.
    """
    from dps.report import sheets

    faults = []
    for probe in load(paths, cases):
        click.echo(f"{probe.name}: {len(probe.cases)} cases, {probe.path}")
        triples = []
        for case in probe.cases:
            try:
                triples.append(case.draw())
            except DpsError as error:
                faults.append(str(error))
        echo_wrapped(
            f"  {name}: {', '.join(f'{value} {count}' for value, count in counts.items())}"
            for name, counts in sheets.count_values(triples).items()
        )
        if len(triples) == len(probe.cases):
            out.mkdir(parents=True, exist_ok=True)
            for path in sheets.draw(probe, out):
                click.echo(f"  drawn: {path}")
    for fault in faults:
        click.echo(fault)
    if faults:
        click.echo(f"{len(faults)} cases cannot be drawn.", err=True)
        sys.exit(1)
