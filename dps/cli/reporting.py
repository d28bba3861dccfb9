"""What a run found, shown again: ``dps report``."""

from pathlib import Path
from typing import Any

import click

from dps.cli.shared import CASES, PROBES, Refused, load, main


@main.command()
@click.argument(
    "results", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RESULTS.json [OTHER.json]"
)
@click.option(
    "--by", metavar="NAME", help="Break a probe down by what its cases were drawn with: content, degrees, ..."
)
@click.option("--probe", metavar="PROBE", help="Which probe, with --by.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write Table 1 and 2 as LaTeX, and each probe's figures as SVG and PNG.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the page anew; the images of its cases are drawn again.",
)
@PROBES
@CASES
def report(
    results: tuple[Path, ...],
    by: str | None,
    probe: str | None,
    figures: Path | None,
    html: Path | None,
    probes: tuple[str, ...],
    cases: int | None,
) -> None:
    """Show again what a run found, where a metric gives up, or two runs side by side.

    \b
        dps report reports/latest/results.json
        dps report reports/latest/results.json --probe rotate --by degrees
        dps report reports/latest/results.json --figures figures/
        dps report before.json after.json

    --probes and --cases say where the images for --html come from, if not from the built-in probes.
    """  # noqa: D301 - \b keeps the lines below as they are
    import shutil

    from dps import report as library
    from dps.report import pass_fractions, run_comparison, strata, tables
    from dps.report.results import read

    if len(results) > 2 or (len(results) == 2 and (by or probe or figures or html)):
        raise click.UsageError("give one RESULTS.json; or two, without further options, to see them side by side.")
    if (by is None) != (probe is None):
        raise click.UsageError("--probe and --by go together, as in --probe rotate --by degrees.")
    documents = [read(path) for path in results]
    width = shutil.get_terminal_size().columns
    if len(documents) == 2:
        lines = run_comparison.as_text(documents[0], documents[1], width)
    elif by is not None and probe is not None:
        counted = strata.count(documents[0]["cases"], documents[0]["drawn"], probe, by)
        lines = tables.as_text(pass_fractions.table(counted, title=f"{probe} by {by}"), width)
    elif figures is not None or html is not None:
        lines = _written(documents[0], figures, html, probes, cases)
    else:
        lines = library.as_text(documents[0], width)
    for line in lines:
        click.echo(line)


def _written(
    document: dict[str, Any], figures: Path | None, html: Path | None, probes: tuple[str, ...], cases: int | None
) -> list[str]:
    """Write what was asked for, and name the files."""
    from dps import files
    from dps.report import album, export, page

    if not document["run"]:
        raise Refused("this results.json does not say what was measured: it has no 'run'.")
    lines = [str(path) for path in export.export(document, figures)] if figures is not None else []
    if html is not None:
        asked = (case for probe in load(probes, cases or document["run"]["cases"]) for case in probe.cases)
        drawn = album.redraw(document["cases"], asked)
        files.write_text(html, page.render(document, drawn))
        named = {f"{row['probe']}/{row['case']}" for row in document["cases"]}
        lines.append(f"{html}, with the images of {len(drawn.cases)} of {len(named)} cases")
        if drawn.fault:
            lines.append(f"{html} lacks images: {drawn.fault}.")
    return lines
