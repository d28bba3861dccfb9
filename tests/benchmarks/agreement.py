"""What agreement with people costs: four figures, each a ratio or a limit, both sides of it in one run.

    python -m tests.benchmarks.agreement                 # all four, some minutes on two cores
    python -m tests.benchmarks.agreement --brief         # whether it works; no numbers to quote
    python -m tests.benchmarks.agreement variants lpips  # some of them

variants  ten variants of one network, beside the bare forward pass of the same decoded images, three a triplet
lpips     spatial (unit) on AlexNet, beside the lpips package (``lpips=False``) on the same triplets
resume    BAPPS's 36,344 triplets with every distance in the store: scored without a network
memory    peak memory of ``dps measure`` on 500 and on 5,000 triplets

The two sides of a ratio take turns, round by round, on the same images and threads; a figure is the median over
rounds, with the smallest and the largest beside it. Images are drawn, 64 x 64, as BAPPS's are when they are measured.
"""

import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

from dps import agreement, metrics, networks, store
from dps.bapps import folders, synthetic
from dps.bapps.dataset import Content, Dataset, Labels, Shard, shards_of
from dps.images import as_batch
from dps.measurement import Engine
from dps.metrics import Variant
from dps.networks import Extractor
from dps.throughput import take_turns

AT_MOST = {"squeezenet": 3.0, "alexnet": 1.7, "vgg16": 1.7}
"""Times the bare forward pass that all variants of a network may take."""

AT_LEAST = 1.3
"""Times as fast as the lpips package."""

EQUAL_TO = 1e-5
"""How far a distance may be from the lpips package's, relative."""

CPU_SECONDS = 10.0
"""For scoring all that is in the store."""

SAME_MEMORY = 0.1
"""How much more memory ten times the triplets may take, relative."""

Stacks = NDArray[np.uint8]
"""Triplets, ``(triplet, 3, 64, 64, 3)``."""


def deep_variants(network: str) -> list[Variant]:
    found = metrics.variants(
        [metrics.named(name) for name in metrics.DEFAULT_METRICS if name != "pixel"], [network], ["none", "unit"]
    )
    assert len(found) == 10
    return found


@functools.cache
def triplets(count: int) -> Stacks:
    """Drawn triplets; beyond 64 they repeat."""
    shards = synthetic.synthesize(triplets=16).subsets("2afc").values()
    drawn = np.concatenate([shard.read().images for (shard,) in shards])
    return np.resize(drawn, (count, *drawn.shape[1:]))


def judgments(numbers: Sequence[int]) -> NDArray[np.float64]:
    return np.array([np.random.default_rng(number).integers(0, 6) / 5 for number in numbers])


def over_rounds(numbers: Sequence[float]) -> str:
    return f"{statistics.median(numbers):.2f} ({min(numbers):.2f} to {max(numbers):.2f})"


def say(what: str, found: str, wanted: str, *, reached: bool) -> None:
    click.echo(f"{what}: {found}; {wanted}: {'yes' if reached else 'NO'}")


# ---------------------------------------------------------------------------------------------- variants


def variants(rounds: int, *, brief: bool) -> None:
    """Ten variants beside the bare forward pass; reading apart, and beside the network."""
    images = triplets(24 if brief else 256)
    for network, at_most in AT_MOST.items():
        engine = Engine(Extractor(networks.named(network)))
        ours, bare = take_turns(
            rounds,
            functools.partial(engine.measure_stack, images, deep_variants(network)),
            functools.partial(forward, engine, batches_of(images)),
        )
        ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
        reached = statistics.median(ratios) <= at_most
        say(f"variants, {network}", f"{over_rounds(ratios)} x the forward pass", f"at most {at_most}", reached=reached)
        reading(network, engine, min(rounds, 3), brief=brief)


def batches_of(images: Stacks) -> list[torch.Tensor]:
    """Images as the network takes them, converted beforehand, twelve triplets at once."""
    return [as_batch(images[first : first + 12].reshape(-1, *images.shape[2:])) for first in range(0, len(images), 12)]


def forward(engine: Engine, batches: Sequence[torch.Tensor]) -> None:
    assert engine.extractor is not None
    with torch.inference_mode():
        for batch in batches:
            engine.extractor.run(batch, lambda _place, _features: None)


