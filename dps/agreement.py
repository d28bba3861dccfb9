"""Agreement with people: a data set's distances, measured once and kept, and the scores that they give.

DatasetDistances are measured shard by shard, all variants of a network at once, while the next shard's images are read.
"""

import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dps import scores, store
from dps.bapps.dataset import KINDS, Content, Dataset, Labels, Shard
from dps.errors import BappsError, DpsError
from dps.measurement import Engine
from dps.metrics import Variant
from dps.progress import progress
from dps.scores import Estimate
from dps.store import Key

Array: TypeAlias = NDArray[np.float64]

POOLED = "pooled"
"""All pairs of all subsets together, as in the JND column of the paper's Table 2."""

RANK_FLIPS = "rank_flips"
"""The kind of a score that is the share of triplets whose answer changes under a perturbation; lower is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """The triplets or pairs that one score is computed from.

    Attributes:
        kind: one of `dataset.KINDS`, or `RANK_FLIPS`.
        name: of a subset of the data set, `POOLED`, or the perturbation.
        shards: of `RANK_FLIPS`, all triplets unchanged and then the same ones perturbed.
    """

    kind: str
    name: str
    shards: tuple[Shard, ...] = field(repr=False)

    @property
    def measured_with(self) -> str:
        """The same for all subsets that share shards: pairs are scored by subset and pooled."""
        return self.kind if self.kind == "jnd" else str(self)

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def subsets_of(dataset: Dataset) -> tuple[Subset, ...]:
    """Return everything of a data set that has a score."""
    subsets = [
        Subset(kind=kind, name=name, shards=shards) for kind in KINDS for name, shards in dataset.subsets(kind).items()
    ]
    if pairs := tuple(shard for shard in dataset.shards if shard.kind == "jnd"):
        subsets.append(Subset(kind="jnd", name=POOLED, shards=pairs))
    triplets: dict[str, tuple[Shard, ...]] = {}
    for shard in dataset.shards:
        if shard.kind == "2afc":
            triplets[shard.perturbation] = (*triplets.get(shard.perturbation, ()), shard)
    unchanged = triplets.pop("", ())
    subsets += [Subset(kind=RANK_FLIPS, name=name, shards=unchanged + shards) for name, shards in triplets.items()]
    return tuple(subsets)


def scored_names(dataset: Dataset) -> list[str]:
    """Return everything that a floor can be set on, such as ``2afc/cnn``: subsets and means of subsets."""
    return [*map(str, subsets_of(dataset)), *(f"2afc/{group}" for group in dataset.groups)]


def triplet_scores(kind: str, judgments: Array, distances: Array) -> Array | None:
    """Return each triplet's own score, ``(triplet,)``, whose mean is the `score`; None for JND, which has none.

    Args:
        kind: decides which score.
        judgments: ``(n,)``, see `Labels`.
        distances: ``(n, compared)``; of `RANK_FLIPS`, first of the unchanged images, then of the perturbed ones.
    """
    if kind == RANK_FLIPS:
        return scores.rank_flips(*np.split(distances, 2))
    return scores.two_afc(distances[:, 0], distances[:, 1], judgments) if kind == "2afc" else None


def score(subset: Subset, judgments: Array, distances: Array) -> Estimate:
    """Return the 2AFC score, the share of rank flips, or JND's average precision.

    Rank flips are a mean over subsets, each counting as much, as in arXiv:2207.13686.

    Args:
        subset: what the score is computed from.
        judgments, distances: as for `triplet_scores`.
    """
    of_triplets = triplet_scores(subset.kind, judgments, distances)
    if of_triplets is None:
        return scores.jnd_average_precision(distances[:, 0], judgments)
    if subset.kind != RANK_FLIPS:
        return scores.mean_score(of_triplets)
    names = np.concatenate([[shard.subset] * shard.count for shard in subset.shards if not shard.perturbation])
    return scores.mean_of_subsets([scores.mean_score(of_triplets[names == name]) for name in dict.fromkeys(names)])


def judges_score(kind: str, judgments: Array) -> Estimate | None:
    """Return how well those who judged agree with each other; None where there is no such score."""
    return scores.mean_score(scores.human_two_afc(judgments)) if kind == "2afc" else None


class DatasetDistances:
    """The distances of a data set by all variants: looked up in a store, or measured at the first look-up.

    Args:
        dataset: what is measured.
        variants: by which; the first look-up of one measures all of its network.
        engine: gives what measures on a network, or without one; asked only where something has to be measured.
        folder: the store; None to keep nothing.
        keys: of each variant, what its distances depend on; not needed where nothing is kept.
        shown: whether progress is shown.
    """

    def __init__(
        self,
        dataset: Dataset,
        variants: Sequence[Variant],
        engine: Callable[[str | None], Engine],
        folder: Path | None = None,
        keys: Mapping[Variant, Key] | None = None,
        *,
        shown: bool = True,
    ) -> None:
        self._dataset = dataset
        self._engine = engine
        self._variants = variants
        self._keys = keys or {}
        self._folder = folder
        self._shown = shown
        self._labels: dict[Shard, Labels] = {}
        self._found: dict[tuple[Shard, Variant], Array | DpsError] = {}

    def of(self, subset: Subset, variant: Variant) -> tuple[Array, Array]:
        """Judgments ``(n,)`` and distances ``(n, compared)``; what is missing is measured.

        Raises:
            DpsError: a metric broke, images cannot be read, or the store cannot be written.
        """
        self.measure(subset.shards, variant.network, str(subset))
        found = [self._found[shard, variant] for shard in subset.shards]
        for each in found:
            if isinstance(each, DpsError):
                raise each
        judgments = np.concatenate([self._labels[shard].judgments for shard in subset.shards])
        return judgments, np.concatenate([each for each in found if not isinstance(each, DpsError)])

    def check(self, shards: Sequence[Shard], network: str | None) -> None:
        """See that all of a network's distances are there.

        Raises:
            DpsError: the first that there is for want of one.
        """
        for shard in shards:
            for variant in self._variants:
                if variant.network == network and isinstance(found := self._found[shard, variant], DpsError):
                    raise found

    def measure(self, shards: Sequence[Shard], network: str | None, what: str) -> int:
        """Measure what is not there yet, all variants of one network at once.

        Args:
            shards: which part of the data set.
            network: whose variants; None for those without one.
            what: is measured, for the progress.

        Returns:
            How many shards had to be measured.

        Raises:
            UsageError: the store cannot be written. What was measured before is kept.
        """
        variants = [variant for variant in self._variants if variant.network == network]
        missing = {shard: lacking for shard in shards if (lacking := self._lacking(shard, variants))}
        images = sum(shard.count * (1 + KINDS[shard.kind]) for shard in missing)
        with progress(
            f"{what} on {network}" if network else what, images, "images", shown=self._shown and bool(missing)
        ) as advance:
            for shard, content in _read(self._dataset, list(missing)):
                self._measure(shard, content, missing[shard])
                advance(shard.count * (1 + KINDS[shard.kind]))
        return len(missing)

    def _lacking(self, shard: Shard, variants: Sequence[Variant]) -> list[Variant]:
        """Which variants are neither known nor in the store; what is in the store becomes known."""
        unknown = [variant for variant in variants if (shard, variant) not in self._found]
        if not unknown or self._folder is None:
            return unknown
        try:
            labels = self._labels[shard] = self._labels.get(shard) or shard.look()
        except BappsError as error:
            self._found |= dict.fromkeys([(shard, variant) for variant in unknown], error)
            return []
        for variant in unknown:
            kept = store.look_up(self._folder, self._keys[variant].of(labels.digest))
            if kept is not None and kept.shape == (shard.count, KINDS[shard.kind]):
                self._found[shard, variant] = kept
        return [variant for variant in unknown if (shard, variant) not in self._found]

    def _measure(self, shard: Shard, content: Content | BappsError, variants: Sequence[Variant]) -> None:
        if isinstance(content, BappsError):
            self._found |= dict.fromkeys([(shard, variant) for variant in variants], content)
            return
        self._labels[shard] = content.labels
        for variant, distances in self._engine(variants[0].network).measure_stack(content.images, variants).items():
            if self._folder is not None and not isinstance(distances, DpsError):
                store.keep(self._folder, self._keys[variant].of(content.labels.digest), distances)
            self._found[shard, variant] = distances


class _Reading:
    """Shards as a `torch.utils.data.DataLoader` reads them; one that is wrong comes out as its error."""

    def __init__(self, dataset: Dataset, shards: Sequence[Shard]) -> None:
        self.numbers = [dataset.shards.index(shard) for shard in shards]
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> Content | BappsError:
        try:
            return self.dataset[self.numbers[place]]
        except BappsError as error:
            return error


READERS = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Processes that read and resize images beside the network, where there is more than one shard to read."""


def _read(dataset: Dataset, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Content | BappsError]]:
    """Read shards, the next ones while one is measured."""
    from torch.utils.data import DataLoader

    if not shards:
        return
    workers = READERS if len(shards) > 1 else 0
    loader: DataLoader[object] = DataLoader(
        _Reading(dataset, shards),  # type: ignore[arg-type]  # has all that a map-style data set needs
        batch_size=None,
        num_workers=workers,
        prefetch_factor=1 if workers else None,
        collate_fn=_as_it_is,
        worker_init_fn=_end_with_its_run,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        contents: Iterator[Any] = iter(loader)
    yield from zip(shards, contents, strict=True)


def _end_with_its_run(_reader: int) -> None:
    """End a reading process when its run is killed: with a shard on its way it would wait forever to hand it over."""
    run = multiprocessing.parent_process()
    assert run is not None

    def wait() -> None:
        run.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _as_it_is(content: object) -> object:
    return content
