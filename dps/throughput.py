"""Throughput of variants, and its ratio to the fastest forward pass of the network in dps, in the same rounds."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

from dps.images import Triple, make_image
from dps.measurement import IMAGES_AT_ONCE, Engine
from dps.metrics import Variant
from dps.rows import Row, VariantKey
from dps.scenes.composition import patch
from dps.scenes.contents import CONTENTS
from dps.scenes.plane import render
from dps.scenes.rng import Rng

SIZE = 96
"""Default height and width of the images, in pixels, as in the built-in probes."""

FORWARD, ALL = "forward", "all"
"""Metric names of the forward pass alone and of all variants of a network at once."""

MIN_ROUNDS, MAX_ROUNDS, SECONDS = 3, 9, 75
"""Limits of the number of rounds, and of their time, which only the smallest number may exceed."""


def triples(size: int, images: int) -> list[Triple]:
    """Draw different images, their number divisible by 3, as triples with one reference each."""
    contents = list(CONTENTS)
    drawn = [
        make_image(render(patch(Rng(9, i), size, content=contents[i % len(contents)], side=0.6, ground="other"), size))
        for i in range(images)
    ]
    return [
        Triple(original=drawn[i], distorted=drawn[i + 1], references={"other": drawn[i + 2]})
        for i in range(0, images, 3)
    ]


def take_turns(
    rounds: int, *steps: Callable[[], object], warm_up: int = 2, limit: float = math.inf
) -> list[list[float]]:
    """Time several steps in turns, so that other load on the machine affects all; return seconds by step and round.

    `warm_up` further rounds come first and are not timed. After `MIN_ROUNDS`, no round starts that would exceed the
    `limit` in seconds.
    """
    seconds: list[list[float]] = [[] for _ in steps]
    begin = time.perf_counter()
    for number in range(-warm_up, rounds):
        elapsed = time.perf_counter() - begin
        if number >= MIN_ROUNDS and elapsed + sum(durations[-1] for durations in seconds) > limit:
            break
        for durations, step in zip(seconds, steps, strict=True):
            time.sleep(0.02)  # until PyTorch's threads stop spinning
            start = time.perf_counter()
            step()
            if number >= 0:
                durations.append(time.perf_counter() - start)
    return seconds


def measure(engine: Engine, variants: Sequence[Variant], size: int | None = None) -> list[Row]:
    """Measure the throughput of variants of one network, or of metrics without one, on a batch of the suites' size.

    Args:
        engine: of the variants' network.
        variants: at least one.
        size: height and width of the images, in pixels; `SIZE` if None.

    Returns:
        Rows of results.json: with a network, the forward pass and all variants at once; then each variant.
    """
    network = variants[0].network
    size = size or SIZE
    images = 3 * max(1, engine.images_at_once * SIZE**2 // size**2 // 3)
    batch = triples(size, images)
    steps: dict[VariantKey, Callable[[], object]] = {}
    if network is not None:
        pixels = [image.pixels for triple in batch for image in (triple.original, *triple.compared)]
        steps[VariantKey(network, None, FORWARD)] = partial(engine.forward, pixels)
        steps[VariantKey(network, None, ALL)] = partial(engine.measure, batch, variants)
    steps |= {variant.key: partial(engine.measure, batch, [variant]) for variant in variants}
    device = "cpu" if engine.extractor is None else engine.extractor.device.type
    peaks: dict[VariantKey, int] = {}

    def run(key: VariantKey) -> None:
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        steps[key]()
        if device == "cuda":
            torch.cuda.synchronize()
            peaks[key] = torch.cuda.max_memory_allocated()
        elif device == "mps":
            torch.mps.synchronize()

    for key in list(steps)[:2]:
        run(key)
    timed = take_turns(MAX_ROUNDS, *(partial(run, key) for key in steps), warm_up=0, limit=SECONDS)
    return [
        row(key, seconds, timed[0], size=size, images=images, peak_memory=peaks.get(key))
        for key, seconds in zip(steps, timed, strict=True)
    ]


def row(
    key: VariantKey,
    seconds: Sequence[float],
    forward: Sequence[float],
    *,
    size: int = SIZE,
    images: int = IMAGES_AT_ONCE,
    peak_memory: int | None = None,
) -> Row:
    """Return a row of results.json, from the seconds of each round and those of the forward pass in the same rounds.

    The key is that of a variant, or has `FORWARD` or `ALL` as its metric. The peak memory is in bytes.
    """
    ratios = [duration / forward_duration for duration, forward_duration in zip(seconds, forward, strict=True)]
    low, median, high = statistics.quantiles(ratios, method="inclusive") if key.network else (None, None, None)
    return {
        **key._asdict(),
        "image_size": size,
        "batch_size": images,
        "images_per_second": images / statistics.median(seconds),
        "relative_to_forward": median,
        "relative_to_forward_low": low,
        "relative_to_forward_high": high,
        "peak_memory_bytes": peak_memory,
    }
