"""How fast a variant measures, beside the bare forward pass of the same images in the same run."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dps.images import Triple, as_batch, make_image
from dps.measurement import Engine
from dps.metrics import Variant
from dps.scenes.composition import patch
from dps.scenes.contents import CONTENTS
from dps.scenes.plane import render
from dps.scenes.rng import Rng

BRIEF = ((64, 3),)
"""Image size and batch size where throughput is one of many suites."""

FULL = tuple((size, batch) for size in (64, 96, 256) for batch in (3, 12))
"""The same where it is asked for by name."""

FORWARD, ALL = "forward", "all"
"""What stands in the place of a metric: the bare forward pass, and all variants of a network at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one benchmark measures.

    Attributes:
        network: None for a metric of images.
        variants: measured at once; none for the bare forward pass.
        metric, normalization: what the row is called.
        image_size: height and width in pixels.
        batch_size: images at once: originals, distorted images and references in equal numbers.
    """

    network: str | None
    variants: tuple[Variant, ...]
    metric: str
    normalization: str | None
    image_size: int
    batch_size: int

    def __str__(self) -> str:
        named = "-".join(part for part in (self.network, self.normalization, self.metric) if part)
        return f"{self.image_size}px-{self.batch_size}-{named}"


def loads(variants: Sequence[Variant], sizes: Sequence[tuple[int, int]]) -> list[Load]:
    """Everything there is to benchmark: per network the forward pass, each variant alone, and all at once."""
    found = []
    for size, batch in sizes:
        for network in dict.fromkeys(variant.network for variant in variants):
            own = tuple(variant for variant in variants if variant.network == network)
            rows: list[tuple[str, str | None, tuple[Variant, ...]]] = [
                (variant.metric.name, variant.normalization, (variant,)) for variant in own
            ]
            if network is not None:
                rows = [(FORWARD, None, ()), *rows, (ALL, None, own)]
            found += [
                Load(
                    network=network,
                    variants=chosen,
                    metric=metric,
                    normalization=normalization,
                    image_size=size,
                    batch_size=batch,
                )
                for metric, normalization, chosen in rows
            ]
    return found


def triples(size: int, batch: int) -> list[Triple]:
    """Drawn images in memory: as many triples, of one reference each, as a batch holds."""
    contents = list(CONTENTS)
    drawn = [
        make_image(render(patch(Rng(9, i), content=contents[i % len(contents)], side=0.6, ground="other"), size))
        for i in range(batch)
    ]
    return [
        Triple(original=drawn[i], distorted=drawn[i + 1], references={"other": drawn[i + 2]})
        for i in range(0, batch - batch % 3, 3)
    ]


def run(load: Load, engine: Engine, images: Sequence[Triple]) -> None:
    """Measure a batch once, and wait until the device is done."""
    if load.variants:
        engine.measure(images, load.variants)
    else:
        forward(engine, images)
    _wait(engine)


def forward(engine: Engine, images: Sequence[Triple]) -> None:
    """Push the images of triples through the network in one batch, and drop its features."""
    if engine.extractor is None:
        return
    batch = as_batch(picture.pixels for triple in images for picture in [triple.original, *triple.compared])
    with torch.inference_mode():
        for _ in engine.extractor.layers(batch):
            pass
    _wait(engine)


def settle() -> None:
    """Wait until the threads that PyTorch used last sleep: for some milliseconds they take a core, waiting for more."""
    time.sleep(0.02)


def row(load: Load, seconds: Sequence[float], forwards: Sequence[float]) -> dict[str, object]:
    """A row of results.json.

    Args:
        load: what was measured.
        seconds: of each round.
        forwards: what the bare forward pass took right before each round.
    """
    ratios = [mine / bare for mine, bare in zip(seconds, forwards, strict=True)]
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return {
        "network": load.network,
        "metric": load.metric,
        "normalization": load.normalization,
        "image_size": load.image_size,
        "batch_size": load.batch_size,
        "images_per_second": load.batch_size / statistics.median(seconds),
        "relative_to_forward": statistics.median(ratios) if load.network is not None else None,
        "peak_memory_bytes": peak,
    }


def _wait(engine: Engine) -> None:
    kind = "cpu" if engine.extractor is None else engine.extractor.device.type
    if kind == "cuda":
        torch.cuda.synchronize()
    elif kind == "mps":
        torch.mps.synchronize()
