"""The same triplets with the compared images shifted or rotated so little that people do not notice.

A metric whose answer changes flips the rank of the two images (Ghildyal and Liu 2022, arXiv:2207.13686, ST-LPIPS).
"""

import functools
import hashlib
import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dps.judgments.dataset import Content, Dataset, Shard

DIRECTIONS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Right, down, left, up."""


def shift(images: NDArray[np.uint8], number: int, *, pixels: int) -> NDArray[np.uint8]:
    """Shift one triplet's compared images, ``(compared, height, width, 3)``; what enters repeats the outermost pixel.

    The direction changes with the triplet's number in its shard, see `DIRECTIONS`.
    """
    right, down = DIRECTIONS[number % 4]
    rows, columns = (
        np.clip(np.arange(length) - pixels * steps, 0, length - 1)
        for length, steps in zip(images.shape[1:3], (down, right), strict=True)
    )
    return images[:, rows[:, None], columns]


def rotate(images: NDArray[np.uint8], number: int, *, degrees: float) -> NDArray[np.uint8]:
    """Rotate images as `shift` shifts them, clockwise and counter-clockwise in turn."""
    from scipy import ndimage

    angle = degrees if number % 2 else -degrees
    rotated: NDArray[np.uint8] = ndimage.rotate(images, angle, axes=(1, 2), reshape=False, order=1, mode="nearest")
    return rotated


PERTURBATIONS = {
    **{f"{n}px": functools.partial(shift, pixels=n) for n in (1, 2, 3)},
    **{f"{n}deg": functools.partial(rotate, degrees=n) for n in (1, 2, 3)},
}
"""Those of ST-LPIPS, by name."""


def with_perturbations(dataset: Dataset) -> Dataset:
    """Return a data set with all its triplets once more for each of `PERTURBATIONS`."""
    triplets = [shard for shard in dataset.shards if shard.kind == "2afc"]
    perturbed = [
        replace(shard, perturbation=name, load=functools.partial(_load, shard, name))
        for name in PERTURBATIONS
        for shard in triplets
    ]
    return replace(dataset, shards=(*dataset.shards, *perturbed))


def _load(shard: Shard, name: str, decode: bool) -> Content:
    content = shard.load(decode)
    digest = hashlib.sha256(f"{content.labels.digest} perturbed: {name}".encode()).hexdigest()
    stacks = tuple(stack.copy() for stack in content.stacks)
    for number, triplet in enumerate(itertools.chain(*stacks)):
        triplet[1:] = PERTURBATIONS[name](triplet[1:], number)
    return replace(content, stacks=stacks, labels=replace(content.labels, digest=digest))
