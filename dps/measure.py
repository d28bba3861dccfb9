"""Many variants over many images: each image goes through each network once.

A network runs layer by layer. At each layer every comparison puts the images into its form once, each
normalization of it is made once, the pairs are subtracted, and the layer is dropped. A sum of comparisons is
the sum of distances that are there already, so it costs nothing. On a CPU each core takes its share of the
images through all of this, since sorting and subtracting run on one core each. What is the same for a share of
any size, many short steps that Python takes one at a time, is worth it for a few dozen images.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.comparisons import (
    COMPARISONS,
    Flat,
    averaged_over,
    flat,
    form_of,
    normalized,
    shapes_differ,
    squared_distances,
)
from dps.errors import DpsError, MetricError, one_line
from dps.images import Picture, Pixels, Triple, as_batch
from dps.metrics import Deep, Metric, Term, Variant
from dps.networks import Extractor
from dps.verdicts import ALIKE, Distances

Part: TypeAlias = tuple[str, str]
"""A comparison and a normalization, by name: subtracted once for all metrics that contain it."""

Outcome: TypeAlias = Distances | DpsError
"""What measuring one case with one variant gave: distances, or why there are none."""

IMAGES_AT_ONCE = 48
"""How many images of 96 x 96, or as many pixels, to measure at once: bounds the memory."""

IMAGES_PER_SHARE = 24
"""How many of them a CPU's core takes through the network at once."""

