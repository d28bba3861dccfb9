"""Throughput of variants, and its ratio to the fastest forward pass of the network that dps has, round by round."""

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
"""Height and width of the images, in pixels: those of the built-in probes."""

FORWARD, ALL = "forward", "all"
"""In place of a metric's name: the forward pass alone, and all variants of a network at once."""

LEAST_ROUNDS, MOST_ROUNDS, SECONDS = 3, 9, 75
"""The number of rounds, within this time if the least number allows it."""


def triples(size: int, images: int) -> list[Triple]:
    """Draw a number of different images, divisible by 3, as triples of one reference each."""
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
    rounds: int, *sides: Callable[[], object], warm_up: int = 2, limit: float = math.inf
) -> list[list[float]]:
    """Time several sides in turns, so that whatever else the machine does affects all of them.

    After `warm_up` rounds that are not timed, each side is called once a round; beyond a limit in seconds no round
    begins once there are `LEAST_ROUNDS`. Return for each side the seconds of each round.
    """
    seconds: list[list[float]] = [[] for _ in sides]
    begin = time.perf_counter()
    for number in range(-warm_up, rounds):
        elapsed = time.perf_counter() - begin
        if number >= LEAST_ROUNDS and elapsed + sum(taken[-1] for taken in seconds) > limit:
            break
        for taken, side in zip(seconds, sides, strict=True):
            time.sleep(0.02)  # PyTorch's threads wait for work on a core for some milliseconds, and then sleep
            start = time.perf_counter()
            side()
            if number >= 0:
                taken.append(time.perf_counter() - start)
    return seconds


def measure(engine: Engine, variants: Sequence[Variant], size: int | None = None) -> list[Row]:
    """Measure the throughput of variants of one network, or of metrics without one, on a batch as the suites have it.

    Args:
        engine: of the variants' network.
        variants: at least one.
        size: height and width of the images, in pixels; `SIZE` if None.

    Returns:
        Rows of results.json: the forward pass and all variants at once, where there is a network, and each variant.
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
    peaks: dict[VariantKey, int] = {}

    def run(key: VariantKey) -> None:
        if on_cuda:
            torch.cuda.reset_peak_memory_stats()
        steps[key]()
        if on_cuda:
            torch.cuda.synchronize()
            peaks[key] = torch.cuda.max_memory_allocated()
        elif device == "mps":
            torch.mps.synchronize()

    device = "cpu" if engine.extractor is None else engine.extractor.device.type
    on_cuda = device == "cuda"
    for key in list(steps)[:2]:
        run(key)
    timed = take_turns(MOST_ROUNDS, *(partial(run, key) for key in steps), warm_up=0, limit=SECONDS)
    return [
        row(key, taken, timed[0], size=size, images=images, peak_memory=peaks.get(key))
        for key, taken in zip(steps, timed, strict=True)
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
    """Return a row of results.json, from seconds of each round, and of the forward pass in the same rounds.

    The key is of a variant, or has `FORWARD` or `ALL` in place of its metric. The peak memory is in bytes, on a GPU.
    """
    ratios = [own / bare for own, bare in zip(seconds, forward, strict=True)]
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
