"""Reproduction of the paper's experiment: ``dps paper``."""

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from dps.cli.shared import PATH, WEIGHTS, command_line, from_options, main
from dps.options import Options


@main.command()
@click.argument("folder", type=PATH, metavar="DIR")
@from_options("metric")
@from_options(
    "network", help="Any listed by dps networks. Repeatable, or a comma-separated list. Default: the paper's three."
)
@from_options("normalization", default=["none"], help="none, as in Table 1 (default), or unit; or none,unit.")
@from_options("device")
@from_options(
    "report_dir", default="dps-paper", show_default=True, help="For table1.md, table1.tex (booktabs) and results.json."
)
@WEIGHTS
def paper(folder: Path, **options: Any) -> None:
    """Measure Table 1 of the paper on its images, and compare with the published numbers.

    \b
        git clone https://github.com/guspih/deep_perceptual_similarity_analysis
        dps paper deep_perceptual_similarity_analysis
        dps paper deep_perceptual_similarity_analysis --metric sort,my_metric.py:distance

    DIR is the clone, or its folder images. Rows of your own metric have no published numbers.

    Exit code: 0 whatever the numbers are, 1 if a case could not be measured or a file not written, 2 after Ctrl-C, 4
    for a usage error.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps.report import paper_images, published
    from dps.session.configuring import configure

    options["network"] = options["network"] or published.networks()
    configuration = configure(Options(**options, probes=[str(folder)], gate="off"), load=paper_images.load)
    lines, failed = paper_images.measure(configuration, folder, command_line(), shutil.get_terminal_size().columns)
    click.echo("\n".join(lines))
    sys.exit(int(failed))