def reading(network: str, engine: Engine, rounds: int, *, brief: bool) -> None:
    """PNG files of 256 x 256, as BAPPS has them: reading alone, measuring alone, and both as a run does it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "large"
        folders.write(copies(24 if brief else 1024), folder)
        for path in folder.glob("2afc/val/*/*/*.png"):
            with PIL.Image.open(path) as image:
                large = image.resize((256, 256), PIL.Image.Resampling.BICUBIC)
            large.save(path)
        dataset = folders.read(folder)
        contents = [shard.read() for shard in dataset.shards]
        chosen = deep_variants(network)

        def read() -> None:
            for shard in dataset.shards:
                shard.read()

        def measure() -> None:
            for content in contents:
                engine.measure_stack(content.images, chosen)

        def read_and_measure() -> None:
            distances = agreement.DatasetDistances(chosen, lambda _: engine, shown=False)
            distances.measure(dataset.shards, network, "")

        alone = take_turns(rounds, read, measure, read_and_measure)
    images = 3 * sum(shard.count for shard in dataset.shards)
    read_ms, measured_ms, both_ms = (1000 * statistics.median(each) / images for each in alone)
    click.echo(
        f"  decoding and resizing {read_ms:.2f} ms an image, measuring {measured_ms:.2f} ms, "
        f"a run that does both {both_ms:.2f} ms"
    )


# ------------------------------------------------------------------------------------------------- lpips


def lpips(rounds: int, *, brief: bool) -> None:
    """Spatial (unit) on AlexNet beside the lpips package."""
    from tests.test_networks import their_baseline

    images, at_once = triplets(24 if brief else 256), 16
    parts = [images[first : first + at_once] for first in range(0, len(images), at_once)]
    extractor = Extractor(networks.named("alexnet"))
    engine = Engine(extractor)
    (variant,) = metrics.variants([metrics.named("spatial")], ["alexnet"], ["unit"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torchvision says of how lpips calls it
        model = their_baseline(extractor)

    def ours() -> NDArray[np.float64]:
        found = [engine.measure_stack(part, [variant])[variant] for part in parts]
        return np.concatenate([each for each in found if isinstance(each, np.ndarray)])

    def theirs(precision: torch.dtype = torch.float32) -> NDArray[np.float64]:
        rows = []
        with torch.inference_mode():
            for part in parts:
                original, *compared = (as_batch(part[:, place]).to(precision) * 2 - 1 for place in range(3))
                rows.append(np.stack([model(original, each).flatten().double().numpy() for each in compared], axis=1))
        return np.concatenate(rows)

    apart = np.abs(ours() / theirs() - 1)
    mine, others = take_turns(rounds, ours, theirs)
    ratios = [slow / fast for slow, fast in zip(others, mine, strict=True)]
    reached = statistics.median(ratios) >= AT_LEAST
    say(
        "lpips", f"{over_rounds(ratios)} x as fast, {at_once} triplets at once", f"at least {AT_LEAST}", reached=reached
    )
    differ = f"distances differ by {np.median(apart):.1e} (at worst {apart.max():.1e})"
    say("lpips", differ, f"at most {EQUAL_TO:g}", reached=bool(apart.max() <= EQUAL_TO))
    single = theirs()
    model.double()
    rounding = np.abs(single / theirs(torch.float64) - 1).max()
    click.echo(f"  lpips itself, in single precision, differs from itself in double by {rounding:.1e} at worst")


# ------------------------------------------------------------------------------------------------ resume


def resume(_rounds: int, *, brief: bool) -> None:
    """Scores of all of BAPPS's triplets, by ten variants, out of a store."""
    counts = {subset: 300 if brief else count for subset, count in folders.TRIPLETS.items()}
    dataset = Dataset(
        name="stand-in",
        about="numbers alone",
        shards=tuple(shard for subset, n in counts.items() for shard in labels_alone(subset, n)),
        groups={},
    )
    chosen = deep_variants("alexnet")
    key_of = functools.partial(
        store.key_of, network=networks.named("alexnet"), reduction="sum", preprocessing="", device="cpu"
    )
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = store.prepare(Path(temporary) / "store")
        for shard in dataset.shards:
            for variant in chosen:
                store.keep(folder, key_of(variant), shard.look().digest, generator.random((shard.count, 2)))
        start = time.process_time()
        distances = agreement.DatasetDistances(chosen, no_network, folder, key_of)
        for subset in agreement.subsets_of(dataset):
            for variant in chosen:
                agreement.score(subset, *distances.of(subset, variant))
        seconds = time.process_time() - start
    total = sum(counts.values())
    say(
        "resume",
        f"{total:,} triplets by {len(chosen)} variants in {seconds:.2f} s of CPU, no network loaded",
        f"under {CPU_SECONDS:g} s",
        reached=seconds < CPU_SECONDS,
    )
    with tempfile.TemporaryDirectory() as temporary:  # how long a real run takes to see that no file has changed
        folders.write(copies(64), Path(temporary) / "small")
        shards = folders.read(Path(temporary) / "small").shards
        start = time.process_time()
        for shard in shards:
            shard.look()
        each = (time.process_time() - start) / 64
    click.echo(f"  reading and hashing files of 64 x 64: {1000 * each:.2f} ms a triplet, {each * total:.0f} s for all")


