"""Looking inside: ``dps distance``, ``dps explain`` and ``dps falsify``."""

import shlex
import sys
from pathlib import Path

import click

from dps.cli.shared import CASES, PROBES, load, main, variant


@main.command()
@click.argument("original", type=click.Path(path_type=Path))
@click.argument("others", type=click.Path(path_type=Path), nargs=-1, required=True)
@variant
@click.option("--per-layer", is_flag=True, help="Show each layer's part, too, and its share in percent.")
def distance(original: Path, others: tuple[Path, ...], per_layer: bool, source: str, **options: str) -> None:
    """Measure how far THIRD_PARTY_METRICS are from ORIGINAL: image files of one size.

    \b
        dps distance dog.png dog_45.png gray.png --metric spatial+sort --network vgg16 --per-layer

    One line each, distance and file; lower is more similar, 0 is the same. Distances of different metrics and networks
    have no common scale.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import explain, pairs

    asked = pairs.ask(**options, weights=source)
    for path, (total, layers) in zip(others, pairs.distances(asked, original, others), strict=True):
        click.echo(f"{total:.6g}\t{path}")
        if per_layer:
            if not layers:
                click.echo(f"  {asked.variant} has no layers")
            for number, part in enumerate(layers, start=1):
                name = explain.layer_name(asked.variant.network, number)
                click.echo(f"  {name}: {part:.6g} ({explain.percent(part, total)})")


def _numbers(option: str, text: str | None) -> list[int]:
    """``2,4`` as numbers; none where the option is not given."""
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise click.UsageError(f"{option} takes numbers with commas between, as in 2,4; found {text!r}.") from None


@main.command(name="explain")
@click.argument("what", nargs=-1, required=True, metavar="CASE | ORIGINAL DISTORTED [REFERENCE]...")
@variant
@click.option("--layers", metavar="L", help="Whose channels are shown, as in 2,4. Default: the two that give most.")
@PROBES
@CASES
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where explain.html and PNGs go."
)
def explain_(
    what: tuple[str, ...],
    layers: str | None,
    places: tuple[Path, ...],
    cases: int | None,
    out: Path,
    source: str,
    **options: str,
) -> None:
    """Show what a distance is made of: which layers and channels, and where in the image.

    \b
        dps explain translate/face-005 --metric spatial --out look
        dps explain dog.png dog_45.png gray.png --metric sort --out look

    CASE is one of dps probes list --ids; or else name image files of one size.
    """  # noqa: D301 - \b keeps the lines below as they are
    import shutil

    from dps import explain, pairs
    from dps.report import explain_page, tables

    numbers = _numbers("--layers", layers)
    asked = pairs.ask(**options, weights=source)
    if len(what) == 1 and Path(what[0]).is_file():
        raise click.UsageError(f"{what[0]} is an image file; name the distorted one, too.")
    if len(what) == 1:
        name, triple = what[0], explain.find(load(places, cases), what[0]).draw()
    else:
        name, triple = " and ".join(what[:2]), pairs.as_triple([Path(path) for path in what])
    asked.check_size(triple.original.pixels.shape)
    found = explain.explain(name, triple, asked.variant, asked.engine())
    given = [f"--{option}={value}" for option, value in sorted(options.items())]
    command = shlex.join(["dps", "explain", *what, *given, *(f"--probes={place}" for place in places)])
    written = explain_page.write(found, numbers, command, asked.made_of, out)
    for sentence in explain_page.in_words(found):
        for line in tables.wrapped(sentence, shutil.get_terminal_size().columns):
            click.echo(line)
    click.echo(f"written: {written[0]} and {len(written) - 1} PNGs")


@main.command()
@click.argument("name", metavar="PROBE")
@variant
@PROBES
@click.option(
    "--tries", type=click.IntRange(min=1), default=300, show_default=True, help="How many cases are measured at most."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the search.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports/latest/falsified"),
    show_default=True,
    metavar="DIR",
    help="Where the case is drawn, as PNG.",
)
def falsify(
    name: str,
    places: tuple[Path, ...],
    tries: int,
    seed: int,
    out: Path,
    source: str,
    **options: str,
) -> None:
    """Search PROBE's ranges for the mildest distortion that the metric still fails on.

    \b
        dps falsify rotate --metric spatial --network vgg16
        dps falsify rotate --metric spatial >> probes/rotate.yaml

    The case is printed as it stands in a probe file, ready to be added to PROBE's, and drawn into DIR; what else there
    is to say goes to standard error. A distortion's parameters go together from the mildest to the strongest that the
    probe declares, each toward the value that changes nothing; fractions that are listed stand for the range that they
    span. The same seed finds the same case. Ctrl-C ends the search and keeps the best so far.

    Exit code: 0 if none of the tried cases fails, 1 if one does, 2 if the question is wrong, 130 after Ctrl-C.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import falsify as library
    from dps import pairs, progress
    from dps.errors import UsageError, unknown
    from dps.report import sheets

    probes = {probe.name: probe for probe in load(places, None)}
    if name not in probes:
        raise UsageError(unknown("probe", name, probes))
    asked = pairs.ask(**options, weights=source)
    out.mkdir(parents=True, exist_ok=True)
    with progress.progress(f"falsify {name}", tries, "cases") as advance:
        search = library.search(probes[name], asked.variant, asked.engine(), tries=tries, seed=seed, advance=advance)
    ended = "interrupted: " if search.interrupted else ""
    undrawn = f" ({search.not_drawn} more could not be drawn)" if search.not_drawn else ""
    if search.mildest is None:
        click.echo(f"{ended}{asked.variant} fails none of {search.measured} cases of {name}{undrawn}", err=True)
    else:
        found = search.mildest
        picture = out / f"{found.case.name.replace('/', '-')}.png"
        sheets.sheet([found.case]).save(picture)
        mildest = "the mildest that fails" if search.graded else "one that fails"
        click.echo(f"{ended}{found.case.name}: {found.verdict}", err=True)
        click.echo(f"  {library.in_words(found)}: {mildest}, of {search.measured} cases{undrawn}", err=True)
        click.echo(f"  drawn: {picture}", err=True)
        click.echo(library.as_yaml(found), nl=False)
    sys.exit(130 if search.interrupted else int(search.mildest is not None))
