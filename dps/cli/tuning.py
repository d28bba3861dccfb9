"""A metric with fitted weights: ``dps tune``."""

import csv
import io
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from dps.cli.shared import IMAGES, PATH, PROBES, SIZE, WEIGHTS, Refused, from_options, main
from dps.options import Options


@main.command()
@from_options("network", multiple=False, required=True, help="The network to tune for; any that dps networks lists.")
@click.option("--out", type=PATH, required=True, metavar="FILE.yaml", help="The file of the metric; a page beside it.")
@from_options("cases", help="Drawn cases of each probe to fit on, and as many photographed ones. Default: 20.")
@click.option("--parts", type=click.IntRange(min=1), metavar="N", help="Give at most N parts a weight.")
@IMAGES
@PROBES
@SIZE
@from_options("judgments")
@from_options("bapps")
@from_options("store")
@click.option(
    "--people",
    type=click.FloatRange(0, 1),
    metavar="X",
    help="With judgments of triplets: their share of what is fitted, from 0 to 1. Default: 0.5.",
)
@from_options("device")
@WEIGHTS
def tune(out: Path, cases: int | None, parts: int | None, people: float | None, network: str, **options: Any) -> None:
    """Fit the weights of comparisons, normalizations and layers so that the sum passes the probes.

    \b
        dps tune --network vgg16 --out tuned-vgg16.yaml
        dps test --metric tuned-vgg16.yaml

    Fitted on cases of other seeds and photographs than it is judged on; no case of a usual run is among either. With
    judgments it is fitted on one half of the triplets, too, and judged on the other.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import files, notes
    from dps.metrics import tuned_files
    from dps.report import tables, tuning_page
    from dps.session import tuning
    from dps.session.configuring import check_writable

    if out.suffix not in (".yaml", ".yml"):
        raise Refused(f"--out {out}: the name of a tuned metric's file ends in .yaml.")
    if not out.parent.is_dir():
        raise Refused(f"--out {out}: no such folder; make it first.")
    if out.is_dir() or out.with_suffix(".html").is_dir():
        raise Refused(f"--out {out}: there is a folder of this name; name a file.")
    check_writable("--out", out.parent)
    result = tuning.tune(Options(**options, network=[network]), name=out.name, cases=cases, most=parts, share=people)
    command = shlex.join(["dps", *sys.argv[1:]])
    contents = {
        out: tuned_files.text(out.name, result.network, result.by_part, result.fitted, tuning_page.as_data(result)),
        out.with_suffix(".html"): tuning_page.render(result, command, notes.lines()),
    }
    if curve := tuning_page.curve(result):
        text = io.StringIO()
        writer = csv.DictWriter(text, list(curve[0]))
        writer.writeheader()
        writer.writerows(curve)
        contents[out.with_name(f"{out.stem}-people.csv")] = text.getvalue()
    for path, content in contents.items():
        files.write(path, content.encode())
    width = shutil.get_terminal_size().columns
    for table in tuning_page.as_tables(result):
        click.echo("\n".join([*tables.as_text(table, width), ""]))
    for sentence in [*tuning_page.as_sentences(result), *(f"note: {note}" for note in notes.lines())]:
        click.echo("\n".join(tables.wrapped(sentence, width)))
    click.echo(f"written: {', '.join(map(str, contents))}")