def labels_alone(subset: str, count: int) -> Iterator[Shard]:
    def look(span: range) -> Labels:
        return Labels(judgments=judgments(span), digest=f"{subset} {span}")

    return shards_of("2afc", subset, count, look, nothing)


def no_network(name: str | None) -> Engine:
    raise AssertionError(f"{name} was loaded")


def nothing(_span: range) -> Content:
    raise AssertionError("images were read")


# ------------------------------------------------------------------------------------------------ memory


def memory(_rounds: int, *, brief: bool) -> None:
    """Peak memory of the command, in processes of their own."""
    few, many = (32, 320) if brief else (500, 5000)
    peaks = {count: peak_of(count) for count in (1, few, many)}
    more = peaks[many] / peaks[few] - 1
    sizes = ", ".join(f"{peaks[count] / 2**20:.0f} MiB with {count:,} triplets" for count in (few, many))
    say("memory, alexnet", f"{sizes}: {more:+.1%}", f"at most {SAME_MEMORY:+.0%}", reached=more <= SAME_MEMORY)
    over = peaks[many] - peaks[1]
    more_than_one = f"{over / 2**20:.0f} MiB more than with one triplet"
    say("memory, alexnet", more_than_one, "at most 2048", reached=over <= 2**31)


def peak_of(count: int) -> int:
    """Bytes, of ``dps measure`` on so many triplets by all ten variants."""
    with tempfile.TemporaryDirectory() as temporary:
        folders.write(copies(count), Path(temporary) / "folder")
        command = [sys.executable, "-m", "dps", "measure", "--network", "alexnet"]
        command += ["--bapps", f"{temporary}/folder", "--store", f"{temporary}/store"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)}: exit code {process.returncode}")
    return usage.ru_maxrss * 1024


def copies(count: int) -> Dataset:
    """So many triplets with images of few, and judgments of their own, so that no two shards are one."""
    shards = tuple(shards_of("2afc", "copies", count, lambda span: copied(span).labels, copied))
    return Dataset(name="copies", about="drawn, repeated", shards=shards, groups={"all": ("copies",)})


def copied(span: range) -> Content:
    return Content(images=triplets(len(span)), labels=Labels(judgments=judgments(span), digest=""))


# ----------------------------------------------------------------------------------------------- command

FIGURES = {figure.__name__: figure for figure in (variants, lpips, resume, memory)}


@click.command(help=__doc__.partition("\n")[0] if __doc__ else "")
@click.argument("figures", nargs=-1, type=click.Choice(list(FIGURES)))
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="PyTorch's; default: its own choice.")
@click.option("--brief", is_flag=True, help="Small sizes and two rounds: whether it works.")
def main(figures: tuple[str, ...], rounds: int, threads: int | None, brief: bool) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
    busy = os.getloadavg()[0]
    if busy > 0.5:
        click.echo(f"this machine is busy (load {busy:.1f}): ratios with more than one thread will mean little")
    click.echo(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    for name in figures or FIGURES:
        FIGURES[name](2 if brief else rounds, brief=brief)


if __name__ == "__main__":
    main()