IN_CACHE = 2**19
"""How many features are put into a form at once: few enough to stay in a core's cache from step to step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """One part's form of some images at one layer.

    Attributes:
        flat: ``(image, channel * position)``, see `comparisons.flat`; anything where an image's form is broken.
        shape: how many channels and positions.
        broken: why an image has none, by its place.
    """

    flat: Flat
    shape: tuple[int, int]
    broken: dict[int, DpsError] = field(default_factory=dict)

    def and_then(self, others: "Forms") -> "Forms":
        """These, and behind them others."""
        moved = {len(self.flat) + place: error for place, error in others.broken.items()}
        join = np.concatenate if isinstance(self.flat, np.ndarray) else torch.cat
        return Forms(flat=join([self.flat, others.flat]), shape=self.shape, broken={**self.broken, **moved})


@dataclass(kw_only=True)
class Family:
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
        assert isinstance(variant.metric, Deep)
        assert variant.normalization is not None
        parts = [(term.name, variant.normalization) for term in variant.metric.terms]
        for part in parts:
            broken = self.broken.get(part, {})
            if found := [broken[column] for column in columns if column in broken]:
                return found[0]
        weighted = [term.weight * self.by_layer[part] for term, part in zip(variant.metric.terms, parts, strict=True)]
        total: NDArray[np.float64] = sum(weighted[1:], weighted[0])[:, columns]
        return total


@dataclass(slots=True, kw_only=True)
class Kept:
    """What is computed once from the pictures that cases of every probe share, all of one size.

    Attributes:
        pictures: by digest.
        parts: which there are.
        layers: by layer and part, their forms.
    """

    pictures: dict[str, Picture] = field(default_factory=dict)
    parts: dict[Part, Term] = field(default_factory=dict)
    layers: dict[tuple[int, Part], Forms] = field(default_factory=dict)


class Meter:
    """Measures variants that share one network, or metrics that have none.

    Args:
        extractor: the network; None for metrics of images.
        reduction: one of `comparisons.REDUCTIONS`.
    """

    def __init__(self, extractor: Extractor | None = None, reduction: str = "sum") -> None:
        self.extractor = extractor
        self.reduction = reduction
        self._kept: dict[tuple[int, ...], Kept] = {}

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
        found = self._measure_triples(triples, parts) if parts else [(Family(images=[]), [])] * len(triples)
        return [
            {
                variant: measure_images(variant.metric, triple)
                if isinstance(variant.metric, Metric)
                else _as_distances(family.add_up(variant, columns), triple)
                for variant in variants
            }
            for triple, (family, columns) in zip(triples, found, strict=True)
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
        for first in range(0, stacks, at_once):
            some = images[first : first + at_once].reshape(-1, height, width, 3)
            families = [Family(images=list(range(i, i + per_stack))) for i in range(0, len(some), per_stack)]
            if parts:
                self._run(list(some), families, parts)
            for variant in variants:
                if isinstance(variant.metric, Metric):
                    found[variant].append(_measure_stacked_images(variant.metric, as_batch(some), per_stack))
                else:
                    found[variant] += [
                        _added_layers(family.add_up(variant, range(per_stack - 1))) for family in families
                    ]
        return {variant: _joined(outcomes) for variant, outcomes in found.items()}

    def forward(self, images: Sequence[Pixels]) -> None:
        """Push images through the network in the shares of a measurement, and drop its features."""
        self._run(images, [Family(images=[i]) for i in range(len(images))], {})

    def _measure_triples(self, triples: Sequence[Triple], parts: dict[Part, Term]) -> list[tuple[Family, list[int]]]:
        """Of each triple, its original's family, and which of that family's distances are its own."""
        kept = self._keep_common(triples, parts)
        others: dict[str, dict[str, Picture]] = {}
        common: dict[str, dict[str, int]] = {}
        numbers = {digest: number for number, digest in enumerate(kept.pictures)}
        for triple in triples:
            key = triple.original.digest
            others.setdefault(key, {})[triple.distorted.digest] = triple.distorted
            common.setdefault(key, {})
            for reference in triple.references.values():
                if reference.common:
                    common[key][reference.digest] = numbers[reference.digest]
                else:
                    others[key][reference.digest] = reference
        originals = {triple.original.digest: triple.original for triple in triples}
        pictures = {d: p for key, original in originals.items() for d, p in {key: original, **others[key]}.items()}
        places = {digest: place for place, digest in enumerate(pictures)}
        families = {
            key: Family(
                images=[places[key], *(places[digest] for digest in others[key])], common=list(common[key].values())
            )
            for key in originals
        }
        self._run([p.pixels for p in pictures.values()], list(families.values()), parts, kept)
        found = []
        for triple in triples:
            key = triple.original.digest
            columns = {digest: column for column, digest in enumerate([*others[key], *common[key]])}
            found.append((families[key], [columns[picture.digest] for picture in triple.compared]))
        return found

    def _keep_common(self, triples: Sequence[Triple], parts: dict[Part, Term]) -> Kept:
        """Measure the references that most cases share once, and keep their forms."""
        common = {p.digest: p for triple in triples for p in triple.references.values() if p.common}
        kept = self._kept.setdefault(triples[0].original.pixels.shape, Kept())
        if kept.pictures and (later := {part: term for part, term in parts.items() if part not in kept.parts}):
            kept.layers |= self._forms(list(kept.pictures.values()), later)
        kept.parts |= parts
        if new := {digest: picture for digest, picture in common.items() if digest not in kept.pictures}:
            for key, forms in self._forms(list(new.values()), kept.parts).items():
                kept.layers[key] = kept.layers[key].and_then(forms) if kept.pictures else forms
            kept.pictures |= new
        return kept

    @torch.inference_mode()
    def _forms(self, pictures: Sequence[Picture], parts: dict[Part, Term]) -> dict[tuple[int, Part], Forms]:
        """Run the network; at each layer, by part, the forms of pictures."""
        assert self.extractor is not None
        features = enumerate(self.extractor.layers(as_batch(picture.pixels for picture in pictures)))
        return {(layer, part): forms for layer, each in features for part, forms in _in_form(each, parts)}

    def _run(
        self, images: Sequence[Pixels], families: Sequence[Family], parts: dict[Part, Term], kept: Kept | None = None
    ) -> None:
        """Measure families of a batch, on a CPU a share on each core."""
        assert self.extractor is not None
        measure = functools.partial(self._measure_share, images, parts=parts, kept=kept or Kept())
        threads, at_most = 1, len(images)
        if self.extractor.device.type == "cpu":
            threads, at_most = torch.get_num_threads(), max(1, IMAGES_PER_SHARE * 3 * 96**2 // images[0].size)
        shares = _shares(families, threads, at_most)
        if threads > 1 and len(shares) > 1 and _are_ours(parts.values()):
            list(_pool(threads).map(measure, shares, itertools.cycle([False, True])))  # raises what a share did
        else:
            for share in shares:
                measure(share)

    @torch.inference_mode()
    def _measure_share(
        self,
        images: Sequence[Pixels],
        families: Sequence[Family],
        afterwards: bool = False,
        *,
        parts: dict[Part, Term],
        kept: Kept,
    ) -> None:
        """Run the network on the images of some families, and measure these layer by layer.

        Args:
            images, parts, kept: see `_run`.
            families: whose images lie in one row.
            afterwards: run the whole network first. Where every other share does, two cores seldom take the short
                steps of measuring at the same time, for which they would wait for each other.
        """
        assert self.extractor is not None
        first = min(min(family.images) for family in families)
        last = max(max(family.images) for family in families)
        layers = self.extractor.layers(as_batch(images[first : last + 1]))
        for layer, features in enumerate(list(layers) if afterwards else layers):
            for group in _groups(families, IN_CACHE // features[0].numel()) if parts else ():
                places = [place - first for family in group for place in family.images]
                in_row = places == list(range(places[0], places[-1] + 1))
                chosen = features[places[0] : places[-1] + 1] if in_row else features[places]
                common = {part: kept.layers[layer, part] for part in parts if group[0].common}
                self._measure_group(group, dict(_in_form(chosen, parts)), common)

    def _measure_group(self, group: Sequence[Family], forms: dict[Part, Forms], common: dict[Part, Forms]) -> None:
        """Subtract the forms of families that are alike at one layer.

        Args:
            group: as many images each, compared with the same common ones.
            forms: by part, of all their images, family after family.
            common: by part, of all common images; none where they are not compared with any.
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
            distances = each / averaged_over(*forms[part].shape, self.reduction)
            for family, of_one in zip(group, distances, strict=True):
                family.distances.setdefault(part, []).append(of_one)
            if forms[part].broken or (places and (part not in fit or common[part].broken)):
                _note_broken(group, part, forms[part], common.get(part))


