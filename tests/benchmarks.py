"""What the suites cost beside the bare forward pass, and judged images beside the lpips package; never run by pytest.

    python -m tests.benchmarks               # all of it, on an otherwise idle machine
    python -m tests.benchmarks ratios memory # some of it

The sides of a ratio take turns on the same images and threads. Memory and CPU time are what the operating system says
of each process.
"""

import functools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray

from dps import metrics, networks, probes, throughput
from dps.comparisons import NORMALIZATIONS
from dps.images import Pixels, as_batch
from dps.judgments import synthetic
from dps.measurement import IMAGES_AT_ONCE, Engine
from dps.metrics import Variant
from dps.networks import BUILT_IN, Extractor
from dps.throughput import take_turns

ROOT = Path(__file__).resolve().parents[1]
DEEP = metrics.DEFAULT_METRICS[1:]


class Cost(NamedTuple):
    """What one process took: CPU seconds, wall seconds, and its peak memory in GiB, children left out."""

    cpu: float
    wall: float
    peak: float


MEASURED = """
import os, subprocess, sys, time
start = time.perf_counter()
_, status, usage = os.wait4(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, 0)
wall = time.perf_counter() - start
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 2**20)
"""
"""Runs a command from a small process: Linux counts the memory of who starts a process as the process's own."""


def cost_of(*command: str, **environment: str) -> Cost:
    """Run a command, which must not fail."""
    launcher = [sys.executable, "-S", "-c", MEASURED, *command]
    found = subprocess.run(launcher, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True)
    status, *figures = map(float, found.stdout.split())
    if status:
        sys.exit(f"{' '.join(command)}: exit status {status:g}")
    return Cost(*figures)


def python(code: str) -> Cost:
    return cost_of(sys.executable, "-c", code)


def suite(*options: str, **environment: str) -> Cost:
    """Run suites without a gate, since what is asked here is not what the baseline knows."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", f"--report-dir={folder}", "--gate=off", *options]
        return cost_of(*command, **environment)


# ------------------------------------------------------------------------------------------- ratios in one process


def deep_variants(network: str) -> list[Variant]:
    return metrics.variants([metrics.named(metric) for metric in DEEP], [network], NORMALIZATIONS)


def forward(engine: Engine, pixels: Sequence[Pixels]) -> None:
    """Push images through the network in one batch, and drop its features."""
    assert engine.extractor is not None
    with torch.inference_mode():
        engine.extractor.run(as_batch(pixels), lambda _place, _features: None)


def ratios(size: int = 96, images: int = IMAGES_AT_ONCE, rounds: int = 9) -> Iterator[str]:
    """All ten variants of a network, and some alone, over the bare forward pass of the same images in memory."""
    yield f"{images} images of {size} x {size}: median over {rounds} rounds of the ratio to what ran beside it"
    triples = throughput.triples(size, images)
    pixels = [picture.pixels for triple in triples for picture in [triple.original, *triple.compared]]
    for name in BUILT_IN:
        engine = Engine(Extractor(networks.named(name)))
        ten = deep_variants(name)
        plain = {each.metric.name: each for each in ten if each.normalization == "none"}
        steps: dict[str, Callable[[], object]] = {
            "forward": partial(forward, engine, pixels),
            "forward in shares": partial(engine.forward, pixels),
            "ten": partial(engine.measure, triples, ten),
            **{metric: partial(engine.measure, triples, [plain[metric]]) for metric in ("spatial", "sort")},
        }
        taken = dict(zip(steps, take_turns(rounds, *steps.values()), strict=True))
        for what, over in (
            ("ten", "forward"),
            ("sort", "spatial"),
            ("ten", "forward in shares"),
            ("forward in shares", "forward"),
        ):
            pairs = zip(taken[what], taken[over], strict=True)
            yield f"  {name}: {what} over {over} {statistics.median(a / b for a, b in pairs):.2f}"


# ------------------------------------------------------------------------------------------- whole processes


def _empty_items(count: int) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test_nothing.py"
        path.write_text(
            f"import pytest\n@pytest.mark.parametrize('n', range({count}))\ndef test_nothing(n): pass\n",
            encoding="utf-8",
        )
        return cost_of(sys.executable, "-m", "pytest", "-q", str(path), "-p", "no:cacheprovider", "-c", os.devnull)


def memory() -> Iterator[str]:
    """Peak memory over importing torch; of the full run, and with 10 and 200 cases a probe, of which pytest's part."""
    bare = python("import torch").peak
    yield "peak memory over importing torch, GiB"
    yield f"  full probe run {suite('suites/test_probes.py').peak - bare:.2f}"
    for cases in (10, 200):
        peak = suite("suites/test_probes.py", "--network=alexnet", f"--cases={cases}").peak
        items = 11 * cases * len(probes.load([probes.BUILT_IN]))
        empty = _empty_items(items).peak
        yield f"  alexnet, {cases} cases a probe {peak - bare:.2f}; as many empty items, without PyTorch, {empty:.2f}"


