"""Results of a run, as text or for other programs: ``dps report``."""

from pathlib import Path
from typing import Any

import click

from dps.cli.shared import CASES, PATH, PROBES, load, main
from dps.errors import UsageError

FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


@main.command()
@click.argument("results", type=PATH, nargs=-1, required=True, metavar="FILE.json [OTHER.json]")
@click.option(
    "--probe", "names", multiple=True, metavar="PROBE", help="Only these probes. Repeatable, or a comma-separated list."
)
@click.option("--by", metavar="NAME", help="Break a probe down by a drawn value, such as content.")
@click.option("--csv", type=FILE, metavar="FILE", help="Write a tidy table, one row per case and variant.")
@click.option("--markdown", type=FILE, metavar="FILE", help="Write the tables in Markdown.")
@click.option("--latex", type=FILE, metavar="FILE", help="Write the tables in LaTeX, with booktabs.")
@click.option("--transpose", is_flag=True, help="With --latex: one column per variant.")
@click.option("--figures", "folder", type=PATH, metavar="DIR", help="Write each probe's figures as SVG and PNG.")
@click.option("--html", type=PATH, metavar="FILE", help="Write report.html again; the images of its cases are redrawn.")
@PROBES
@CASES
def report(
    results: tuple[Path, ...],
    names: tuple[str, ...],
    by: str | None,
    csv: Path | None,
    markdown: Path | None,
    latex: Path | None,
    transpose: bool,
    folder: Path | None,
    html: Path | None,
    probes: tuple[str, ...],
    cases: int | None,
) -> None:
    """Show the results of a run, by drawn values, or compared with another run; or write them to files.

    \b
        dps report results.json
        dps report results.json --probe rotate --by degrees
        dps report results.json --csv cases.csv --figures figures/
        dps report results.json --probe translate,rotate --latex - --transpose
        dps report before.json after.json --markdown comparison.md

    The FILE of a table may be -, the standard output. --probes and --cases select the probes that the images for --html
    are drawn from.
    """  # noqa: D301 - \b keeps the lines below as they are
    import shutil

    from dps.report import figures, findings, pass_fractions, run_comparison, strata, summary, tables
    from dps.report.results import as_csv, read

    selected = [name.strip() for value in names for name in value.split(",")]
    if len(results) > 2 or (len(results) == 2 and any([by, selected, csv, folder, html])):
        raise UsageError("give one RESULTS.json; or two, with --markdown and --latex only, to compare them.")
    if by is not None and len(selected) != 1:
        raise UsageError("--by needs one --probe, as in --probe rotate --by degrees.")
    if transpose and latex is None:
        raise UsageError("--transpose needs --latex FILE.")
    documents = [read(path) for path in results]
    document, other = documents[0], documents[-1]
    width = shutil.get_terminal_size().columns
    counts = pass_fractions.count(document["cases"])
    counts = pass_fractions.select(counts, selected) if selected else counts
    if len(documents) == 2:
        shown = [run_comparison.table(document, other)]
        lines = run_comparison.as_text(document, other, width)
    elif by is not None:
        counted = strata.count(document["cases"], document["drawn"], selected[0], by)
        shown = [pass_fractions.table(counted, title=f"{selected[0]} by {by}")]
        lines = tables.as_text(shown[0], width)
    elif selected:
        shown = [pass_fractions.table(counts)]
        lines = tables.as_text(shown[0], width)
    else:
        collected = findings.collect(document)
        shown, lines = collected.tables, summary.as_text(collected, width)
    if csv is not None:
        rows = [row for row in document["cases"] if row["probe"] in counts.probes]
        _write(csv, as_csv(rows, document["drawn"], by))
    if markdown is not None:
        _write(markdown, "\n".join(line for table in shown for line in (*tables.as_section(table), "")))
    if latex is not None:
        _write(latex, "\n".join(tables.as_latex(table, transposed=transpose) for table in shown))
    for path in figures.write(document, counts.probes, folder) if folder else ():
        click.echo(path)
    if html is not None:
        _write_page(document, html, probes, cases)
    if not any((csv, markdown, latex, folder, html)):
        click.echo("\n".join(lines))


def _write(path: Path, text: str) -> None:
    from dps import files

    if str(path) == "-":
        click.echo(text, nl=False)
    else:
        files.write(path, text.encode())
        click.echo(path)


def _write_page(document: dict[str, Any], path: Path, probes: tuple[str, ...], cases: int | None) -> None:
    """Write the page, with the images of all cases that can be redrawn identically."""
    from dps import files
    from dps.report import album, findings, page

    if not document["run"]:
        raise UsageError("this results.json has no 'run', which describes what was measured.")
    run = document["run"]
    loaded = load(probes, cases or run["cases"], run.get("size"), run.get("images"))
    drawn = album.redraw(document["cases"], (case for probe in loaded for case in probe.cases))
    files.write(path, page.render(findings.collect(document), drawn))
    names = {f"{row['probe']}/{row['case']}" for row in document["cases"]}
    click.echo(f"{path}, with the images of {len(drawn.cases)} of {len(names)} cases")
