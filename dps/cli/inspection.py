"""Single distances and cases: ``dps distance`` and ``dps explain``."""

import shlex
import shutil
import sys
from pathlib import Path

import click

from dps.cli.shared import CASES, IMAGES, PATH, PROBES, SIZE, configured, load, main, variant


@main.command()
@click.argument("original", type=PATH)
@click.argument("others", type=PATH, nargs=-1, required=True)
@variant
@click.option("--per-layer", is_flag=True, help="Show each layer's contribution, too, and its share in percent.")
def distance(original: Path, others: tuple[Path, ...], per_layer: bool, **options: str) -> None:
    """Measure the distances of OTHERS to ORIGINAL: image files of one size.

    \b
        dps distance dog.png dog_45.png gray.png --metric spatial+sort --network vgg16 --per-layer

    One line each, distance and file; lower is more similar, 0 is the same. Distances of different metrics and networks
    have no common scale.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import explain, image_files, notes

    configuration = configured(**options)
    (one,) = configuration.variants
    results = image_files.distances(configuration, original, others)
    for path, (total, layers) in zip(others, results, strict=True):
        click.echo(f"{total:.6g}\t{path}")
        if per_layer:
            if not layers:
                click.echo(f"  {one} has no layers")
            modules = configuration.networks[one.network].layers if one.network else ()
            for number, (module, part) in enumerate(zip(modules, layers, strict=True), start=1):
                click.echo(f"  {explain.layer_name(number, module)}: {part:.6g} ({explain.percent(part, total)})")
    for note in notes.lines():
        click.echo(f"note: {note}", err=True)


def _layer_numbers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise click.UsageError(f"--layers takes numbers separated by commas, as in 2,4; found {text!r}.") from None


@main.command(name="explain")
@click.argument("what", nargs=-1, required=True, metavar="CASE | ORIGINAL DISTORTED [REFERENCE]...")
@variant
@click.option("--layers", metavar="L", help="The layers whose channels are shown, as in 2,4. Default: the largest two.")
@PROBES
@CASES
@SIZE
@IMAGES
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The folder for explain.html and PNGs.")
def explain_(
    what: tuple[str, ...],
    layers: str | None,
    probes: tuple[str, ...],
    cases: int | None,
    size: int | None,
    images: str | None,
    out: Path,
    **options: str,
) -> None:
    """Show where a distance comes from: which layers and channels, and where in the image.

    \b
        dps explain translate/face-005 --metric spatial --out explained
        dps explain dog.png dog_45.png gray.png --metric sort --out explained

    CASE is one that dps probes list --ids shows; or else name image files of one size.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import explain, image_files, notes
    from dps.report import explain_page, tables

    numbers = _layer_numbers(layers)
    configuration = configured(**options)
    if len(what) == 1 and Path(what[0]).is_file():
        raise click.UsageError(f"{what[0]} is an image file; name the distorted image, too.")
    if len(what) == 1:
        name, triple = what[0], explain.find(load(probes, cases, size, images), what[0]).draw()
    else:
        name, triple = " and ".join(what[:2]), image_files.as_triple([Path(path) for path in what])
    configuration.check_size(triple.original.pixels.shape)
    (one,) = configuration.variants
    explanation = explain.explain(name, triple, one, configuration.engine(one.backbone))
    command = shlex.join(["dps", *sys.argv[1:]])
    written = explain_page.write(explanation, numbers, command, configuration.weights_in_words, out)
    for sentence in [*explain_page.as_sentences(explanation), *(f"note: {note}" for note in notes.lines())]:
        click.echo("\n".join(tables.wrapped(sentence, shutil.get_terminal_size().columns)))
    click.echo(f"written: {written[0]} and {len(written) - 1} PNGs")
