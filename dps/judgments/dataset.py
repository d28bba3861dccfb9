"""Triplets and pairs with judgments, in shards that are read when they are needed.

Nothing here knows where they come from.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

KINDS: Mapping[str, int] = {"2afc": 2, "jnd": 1, "mos": 1}
"""Each kind of task, and the number of images that are compared with the original."""

SIZE = 64
"""Height and width of every image of BAPPS and of the stand-in, in pixels."""

SHARD_SIZE = 256
"""Most triplets or pairs per shard: of BAPPS, 9 MiB of images."""

ALL = "all"
"""Everything of a kind together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One triplet or pair, by its image files.

    Attributes:
        original: the path of its image file.
        compared: those of the images that are compared with it, as many as `KINDS` says.
        judgment: see `Labels`; or the path of an ``.npy`` file that holds it.
        group: such as the type of the distortion; empty for none.
        split: the part of the data set; empty for none.
        where: the file and line that says so, for messages.
    """

    original: str
    compared: tuple[str, ...]
    judgment: float | str
    group: str = ""
    split: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """People's judgments of one shard.

    Attributes:
        judgments: ``(n,)``. For ``2afc`` the share of people who chose the second image as the closer one, for
            ``jnd`` the share who said "same", in [0, 1]; for ``mos`` a score, any unit, higher for more similar.
        digest: SHA-256, hexadecimal, over images and judgment files as they are stored, or the pixels of what is drawn.
    """

    judgments: NDArray[np.float64] = field(repr=False, compare=False)
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One shard, read: its labels, and its images, from the same bytes.

    Attributes:
        stacks: 8-bit RGB, each ``(stack, 1 + compared, height, width, 3)``: an original, then what it is compared with.
        labels: of the shard.
        places: of each row's compared images among all of the stacks, ``(n, compared)``; None for one after the other.
    """

    stacks: tuple[NDArray[np.uint8], ...] = field(repr=False, compare=False)
    labels: Labels
    places: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    @property
    def images(self) -> NDArray[np.uint8]:
        """Return the stacks where all have one size and layout."""
        (images,) = self.stacks
        return images


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Some triplets or pairs of one subset or split, at most `SHARD_SIZE`, not yet read.

    Attributes:
        number: the place among the shards of the subset, from 0.
        load: gives the content, whether images are decoded or not, where they are not needed.
        perturbation: what is done to the compared images, see `rank_flips.PERTURBATIONS`; empty for nothing.
        rows: what it holds, by file; empty where every row has an original of its own and no group.
    """

    kind: str
    subset: str
    number: int
    count: int
    load: Callable[[bool], Content] = field(repr=False, compare=False)
    perturbation: str = ""
    rows: tuple[Judged, ...] = field(default=(), repr=False, compare=False)

    def look(self) -> Labels:
        """Return judgments and digest; a JudgmentsError where a file cannot be read or is wrong."""
        return self.load(False).labels

    def read(self) -> Content:
        """Return everything, from the same bytes; raises as `look`, also for images."""
        return self.load(True)

    @property
    def image_count(self) -> int:
        """Return how many images it has; an original that rows share is one."""
        return self.count * KINDS[self.kind] + (len({row.original for row in self.rows}) or self.count)

    def __str__(self) -> str:
        return f"{self.kind}/{self.subset}/{self.number:03d}{self.perturbation and f' ({self.perturbation})'}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Shards, subset by subset.

    Attributes:
        name: ``bapps``, ``synthetic``, or the name that a folder or file gives itself.
        about: what a reader of results has to know about it.
        shards: those of one subset stand together, in order.
        groups: names of unweighted means over subsets of ``2afc``, each with its subsets.
        judges: ``human`` where people judged, as in BAPPS, and else ``judges``.
        title: of a table of its scores.
        pooled: for each kind the name of all of its subsets together, where that has a score.
        shapes: height and width of the images, each once; empty where there are none, only predictions.
        preprocessing: what is done to each image, so that distances depend on it.
        predictions: by name, distances that were made elsewhere, ``(n, compared)`` of each shard.
    """

    name: str
    about: str
    shards: tuple[Shard, ...] = field(default=(), repr=False)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    judges: str = "judges"
    title: str = ""
    pooled: Mapping[str, str] = field(default_factory=lambda: {"jnd": "pooled"})
    shapes: frozenset[tuple[int, int]] = frozenset({(SIZE, SIZE)})
    preprocessing: str = ""
    predictions: Mapping[str, Mapping[Shard, NDArray[np.float64]]] = field(default_factory=dict, repr=False)

    def subsets(self, kind: str) -> dict[str, tuple[Shard, ...]]:
        """Return the shards of each subset of one kind, in order, without perturbed ones."""
        subsets: dict[str, tuple[Shard, ...]] = {}
        for shard in self.shards:
            if shard.kind == kind and not shard.perturbation:
                subsets[shard.subset] = (*subsets.get(shard.subset, ()), shard)
        return subsets

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of triplets or pairs in each subset of each kind."""
        return {
            kind: {subset: sum(shard.count for shard in shards) for subset, shards in self.subsets(kind).items()}
            for kind in KINDS
        }


def shards_of(kind: str, subset: str, count: int, load: Callable[[range, bool], Content]) -> Iterator[Shard]:
    """Split a subset into shards; `load` returns what a `Shard`'s does, from the numbers of what it holds."""
    for number, first in enumerate(range(0, count, SHARD_SIZE)):
        span = range(first, min(first + SHARD_SIZE, count))
        load_span = functools.partial(load, span)
        yield Shard(kind=kind, subset=subset, number=number, count=len(span), load=load_span)


def new_digest(kind: str) -> "hashlib._Hash":
    """Begin the digest of a shard's content, SHA-256."""
    return hashlib.sha256(f"dps shard 1 {kind}".encode())


def add_part(digest: "hashlib._Hash", part: bytes) -> None:
    """Add a part with its length, so that no two lists of parts have the same digest."""
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)
