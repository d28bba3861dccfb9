"""Triplets whose compared images are shifted or rotated imperceptibly.

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
    """Shift one triplet's compared images, ``(compared, height, width, 3)``, repeating the outermost pixels.

    The index of the triplet in its shard selects one of `DIRECTIONS` in turn.
    """
    right, down = DIRECTIONS[number % 4]
    rows, columns = (
        np.clip(np.arange(length) - pixels * steps, 0, length - 1)
        for length, steps in zip(images.shape[1:3], (down, right), strict=True)
    )
    return images[:, rows[:, None], columns]


def rotate(images: NDArray[np.uint8], number: int, *, degrees: float) -> NDArray[np.uint8]:
    """Rotate one triplet's compared images as `shift` does, clockwise and counter-clockwise in turn."""
    from scipy import ndimage

    angle = degrees if number % 2 else -degrees
    rotated: NDArray[np.uint8] = ndimage.rotate(images, angle, axes=(1, 2), reshape=False, order=1, mode="nearest")
    return rotated


PERTURBATIONS = {
    **{f"{n}px": functools.partial(shift, pixels=n) for n in (1, 2, 3)},
    **{f"{n}deg": functools.partial(rotate, degrees=n) for n in (1, 2, 3)},
}
"""The perturbations of ST-LPIPS by name."""


def with_perturbations(dataset: Dataset) -> Dataset:
    """Return a data set that also contains its triplets under each of `PERTURBATIONS`."""
    perturbed = [
        replace(shard, perturbation=name, load=functools.partial(_load, shard, name))
        for name in PERTURBATIONS
        for shard in dataset.shards
        if shard.kind == "2afc"
    ]
    return replace(dataset, shards=(*dataset.shards, *perturbed))


def _load(shard: Shard, name: str, decode: bool) -> Content:
    content = shard.load(decode)
    digest = hashlib.sha256(f"{content.digest} perturbed: {name}".encode()).hexdigest()
    stacks = tuple(stack.copy() for stack in content.stacks)
    for number, triplet in enumerate(itertools.chain(*stacks)):
        triplet[1:] = PERTURBATIONS[name](triplet[1:], number)
    return replace(content, stacks=stacks, digest=digest)