def workers() -> Iterator[str]:
    """Two processes against two threads of one, on VGG-16 with 200 cases: wall seconds."""
    asked = ("suites/test_probes.py", "--network=vgg16", "--cases=10", "--metric=" + ",".join(DEEP))
    one, two = take_turns(5, partial(suite, *asked), partial(suite, *asked, "-n", "2"))
    yield "VGG-16, 200 cases and more (10 of each probe); wall seconds, by turns"
    yield f"  one process {statistics.median(one):.1f}, -n 2 {statistics.median(two):.1f}"
    yield f"  -n 2 over one process {statistics.median(b / a for a, b in zip(one, two, strict=True)):.2f}"


# ------------------------------------------------------------------------------------------- judged images


@functools.cache
def triplets(count: int) -> NDArray[np.uint8]:
    """Drawn triplets, ``(count, 3, 64, 64, 3)``; beyond 64 they repeat."""
    shards = synthetic.synthesize(triplets=16).subsets("2afc").values()
    drawn = np.concatenate([shard.read().stacks[0] for (shard,) in shards])
    return np.resize(drawn, (count, *drawn.shape[1:]))


def lpips() -> Iterator[str]:
    """Spatial (unit) on AlexNet and the lpips package without heads, on the same triplets."""
    from tests.test_networks import their_baseline

    parts = np.split(triplets(256), 16)
    extractor = Extractor(networks.named("alexnet"))
    engine = Engine(extractor)
    (variant,) = metrics.variants([metrics.named("spatial")], ["alexnet"], ["unit"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torchvision says of how lpips calls it
        model = their_baseline(extractor)

    def ours() -> NDArray[np.float64]:
        found = [engine.measure_stack(part, [variant])[variant] for part in parts]
        return np.concatenate([each for each in found if isinstance(each, np.ndarray)])

    def theirs() -> NDArray[np.float64]:
        rows = []
        with torch.inference_mode():
            for part in parts:
                original, *compared = (as_batch(part[:, place]) * 2 - 1 for place in range(3))
                rows.append(np.stack([model(original, each).flatten().double().numpy() for each in compared], axis=1))
        return np.concatenate(rows)

    apart = np.abs(ours() / theirs() - 1)
    mine, others = take_turns(7, ours, theirs)
    faster = statistics.median(slow / fast for slow, fast in zip(others, mine, strict=True))
    yield f"spatial (unit) on AlexNet, 16 triplets at once: {faster:.2f} x as fast as lpips (1.3 or more is the aim)"
    yield f"  distances differ by {np.median(apart):.1e}, at worst {apart.max():.1e} (1e-5 or less)"


PARTS: dict[str, Callable[[], Iterator[str]]] = {part.__name__: part for part in (ratios, memory, workers, lpips)}


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
def main(parts: tuple[str, ...]) -> None:
    click.echo(f"{platform.machine()}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    for name in parts or PARTS:
        for line in PARTS[name]():
            click.echo(line)


if __name__ == "__main__":
    main()
