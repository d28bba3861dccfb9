"""Many variants over many images: each image goes through each network once.

A network runs layer by layer. At each layer every comparison puts the images into its form once, each
normalization of it is made once, the pairs are subtracted, and the layer is dropped. A sum of comparisons is
the sum of distances that are there already, so it costs nothing.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.comparisons import COMPARISONS, check_shapes, form_of, normalized, squared_distances, stacked_distances
from dps.errors import DpsError, MetricError, one_line
from dps.images import Picture, Triple, as_batch
from dps.metrics import Deep, Metric, Term, Variant
from dps.networks import Extractor
from dps.verdicts import ALIKE, Distances

Part: TypeAlias = tuple[str, str]
"""A comparison and a normalization, by name: subtracted once for all metrics that contain it."""

Outcome: TypeAlias = Distances | DpsError
"""What measuring one case with one variant gave: distances, or why there are none."""

Forms: TypeAlias = dict[str, Tensor | DpsError]
"""One part's form of each image at one layer, ``(channel, position)``, by the image's digest."""

Pair: TypeAlias = tuple[str, str]
"""An original and what it is compared with, by digest."""

Layers: TypeAlias = dict[Pair, list[float] | DpsError]
"""Each pair's distances by one part, layer by layer, or why there are none."""

IMAGES_AT_ONCE = 16
"""How many images of 96 x 96, or as many pixels, to measure at once: bounds the memory."""

IN_CACHE = 2**19
"""How many features are put into a form at once: few enough to stay in a CPU's cache from step to step."""


