"""Measures many variants on many images; each image passes once through each network.

At each layer of a network, every comparison represents the images once, each representation is normalized once in each
way, pairs are subtracted, and the features are released. The distance by a sum of comparisons is a sum of these
distances, and costs nothing. On a CPU, each core processes a chunk of the images, since sorting and subtracting use one
core only.
"""

import functools
import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps import kernels
from dps.errors import DpsError, ImageError, NetworkError
from dps.images import Image, Pixels, Triple, as_batch, make_image
from dps.measurement.groups import ComparisonGroup, fetch, in_blocks, in_chunks, subtract
from dps.measurement.representations import Representations, parts_of, represent
from dps.metrics import Metric, Part, Term, Variant, metric_error
from dps.networks import Extractor
from dps.verdicts import CaseDistances

Outcome: TypeAlias = CaseDistances | DpsError
"""The distances of one case by one variant, or the error."""

IMAGES_AT_ONCE = 48
"""Number of images of 96 x 96, or as many pixels, that are measured at once; it bounds the memory."""

IMAGES_ON_ACCELERATOR = 512
"""The same on a GPU, which few images do not fill. Estimated (VGG-16 with ten variants needs about 8 GiB), not
measured."""

IMAGES_PER_CHUNK = 24
"""Number of them that one core of a CPU processes at once."""

FEATURES_PER_BLOCK = 2**19
"""Number of features that are represented at once: few enough to stay in a core's cache."""


@dataclass(slots=True, kw_only=True)
class ReferenceCache:
    """The representations of references of one size that are common to cases of all probes.

    Attributes:
        images: by digest.
        parts: that are represented.
        layers: representations by layer and part.
    """

    images: dict[str, Image] = field(default_factory=dict)
    parts: dict[Part, Term] = field(default_factory=dict)
    layers: dict[tuple[int, Part], Representations] = field(default_factory=dict)


