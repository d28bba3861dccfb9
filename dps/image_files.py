"""Image files measured by one variant, for ``dps distance`` and ``dps explain``."""

import math
from collections.abc import Sequence
from pathlib import Path

from dps import images
from dps.errors import DpsError, ImageError, MetricError
from dps.images import Image, Triple
from dps.measurement import IMAGES_AT_ONCE
from dps.session.configuration import RunConfiguration


def read(paths: Sequence[Path]) -> list[Image]:
    """Read image files; an ImageError if their sizes differ."""
    files = [images.make_image(images.read(path)) for path in paths]
    for path, image in zip(paths, files, strict=True):
        if image.pixels.shape != files[0].pixels.shape:
            sizes = [f"{width} x {height}" for height, width, _ in (files[0].pixels.shape, image.pixels.shape)]
            raise ImageError(f"{paths[0]} and {path} have {' and '.join(sizes)} pixels; they must have the same size.")
    return files


def as_triple(paths: Sequence[Path]) -> Triple:
    """Read the original, the distorted image, and any number of references; raises as `read`."""
    original, distorted, *others = read(paths)
    references = dict(zip(map(str, paths[2:]), others, strict=True))
    return Triple(original=original, distorted=distorted, references=references)


def distances(
    configuration: RunConfiguration, original: Path, others: Sequence[Path]
) -> list[tuple[float, tuple[float, ...]]]:
    """Return the distance of each of `others` to the original, with its parts by layer, by the only variant.

    Raises:
        DpsError: a file cannot be read, sizes differ, the metric failed, or a distance is not finite.
    """
    (variant,) = configuration.variants
    first, *rest = read([original, *others])
    configuration.check_size(first.pixels.shape)
    engine = configuration.engine(variant.backbone)
    triples = [Triple(original=first, distorted=image, references={}) for image in rest]
    results: list[tuple[float, tuple[float, ...]]] = []
    for start in range(0, len(triples), IMAGES_AT_ONCE):  # the triples of a batch share the original
        for outcomes in engine.measure(triples[start : start + IMAGES_AT_ONCE], [variant]):
            outcome = outcomes[variant]
            if isinstance(outcome, DpsError):
                raise outcome
            if not math.isfinite(outcome.distorted):
                raise MetricError(
                    f"{variant}: the distance of {original} to {others[len(results)]} is {outcome.distorted}, which is "
                    "not finite."
                )
            results.append((outcome.distorted, outcome.distorted_layers))
    return results
