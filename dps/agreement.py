"""Agreement with people: the distances of a data set, measured once and stored, and their scores.

Distances are measured shard by shard, all variants of a backbone at once, while further shards are being read.
"""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dps import notes, scores, store
from dps.errors import DpsError, JudgmentsError
from dps.fingerprint import NoFingerprintError
from dps.judgments.dataset import ALL, KINDS, Content, Dataset, Shard
from dps.measurement import Engine, concatenated
from dps.metrics import Variant
from dps.progress import progress
from dps.scores import Array, Estimate

RANK_FLIPS = "rank_flips"
"""Kind of the fraction of triplets whose answer changes under a perturbation; lower is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """The triplets or pairs of one score; for `RANK_FLIPS` first the unperturbed, then the perturbed triplets.

    Attributes:
        kind: one of `dataset.KINDS`, or `RANK_FLIPS`.
        name: of a subset or split, of all of them together, of a group of rows, or of a perturbation.
        group: restricts the rows of the shards; empty for all rows.
        measured_with: equal for subsets that share shards.
    """

    dataset: str
    kind: str
    name: str
    shards: tuple[Shard, ...] = field(repr=False)
    group: str = ""
    measured_with: str = ""

    def indices(self) -> NDArray[np.int64]:
        """Return the indices of its rows among those of its shards."""
        if not self.group:
            return np.arange(sum(shard.count for shard in self.shards))
        return np.flatnonzero([row.group == self.group for shard in self.shards for row in shard.rows])

    def originals(self) -> NDArray[np.int64]:
        """Return an index of the original for each row; rows without files have an original each."""
        names = np.array([row.original for shard in self.shards for row in shard.rows])
        indices = self.indices()
        return np.unique(names[indices], return_inverse=True)[1] if names.size else indices

    def __str__(self) -> str:
        return f"{self.dataset}/{self.kind}/{self.name}"


def subsets_of(dataset: Dataset) -> tuple[Subset, ...]:
    """Return all subsets of a data set that have a score."""
    subsets: dict[tuple[str, str], Subset] = {}

    def add(kind: str, name: str, shards: tuple[Shard, ...], group: str = "") -> None:
        unit = kind if kind in dataset.pooled else f"{kind}/{name}"
        subsets[kind, name] = Subset(
            dataset=dataset.name,
            kind=kind,
            name=name,
            shards=shards,
            group=group,
            measured_with=f"{dataset.name}/{unit}",
        )

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


SCORES = {
    "2afc": ("2afc", "log_likelihood"),
    "jnd": ("jnd",),
    "mos": ("srcc", "krcc", "plcc"),
    RANK_FLIPS: (RANK_FLIPS,),
}
"""The kinds of scores of each kind of subset, the main one first."""


def score_names(dataset: str, kind: str, subset: str) -> tuple[str, ...]:
    """Return the names of a score: ``bapps/2afc/cnn`` and ``2afc/cnn``, and ``tid2013/srcc`` for all together."""
    return f"{dataset}/{kind}/{subset}", f"{kind}/{subset}", *([f"{dataset}/{kind}"] if subset == ALL else ())


def all_score_names(dataset: Dataset) -> list[str]:
    """Return the names of all scores of a data set: of its subsets and of means over subsets."""
    keys = [(kind, subset.name) for subset in subsets_of(dataset) for kind in SCORES[subset.kind]]
    keys += [(kind, group) for group in dataset.groups for kind in SCORES["2afc"]]
    return list(dict.fromkeys(name for kind, subset in keys for name in score_names(dataset.name, kind, subset)))


def triplet_scores(kind: str, judgments: Array, distances: Array) -> Array:
    """Return the score of each triplet, ``(triplet,)``, from judgments ``(n,)`` and distances ``(n, compared)``."""
    if kind == RANK_FLIPS:
        return scores.rank_flips(*np.split(distances, 2))
    return scores.two_afc(distances[:, 0], distances[:, 1], judgments)


def scores_by_original(subset: Subset, judgments: Array, distances: Array) -> Array:
    """Return a score in [0, 1] of each original, ``(original,)``; these are independent of each other.

    The mean over its triplets; for ``mos`` the fraction of its pairs of distorted images in people's order, NaN if
    there are no such pairs; for rank flips of each triplet. Empty for ``jnd``, since average precision is not a mean.
    """
    if subset.kind == "jnd":
        return np.empty(0)
    originals = subset.originals()
    if subset.kind == "mos":
        rows = (np.flatnonzero(originals == original) for original in np.unique(originals))
        return np.array([scores.concordance(distances[indices, 0], judgments[indices]) for indices in rows])
    by_triplet = triplet_scores(subset.kind, judgments, distances)
    if subset.kind == RANK_FLIPS:
        return by_triplet
    return np.bincount(originals, by_triplet) / np.bincount(originals)


def score(subset: Subset, judgments: Array, distances: Array) -> dict[str, Estimate]:
    """Return the scores of a subset, by kind as in `SCORES`.

    Rank flips are an unweighted mean over subsets, as in arXiv:2207.13686.

    Raises:
        ValueError: all distances are equal, so that there is no correlation.
    """
    if subset.kind == "mos":
        return scores.correlations(distances[:, 0], judgments, subset.originals())
    if subset.kind == "jnd":
        return {"jnd": scores.jnd_average_precision(distances[:, 0], judgments)}
    by_triplet = triplet_scores(subset.kind, judgments, distances)
    if subset.kind == RANK_FLIPS:
        names = np.concatenate([[shard.subset] * shard.count for shard in subset.shards if not shard.perturbation])
        means = [scores.mean_score(by_triplet[names == name]) for name in dict.fromkeys(names)]
        return {RANK_FLIPS: scores.mean_of_subsets(means)}
    log_likelihoods = scores.log_likelihood(distances[:, 0], distances[:, 1], judgments)
    originals = subset.originals()
    return {
        "2afc": scores.mean_score(by_triplet, originals),
        "log_likelihood": scores.mean_score(log_likelihoods, originals),
    }


def judges_score(kind: str, judgments: Array) -> Estimate | None:
    """Return the agreement of the judges with each other; None for kinds without such a score."""
    return scores.mean_score(scores.human_two_afc(judgments)) if kind == "2afc" else None


class DatasetDistances:
    """The distances of a data set by all variants: from a store, or measured on demand.

    Distances of a variant without a key, or whose key changes while it measures, are not stored; a note states why.

    Args:
        dataset: provides predictions.
        engine: returns the engine of a network, or that of no network; called only to measure.
        folder: the store; None for none.
        key_of: returns a variant's key, see `store.key_of`; required with a store.
        shown: whether to show progress.
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
        self._contents: dict[Shard, Content] = {}  # without images
        self._outcomes: dict[tuple[Shard, Variant], Array | DpsError] = {
            (shard, variant): distances
            for variant in variants
            for shard, distances in dataset.predictions.get(variant.metric.name, {}).items()
        }

    def look_up(self, subset: Subset, variant: Variant) -> tuple[Array, Array]:
        """Return judgments ``(n,)`` and distances ``(n, compared)``; measure missing ones.

        Raises:
            DpsError: a metric failed, images cannot be read, or the store cannot be written.
        """
        self.measure(subset.shards, variant.backbone, str(subset))
        distances = [self._distances(shard, variant) for shard in subset.shards]
        judgments = [
            self._contents[shard].judgments
            if shard in self._contents
            else np.array([row.judgment for row in shard.rows], dtype=np.float64)
            for shard in subset.shards
        ]
        indices = subset.indices()
        return np.concatenate(judgments)[indices], np.concatenate(distances)[indices]

    def _distances(self, shard: Shard, variant: Variant) -> Array:
        if isinstance(outcome := self._outcomes[shard, variant], DpsError):
            raise outcome
        return outcome

    def check(self, shards: Sequence[Shard], backbone: str | None) -> None:
        """Raise the first error of measured shards by a backbone's variants, if any."""
        for shard in shards:
            for variant in self._variants:
                if variant.backbone == backbone:
                    self._distances(shard, variant)

    def measure(self, shards: Sequence[Shard], backbone: str | None, title: str) -> int:
        """Measure the missing distances of shards, all variants of a backbone at once.

        Returns:
            The number of shards that were measured.

        Raises:
            StoreError: the store cannot be written. Entries written before are kept.
        """
        variants = [variant for variant in self._variants if variant.backbone == backbone]
        missing = {shard: unmeasured for shard in shards if (unmeasured := self._unmeasured(shard, variants))}
        images = sum(shard.image_count for shard in missing)
        title = f"{title} on {backbone}" if backbone else title
        with progress(title, images, "images", shown=self._shown and bool(missing)) as advance:
            for shard, content in _read(list(missing)):
                try:
                    self._measure(shard, content.result(), missing[shard])
                except JudgmentsError as error:
                    self._outcomes |= dict.fromkeys([(shard, variant) for variant in missing[shard]], error)
                advance(shard.image_count)
        return len(missing)

    def _unmeasured(self, shard: Shard, variants: Sequence[Variant]) -> list[Variant]:
        """Return the variants without an outcome, after looking in the store."""
        unmeasured = [variant for variant in variants if (shard, variant) not in self._outcomes]
        if not unmeasured or self._folder is None:
            return unmeasured
        try:
            content = self._contents[shard] = self._contents.get(shard) or shard.read_judgments()
        except JudgmentsError as error:
            self._outcomes |= dict.fromkeys([(shard, variant) for variant in unmeasured], error)
            return []
        for variant in unmeasured:
            if (key := self._key(variant)) is not None:
                distances = store.look_up(self._folder, key, content.digest)
                if distances is not None and distances.shape == (shard.count, KINDS[shard.kind]):
                    self._outcomes[shard, variant] = distances
        return [variant for variant in unmeasured if (shard, variant) not in self._outcomes]

    def _measure(self, shard: Shard, content: Content, variants: Sequence[Variant]) -> None:
        self._contents[shard] = replace(content, stacks=())
        engine = self._engine(variants[0].backbone)
        by_stack = [engine.measure_stack(images, variants) for images in content.stacks]
        for variant in variants:
            distances = concatenated([outcomes[variant] for outcomes in by_stack], content.indices)
            self._outcomes[shard, variant] = distances
            if self._folder is None or isinstance(distances, DpsError):
                continue
            if (key := self._key(variant, measured=True)) is not None:
                store.keep(self._folder, key, content.digest, distances)

    def _key(self, variant: Variant, *, measured: bool = False) -> str | None:
        """Return a variant's key, which must not change after it has measured; None if it has none."""
        assert self._key_of is not None
        try:
            if variant not in self._keys or (measured and self._keys[variant] and not store.is_fixed(variant.metric)):
                key = self._key_of(variant)
                if self._keys.setdefault(variant, key) != key:
                    raise NoFingerprintError("its state changes while it measures")
        except NoFingerprintError as error:
            self._keys[variant] = None
            notes.add_text(store.not_stored(variant.metric.name, str(error)))
        return self._keys[variant]


READERS = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Number of threads that read and resize images while a network measures."""


def _read(shards: Sequence[Shard]) -> Iterator[tuple[Shard, Future[Content]]]:
    """Read shards ahead of their use."""
    with ThreadPoolExecutor(READERS) as readers:
        reading = ((shard, readers.submit(shard.read)) for shard in shards)
        ahead = deque(itertools.islice(reading, READERS))
        while ahead:
            yield ahead.popleft()
            ahead.extend(itertools.islice(reading, 1))
