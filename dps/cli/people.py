"""Data with people's judgments, and what is kept of it: ``dps judgments``, ``bapps``, ``measure`` and ``store``."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from dps.cli.shared import INTERRUPTED, PATH, WEIGHTS, Refused, from_options, main
from dps.options import Options


@main.group()
def judgments() -> None:
    """Look at data sets of people's judgments, before anything is measured."""


@judgments.command()
@click.argument("path", metavar="PATH")
def describe(path: str) -> None:
    """Show what PATH is, how many judgments it has, and what is wrong with it; as --judgments reads it."""
    from dps.judgments import layouts

    for line in layouts.description(path):
        click.echo(line)


@main.group()
def bapps() -> None:
    """Get and check the BAPPS data set of human judgments (Zhang et al. 2018, arXiv:1801.03924)."""


FOLDER = click.argument("folder", type=PATH, metavar="DIR")


@bapps.command()
@FOLDER
def fetch(folder: Path) -> None:
    """Download the validation archives into DIR (1.3 GB) and unpack them; resumes an interrupted download."""
    from dps.judgments import fetching

    fetched = fetching.fetch(folder)
    for name, digest in fetched.items():
        click.echo(f"{folder}: fetched {name}, SHA-256 {digest}")
    if not fetched:
        click.echo(f"{folder}: complete already")
    click.echo(f"check every file with: dps bapps verify {folder}")


@bapps.command()
@FOLDER
def verify(folder: Path) -> None:
    """Count triplets and pairs, open every image, check every judgment, and name each file that is wrong."""
    from dps.judgments import bapps as library

    index = library.verify(folder)
    if index.names:
        click.echo(f"{folder}: {index.description.name}")
    for (kind, subset), names in index.names.items():
        click.echo(f"  {kind}/{subset}: {len(names)}")
    for line in index.faults:
        click.echo(line)
    if index.faults:
        raise Refused(f"{folder}: {len(index.faults)} fault{'s' if len(index.faults) > 1 else ''}.")


@bapps.command()
@FOLDER
@click.option("--triplets", type=click.IntRange(min=1), default=64, show_default=True, help="Of each family.")
@click.option("--pairs", type=click.IntRange(min=1), default=64, show_default=True, help="Of each JND family.")
def synthesize(folder: Path, triplets: int, pairs: int) -> None:
    """Write the synthetic stand-in as a folder of the same form; its judges are simulated, not people."""
    from dps.judgments import bapps as library
    from dps.judgments import synthetic

    library.write(synthetic.synthesize(triplets, pairs), folder)
    click.echo(f"{folder}: synthetic, {triplets} triplets and {pairs} pairs of each family")


@main.group(invoke_without_command=True)
@click.option("--store", "place", type=PATH, metavar="DIR", help="Default: in your cache directory.")
@click.pass_context
def store(ctx: click.Context, place: Path | None) -> None:
    """Show how many measured distances are kept."""
    from dps import store as library

    ctx.obj = place or library.default_folder()
    if ctx.invoked_subcommand is None:
        shards, size = library.size(ctx.obj)
        click.echo(f"{ctx.obj}: {shards} shards, {size:,} bytes")


@store.command()
@click.pass_obj
def remove(place: Path) -> None:
    """Remove everything that is kept."""
    from dps import store as library

    files, size = library.remove(place)
    click.echo(f"{place}: {files} files removed, {size:,} bytes")


@main.command()
@from_options("judgments")
@from_options("bapps")
@from_options("judgment_size")
@from_options("store")
@from_options("rank_flips")
@from_options("metric")
@from_options("network")
@from_options("normalization")
@from_options("reduction")
@from_options("device")
@WEIGHTS
def measure(**options: Any) -> None:
    """Measure people's judgments into the store, alone or as one of many workers.

    \b
        dps measure --judgments PATH
        torchrun --nproc-per-node 4 --max-restarts 3 -m dps measure --judgments PATH --store STORE --device cuda

    Under torchrun each worker takes its share of the shards, on the GPU of its local rank, and writes them to the
    store; on many machines, let the store be a folder that all of them see. What is there is never measured again, so
    the same command continues an interrupted run. Then "pytest suites/ --judgments PATH --store STORE" only reads.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps.session.configuring import configure_measurement
    from dps.session.worker import measure_shards

    worker, workers = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = options.pop("device")
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    configuration = configure_measurement(Options(**options, device=device))
    if not configuration.datasets:
        raise Refused("name what is measured: --judgments PATH, or --bapps DIR.")
    try:
        for line in measure_shards(configuration, worker, workers):
            click.echo(line)
    except KeyboardInterrupt:
        click.echo(
            f"interrupted: what was measured is in {configuration.store}; the same command continues from there."
        )
        sys.exit(INTERRUPTED)
    click.echo(f"worker {worker} of {workers}: done, kept in {configuration.store}")