class Engine:
    """Measures variants of one backbone, or metrics of images.

    Args:
        extractor: of the backbone; None for metrics of images.
        reduction: one of `comparisons.REDUCTIONS`.
    """

    def __init__(self, extractor: Extractor | None = None, reduction: str = "sum") -> None:
        self.extractor = extractor
        self.reduction = reduction
        self._caches: dict[tuple[int, ...], ReferenceCache] = {}
        self._caching = threading.Lock()

    @property
    def images_at_once(self) -> int:
        """Return the number of images of 96 x 96, or as many pixels, that are measured at once."""
        return images_at_once("cpu" if self.extractor is None else self.extractor.device.type)

    def measure(self, triples: Sequence[Triple], variants: Sequence[Variant]) -> list[dict[Variant, Outcome]]:
        """Measure cases with all variants at once.

        Args:
            triples: of one image size; no more than `images_at_once` images keep the memory bounded.
            variants: of the extractor's networks, or of images.

        Returns:
            For each case, the outcome of each variant. An exception of a metric becomes the outcome of the case that
            raised it; the other cases are measured.
        """
        on_features = {variant: self._places(variant) for variant in variants if variant.network is not None}
        outcomes: list[dict[Variant, Outcome]] = [
            {v: measure_images(v.metric, triple) for v in variants if isinstance(v.metric, Metric)}
            for triple in triples
        ]
        if not on_features:
            return outcomes
        try:
            groups = self._measure_triples(triples, parts_of(list(on_features)))
        except (NetworkError, ImageError) as error:
            if len(triples) > 1:  # perhaps one image is at fault
                return [self.measure([triple], variants)[0] for triple in triples]
            return [outcomes[0] | dict.fromkeys(on_features, error)]
        for triple, (group, columns), of_case in zip(triples, groups, outcomes, strict=True):
            for variant, places in on_features.items():
                of_case[variant] = _case_distances(group.add_terms(variant, columns, places), triple)
        return outcomes

    def measure_stack(
        self, images: NDArray[np.uint8], variants: Sequence[Variant]
    ) -> dict[Variant, NDArray[np.float64] | DpsError]:
        """Measure the distances of the first image of each stack from the others, with all variants at once.

        Args:
            images: 8-bit RGB, ``(stack, 1 + compared, height, width, 3)``.
            variants: of the extractor's networks, or of images.

        Returns:
            For each variant the distances, ``(stack, compared)``, or the error.
        """
        stacks, size, height, width, _ = images.shape
        step = self.images_at_once * 96**2 // (height * width * size)
        if not step:
            by_stack = [self._measure_large_stack(stack, variants) for stack in images]
            return {variant: concatenated([outcomes[variant] for outcomes in by_stack]) for variant in variants}
        outcomes: dict[Variant, list[NDArray[np.float64] | DpsError]] = {variant: [] for variant in variants}
        parts = parts_of(variants)
        for start in range(0, stacks, step):
            batch = images[start : start + step].reshape(-1, height, width, 3)
            groups = [ComparisonGroup(images=list(range(i, i + size))) for i in range(0, len(batch), size)]
            failure: DpsError | None = None
            try:
                if parts:
                    self._run(list(batch), groups, parts)
            except (NetworkError, ImageError) as error:
                failure = error
            for variant in variants:
                if isinstance(variant.metric, Metric):
                    outcomes[variant].append(_measure_image_stacks(variant.metric, as_batch(batch), size))
                elif failure is not None:
                    outcomes[variant].append(failure)
                else:
                    outcomes[variant] += self._summed(variant, groups, range(size - 1))
        return {variant: concatenated(of_variant) for variant, of_variant in outcomes.items()}

    def _measure_large_stack(
        self, stack: NDArray[np.uint8], variants: Sequence[Variant]
    ) -> dict[Variant, NDArray[np.float64] | DpsError]:
        """Measure one stack, ``(1 + compared, height, width, 3)``, in as many batches as the memory requires.

        Return as `measure_stack` does, distances ``(1, compared)``.
        """
        others = stack[1:]
        step = max(1, self.images_at_once * 96**2 // (stack[0].size // 3))
        outcomes: dict[Variant, list[NDArray[np.float64] | DpsError]] = {variant: [] for variant in variants}
        parts = parts_of(variants)
        groups: list[ComparisonGroup] = []
        failure: DpsError | None = None
        try:
            cache = ReferenceCache(parts=parts, layers=self._represent([make_image(stack[0])], parts) if parts else {})
            for start in range(0, len(others) if parts else 0, step):
                batch = others[start : start + step]
                of_batch = [ComparisonGroup(images=[i], cached=[0]) for i in range(len(batch))]
                self._run(list(batch), of_batch, parts, cache)
                groups += of_batch
        except (NetworkError, ImageError) as error:
            failure = error
        for variant in variants:
            if isinstance(variant.metric, Metric):
                first = as_batch(stack[:1])
                for start in range(0, len(others), step):
                    compared = as_batch(others[start : start + step])
                    outcomes[variant].append(_measure_pairs(variant.metric, first.expand_as(compared), compared))
            elif failure is not None:
                outcomes[variant].append(failure)
            else:
                outcomes[variant] += self._summed(variant, groups, [0])
        of_variants = {variant: concatenated(of_variant) for variant, of_variant in outcomes.items()}
        return {variant: o if isinstance(o, DpsError) else o.reshape(1, -1) for variant, o in of_variants.items()}

    def _summed(
        self, variant: Variant, groups: Sequence[ComparisonGroup], columns: Sequence[int]
    ) -> list[NDArray[np.float64] | DpsError]:
        """Return a variant's distances in each group, summed over layers, ``(1, column)``."""
        by_layer = [group.add_terms(variant, columns, self._places(variant)) for group in groups]
        return [o if isinstance(o, DpsError) else o.sum(axis=0)[None] for o in by_layer]

    def forward(self, images: Sequence[Pixels]) -> None:
        """Run the network in the chunks of a measurement, and discard its features."""
        self._run(images, [ComparisonGroup(images=[i]) for i in range(len(images))], {})

    def _places(self, variant: Variant) -> Sequence[int]:
        """Return the indices of a variant's layers among the extractor's."""
        assert self.extractor is not None
        assert variant.network is not None
        return self.extractor.layer_indices[variant.network]

    def _measure_triples(
        self, triples: Sequence[Triple], parts: dict[Part, Term]
    ) -> list[tuple[ComparisonGroup, list[int]]]:
        """Return, for each triple, the group of its original, and the columns of its own distances in it."""
        with self._caching:
            cache = self._cache_references(triples, parts)
            places_in_cache = {digest: place for place, digest in enumerate(cache.images)}
        originals = {triple.original.digest: triple.original for triple in triples}
        own: dict[str, dict[str, Image]] = {key: {} for key in originals}
        cached: dict[str, dict[str, int]] = {key: {} for key in originals}
        for triple in triples:
            key = triple.original.digest
            own[key][triple.distorted.digest] = triple.distorted
            for reference in triple.references.values():
                if reference.shared:
                    cached[key][reference.digest] = places_in_cache[reference.digest]
                else:
                    own[key][reference.digest] = reference
        images = {d: image for key, original in originals.items() for d, image in {key: original, **own[key]}.items()}
        places = {digest: place for place, digest in enumerate(images)}
        groups = {
            key: ComparisonGroup(
                images=[places[key], *(places[digest] for digest in own[key])], cached=list(cached[key].values())
            )
            for key in originals
        }
        self._run([image.pixels for image in images.values()], list(groups.values()), parts, cache)
        measured = []
        for triple in triples:
            key = triple.original.digest
            columns = {digest: column for column, digest in enumerate([*own[key], *cached[key]])}
            measured.append((groups[key], [columns[image.digest] for image in triple.compared]))
        return measured

    def _cache_references(self, triples: Sequence[Triple], parts: dict[Part, Term]) -> ReferenceCache:
        """Represent references that are not in the cache yet."""
        shared = {image.digest: image for triple in triples for image in triple.references.values() if image.shared}
        cache = self._caches.setdefault(triples[0].original.pixels.shape, ReferenceCache())
        if cache.images and (later := {part: term for part, term in parts.items() if part not in cache.parts}):
            cache.layers |= self._represent(list(cache.images.values()), later)
        cache.parts |= parts
        if new := {digest: image for digest, image in shared.items() if digest not in cache.images}:
            for key, representations in self._represent(list(new.values()), cache.parts).items():
                cache.layers[key] = cache.layers[key].append(representations) if cache.images else representations
            cache.images |= new
        return cache

    @torch.inference_mode()
    def _represent(self, images: Sequence[Image], parts: dict[Part, Term]) -> dict[tuple[int, Part], Representations]:
        """Return the representations of images by layer and part."""
        assert self.extractor is not None
        representations: dict[tuple[int, Part], Representations] = {}

        def take(layer: int, features: Tensor) -> None:
            representations.update({(layer, part): each for part, each in represent(features, parts)})

        self.extractor.run(as_batch(image.pixels for image in images), take)
        return representations

    def _run(
        self,
        images: Sequence[Pixels],
        groups: Sequence[ComparisonGroup],
        parts: dict[Part, Term],
        cache: ReferenceCache | None = None,
    ) -> None:
        """Measure the groups of a batch; on a CPU, one chunk on each core."""
        assert self.extractor is not None
        measure = functools.partial(self._measure_chunk, images, parts=parts, cache=cache or ReferenceCache())
        threads, limit = 1, len(images)
        if self.extractor.device.type == "cpu":
            threads, limit = torch.get_num_threads(), max(1, IMAGES_PER_CHUNK * 3 * 96**2 // images[0].size)
        chunks = in_chunks(groups, threads, limit)
        users = self.extractor.network.user_defined or not all(term.built_in for term in parts.values())
        if threads > 1 and len(chunks) > 1 and not users:  # users' code may not be thread-safe
            list(_POOLS.pool(threads).map(measure, chunks, itertools.cycle([False, True])))  # re-raises exceptions
        else:
            for chunk in chunks:
                measure(chunk)

    @torch.inference_mode()
    def _measure_chunk(
        self,
        images: Sequence[Pixels],
        groups: Sequence[ComparisonGroup],
        network_first: bool = False,
        *,
        parts: dict[Part, Term],
        cache: ReferenceCache,
    ) -> None:
        """Run the network on the images of consecutive groups, and measure them layer by layer.

        With `network_first`, run the whole network first. If every other chunk does, two cores seldom run the short
        steps of a measurement at the same time, in which they would block each other.
        """
        assert self.extractor is not None
        first = min(min(group.images) for group in groups)
        last = max(max(group.images) for group in groups)

        def take(layer: int, features: Tensor) -> None:
            limit = FEATURES_PER_BLOCK // features[0].numel() if features.device.type == "cpu" else len(features)
            for block in in_blocks(groups, limit) if parts else ():
                places = [place - first for group in block for place in group.images]
                consecutive = places == list(range(places[0], places[-1] + 1))
                chosen = features[places[0] : places[-1] + 1] if consecutive else features[places]
                cached = {part: cache.layers[layer, part] for part in parts if block[0].cached}
                subtract(block, dict(represent(chosen, parts)), cached, self.reduction)

        batch = as_batch(images[first : last + 1])
        if network_first:
            for layer, features in enumerate(self.extractor.features(batch)):
                take(layer, features)
        else:
            self.extractor.run(batch, take)
        fetch(groups)


def images_at_once(device: str) -> int:
    """Return the number of images of 96 x 96, or as many pixels, that are measured at once on a device."""
    return IMAGES_AT_ONCE if device.partition(":")[0] == "cpu" else IMAGES_ON_ACCELERATOR


def measure_images(metric: Metric, triple: Triple) -> Outcome:
    """Measure one case with a metric of images: all images in one call, and the distorted image once more, alone."""
    batch = as_batch(image.pixels for image in [triple.original, triple.original, *triple.compared])
    original = batch[:1].expand(len(batch) - 1, -1, -1, -1)
    try:
        itself, distorted, *references = metric(original, batch[1:]).tolist()
        (alone,) = metric(batch[:1], batch[2:3]).tolist()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        return metric_error(metric.name, error)
    return CaseDistances(
        itself=itself,
        distorted=distorted,
        alone=alone,
        references=dict(zip(triple.references, references, strict=True)),
    )


def _case_distances(by_layer: NDArray[np.float64] | DpsError, triple: Triple) -> Outcome:
    """Return the distances of one case from the distances by layer, ``(layer, compared)``."""
    if isinstance(by_layer, DpsError):
        return by_layer
    distorted, *references = by_layer.T.tolist()
    reference_layers = {name: tuple(layers) for name, layers in zip(triple.references, references, strict=True)}
    return CaseDistances(
        itself=0.0,  # by construction: each image is represented once
        distorted=sum(distorted),
        references={name: sum(layers) for name, layers in reference_layers.items()},
        distorted_layers=tuple(distorted),
        reference_layers=reference_layers,
    )


def _measure_image_stacks(metric: Metric, batch: Tensor, size: int) -> NDArray[np.float64] | DpsError:
    """Measure stacks with a metric of images, ``(stack, compared)``."""
    stacks = torch.unflatten(batch, 0, (-1, size))
    originals = stacks[:, :1].expand(-1, size - 1, -1, -1, -1)
    distances = _measure_pairs(metric, originals.flatten(0, 1), stacks[:, 1:].flatten(0, 1))
    return distances if isinstance(distances, DpsError) else distances.reshape(-1, size - 1)


def _measure_pairs(metric: Metric, originals: Tensor, others: Tensor) -> NDArray[np.float64] | DpsError:
    """Measure pairs with a metric of images, ``(pair,)``."""
    try:
        distances: NDArray[np.float64] = metric(originals, others).numpy()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        return metric_error(metric.name, error)
    return distances


def concatenated(
    outcomes: Sequence[NDArray[np.float64] | DpsError], places: NDArray[np.int64] | None = None
) -> NDArray[np.float64] | DpsError:
    """Return the distances of all stacks, or the first error; with places, the flattened distances at these places."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, DpsError)]
    if errors:
        return errors[0]
    arrays = [o for o in outcomes if not isinstance(o, DpsError)]
    return np.concatenate(arrays) if places is None else np.concatenate([o.ravel() for o in arrays])[places]


class _Pools(threading.local):
    """Thread pools of the calling thread, which end with it; PyTorch uses one core in each of their threads."""

    def __init__(self) -> None:
        settings: dict[str, Any] = {"initializer": kernels.use_threads, "initargs": (1,)}
        self.pool = functools.cache(lambda workers: ThreadPoolExecutor(workers, "dps-chunk", **settings))


_POOLS = _Pools()
