"""Agreement with people: a data set's distances, measured once and kept, and the scores that they give.

Distances are measured shard by shard, all variants of a backbone at once, while the next shard's images are read.
"""

import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dps import notes, scores, store
from dps.bapps.dataset import KINDS, Content, Dataset, Labels, Shard
from dps.errors import BappsError, DpsError
from dps.fingerprint import NoFingerprintError
from dps.measurement import Engine
from dps.metrics import Variant
from dps.progress import progress
from dps.scores import Estimate

Array: TypeAlias = NDArray[np.float64]

POOLED = "pooled"
"""All pairs of all subsets together, as in the JND column of the paper's Table 2."""

RANK_FLIPS = "rank_flips"
"""The kind of a score that is the share of triplets whose answer changes under a perturbation; lower is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """The triplets or pairs that one score is computed from; of `RANK_FLIPS`, unchanged ones, then the same perturbed.

    Its kind is one of `dataset.KINDS` or `RANK_FLIPS`; its name that of a subset, `POOLED`, or the perturbation.
    """

    kind: str
    name: str
    shards: tuple[Shard, ...] = field(repr=False)

    @property
    def measured_with(self) -> str:
        """Return the same text for all subsets that share shards: pairs are scored by subset and pooled."""
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
    for name in dict.fromkeys(shard.perturbation for shard in dataset.shards if shard.perturbation):
        triplets = tuple(s for s in dataset.shards if s.kind == "2afc" and s.perturbation in ("", name))
        subsets.append(Subset(kind=RANK_FLIPS, name=name, shards=triplets))
    return tuple(subsets)


def scored_names(dataset: Dataset) -> list[str]:
    """Return everything that a floor can be set on, such as ``2afc/cnn``: subsets and means of subsets."""
    return [*map(str, subsets_of(dataset)), *(f"2afc/{group}" for group in dataset.groups)]


def triplet_scores(kind: str, judgments: Array, distances: Array) -> Array | None:
    """Return each triplet's own score, ``(triplet,)``, whose mean is the `score`; None for JND, which has none.

    Judgments are ``(n,)``, distances ``(n, compared)``; of `RANK_FLIPS`, first of the unchanged images.
    """
    if kind == RANK_FLIPS:
        return scores.rank_flips(*np.split(distances, 2))
    return scores.two_afc(distances[:, 0], distances[:, 1], judgments) if kind == "2afc" else None


def score(subset: Subset, judgments: Array, distances: Array) -> Estimate:
    """Return the 2AFC score, the share of rank flips, or JND's average precision; see `triplet_scores`.

    Rank flips are a mean over subsets, each counting as much, as in arXiv:2207.13686.
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

    A variant without a key is not kept, and neither is one whose key is another one after it has measured.

    Args:
        engine: returns what measures on a network, or without one; called only where something has to be measured.
        folder: the store; None to keep nothing.
        key_of: returns a variant's key, see `store.key_of`; not needed without a store.

    Attributes:
        not_kept: by the metric's name, why its distances are not kept.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        engine: Callable[[str | None], Engine],
        folder: Path | None = None,
        key_of: Callable[[Variant], str] | None = None,
        *,
        shown: bool = True,
    ) -> None:
        self.not_kept: dict[str, str] = {}
        self._engine = engine
        self._variants = variants
        self._key_of = key_of
        self._keys: dict[Variant, str | None] = {}
        self._folder = folder
        self._shown = shown
        self._labels: dict[Shard, Labels] = {}
        self._known: dict[tuple[Shard, Variant], Array | DpsError] = {}

    def of(self, subset: Subset, variant: Variant) -> tuple[Array, Array]:
        """Return judgments ``(n,)`` and distances ``(n, compared)``; what is missing is measured.

        Raises:
            DpsError: a metric broke, images cannot be read, or the store cannot be written.
        """
        self.measure(subset.shards, variant.backbone, str(subset))
        distances = [self._known_distances(shard, variant) for shard in subset.shards]
        judgments = [self._labels[shard].judgments for shard in subset.shards]
        return np.concatenate(judgments), np.concatenate(distances)

    def _known_distances(self, shard: Shard, variant: Variant) -> Array:
        if isinstance(known := self._known[shard, variant], DpsError):
            raise known
        return known

    def check(self, shards: Sequence[Shard], backbone: str | None) -> None:
        """Raise the first error that stands for distances of a backbone's variants, if there is one."""
        for shard in shards:
            for variant in self._variants:
                if variant.backbone == backbone:
                    self._known_distances(shard, variant)

    def measure(self, shards: Sequence[Shard], backbone: str | None, title: str) -> int:
        """Measure what is not known yet of some shards, all variants of a backbone at once; return how many these were.

        Raises:
            StoreError: the store cannot be written. What was measured before is kept.
        """
        variants = [variant for variant in self._variants if variant.backbone == backbone]
        missing = {shard: unknown for shard in shards if (unknown := self._unknown(shard, variants))}
        images = sum(shard.count * (1 + KINDS[shard.kind]) for shard in missing)
        title = f"{title} on {backbone}" if backbone else title
        with progress(title, images, "images", shown=self._shown and bool(missing)) as advance:
            for shard, content in _read(list(missing)):
                self._measure(shard, content, missing[shard])
                advance(shard.count * (1 + KINDS[shard.kind]))
        return len(missing)

    def _unknown(self, shard: Shard, variants: Sequence[Variant]) -> list[Variant]:
        """Return the variants that are neither known nor in the store; what is in the store becomes known."""
        unknown = [variant for variant in variants if (shard, variant) not in self._known]
        if not unknown or self._folder is None:
            return unknown
        try:
            labels = self._labels[shard] = self._labels.get(shard) or shard.look()
        except BappsError as error:
            self._known |= dict.fromkeys([(shard, variant) for variant in unknown], error)
            return []
        for variant in unknown:
            if (key := self._key(variant)) is not None:
                kept = store.look_up(self._folder, key, labels.digest)
                if kept is not None and kept.shape == (shard.count, KINDS[shard.kind]):
                    self._known[shard, variant] = kept
        return [variant for variant in unknown if (shard, variant) not in self._known]

    def _measure(self, shard: Shard, content: Content | BappsError, variants: Sequence[Variant]) -> None:
        if isinstance(content, BappsError):
            self._known |= dict.fromkeys([(shard, variant) for variant in variants], content)
            return
        self._labels[shard] = content.labels
        for variant, distances in self._engine(variants[0].backbone).measure_stack(content.images, variants).items():
            self._known[shard, variant] = distances
            if self._folder is None or isinstance(distances, DpsError):
                continue
            if (key := self._key(variant, measured=True)) is not None:
                store.keep(self._folder, key, content.labels.digest, distances)

    def _key(self, variant: Variant, *, measured: bool = False) -> str | None:
        """Return a variant's key, which a user's metric must keep while it measures; None where it cannot be kept."""
        assert self._key_of is not None
        try:
            if variant not in self._keys or (measured and self._keys[variant] and not store.is_fixed(variant.metric)):
                key = self._key_of(variant)
                if self._keys.setdefault(variant, key) != key:
                    raise NoFingerprintError("its state changes while it measures")
        except NoFingerprintError as error:
            self._keys[variant] = None
            self.not_kept.setdefault(variant.metric.name, str(error))
            notes.add_text(store.not_kept(variant.metric.name, str(error)))
        return self._keys[variant]


READERS = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Processes that read and resize images beside the network, where there is more than one shard to read."""


def _read(shards: Sequence[Shard]) -> Iterator[tuple[Shard, Content | BappsError]]:
    """Read shards, the next ones while one is measured."""
    from torch.utils.data import DataLoader

    if not shards:
        return
    workers = READERS if len(shards) > 1 else 0
    loader: DataLoader[object] = DataLoader(
        shards,  # type: ignore[arg-type]  # a sequence is all that it needs
        batch_size=None,
        num_workers=workers,
        prefetch_factor=1 if workers else None,
        collate_fn=_content,
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


def _content(shard: Any) -> Content | BappsError:
    """Read a shard, in a process of its own; an error stands in its place."""
    try:
        content: Content = shard.read()
        return content
    except BappsError as error:
        return error