def _note_broken(group: Sequence[Family], part: Part, forms: Forms, common: Forms | None) -> None:
    """Write down what has no distance by one part, where an image's form is broken or forms differ in shape."""
    per_family = len(forms.flat) // len(group)
    for number, family in enumerate(group):
        mine = [forms.broken.get(number * per_family + i) for i in range(per_family)]
        theirs = [] if common is None else [common.broken.get(place) for place in family.common]
        if common is not None and common.shape != forms.shape:
            theirs = [each or _of_metric(part[0], shapes_differ(forms.shape, common.shape)) for each in theirs]
        original, *others = mine
        known = family.broken.setdefault(part, {})
        for column, error in enumerate([*others, *theirs]):
            if broken := original or error:
                known.setdefault(column, broken)  # the first layer's stays


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


def _as_distances(found: NDArray[np.float64] | DpsError, triple: Triple) -> Outcome:
    """What is compared in one case, ``(layer, compared)``, as its distances."""
    if isinstance(found, DpsError):
        return found
    distorted, *references = found.T.tolist()
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


def _added_layers(found: NDArray[np.float64] | DpsError) -> NDArray[np.float64] | DpsError:
    """Distances ``(1, compared)`` of one stack, all layers added."""
    return found if isinstance(found, DpsError) else found.sum(axis=0)[None]


def _joined(outcomes: Sequence[NDArray[np.float64] | DpsError]) -> NDArray[np.float64] | DpsError:
    """Distances of all stacks; what broke one of them breaks them all."""
    broken = [outcome for outcome in outcomes if isinstance(outcome, DpsError)]
    return broken[0] if broken else np.concatenate([o for o in outcomes if not isinstance(o, DpsError)])


def _are_ours(terms: Iterable[Term]) -> bool:
    """Whether all comparisons are built in: a user's may not like to be called from two threads."""
    return all(COMPARISONS.get(term.name) is term.comparison for term in terms)


