"""A metric with fitted weights: ``dps tune``."""

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import click

from dps.cli.shared import IMAGES, PATH, PROBES, SIZE, command_line, echo_wrapped, from_options, main
from dps.errors import UsageError
from dps.options import Options


@main.command()
@from_options("network", multiple=False, required=True, help="The network to tune for; any listed by dps networks.")
@click.option(
    "--out",
    type=PATH,
    required=True,
    metavar="FILE.yaml",
    help="File of the metric; a report FILE.html is written next to it.",
)
@from_options("cases", help="Number of drawn, and of photographed, cases of each probe to fit on. Default: 20.")
@click.option("--parts", type=click.IntRange(min=1), metavar="N", help="Maximum number of parts with a nonzero weight.")
@IMAGES
@PROBES
@SIZE
@from_options("judgments", "bapps", "store")
@click.option(
    "--people",
    type=click.FloatRange(0, 1),
    metavar="X",
    help="With judgments of triplets: their weight in the fit, from 0 to 1. Default: 0.5.",
)
@from_options("device", "weights")
def tune(out: Path, cases: int | None, parts: int | None, people: float | None, network: str, **options: Any) -> None:
    """Fit weights of comparisons, normalizations and layers so that their sum passes the probes.

    \b
        dps tune --network vgg16 --out tuned-vgg16.yaml
        dps test --metric tuned-vgg16.yaml

    Training and held-out cases have different seeds and photographs; neither includes cases of a usual run. With
    judgments, one half of the triplets is also used for training, and the other half is held out.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import files, notes
    from dps.metrics import tuned_files
    from dps.report import tables, tuning_page
    from dps.session import tuning
    from dps.session.configuring import check_writable

    if out.suffix not in (".yaml", ".yml"):
        raise UsageError(f"--out {out}: the file of a tuned metric must end in .yaml.")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: no such folder; create it first.")
    if out.is_dir() or out.with_suffix(".html").is_dir():
        raise UsageError(f"--out {out}: a folder with this name exists; choose another name.")
    check_writable("--out", out.parent)
    result = tuning.tune(
        Options(**options, network=[network]), name=out.name, cases=cases, max_parts=parts, share=people
    )
    contents = {
        out: tuned_files.text(out.name, result.network, result.by_part, result.fitted, tuning_page.as_data(result)),
        out.with_suffix(".html"): tuning_page.render(result, command_line(), notes.lines()),
    }
    if rows := tuning_page.trade_off(result):
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        contents[out.with_name(f"{out.stem}-people.csv")] = text.getvalue()
    for path, content in contents.items():
        files.write(path, content.encode())
    for table in tuning_page.as_tables(result):
        click.echo("\n".join([*tables.as_text(table, shutil.get_terminal_size().columns), ""]))
    echo_wrapped([*tuning_page.as_sentences(result), *(f"note: {note}" for note in notes.lines())])
    click.echo(f"written: {', '.join(map(str, contents))}")
