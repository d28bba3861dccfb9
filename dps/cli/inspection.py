"""Single distances and cases: ``dps distance`` and ``dps explain``."""

from pathlib import Path

import click

from dps.cli.shared import (
    CASES,
    IMAGES,
    PATH,
    PROBES,
    SIZE,
    command_line,
    configured,
    echo_wrapped,
    load,
    main,
    variant,
)


@main.command()
@click.argument("original", type=PATH)
@click.argument("others", type=PATH, nargs=-1, required=True)
@variant
@click.option("--per-layer", is_flag=True, help="Also show the contribution of each layer, and its percentage.")
def distance(original: Path, others: tuple[Path, ...], per_layer: bool, **options: str) -> None:
    """Measure the distances of OTHERS from ORIGINAL: image files of the same size.

    \b
        dps distance dog.png dog_45.png gray.png --metric spatial+sort --network vgg16 --per-layer

    Print one line per file: distance and path. Lower is more similar, 0 identical. Distances of different metrics and
    networks have no common scale.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import explain, image_files, notes

    configuration = configured(**options)
    (selected,) = configuration.variants
    results = image_files.distances(configuration, original, others)
    for path, (total, layers) in zip(others, results, strict=True):
        click.echo(f"{total:.6g}\t{path}")
        if per_layer:
            if not layers:
                click.echo(f"  {selected} has no layers")
            modules = configuration.networks[selected.network].layers if selected.network else ()
            for number, (module, part) in enumerate(zip(modules, layers, strict=True), start=1):
                click.echo(f"  {explain.layer_name(number, module)}: {part:.6g} ({explain.percent(part, total)})")
    for note in notes.lines():
        click.echo(f"note: {note}", err=True)


@main.command(name="explain")
@click.argument("subject", nargs=-1, required=True, metavar="CASE | ORIGINAL DISTORTED [REFERENCE]...")
@variant
@click.option(
    "--layers",
    metavar="L",
    help="Layers whose channels are shown, such as 2,4. Default: the two largest contributions.",
)
@PROBES
@CASES
@SIZE
@IMAGES
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for explain.html and PNGs.")
def explain_(
    subject: tuple[str, ...],
    layers: str | None,
    probes: tuple[str, ...],
    cases: int | None,
    size: int | None,
    images: str | None,
    out: Path,
    **options: str,
) -> None:
    """Show the layers, channels and places in the image that a distance comes from.

    \b
        dps explain translate/face-005 --metric spatial --out explained
        dps explain dog.png dog_45.png gray.png --metric sort --out explained

    CASE is listed by dps probes list --ids; image files must have the same size.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import explain, image_files, notes
    from dps.report import explain_page

    try:
        numbers = [int(number) for number in layers.split(",")] if layers else []
    except ValueError:
        raise click.UsageError(f"--layers takes numbers separated by commas, as in 2,4; found {layers!r}.") from None
    configuration = configured(**options)
    if len(subject) > 1:
        name, triple = " and ".join(subject[:2]), image_files.as_triple([Path(path) for path in subject])
    elif Path(subject[0]).is_file():
        raise click.UsageError(f"{subject[0]} is an image file; name the distorted image, too.")
    else:
        name, triple = subject[0], explain.find(load(probes, cases, size, images), subject[0]).draw()
    configuration.check_size(triple.original.pixels.shape)
    (selected,) = configuration.variants
    explanation = explain.explain(name, triple, selected, configuration.engine(selected.backbone))
    written = explain_page.write(explanation, numbers, command_line(), configuration.weights_in_words, out)
    echo_wrapped([*explain_page.as_sentences(explanation), *(f"note: {note}" for note in notes.lines())])
    click.echo(f"written: {written[0]} and {len(written) - 1} PNGs")
