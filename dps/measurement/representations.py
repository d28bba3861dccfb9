"""One layer's features in the forms that are subtracted, and which image has none and why."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from dps.comparisons import Flat, flat, form_of, normalized, shapes_differ
from dps.errors import DpsError, MetricError, one_line
from dps.metrics import FeatureMetric, Term, Variant
from dps.verdicts import BATCH_TOLERANCE

Part: TypeAlias = tuple[str, str]
"""A comparison and a normalization, by name: subtracted once for all metrics that contain it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Representations:
    """One part's form of some images at one layer.

    Attributes:
        flat: ``(image, channel * position)``, see `comparisons.flat`; anything where an image's form is broken.
        shape: how many channels and positions.
        broken: why an image has none, by its place.
    """

    flat: Flat
    shape: tuple[int, int]
    broken: dict[int, DpsError] = field(default_factory=dict)

    def and_then(self, others: "Representations") -> "Representations":
        """These, and behind them others."""
        moved = {len(self.flat) + place: error for place, error in others.broken.items()}
        join = np.concatenate if isinstance(self.flat, np.ndarray) else torch.cat
        return Representations(flat=join([self.flat, others.flat]), shape=self.shape, broken={**self.broken, **moved})


def parts_of(variants: Sequence[Variant]) -> dict[Part, Term]:
    """What has to be subtracted for all variants, each once; those of one comparison stand together."""
    parts = {
        (term.name, variant.normalization): term
        for variant in variants
        if isinstance(variant.metric, FeatureMetric) and variant.normalization is not None
        for term in variant.metric.terms
    }
    return {part: parts[part] for part in sorted(parts)}


def in_form(features: Tensor, parts: dict[Part, Term]) -> Iterator[tuple[Part, Representations]]:
    """One layer's features in the form of each part: each comparison is made once, then each normalization of it."""
    for _, same in itertools.groupby(parts, key=lambda part: part[0]):
        of_one = list(same)
        raw, broken = _raw_forms(features, parts[of_one[0]])
        channels, positions = raw.shape[1:]
        for part in of_one:
            yield part, Representations(flat=flat(normalized(raw, part[1])), shape=(channels, positions), broken=broken)


def _raw_forms(features: Tensor, term: Term) -> tuple[Tensor, dict[int, DpsError]]:
    """A comparison's forms of a batch, and, by place, why images have none: then they are made one by one.

    Where it raises no more then, nobody can tell which image it was: all of the batch are broken.
    """
    try:
        forms = form_of(features, term.comparison, term.name)
        _check_alone(forms, features, term)
        return forms, {}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's comparison may raise anything
        first = of_metric(term.name, error)
    whole: dict[int, Tensor] = {}
    broken: dict[int, DpsError] = {}
    for place, image in enumerate(features.unsqueeze(1)):
        try:
            form = form_of(image, term.comparison, term.name)[0]
            if (expected := next(iter(whole.values()), form).shape) != form.shape:
                raise shapes_differ(expected, form.shape)
            whole[place] = form
        except (Exception, SystemExit) as error:  # noqa: BLE001
            broken[place] = of_metric(term.name, error)
    instead = next(iter(whole.values()), torch.zeros(1, 1))
    forms = torch.stack([whole.get(place, instead) for place in range(len(features))])
    return forms, broken or dict.fromkeys(range(len(features)), first)


def _check_alone(forms: Tensor, features: Tensor, term: Term) -> None:
    """See that a user's comparison gives an image the same form alone as in a batch.

    Raises:
        MetricError: it does not.
    """
    if term.built_in or len(features) == 1:
        return
    alone = form_of(features[:1], term.comparison, term.name)
    if alone[0].shape != forms[0].shape:
        raise shapes_differ(alone[0].shape, forms[0].shape)
    moved = (alone[0] - forms[0]).abs().max()
    if moved > BATCH_TOLERANCE * forms[0].abs().max():  # one that is not finite has no distance, which is found later
        raise MetricError("gave an image another form alone than in a batch; a form is of one image")


def of_metric(name: str, error: BaseException) -> MetricError:
    """What a metric under test raised, as its own failure."""
    return MetricError(f"metric {name!r}: {error if isinstance(error, MetricError) else one_line(error)}")
