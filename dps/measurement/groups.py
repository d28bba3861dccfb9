"""An original and what it is compared with: subtracted layer by layer, several families at once."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dps.comparisons import averaged_over, shapes_differ, squared_distances
from dps.errors import DpsError
from dps.measurement.representations import Part, Representations, of_metric
from dps.metrics import FeatureMetric, Variant


@dataclass(kw_only=True)
class ComparisonGroup:
    """An original and all that it is compared with.

    Attributes:
        images: places in the batch, the original's first.
        common: places among the pictures whose forms are kept.
        distances: by part, of each layer so far, ``(compared,)``: of the other images, then of the common ones.
        broken: by part, why there is no distance, by its place.
    """

    images: list[int]
    common: list[int] = field(default_factory=list)
    distances: dict[Part, list[NDArray[np.float64]]] = field(default_factory=dict)
    broken: dict[Part, dict[int, DpsError]] = field(default_factory=dict)

    @functools.cached_property
    def by_layer(self) -> dict[Part, NDArray[np.float64]]:
        """By part, ``(layer, compared)``; asked for when all layers are there."""
        return {part: np.array(layers) for part, layers in self.distances.items()}

    def add_up(self, variant: Variant, columns: Sequence[int]) -> NDArray[np.float64] | DpsError:
        """Add the weighted distances of a sum's terms, ``(layer, compared)``, for some of what is compared."""
        assert isinstance(variant.metric, FeatureMetric)
        assert variant.normalization is not None
        parts = [(term.name, variant.normalization) for term in variant.metric.terms]
        for part in parts:
            broken = self.broken.get(part, {})
            if found := [broken[column] for column in columns if column in broken]:
                return found[0]
        weighted = [term.weight * self.by_layer[part] for term, part in zip(variant.metric.terms, parts, strict=True)]
        total: NDArray[np.float64] = sum(weighted[1:], weighted[0])[:, columns]
        return total


def in_shares(families: Sequence[ComparisonGroup], threads: int, at_most: int) -> list[list[ComparisonGroup]]:
    """Families in so many shares, or a multiple, that none has many more images than it should.

    All have about as many; where families have images in common, there is one share.
    """
    images = [place for family in families for place in family.images]
    if images != list(range(len(images))):
        return [list(families)]
    count = threads * -(-len(images) // (threads * at_most))
    shares: dict[int, list[ComparisonGroup]] = {}
    for family in families:
        half_way = (family.images[0] + family.images[-1] + 1) / 2
        shares.setdefault(int(count * half_way / len(images)), []).append(family)
    return list(shares.values())


def in_groups(families: Sequence[ComparisonGroup], most: int) -> Iterator[list[ComparisonGroup]]:
    """Families that are alike and can be subtracted at once, of at most so many images, but for a single one."""
    for (size, _), alike in itertools.groupby(families, key=lambda family: (len(family.images), family.common)):
        each = list(alike)
        at_once = max(1, most // size)
        yield from (each[i : i + at_once] for i in range(0, len(each), at_once))


def subtract(
    group: Sequence[ComparisonGroup],
    forms: dict[Part, Representations],
    common: dict[Part, Representations],
    reduction: str,
) -> None:
    """Subtract the forms of families that are alike at one layer.

    Args:
        group: as many images each, compared with the same common ones.
        forms: by part, of all their images, family after family.
        common: by part, of all common images; none where they are not compared with any.
        reduction: one of `comparisons.REDUCTIONS`.
    """
    stacks = {part: each.flat.reshape(len(group), -1, each.flat.shape[-1]) for part, each in forms.items()}
    found = squared_distances([(stack[:, :1], stack[:, 1:]) for stack in stacks.values()])
    sums = dict(zip(forms, found, strict=True))
    places = group[0].common
    fit = [part for part in forms if places and forms[part].shape == common[part].shape]
    if fit:
        theirs = slice(None) if places == list(range(len(common[fit[0]].flat))) else places
        shared = squared_distances([(stacks[part][:, :1], common[part].flat[theirs][None]) for part in fit])
        sums |= {part: np.concatenate([sums[part], each], axis=1) for part, each in zip(fit, shared, strict=True)}
    for part, each in sums.items():
        distances = each / averaged_over(*forms[part].shape, reduction)
        for family, of_one in zip(group, distances, strict=True):
            family.distances.setdefault(part, []).append(of_one)
        if forms[part].broken or (places and (part not in fit or common[part].broken)):
            _note_broken(group, part, forms[part], common.get(part))


def _note_broken(
    group: Sequence[ComparisonGroup], part: Part, forms: Representations, common: Representations | None
) -> None:
    """Write down what has no distance by one part, where an image's form is broken or forms differ in shape."""
    per_family = len(forms.flat) // len(group)
    for number, family in enumerate(group):
        mine = [forms.broken.get(number * per_family + i) for i in range(per_family)]
        theirs = [] if common is None else [common.broken.get(place) for place in family.common]
        if common is not None and common.shape != forms.shape:
            theirs = [each or of_metric(part[0], shapes_differ(forms.shape, common.shape)) for each in theirs]
        original, *others = mine
        known = family.broken.setdefault(part, {})
        for column, error in enumerate([*others, *theirs]):
            if broken := original or error:
                known.setdefault(column, broken)  # the first layer's stays
