"""Single distances and cases: ``dps distance``, ``dps explain`` and ``dps falsify``."""

import shlex
import shutil
import sys
from pathlib import Path

import click

from dps.cli.shared import CASES, IMAGES, INTERRUPTED, PATH, PROBES, SIZE, configured, load, main, select, variant


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
    """Read ``2,4`` as numbers."""
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
    given = [f"--{option}={value}" for option, value in sorted(options.items()) if option != "weights"]
    given += [f"--probes={path}" for path in probes]
    given += [f"--{n}={v}" for n, v in {"cases": cases, "size": size, "images": images}.items() if v is not None]
    command = shlex.join(["dps", "explain", *what, *given])
    written = explain_page.write(explanation, numbers, command, configuration.weights_in_words, out)
    for sentence in [*explain_page.in_words(explanation), *(f"note: {note}" for note in notes.lines())]:
        click.echo("\n".join(tables.wrapped(sentence, shutil.get_terminal_size().columns)))
    click.echo(f"written: {written[0]} and {len(written) - 1} PNGs")


@main.command()
@click.argument("name", metavar="PROBE")
@variant
@PROBES
@click.option("--tries", type=click.IntRange(min=1), default=300, show_default=True, help="Cases measured at most.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The seed of the search.")
@click.option("--out", type=PATH, default="falsified", show_default=True, metavar="DIR", help="For a PNG of the case.")
def falsify(name: str, probes: tuple[str, ...], tries: int, seed: int, out: Path, **options: str) -> None:
    """Search PROBE's ranges for the mildest distortion that the metric still fails on.

    \b
        dps falsify rotate --metric spatial --network vgg16
        dps falsify rotate --metric spatial >> probes/rotate.yaml

    The case is printed as it stands in a probe file, ready to be added to PROBE's, and drawn into DIR; everything else
    goes to standard error. A distortion's parameters go together from the mildest to the strongest that the probe
    declares, each toward its identity; fractions that are listed stand for the range that they span. The same seed
    finds the same case. Ctrl-C ends the search and keeps the mildest so far.

    Exit code: 0 if none of the tried cases fails, 1 if one does, 2 after Ctrl-C, 4 if the question is wrong.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import falsify as library
    from dps import files, progress
    from dps.report import sheets

    probe = select(name, probes)
    configuration = configured(**options)
    (one,) = configuration.variants
    out.mkdir(parents=True, exist_ok=True)
    with progress.progress(f"falsify {name}", tries, "cases") as advance:
        engine = configuration.engine(one.backbone)
        search = library.search(probe, one, engine, tries=tries, seed=seed, advance=advance)
    ended = "interrupted: " if search.interrupted else ""
    not_drawn = f" ({search.not_drawn} more could not be drawn)" if search.not_drawn else ""
    if search.mildest is None:
        click.echo(f"{ended}{one} fails none of {search.measured} cases of {name}{not_drawn}", err=True)
    else:
        case, verdict = search.mildest.case, search.mildest.verdict
        picture = out / f"{files.safe_name(case.name.replace('/', '-'))}.png"
        sheets.sheet([case]).save(picture)
        mildest = "the mildest that fails" if search.graded else "one that fails"
        click.echo(f"{ended}{case.name}: {verdict}", err=True)
        text = f"  {library.in_words(search.mildest)}: {mildest}, of {search.measured} cases{not_drawn}"
        click.echo(f"{text}\n  drawn: {picture}", err=True)
        click.echo(library.as_yaml(search.mildest), nl=False)
    sys.exit(INTERRUPTED if search.interrupted else int(search.mildest is not None))