def _shares(families: Sequence[Family], threads: int, at_most: int) -> list[list[Family]]:
    """Families in so many shares, or a multiple, that none has many more images than it should.

    All have about as many; where families have images in common, there is one share.
    """
    images = [place for family in families for place in family.images]
    if images != list(range(len(images))):
        return [list(families)]
    count = threads * -(-len(images) // (threads * at_most))
    shares: dict[int, list[Family]] = {}
    for family in families:
        half_way = (family.images[0] + family.images[-1] + 1) / 2
        shares.setdefault(int(count * half_way / len(images)), []).append(family)
    return list(shares.values())


def _groups(families: Sequence[Family], most: int) -> Iterator[list[Family]]:
    """Families that are alike and can be subtracted at once, of at most so many images, but for a single one."""
    for (size, _), alike in itertools.groupby(families, key=lambda family: (len(family.images), family.common)):
        each = list(alike)
        at_once = max(1, most // size)
        yield from (each[i : i + at_once] for i in range(0, len(each), at_once))


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Threads on each of which PyTorch uses one core."""
    return ThreadPoolExecutor(workers, "dps-share", initializer=torch.set_num_threads, initargs=(1,))


def _parts(variants: Sequence[Variant]) -> dict[Part, Term]:
    """What has to be subtracted for all variants, each once; those of one comparison stand together."""
    parts = {
        (term.name, variant.normalization): term
        for variant in variants
        if isinstance(variant.metric, Deep) and variant.normalization is not None
        for term in variant.metric.terms
    }
    return {part: parts[part] for part in sorted(parts)}


def _in_form(features: Tensor, parts: dict[Part, Term]) -> Iterator[tuple[Part, Forms]]:
    """One layer's features in the form of each part: each comparison is made once, then each normalization of it."""
    for _, same in itertools.groupby(parts, key=lambda part: part[0]):
        of_one = list(same)
        raw, broken = _raw_forms(features, parts[of_one[0]])
        channels, positions = raw.shape[1:]
        for part in of_one:
            yield part, Forms(flat=flat(normalized(raw, part[1])), shape=(channels, positions), broken=broken)


def _raw_forms(features: Tensor, term: Term) -> tuple[Tensor, dict[int, DpsError]]:
    """A comparison's forms of a batch, and, by place, why images have none: then they are made one by one.

    Where it raises no more then, nobody can tell which image it was: all of the batch are broken.
    """
    try:
        forms = form_of(features, term.comparison, term.name)
        _check_alone(forms, features, term)
        return forms, {}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's comparison may raise anything
        first = _of_metric(term.name, error)
    whole: dict[int, Tensor] = {}
    broken: dict[int, DpsError] = {}
    for place, image in enumerate(features.unsqueeze(1)):
        try:
            form = form_of(image, term.comparison, term.name)[0]
            if (expected := next(iter(whole.values()), form).shape) != form.shape:
                raise shapes_differ(expected, form.shape)
            whole[place] = form
        except (Exception, SystemExit) as error:  # noqa: BLE001
            broken[place] = _of_metric(term.name, error)
    instead = next(iter(whole.values()), torch.zeros(1, 1))
    forms = torch.stack([whole.get(place, instead) for place in range(len(features))])
    return forms, broken or dict.fromkeys(range(len(features)), first)


def _check_alone(forms: Tensor, features: Tensor, term: Term) -> None:
    """See that a user's comparison gives an image the same form alone as in a batch.

    Raises:
        MetricError: it does not.
    """
    if COMPARISONS.get(term.name) is term.comparison or len(features) == 1:
        return
    alone = form_of(features[:1], term.comparison, term.name)
    if alone[0].shape != forms[0].shape:
        raise shapes_differ(alone[0].shape, forms[0].shape)
    moved = (alone[0] - forms[0]).abs().max()
    if moved > ALIKE * forms[0].abs().max():  # one that is not finite has no distance, which is found later
        raise MetricError("gave an image another form alone than in a batch; a form is of one image")


def _of_metric(name: str, error: BaseException) -> MetricError:
    """What a metric under test raised, as its own failure."""
    return MetricError(f"metric {name!r}: {error if isinstance(error, MetricError) else one_line(error)}")