class Meter:
    """Measures variants that share one network, or metrics that have none.

    Args:
        extractor: the network; None for metrics of images.
        reduction: one of `comparisons.REDUCTIONS`.
    """

    def __init__(self, extractor: Extractor | None = None, reduction: str = "sum") -> None:
        self.extractor = extractor
        self.reduction = reduction
        self._kept: dict[str, dict[tuple[int, Part], Tensor | DpsError]] = {}

    def measure(self, triples: Sequence[Triple], variants: Sequence[Variant]) -> list[dict[Variant, Outcome]]:
        """Measure cases, all variants at once.

        Args:
            triples: all of one image size; `IMAGES_AT_ONCE` keeps the memory bounded.
            variants: all with the extractor's network, or all without one.

        Returns:
            For each case, what each variant gave. What a metric raises becomes the outcome of the cases
            that it concerns; the others are measured.
        """
        parts = _parts(variants)
        with torch.inference_mode():
            layers = self._measure_layers(triples, parts) if parts else {}
        return [
            {
                variant: measure_images(variant.metric, triple)
                if isinstance(variant.metric, Metric)
                else _add_up(variant, triple, layers)
                for variant in variants
            }
            for triple in triples
        ]

    def measure_stack(
        self, images: NDArray[np.uint8], variants: Sequence[Variant]
    ) -> dict[Variant, NDArray[np.float64] | DpsError]:
        """Measure how far the first image of each stack is from the others, all variants at once.

        Args:
            images: 8-bit RGB, ``(stack, 1 + compared, height, width, 3)``.
            variants: all with the extractor's network, or all without one.

        Returns:
            For each variant the distances, ``(stack, compared)``, or why there are none.
        """
        stacks, per_stack, height, width, _ = images.shape
        at_once = max(1, IMAGES_AT_ONCE * 96**2 // (height * width * per_stack))
        found: dict[Variant, list[NDArray[np.float64] | DpsError]] = {variant: [] for variant in variants}
        parts = _parts(variants)
        with torch.inference_mode():
            for first in range(0, stacks, at_once):
                some = images[first : first + at_once]
                batch = as_batch(some.reshape(-1, height, width, 3))
                sums = self._stacked_layers(batch, per_stack, parts) if parts else {}
                for variant in variants:
                    if isinstance(variant.metric, Metric):
                        found[variant].append(_measure_stacked_images(variant.metric, batch, per_stack))
                    else:
                        found[variant].append(_add_up_stacked(variant, sums))
        return {variant: _joined(outcomes) for variant, outcomes in found.items()}

    def _stacked_layers(
        self, batch: Tensor, per_stack: int, parts: dict[Part, Term]
    ) -> dict[Part, NDArray[np.float64] | DpsError]:
        """By part, each stack's distances ``(stack, compared)``, all layers added."""
        assert self.extractor is not None
        totals: dict[Part, NDArray[np.float64]] = {
            part: np.zeros((len(batch) // per_stack, per_stack - 1)) for part in parts
        }
        errors: dict[Part, DpsError] = {}
        for features in self.extractor.layers(batch):
            groups = torch.split(features, max(1, IN_CACHE // (features[0].numel() * per_stack)) * per_stack)
            first = 0
            for group in groups:
                for part, distances in self._stacked_group(group, per_stack, parts).items():
                    if isinstance(distances, DpsError):
                        errors[part] = distances
                    else:
                        totals[part][first : first + len(distances)] += distances
                first += len(group) // per_stack
        return {part: errors.get(part, total) for part, total in totals.items()}

    def _stacked_group(
        self, features: Tensor, per_stack: int, parts: dict[Part, Term]
    ) -> dict[Part, NDArray[np.float64] | DpsError]:
        """The same for some stacks at one layer, few enough to stay in the cache."""
        found: dict[Part, NDArray[np.float64] | DpsError] = {}
        for _, same in itertools.groupby(parts, key=lambda part: part[0]):
            of_one = list(same)
            raw = _raw_forms(features, parts[of_one[0]])
            for part in of_one:
                if isinstance(raw, Tensor):
                    forms = torch.unflatten(normalized(raw, part[1]), 0, (-1, per_stack))
                    found[part] = stacked_distances(forms, self.reduction).numpy()
                else:
                    found[part] = next(each for each in raw if isinstance(each, DpsError))
        return found

    def _measure_layers(self, triples: Sequence[Triple], parts: dict[Part, Term]) -> dict[Part, Layers]:
        """The distances of all pairs by part, before they are added up."""
        self._keep_common(triples, parts)
        pairs = [(triple.original.digest, other.digest) for triple in triples for other in triple.compared]
        own = {
            picture.digest: picture
            for triple in triples
            for picture in [triple.original, *triple.compared]
            if picture in (triple.original, triple.distorted) or not picture.common
        }
        others = {digest for pair in pairs for digest in pair} - own.keys()
        found: dict[Part, Layers] = {part: {pair: [] for pair in pairs} for part in parts}
        for layer, part, forms in self._forms(list(own.values()), parts):
            forms.update((digest, self._kept[digest][layer, part]) for digest in others)
            for pair, distance in self._distances(forms, pairs).items():
                so_far = found[part][pair]
                if isinstance(so_far, list):
                    found[part][pair] = distance if isinstance(distance, DpsError) else [*so_far, distance]
        return found

    def _keep_common(self, triples: Sequence[Triple], parts: dict[Part, Term]) -> None:
        """Measure the references that most cases share once, and keep their forms."""
        common = {p.digest: p for triple in triples for p in triple.references.values() if p.common}
        wanted = {(0, part) for part in parts}
        if new := [p for key, p in common.items() if not wanted <= self._kept.get(key, {}).keys()]:
            for layer, part, forms in self._forms(new, parts):
                for key, form in forms.items():
                    self._kept.setdefault(key, {})[layer, part] = form

    def _forms(self, pictures: Sequence[Picture], parts: dict[Part, Term]) -> Iterator[tuple[int, Part, Forms]]:
        """Run the network; at each layer, for each part, the form of each picture."""
        assert self.extractor is not None
        keys = [picture.digest for picture in pictures]
        for layer, features in enumerate(self.extractor.layers(as_batch(p.pixels for p in pictures))):
            at_once = max(1, IN_CACHE // features[0].numel())
            groups = [features[i : i + at_once] for i in range(0, len(keys), at_once)]
            for _, same in itertools.groupby(parts, key=lambda part: part[0]):
                of_one = list(same)
                raw = [_raw_forms(group, parts[of_one[0]]) for group in groups]
                for part in of_one:
                    forms = [form for group in raw for form in _normalized(group, part[1])]
                    yield layer, part, dict(zip(keys, forms, strict=True))

    def _distances(self, forms: Forms, pairs: Sequence[Pair]) -> dict[Pair, float | DpsError]:
        """Each pair's distance at one layer, or why it has none."""
        found: dict[Pair, float | DpsError] = {}
        whole: dict[Pair, tuple[Tensor, Tensor]] = {}
        for pair in pairs:
            a, b = forms[pair[0]], forms[pair[1]]
            if isinstance(a, DpsError):
                found[pair] = a
            elif isinstance(b, DpsError):
                found[pair] = b
            else:
                try:
                    check_shapes(a, b)
                    whole[pair] = a, b
                except MetricError as error:
                    found[pair] = error
        return {**found, **dict(zip(whole, squared_distances(list(whole.values()), self.reduction), strict=True))}


def measure_images(metric: Metric, triple: Triple) -> Outcome:
    """Measure one case with a metric of images, in one call, the original's distance to itself included.

    The distorted image is measured once more, alone.
    """
    batch = as_batch(picture.pixels for picture in [triple.original, triple.original, *triple.compared])
    original = batch[:1].expand(len(batch) - 1, -1, -1, -1)
    try:
        itself, distorted, *references = metric(original, batch[1:]).tolist()
        (alone,) = metric(batch[:1], batch[2:3]).tolist()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        return _of_metric(metric.name, error)
    return Distances(
        itself=itself,
        distorted=distorted,
        alone=alone,
        references=dict(zip(triple.references, references, strict=True)),
    )


def _add_up(variant: Variant, triple: Triple, layers: dict[Part, Layers]) -> Outcome:
    """A sum's distances: those of its terms, weighted and added layer by layer."""
    assert isinstance(variant.metric, Deep)
    assert variant.normalization is not None
    pairs = [(triple.original.digest, other.digest) for other in triple.compared]
    total: NDArray[np.float64] | float = 0.0
    for term in variant.metric.terms:
        found = [layers[term.name, variant.normalization][pair] for pair in pairs]
        if broken := [each for each in found if isinstance(each, DpsError)]:
            return broken[0]
        total = total + term.weight * np.array(found)
    assert isinstance(total, np.ndarray)
    distorted, *references = total.tolist()
    layers_of = {name: tuple(each) for name, each in zip(triple.references, references, strict=True)}
    return Distances(
        itself=0.0,  # both images have one form, computed once: what is subtracted is the same number
        distorted=sum(distorted),
        references={name: sum(each) for name, each in layers_of.items()},
        distorted_layers=tuple(distorted),
        reference_layers=layers_of,
    )


def _measure_stacked_images(metric: Metric, batch: Tensor, per_stack: int) -> NDArray[np.float64] | DpsError:
    """The same as `Meter.measure_stack`, by a metric of images."""
    stacks = torch.unflatten(batch, 0, (-1, per_stack))
    originals = stacks[:, :1].expand(-1, per_stack - 1, -1, -1, -1)
    try:
        distances = metric(originals.flatten(0, 1), stacks[:, 1:].flatten(0, 1))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        return _of_metric(metric.name, error)
    return distances.numpy().reshape(-1, per_stack - 1)


def _add_up_stacked(
    variant: Variant, sums: dict[Part, NDArray[np.float64] | DpsError]
) -> NDArray[np.float64] | DpsError:
    """A sum's distances: those of its terms, weighted and added."""
    assert isinstance(variant.metric, Deep)
    assert variant.normalization is not None
    total: NDArray[np.float64] | float = 0.0
    for term in variant.metric.terms:
        found = sums[term.name, variant.normalization]
        if isinstance(found, DpsError):
            return found
        total = total + term.weight * found
    assert isinstance(total, np.ndarray)
    return total


def _joined(outcomes: Sequence[NDArray[np.float64] | DpsError]) -> NDArray[np.float64] | DpsError:
    """Distances of all stacks; what broke one of them breaks them all."""
    broken = [outcome for outcome in outcomes if isinstance(outcome, DpsError)]
    return broken[0] if broken else np.concatenate([o for o in outcomes if not isinstance(o, DpsError)])


def _parts(variants: Sequence[Variant]) -> dict[Part, Term]:
    """What has to be subtracted for all variants, each once; those of one comparison stand together."""
    parts = {
        (term.name, variant.normalization): term
        for variant in variants
        if isinstance(variant.metric, Deep) and variant.normalization is not None
        for term in variant.metric.terms
    }
    return {part: parts[part] for part in sorted(parts)}


def _normalized(raw: Tensor | list[Tensor | DpsError], normalization: str) -> Iterable[Tensor | DpsError]:
    """Forms normalized, one per image, ``(channel, position)``."""
    if isinstance(raw, Tensor):
        return normalized(raw, normalization)
    return [form if isinstance(form, DpsError) else normalized(form, normalization)[0] for form in raw]


def _raw_forms(features: Tensor, term: Term) -> Tensor | list[Tensor | DpsError]:
    """A comparison's forms of a batch; where it raises, image by image, to see which ones break it.

    Where it then raises no more, nobody can tell which image it was: all of the batch are broken.
    """
    try:
        forms = form_of(features, term.comparison, term.name)
        _check_alone(forms, features, term)
        return forms
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's comparison may raise anything
        first = _of_metric(term.name, error)
    alone: list[Tensor | DpsError] = []
    for image in features.unsqueeze(1):
        try:
            alone.append(form_of(image, term.comparison, term.name))
        except (Exception, SystemExit) as error:  # noqa: BLE001
            alone.append(_of_metric(term.name, error))
    return alone if any(isinstance(form, DpsError) for form in alone) else [first] * len(alone)


def _check_alone(forms: Tensor, features: Tensor, term: Term) -> None:
    """See that a user's comparison gives an image the same form alone as in a batch.

    Raises:
        MetricError: it does not.
    """
    if COMPARISONS.get(term.name) is term.comparison or len(features) == 1:
        return
    alone = form_of(features[:1], term.comparison, term.name)
    check_shapes(alone[0], forms[0])
    moved = (alone[0] - forms[0]).abs().max()
    if moved > ALIKE * forms[0].abs().max():  # one that is not finite has no distance, which is found later
        raise MetricError("gave an image another form alone than in a batch; a form is of one image")


def _of_metric(name: str, error: BaseException) -> MetricError:
    """What a metric under test raised, as its own failure."""
    return MetricError(f"metric {name!r}: {error if isinstance(error, MetricError) else one_line(error)}")
