"""People's judgments, and the store of distances: ``dps judgments``, ``bapps``, ``measure`` and ``store``."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from dps.cli.shared import INTERRUPTED, PATH, from_options, main
from dps.errors import JudgmentsError, UsageError
from dps.options import Options


@main.group()
def judgments() -> None:
    """Inspect data sets of people's judgments."""


@judgments.command()
@click.argument("path", metavar="PATH")
def describe(path: str) -> None:
    """Describe the data set PATH as --judgments reads it: its name, its number of judgments, its first fault."""
    from dps.judgments import layouts

    for line in layouts.describe(path):
        click.echo(line)


@main.group()
def bapps() -> None:
    """Download and check the BAPPS data set of human judgments (Zhang et al. 2018, arXiv:1801.03924)."""


FOLDER = click.argument("folder", type=PATH, metavar="DIR")


@bapps.command()
@FOLDER
def fetch(folder: Path) -> None:
    """Download and extract the validation archives into DIR (1.3 GB); resume an interrupted download."""
    from dps.judgments import fetching

    digests = fetching.fetch(folder)
    for name, digest in digests.items():
        click.echo(f"{folder}: fetched {name}, SHA-256 {digest}")
    if not digests:
        click.echo(f"{folder}: already complete")
    click.echo(f"check every file with: dps bapps verify {folder}")


@bapps.command()
@FOLDER
def verify(folder: Path) -> None:
    """Count triplets and pairs, check every image and judgment, and list all faults."""
    from dps.judgments import bapps as library

    index = library.verify(folder)
    if index.names:
        click.echo(f"{folder}: {index.description.name}")
    for (kind, subset), names in index.names.items():
        click.echo(f"  {kind}/{subset}: {len(names)}")
    for line in index.faults:
        click.echo(line)
    if index.faults:
        raise JudgmentsError(f"{folder}: {len(index.faults)} fault{'s' if len(index.faults) > 1 else ''}.")


@main.group(invoke_without_command=True)
@click.option("--store", "folder", type=PATH, metavar="DIR", help="Default: in your cache directory.")
@click.pass_context
def store(ctx: click.Context, folder: Path | None) -> None:
    """Show the size of the store of measured distances."""
    from dps import store as library

    ctx.obj = folder or library.default_folder()
    if ctx.invoked_subcommand is None:
        shards, size = library.size(ctx.obj)
        click.echo(f"{ctx.obj}: {shards} shards, {size:,} bytes")


@store.command()
@click.pass_obj
def remove(folder: Path) -> None:
    """Remove all measured distances from the store."""
    from dps import store as library

    files, size = library.remove(folder)
    click.echo(f"{folder}: {files} files removed, {size:,} bytes")


@main.command()
@from_options("judgments", "bapps", "judgment_size", "store", "rank_flips")
@from_options("metric", "network", "normalization", "reduction", "device", "weights")
def measure(**options: Any) -> None:
    """Measure the distances of data sets of judgments into the store, alone or as one of several workers.

    \b
        dps measure --judgments PATH
        torchrun --nproc-per-node 4 --max-restarts 3 -m dps measure --judgments PATH --store STORE --device cuda

    Under torchrun the shards are divided among the workers, each on the GPU of its local rank; on several machines,
    the store must be a shared folder. Stored distances are never measured again, so the same command continues an
    interrupted run. Afterwards, "dps test judgments --judgments PATH --store STORE" only reads.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps.session.configuring import configure_measurement
    from dps.session.worker import measure_shards

    worker, workers = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = options.pop("device")
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    configuration = configure_measurement(Options(**options, device=device))
    if not configuration.datasets:
        raise UsageError("no judgments to measure; pass --judgments PATH, or --bapps DIR.")
    try:
        for line in measure_shards(configuration, worker, workers):
            click.echo(line)
    except KeyboardInterrupt:
        click.echo(
            f"interrupted: measured distances are in {configuration.store}; the same command continues from there."
        )
        sys.exit(INTERRUPTED)
    click.echo(f"worker {worker} of {workers}: done, kept in {configuration.store}")
