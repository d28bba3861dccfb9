"""Representations of one layer's features, and errors by image."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dps.comparisons import Flat, concatenate, flatten, layer_distances, normalize
from dps.errors import DpsError, MetricError
from dps.metrics import FeatureMetric, Part, Term, Variant, metric_error
from dps.verdicts import BATCH_TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Representations:
    """Representations of images by one part at one layer.

    Attributes:
        flat: ``(image, channel * position)``, see `comparisons.flatten`; arbitrary for images with an error.
        shape: numbers of channels and positions.
        errors: by index of the image.
    """

    flat: Flat
    shape: tuple[int, int]
    errors: dict[int, DpsError] = field(default_factory=dict)

    def append(self, others: "Representations") -> "Representations":
        """Return these followed by others."""
        moved = {len(self.flat) + place: error for place, error in others.errors.items()}
        flat = concatenate([self.flat, others.flat])
        return Representations(flat=flat, shape=self.shape, errors={**self.errors, **moved})


def parts_of(variants: Sequence[Variant]) -> dict[Part, Term]:
    """Return the parts of all variants, each once, sorted by comparison."""
    parts = {
        term.part(variant.normalization): term
        for variant in variants
        if isinstance(variant.metric, FeatureMetric) and variant.normalization is not None
        for term in variant.metric.terms
    }
    return {part: parts[part] for part in sorted(parts)}


def represent(features: Tensor, parts: dict[Part, Term]) -> Iterator[tuple[Part, Representations]]:
    """Yield the representations of features by part; each comparison is called once."""
    for _, same in itertools.groupby(parts, key=lambda part: part[0]):
        of_one = list(same)
        raw, errors = _represent_batch(features, parts[of_one[0]])
        channels, positions = raw.shape[1:]
        for part in of_one:
            flat = flatten(normalize(raw, part[1]))
            yield part, Representations(flat=flat, shape=(channels, positions), errors=errors)


def pairwise_distances(
    a: Iterable[Tensor], b: Iterable[Tensor], metric: FeatureMetric, normalization: str, reduction: str = "sum"
) -> Tensor:
    """Return the distances of pairs of images, ``(batch,)``, with gradients; slower than `Engine`.

    Args:
        a, b: features, layer by layer, ``(batch, channel, height, width)``.
        metric: a weighted sum of comparisons.
        normalization: one of `comparisons.NORMALIZATIONS`, or `rows.MIXED`.
        reduction: one of `comparisons.REDUCTIONS`.

    Raises:
        MetricError: a comparison broke its contract.
    """
    layers = []
    for layer, pair in enumerate(zip(a, b, strict=True)):
        for term in metric.terms:
            if weight := term.weight_at(layer):
                of_a, of_b = (normalize(term.represent(f), term.part(normalization)[1]) for f in pair)
                layers.append(weight * layer_distances(of_a, of_b, reduction))
    return torch.stack(layers).sum(dim=0)


def shape_error(a: Sequence[int], b: Sequence[int]) -> MetricError:
    """Return the error for representations of different shapes."""
    return MetricError(f"features must have the same shape, got {tuple(a)} and {tuple(b)}.")


def _represent_batch(features: Tensor, term: Term) -> tuple[Tensor, dict[int, DpsError]]:
    """Return a comparison's representations of a batch, and errors by index.

    If the batch raises, its images are represented one by one; if none of them raises, all get the error of the batch.
    """
    try:
        representations = term.represent(features)
        _check_alone(representations, features, term)
        return representations, {}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's comparison may raise anything
        first = metric_error(term.name, error)
    by_place: dict[int, Tensor] = {}
    errors: dict[int, DpsError] = {}
    for place, image in enumerate(features.unsqueeze(1)):
        try:
            representation = term.represent(image)[0]
            if (expected := next(iter(by_place.values()), representation).shape) != representation.shape:
                raise shape_error(expected, representation.shape)
            by_place[place] = representation
        except (Exception, SystemExit) as error:  # noqa: BLE001
            errors[place] = metric_error(term.name, error)
    filler = next(iter(by_place.values()), torch.zeros(1, 1, dtype=torch.float32, device=features.device))
    stacked = torch.stack([by_place.get(place, filler) for place in range(len(features))])
    return stacked, errors or dict.fromkeys(range(len(features)), first)


def _check_alone(representations: Tensor, features: Tensor, term: Term) -> None:
    """Raise a MetricError if a user's comparison represents an image differently alone than in a batch."""
    if term.built_in or len(features) == 1:
        return
    alone, together = term.represent(features[:1])[0], representations[0]
    if alone.shape != together.shape:
        raise shape_error(alone.shape, together.shape)
    if (alone - together).abs().max() > BATCH_TOLERANCE * together.abs().max():  # NaN is detected later
        raise MetricError("represents an image differently alone than in a batch; it must look at each image by itself")
