"""Triplets and pairs with judgments, in shards that are read on demand.

Nothing here knows about file formats.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

KINDS: Mapping[str, int] = {"2afc": 2, "jnd": 1, "mos": 1}
"""The kinds of tasks, each with the number of images that are compared with the original."""

SIZE = 64
"""Height and width of all images of BAPPS and of the stand-in, in pixels."""

SHARD_SIZE = 256
"""Maximum number of triplets or pairs per shard: 9 MiB of BAPPS images."""

ALL = "all"
"""Name of the subset that contains everything of a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFiles:
    """One triplet or pair, by the paths of its image files.

    Attributes:
        original: path of the original.
        compared: paths of the images that are compared with it, as many as in `KINDS`.
        judgment: see `Content`; or the path of an ``.npy`` file that contains it.
        group: such as the type of the distortion; empty for none.
        split: part of the data set; empty for none.
        where: file and line of the row, for messages.
    """

    original: str
    compared: tuple[str, ...]
    judgment: float | str
    group: str = ""
    split: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """People's judgments of one shard, and its images if they were decoded.

    Attributes:
        judgments: ``(n,)``. For ``2afc`` the fraction of people who chose the second image as the closer one, for
            ``jnd`` the fraction who said "same", in [0, 1]; for ``mos`` a score, any unit, higher for more similar.
        digest: SHA-256, hexadecimal, over image and judgment files as stored, or over drawn pixels.
        stacks: 8-bit RGB, each ``(stack, 1 + compared, height, width, 3)``: an original, then its compared images.
        indices: of each row's compared images among those of all stacks, ``(n, compared)``; None for
            consecutive ones.
    """

    judgments: NDArray[np.float64] = field(repr=False, compare=False)
    digest: str
    stacks: tuple[NDArray[np.uint8], ...] = field(default=(), repr=False, compare=False)
    indices: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """At most `SHARD_SIZE` triplets or pairs of one subset or split, not yet read.

    Attributes:
        number: index among the shards of the subset.
        load: returns the content, with images if its argument is true.
        perturbation: of the compared images, one of `rank_flips.PERTURBATIONS`; empty for none.
        rows: its rows by file; empty where no two rows share an original and none has a group.
    """

    kind: str
    subset: str
    number: int
    count: int
    load: Callable[[bool], Content] = field(repr=False, compare=False)
    perturbation: str = ""
    rows: tuple[JudgedFiles, ...] = field(default=(), repr=False, compare=False)

    def read(self) -> Content:
        """Read judgments and images; a JudgmentsError if a file is unreadable or invalid."""
        return self.load(True)

    def read_judgments(self) -> Content:
        """Read judgments and digest without decoding images; a JudgmentsError as for `read`."""
        return self.load(False)

    @property
    def image_count(self) -> int:
        """Return the number of images, an original that several rows share counted once."""
        return self.count * KINDS[self.kind] + (len({row.original for row in self.rows}) or self.count)

    def __str__(self) -> str:
        return f"{self.kind}/{self.subset}/{self.number:03d}{self.perturbation and f' ({self.perturbation})'}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Shards, ordered by subset.

    Attributes:
        name: ``bapps``, ``synthetic``, or the name from a folder or file.
        about: description for readers of the results.
        groups: unweighted means over subsets of ``2afc``: name and subsets.
        judges: label of the judges' own score: ``human``, or ``judges`` if they may not be people.
        title: of its table of scores.
        pooled: name of all subsets together, for each kind in which that has a score.
        shapes: distinct heights and widths of the images; empty if there are only predictions.
        preprocessing: of each image before it is measured.
        predictions: distances computed elsewhere, by name, ``(n, compared)`` for each shard.
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
        """Return the unperturbed shards of each subset of a kind, in order."""
        subsets: dict[str, tuple[Shard, ...]] = {}
        for shard in self.shards:
            if shard.kind == kind and not shard.perturbation:
                subsets[shard.subset] = (*subsets.get(shard.subset, ()), shard)
        return subsets


def shards_of(kind: str, subset: str, count: int, load: Callable[[range, bool], Content]) -> Iterator[Shard]:
    """Split a subset into shards; `load` is that of `Shard`, preceded by the range of rows."""
    for number, start in enumerate(range(0, count, SHARD_SIZE)):
        span = range(start, min(start + SHARD_SIZE, count))
        load_span = functools.partial(load, span)
        yield Shard(kind=kind, subset=subset, number=number, count=len(span), load=load_span)


def new_digest(kind: str) -> "hashlib._Hash":
    """Start the SHA-256 of a shard's content."""
    return hashlib.sha256(f"dps shard 1 {kind}".encode())


def add_part(digest: "hashlib._Hash", part: bytes) -> None:
    """Add a part with its length, so that different sequences of parts have different digests."""
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)
