"""What is asked: ``dps probes``."""

from pathlib import Path

import click

from dps.cli.shared import CASES, PROBES, Refused, load, main
from dps.errors import DpsError


@main.group()
def probes() -> None:
    """Look at what is asked of a metric."""


@probes.command(name="list")
@PROBES
@CASES
@click.option("--ids", is_flag=True, help="List every case, too.")
def list_(places: tuple[Path, ...], cases: int | None, ids: bool) -> None:
    """List the probes: the question, why a person would agree, how many cases."""
    for probe in load(places, cases):
        click.echo(f"{probe.name}: {len(probe.cases)} cases, {probe.path}")
        for text in (probe.asks, probe.because, probe.source and f"Source: {probe.source}"):
            if text:
                click.echo(click.wrap_text(text, initial_indent="  ", subsequent_indent="  "))
        if ids:
            for case in probe.cases:
                click.echo(f"  {case.name}")


@probes.command()
@click.argument("names", nargs=-1, metavar="[PROBE]...")
@PROBES
@CASES
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where PNGs are written.")
def draw(names: tuple[str, ...], places: tuple[Path, ...], cases: int | None, out: Path) -> None:
    """Draw contact sheets: each case's original, distorted image and own reference, below its id."""
    from dps.errors import UsageError, unknown
    from dps.report import sheets

    asked = {probe.name: probe for probe in load(places, cases)}
    for name in names:
        if name not in asked:
            raise UsageError(unknown("probe", name, asked))
    out.mkdir(parents=True, exist_ok=True)
    for name in names or asked:
        for path in sheets.draw(asked[name], out):
            click.echo(path)


@probes.command()
@click.argument("results", type=click.Path(path_type=Path), metavar="RESULTS.json")
@PROBES
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.md", help="The page.")
def page(results: Path, places: tuple[Path, ...], out: Path) -> None:
    """Write a page of the probes: questions, sheets, ranges, and what a run of them found.

    \b
        pytest suites/test_probes.py --gate off
        dps probes page reports/latest/results.json --out probes/README.md
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps.report import probe_page
    from dps.report import results as library

    document = library.read(results)
    command = f"dps probes page {results} --out {out}"
    for path in probe_page.write(document, load(places, document["run"]["cases"]), out, command):
        click.echo(path)


@probes.command()
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@CASES
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="sheets",
    show_default=True,
    metavar="DIR",
    help="Where contact sheets are written.",
)
def check(places: tuple[Path, ...], cases: int | None, out: Path) -> None:
    """Validate probe files or folders of them, draw every case, and say what comes how often.

    Exit code 2 where something is wrong: a line of a file, or a case that cannot be drawn or asks nothing.
    """
    import shutil

    from dps.report import sheets, tables

    faults = []
    for probe in load(places, cases):
        click.echo(f"{probe.name}: {len(probe.cases)} cases, {probe.path}")
        triples = []
        for case in probe.cases:
            try:
                triples.append(case.draw())
            except DpsError as error:
                faults.append(str(error))
        for name, counts in sheets.counted(triples).items():
            line = f"  {name}: {', '.join(f'{value} {count}' for value, count in counts.items())}"
            for part in tables.wrapped(line, shutil.get_terminal_size().columns):
                click.echo(part)
        if len(triples) == len(probe.cases):
            out.mkdir(parents=True, exist_ok=True)
            for path in sheets.draw(probe, out):
                click.echo(f"  drawn: {path}")
    for fault in faults:
        click.echo(fault)
    if faults:
        raise Refused(f"{len(faults)} cases cannot be asked.")
