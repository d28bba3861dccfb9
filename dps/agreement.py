"""Agreement with people: a data set's distances, measured once and kept, and the scores that they give.

Distances are measured shard by shard, all variants of a backbone at once, while the next shard's images are read.
"""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dps import notes, scores, store
from dps.errors import DpsError, JudgmentsError
from dps.fingerprint import NoFingerprintError
from dps.judgments.dataset import ALL, KINDS, Content, Dataset, Labels, Shard
from dps.measurement import Engine, concatenated
from dps.metrics import Variant
from dps.progress import progress
from dps.scores import Estimate

Array: TypeAlias = NDArray[np.float64]

RANK_FLIPS = "rank_flips"
"""The kind of a score that is the share of triplets whose answer changes under a perturbation; lower is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """The triplets or pairs that one score is computed from; of `RANK_FLIPS`, unchanged ones, then the same perturbed.

    Attributes:
        dataset: the name of the data set.
        kind: one of `dataset.KINDS` or `RANK_FLIPS`.
        name: of a subset or split, of all of them together, of a group of rows, or of the perturbation.
        shards: that hold it.
        group: of the rows that belong to it; empty for all.
        measured_with: the same text for all subsets that share shards.
    """

    dataset: str
    kind: str
    name: str
    shards: tuple[Shard, ...] = field(repr=False)
    group: str = ""
    measured_with: str = ""

    def places(self) -> NDArray[np.int64]:
        """Return which rows of its shards belong to it."""
        if not self.group:
            return np.arange(sum(shard.count for shard in self.shards))
        return np.flatnonzero([row.group == self.group for shard in self.shards for row in shard.rows])

    def originals(self) -> NDArray[np.int64]:
        """Return a number for the original of each of its rows, in order; rows without files have each their own."""
        names = [row.original for shard in self.shards for row in shard.rows]
        every = np.unique(names, return_inverse=True)[1] if names else np.arange(sum(s.count for s in self.shards))
        chosen: NDArray[np.int64] = every[self.places()]
        return chosen

    def __str__(self) -> str:
        return f"{self.dataset}/{self.kind}/{self.name}"


def subsets_of(dataset: Dataset) -> tuple[Subset, ...]:
    """Return everything of a data set that has a score."""
    subsets: dict[tuple[str, str], Subset] = {}

    def add(kind: str, name: str, shards: tuple[Shard, ...], group: str = "") -> None:
        together = kind if kind in dataset.pooled else f"{kind}/{name}"
        values = {"group": group, "measured_with": f"{dataset.name}/{together}"}
        subsets[kind, name] = Subset(dataset=dataset.name, kind=kind, name=name, shards=shards, **values)

    for kind in KINDS:
        by_name = dataset.subsets(kind)
        every = tuple(shard for shards in by_name.values() for shard in shards)
        for name, shards in by_name.items():
            add(kind, name, shards)
        if every and kind in dataset.pooled:
            add(kind, dataset.pooled[kind], every)
        for group in sorted({row.group for shard in every for row in shard.rows} - {""}):
            add(kind, group, every, group)
    for name in dict.fromkeys(shard.perturbation for shard in dataset.shards if shard.perturbation):
        add(RANK_FLIPS, name, tuple(s for s in dataset.shards if s.kind == "2afc" and s.perturbation in ("", name)))
    return tuple(subsets.values())


SCORES = {"2afc": ("2afc", "log_likelihood"), "jnd": ("jnd",), "mos": ("srcc", "krcc", "plcc")}
"""The kinds of scores of each kind of subset, the first of them the main one; of others, the same kind."""


def names_of(dataset: str, kind: str, subset: str) -> tuple[str, ...]:
    """Return the names of a score: ``bapps/2afc/cnn`` and ``2afc/cnn``, and ``tid2013/srcc`` of all together."""
    return f"{dataset}/{kind}/{subset}", f"{kind}/{subset}", *([f"{dataset}/{kind}"] if subset == ALL else ())


def scored_names(dataset: Dataset) -> list[str]:
    """Return everything that a floor can be set on, such as ``2afc/cnn``: subsets and means of subsets."""
    scored = [(kind, s.name) for s in subsets_of(dataset) for kind in SCORES.get(s.kind, (s.kind,))]
    scored += [(kind, group) for group in dataset.groups for kind in SCORES["2afc"]]
    return list(dict.fromkeys(name for each in scored for name in names_of(dataset.name, *each)))


def triplet_scores(kind: str, judgments: Array, distances: Array) -> Array | None:
    """Return each triplet's own score, ``(triplet,)``; None for what has none.

    Judgments are ``(n,)``, distances ``(n, compared)``; of `RANK_FLIPS`, first of the unchanged images.
    """
    if kind == RANK_FLIPS:
        return scores.rank_flips(*np.split(distances, 2))
    return scores.two_afc(distances[:, 0], distances[:, 1], judgments) if kind == "2afc" else None


def scores_by_original(subset: Subset, judgments: Array, distances: Array) -> Array:
    """Return a score of each original in [0, 1], whose differences between metrics are independent, ``(original,)``.

    The mean over its triplets; for ``mos`` the share of its pairs of distorted images that are in people's order, NaN
    where there are no such pairs. Empty for JND, whose average precision is not a mean over pairs.
    """
    of_triplets = triplet_scores(subset.kind, judgments, distances)
    if subset.kind == RANK_FLIPS:
        return of_triplets if of_triplets is not None else np.empty(0)
    originals = subset.originals()
    if of_triplets is not None:
        return np.bincount(originals, of_triplets)[np.unique(originals)] / np.unique(originals, return_counts=True)[1]
    if subset.kind != "mos":
        return np.empty(0)
    rows = (np.flatnonzero(originals == original) for original in np.unique(originals))
    return np.array([scores.concordance(distances[places, 0], judgments[places]) for places in rows])


def score(subset: Subset, judgments: Array, distances: Array) -> dict[str, Estimate]:
    """Return each of `SCORES` of a subset, or its share of rank flips.

    Rank flips are a mean over subsets, each counting as much, as in arXiv:2207.13686.

    Raises:
        ValueError: all distances are equal, so that nothing correlates with them.
    """
    if subset.kind == "mos":
        return scores.correlations(distances[:, 0], judgments, subset.originals())
    of_triplets = triplet_scores(subset.kind, judgments, distances)
    if of_triplets is None:
        return {subset.kind: scores.jnd_average_precision(distances[:, 0], judgments)}
    if subset.kind == RANK_FLIPS:
        names = np.concatenate([[shard.subset] * shard.count for shard in subset.shards if not shard.perturbation])
        by_name = [scores.mean_score(of_triplets[names == name]) for name in dict.fromkeys(names)]
        return {RANK_FLIPS: scores.mean_of_subsets(by_name)}
    likelihoods = scores.log_likelihood(distances[:, 0], distances[:, 1], judgments)
    of_kind = zip(SCORES[subset.kind], (of_triplets, likelihoods), strict=True)
    return {kind: scores.mean_score(values, subset.originals()) for kind, values in of_kind}


def judges_score(kind: str, judgments: Array) -> Estimate | None:
    """Return how well those who judged agree with each other; None where there is no such score."""
    return scores.mean_score(scores.human_two_afc(judgments)) if kind == "2afc" else None


class DatasetDistances:
    """The distances of a data set by all variants: looked up in a store, or measured at the first look-up.

    A variant without a key is not kept, and neither is one whose key is another one after it has measured; a note says
    why.

    Args:
        dataset: whose predictions are known already.
        engine: returns what measures on a network, or without one; called only where something has to be measured.
        folder: the store; None to keep nothing.
        key_of: returns a variant's key, see `store.key_of`; not needed without a store.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        dataset: Dataset,
        engine: Callable[[str | None], Engine],
        folder: Path | None = None,
        key_of: Callable[[Variant], str] | None = None,
        *,
        shown: bool = True,
    ) -> None:
        self._engine = engine
        self._variants = variants
        self._key_of = key_of
        self._keys: dict[Variant, str | None] = {}
        self._folder = folder
        self._shown = shown
        self._labels: dict[Shard, Labels] = {}
        self._known: dict[tuple[Shard, Variant], Array | DpsError] = {
            (shard, variant): distances
            for variant in variants
            for shard, distances in dataset.predictions.get(variant.metric.name, {}).items()
        }

    def of(self, subset: Subset, variant: Variant) -> tuple[Array, Array]:
        """Return judgments ``(n,)`` and distances ``(n, compared)``; what is missing is measured.

        Raises:
            DpsError: a metric broke, images cannot be read, or the store cannot be written.
        """
        self.measure(subset.shards, variant.backbone, str(subset))
        distances = [self._known_distances(shard, variant) for shard in subset.shards]
        judgments = [self._judgments(shard) for shard in subset.shards]
        places = subset.places()
        return np.concatenate(judgments)[places], np.concatenate(distances)[places]

    def _judgments(self, shard: Shard) -> Array:
        if shard.rows and shard not in self._labels:
            return np.array([row.judgment for row in shard.rows], dtype=np.float64)
        return self._labels[shard].judgments

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
        images = sum(shard.image_count for shard in missing)
        title = f"{title} on {backbone}" if backbone else title
        with progress(title, images, "images", shown=self._shown and bool(missing)) as advance:
            for shard, content in _read(list(missing)):
                try:
                    self._measure(shard, content.result(), missing[shard])
                except JudgmentsError as error:
                    self._known |= dict.fromkeys([(shard, variant) for variant in missing[shard]], error)
                advance(shard.image_count)
        return len(missing)

    def _unknown(self, shard: Shard, variants: Sequence[Variant]) -> list[Variant]:
        """Return the variants that are neither known nor in the store; what is in the store becomes known."""
        unknown = [variant for variant in variants if (shard, variant) not in self._known]
        if not unknown or self._folder is None:
            return unknown
        try:
            labels = self._labels[shard] = self._labels.get(shard) or shard.look()
        except JudgmentsError as error:
            self._known |= dict.fromkeys([(shard, variant) for variant in unknown], error)
            return []
        for variant in unknown:
            if (key := self._key(variant)) is not None:
                kept = store.look_up(self._folder, key, labels.digest)
                if kept is not None and kept.shape == (shard.count, KINDS[shard.kind]):
                    self._known[shard, variant] = kept
        return [variant for variant in unknown if (shard, variant) not in self._known]

    def _measure(self, shard: Shard, content: Content, variants: Sequence[Variant]) -> None:
        self._labels[shard] = content.labels
        engine = self._engine(variants[0].backbone)
        by_stack = [engine.measure_stack(images, variants) for images in content.stacks]
        for variant in variants:
            distances = concatenated([outcomes[variant] for outcomes in by_stack], content.places)
            self._known[shard, variant] = distances
            if self._folder is None or isinstance(distances, DpsError):
                continue
            if (key := self._key(variant, measured=True)) is not None:
                store.keep(self._folder, key, content.labels.digest, distances)

    def _key(self, variant: Variant, *, measured: bool = False) -> str | None:
        """Return a variant's key, which a user's metric must keep while it measures; None where it has none."""
        assert self._key_of is not None
        try:
            if variant not in self._keys or (measured and self._keys[variant] and not store.is_fixed(variant.metric)):
                key = self._key_of(variant)
                if self._keys.setdefault(variant, key) != key:
                    raise NoFingerprintError("its state changes while it measures")
        except NoFingerprintError as error:
            self._keys[variant] = None
            notes.add_text(store.not_kept(variant.metric.name, str(error)))
        return self._keys[variant]


READERS = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Threads that read and resize images beside the network; what takes long there lets others run."""


def _read(shards: Sequence[Shard]) -> Iterator[tuple[Shard, Future[Content]]]:
    """Read shards, the next ones while one is measured."""
    with ThreadPoolExecutor(READERS) as readers:
        reading = ((shard, readers.submit(shard.read)) for shard in shards)
        ahead = deque(itertools.islice(reading, READERS))
        while ahead:
            yield ahead.popleft()
            ahead.extend(itertools.islice(reading, 1))
