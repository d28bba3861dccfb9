"""Triplets and pairs with judgments, in shards that are read when they are needed.

Nothing here knows where they come from.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

KINDS: Mapping[str, int] = {"2afc": 2, "jnd": 1}
"""Each kind of task, and the number of images that are compared with the original."""

SIZE = 64
"""Height and width of every image, in pixels."""

SHARD_SIZE = 256
"""Triplets or pairs per shard: 9 MiB of images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """People's judgments of one shard.

    Attributes:
        judgments: ``(n,)``, in [0, 1]. For ``2afc`` the share of people who chose the second image as the
            closer one; for ``jnd`` the share who said "same".
        digest: SHA-256, hexadecimal, over judgments and images as they are stored, or the pixels of what is drawn.
    """

    judgments: NDArray[np.float64] = field(repr=False, compare=False)
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One shard, read: its labels, and its images, from the same bytes.

    8-bit RGB, ``(n, 1 + compared, SIZE, SIZE, 3)``: each original, then the first and the second image for ``2afc``,
    the other one for ``jnd``.
    """

    images: NDArray[np.uint8] = field(repr=False, compare=False)
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Some triplets or pairs of one subset, at most `SHARD_SIZE`, not yet read.

    Attributes:
        number: the place among the shards of the subset, from 0.
        perturbation: what is done to the compared images, see `rank_flips.PERTURBATIONS`; empty for nothing.
        look: gives judgments and digest; no image is decoded.
        read: gives everything; like `look`, it raises `BappsError` where a file cannot be read or is wrong.
    """

    kind: str
    subset: str
    number: int
    count: int
    look: Callable[[], Labels] = field(repr=False, compare=False)
    read: Callable[[], Content] = field(repr=False, compare=False)
    perturbation: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.subset}/{self.number:03d}{self.perturbation and f' ({self.perturbation})'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Shards, subset by subset.

    Attributes:
        name: ``bapps``, ``synthetic``, or the name that a folder gives itself.
        about: what a reader of results has to know about it.
        shards: those of one subset stand together, in order.
        groups: names of unweighted means over subsets of ``2afc``, each with its subsets.
        judges: ``human`` where people judged, as in BAPPS, and else ``judges``.
    """

    name: str
    about: str
    shards: tuple[Shard, ...] = field(repr=False)
    groups: Mapping[str, tuple[str, ...]]
    judges: str = "judges"

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


def shards_of(
    kind: str, subset: str, count: int, look: Callable[[range], Labels], read: Callable[[range], Content]
) -> Iterator[Shard]:
    """Split a subset into shards; `look` and `read` return what a `Shard`'s do, from the numbers of what it holds."""
    for number, first in enumerate(range(0, count, SHARD_SIZE)):
        span = range(first, min(first + SHARD_SIZE, count))
        yield Shard(
            kind=kind,
            subset=subset,
            number=number,
            count=len(span),
            look=functools.partial(look, span),
            read=functools.partial(read, span),
        )


def new_digest(kind: str) -> "hashlib._Hash":
    """Begin the digest of a shard's content, SHA-256."""
    return hashlib.sha256(f"dps shard 1 {kind}".encode())


def add_part(digest: "hashlib._Hash", part: bytes) -> None:
    """Add a part with its length, so that no two lists of parts have the same digest."""
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)
