"""The same triplets with the distorted images moved a little, which should change nobody's answer.

ST-LPIPS (Ghildyal and Liu 2022, arXiv:2207.13686) asks metrics this way how steady they are.
"""

import functools
import hashlib
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dps.bapps.dataset import Content, Dataset, Labels, Shard

Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is done to the distorted images: one of both is 0.

    Attributes:
        pixels: how far they are shifted; to the right, down, left, up in turn, from triplet to triplet.
        degrees: how far they are turned, clockwise and counter-clockwise in turn.
    """

    pixels: int = 0
    degrees: float = 0.0

    def __str__(self) -> str:
        return f"{self.pixels}px" if self.pixels else f"{self.degrees:g}deg"

    def __call__(self, images: Images, number: int) -> Images:
        """Move one triplet's images; what comes in at an edge is the outermost pixel again.

        Args:
            images: ``(compared, height, width, 3)``.
            number: which triplet of its shard.
        """
        if self.pixels:
            right, down = [(1, 0), (0, 1), (-1, 0), (0, -1)][number % 4]
            rows, columns = (np.arange(length) for length in images.shape[1:3])
            rows, columns = (
                np.clip(axis - self.pixels * by, 0, len(axis) - 1) for axis, by in ((rows, down), (columns, right))
            )
            return images[:, rows[:, None], columns]
        angle = self.degrees if number % 2 else -self.degrees
        from scipy import ndimage  # here, since importing it takes a while, and only --steady needs it

        turned: Images = ndimage.rotate(images, angle, axes=(1, 2), reshape=False, order=1, mode="nearest")
        return turned


_ALL = (*(Move(pixels=n) for n in (1, 2, 3)), *(Move(degrees=n) for n in (1.0, 2.0, 3.0)))

MOVES = MappingProxyType({str(move): move for move in _ALL})
"""Those of ST-LPIPS, by name."""


def with_moves(dataset: Dataset) -> Dataset:
    """A data set with all its triplets once more for each of `MOVES`."""
    triplets = [shard for shard in dataset.shards if shard.kind == "2afc"]
    moved = [_moved(shard, name) for name in MOVES for shard in triplets]
    return replace(dataset, shards=(*dataset.shards, *moved))


def _moved(shard: Shard, name: str) -> Shard:
    move = MOVES[name]
    look, read = functools.partial(_look, shard, move), functools.partial(_read, shard, move)
    return replace(shard, move=name, look=look, read=read)


def _look(shard: Shard, move: Move) -> Labels:
    return _labels(shard.look(), move)


def _labels(labels: Labels, move: Move) -> Labels:
    return replace(labels, digest=hashlib.sha256(f"{labels.digest} moved by {move}".encode()).hexdigest())


def _read(shard: Shard, move: Move) -> Content:
    content = shard.read()
    images = content.images.copy()
    for number, triplet in enumerate(images):
        triplet[1:] = move(triplet[1:], number)
    return replace(content, images=images, labels=_labels(content.labels, move))
