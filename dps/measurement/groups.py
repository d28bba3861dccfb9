"""Distances of an original from the images that it is compared with, layer by layer, for several groups at once."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.comparisons import Flat, concatenate, divisor, squared_distances
from dps.errors import DpsError
from dps.measurement.representations import Representations, shape_error
from dps.metrics import FeatureMetric, Part, Variant, metric_error


@dataclass(kw_only=True)
class ComparisonGroup:
    """An original and all images that it is compared with.

    Attributes:
        images: indices into the batch, the original first.
        cached: indices into the images whose representations are cached.
        distances: by part, a list over layers of ``(compared,)``: from images of the batch, then from cached ones; on
            the device of the network until `fetch`.
        errors: by part and column of the distances.
    """

    images: list[int]
    cached: list[int] = field(default_factory=list)
    distances: dict[Part, list[Flat]] = field(default_factory=dict)
    errors: dict[Part, dict[int, DpsError]] = field(default_factory=dict)

    @functools.cached_property
    def by_layer(self) -> dict[Part, NDArray[np.float64]]:
        """Return the distances by part, ``(layer, compared)``, after the last layer."""
        return {part: np.array(layers) for part, layers in self.distances.items()}

    def add_terms(
        self, variant: Variant, columns: Sequence[int], layers: Sequence[int]
    ) -> NDArray[np.float64] | DpsError:
        """Return the sum of the weighted distances of a metric's terms, ``(layer, compared)``, or the first error.

        Args:
            variant: of features.
            columns: of the distances.
            layers: indices of the variant's layers.
        """
        assert isinstance(variant.metric, FeatureMetric)
        assert variant.normalization is not None
        parts = [term.part(variant.normalization) for term in variant.metric.terms]
        for part in parts:
            errors = self.errors.get(part, {})
            if broken := [errors[column] for column in columns if column in errors]:
                return broken[0]
        weighted = [
            np.array([[term.weight_at(layer)] for layer in range(len(layers))]) * self.by_layer[part][list(layers)]
            for term, part in zip(variant.metric.terms, parts, strict=True)
        ]
        total: NDArray[np.float64] = sum(weighted[1:], weighted[0])[:, columns]
        return total


def in_chunks(groups: Sequence[ComparisonGroup], threads: int, limit: int) -> list[list[ComparisonGroup]]:
    """Split groups into a multiple of `threads` chunks of about equal size, each of at most about `limit` images.

    Groups with common images stay in one chunk.
    """
    images = [place for group in groups for place in group.images]
    if images != list(range(len(images))):
        return [list(groups)]
    count = threads * -(-len(images) // (threads * limit))
    chunks: dict[int, list[ComparisonGroup]] = {}
    for group in groups:
        middle = (group.images[0] + group.images[-1] + 1) / 2
        chunks.setdefault(int(count * middle / len(images)), []).append(group)
    return list(chunks.values())


def in_blocks(groups: Sequence[ComparisonGroup], limit: int) -> Iterator[list[ComparisonGroup]]:
    """Yield groups of one layout, to be subtracted at once: at most `limit` images, or a single group."""
    for (size, _), same in itertools.groupby(groups, key=lambda group: (len(group.images), group.cached)):
        of_layout = list(same)
        step = max(1, limit // size)
        yield from (of_layout[i : i + step] for i in range(0, len(of_layout), step))


def subtract(
    block: Sequence[ComparisonGroup],
    representations: dict[Part, Representations],
    cached: dict[Part, Representations],
    reduction: str,
) -> None:
    """Append one layer's distances to groups of one layout.

    Args:
        block: groups of the same number of images, compared with the same cached images.
        representations: by part, of all images of the block, group after group.
        cached: by part, of all cached images; empty if the groups use none.
        reduction: one of `comparisons.REDUCTIONS`.
    """
    places = block[0].cached
    for part, own in representations.items():
        stack = own.flat.reshape(len(block), -1, own.flat.shape[-1])
        sums = squared_distances(stack[:, :1], stack[:, 1:])
        fits = bool(places) and own.shape == cached[part].shape
        if fits:
            others = cached[part].flat
            chosen = others if places == list(range(len(others))) else others[places]
            sums = concatenate([sums, squared_distances(stack[:, :1], chosen[None])], axis=1)
        for group, distances in zip(block, sums / divisor(*own.shape, reduction), strict=True):
            group.distances.setdefault(part, []).append(distances)
        if own.errors or (places and (not fits or cached[part].errors)):
            _note_errors(block, part, own, cached.get(part))


def fetch(groups: Sequence[ComparisonGroup]) -> None:
    """Copy distances from another device to the CPU, all at once."""
    lists = [layers for group in groups for layers in group.distances.values()]
    places = [(layers, i) for layers in lists for i, distances in enumerate(layers) if isinstance(distances, Tensor)]
    if not places:
        return
    sizes = [len(layers[i]) for layers, i in places]
    numbers = torch.cat([layers[i] for layers, i in places]).cpu().double()
    for (layers, i), distances in zip(places, torch.split(numbers, sizes), strict=True):
        layers[i] = distances.numpy()


def _note_errors(
    block: Sequence[ComparisonGroup], part: Part, own: Representations, cached: Representations | None
) -> None:
    """Record errors of a part: representations that failed, or that differ in shape."""
    size = len(own.flat) // len(block)
    for number, group in enumerate(block):
        original, *errors = [own.errors.get(number * size + i) for i in range(size)]
        for place in group.cached if cached is not None else ():
            assert cached is not None
            error = cached.errors.get(place)
            if error is None and cached.shape != own.shape:
                error = metric_error(part[0], shape_error(own.shape, cached.shape))
            errors.append(error)
        noted = group.errors.setdefault(part, {})
        for column, error in enumerate(errors):
            if broken := original or error:
                noted.setdefault(column, broken)  # keeps the first layer's
