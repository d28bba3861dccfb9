"""Many variants over many images: each image goes through each network once.

A network runs layer by layer. At each layer every comparison puts the images into its form once, each
normalization of it is made once, the pairs are subtracted, and the layer is dropped. A sum of comparisons is
the sum of distances that are there already, so it costs nothing. On a CPU each core takes its share of the
images through all of this, since sorting and subtracting run on one core each. What is the same for a share of
any size, many short steps that Python takes one at a time, is worth it for a few dozen images.

forms.py     features in the forms that are subtracted
families.py  an original and what it is compared with, subtracted
"""

import functools
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.errors import DpsError
from dps.images import Image, Pixels, Triple, as_batch
from dps.measurement.groups import ComparisonGroup, in_groups, in_shares, subtract
from dps.measurement.representations import Part, Representations, in_form, of_metric, parts_of
from dps.metrics import Metric, Term, Variant
from dps.networks import Extractor
from dps.verdicts import CaseDistances

Outcome: TypeAlias = CaseDistances | DpsError
"""What measuring one case with one variant gave: distances, or why there are none."""

IMAGES_AT_ONCE = 48
"""How many images of 96 x 96, or as many pixels, to measure at once: bounds the memory."""

IMAGES_PER_SHARE = 24
"""How many of them a CPU's core takes through the network at once."""

IN_CACHE = 2**19
"""How many features are put into a form at once: few enough to stay in a core's cache from step to step."""


@dataclass(slots=True, kw_only=True)
class ReferenceCache:
    """What is computed once from the pictures that cases of every probe share, all of one size.

    Attributes:
        pictures: by digest.
        parts: which there are.
        layers: by layer and part, their forms.
    """

    pictures: dict[str, Image] = field(default_factory=dict)
    parts: dict[Part, Term] = field(default_factory=dict)
    layers: dict[tuple[int, Part], Representations] = field(default_factory=dict)


class Engine:
    """Measures variants that share one network, or metrics that have none.

    Args:
        extractor: the network; None for metrics of images.
        reduction: one of `comparisons.REDUCTIONS`.
    """

    def __init__(self, extractor: Extractor | None = None, reduction: str = "sum") -> None:
        self.extractor = extractor
        self.reduction = reduction
        self._kept: dict[tuple[int, ...], ReferenceCache] = {}

    def measure(self, triples: Sequence[Triple], variants: Sequence[Variant]) -> list[dict[Variant, Outcome]]:
        """Measure cases, all variants at once.

        Args:
            triples: all of one image size; `IMAGES_AT_ONCE` keeps the memory bounded.
            variants: all with the extractor's network, or all without one.

        Returns:
            For each case, what each variant gave. What a metric raises becomes the outcome of the cases
            that it concerns; the others are measured.
        """
        parts = parts_of(variants)
        found = self._measure_triples(triples, parts) if parts else [(ComparisonGroup(images=[]), [])] * len(triples)
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
        parts = parts_of(variants)
        for first in range(0, stacks, at_once):
            some = images[first : first + at_once].reshape(-1, height, width, 3)
            families = [ComparisonGroup(images=list(range(i, i + per_stack))) for i in range(0, len(some), per_stack)]
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
        self._run(images, [ComparisonGroup(images=[i]) for i in range(len(images))], {})

    def _measure_triples(
        self, triples: Sequence[Triple], parts: dict[Part, Term]
    ) -> list[tuple[ComparisonGroup, list[int]]]:
        """Of each triple, its original's family, and which of that family's distances are its own."""
        kept = self._keep_common(triples, parts)
        others: dict[str, dict[str, Image]] = {}
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
            key: ComparisonGroup(
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

    def _keep_common(self, triples: Sequence[Triple], parts: dict[Part, Term]) -> ReferenceCache:
        """Measure the references that most cases share once, and keep their forms."""
        common = {p.digest: p for triple in triples for p in triple.references.values() if p.common}
        kept = self._kept.setdefault(triples[0].original.pixels.shape, ReferenceCache())
        if kept.pictures and (later := {part: term for part, term in parts.items() if part not in kept.parts}):
            kept.layers |= self._forms(list(kept.pictures.values()), later)
        kept.parts |= parts
        if new := {digest: picture for digest, picture in common.items() if digest not in kept.pictures}:
            for key, forms in self._forms(list(new.values()), kept.parts).items():
                kept.layers[key] = kept.layers[key].and_then(forms) if kept.pictures else forms
            kept.pictures |= new
        return kept

    @torch.inference_mode()
    def _forms(self, pictures: Sequence[Image], parts: dict[Part, Term]) -> dict[tuple[int, Part], Representations]:
        """Run the network; at each layer, by part, the forms of pictures."""
        assert self.extractor is not None
        features = enumerate(self.extractor.layers(as_batch(picture.pixels for picture in pictures)))
        return {(layer, part): forms for layer, each in features for part, forms in in_form(each, parts)}

    def _run(
        self,
        images: Sequence[Pixels],
        families: Sequence[ComparisonGroup],
        parts: dict[Part, Term],
        kept: ReferenceCache | None = None,
    ) -> None:
        """Measure families of a batch, on a CPU a share on each core."""
        assert self.extractor is not None
        measure = functools.partial(self._measure_share, images, parts=parts, kept=kept or ReferenceCache())
        threads, at_most = 1, len(images)
        if self.extractor.device.type == "cpu":
            threads, at_most = torch.get_num_threads(), max(1, IMAGES_PER_SHARE * 3 * 96**2 // images[0].size)
        shares = in_shares(families, threads, at_most)
        ours = all(term.built_in for term in parts.values())  # a user's may not like to be called from two threads
        if threads > 1 and len(shares) > 1 and ours:
            list(_pool(threads).map(measure, shares, itertools.cycle([False, True])))  # raises what a share did
        else:
            for share in shares:
                measure(share)

    @torch.inference_mode()
    def _measure_share(
        self,
        images: Sequence[Pixels],
        families: Sequence[ComparisonGroup],
        afterwards: bool = False,
        *,
        parts: dict[Part, Term],
        kept: ReferenceCache,
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
            for group in in_groups(families, IN_CACHE // features[0].numel()) if parts else ():
                places = [place - first for family in group for place in family.images]
                in_row = places == list(range(places[0], places[-1] + 1))
                chosen = features[places[0] : places[-1] + 1] if in_row else features[places]
                common = {part: kept.layers[layer, part] for part in parts if group[0].common}
                subtract(group, dict(in_form(chosen, parts)), common, self.reduction)


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
        return of_metric(metric.name, error)
    return CaseDistances(
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
    return CaseDistances(
        itself=0.0,  # both images have one form, computed once: what is subtracted is the same number
        distorted=sum(distorted),
        references={name: sum(each) for name, each in layers_of.items()},
        distorted_layers=tuple(distorted),
        reference_layers=layers_of,
    )


def _measure_stacked_images(metric: Metric, batch: Tensor, per_stack: int) -> NDArray[np.float64] | DpsError:
    """The same as `Engine.measure_stack`, by a metric of images."""
    stacks = torch.unflatten(batch, 0, (-1, per_stack))
    originals = stacks[:, :1].expand(-1, per_stack - 1, -1, -1, -1)
    try:
        distances = metric(originals.flatten(0, 1), stacks[:, 1:].flatten(0, 1))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        return of_metric(metric.name, error)
    return distances.numpy().reshape(-1, per_stack - 1)


def _added_layers(found: NDArray[np.float64] | DpsError) -> NDArray[np.float64] | DpsError:
    """CaseDistances ``(1, compared)`` of one stack, all layers added."""
    return found if isinstance(found, DpsError) else found.sum(axis=0)[None]


def _joined(outcomes: Sequence[NDArray[np.float64] | DpsError]) -> NDArray[np.float64] | DpsError:
    """CaseDistances of all stacks; what broke one of them breaks them all."""
    broken = [outcome for outcome in outcomes if isinstance(outcome, DpsError)]
    return broken[0] if broken else np.concatenate([o for o in outcomes if not isinstance(o, DpsError)])


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Threads on each of which PyTorch uses one core."""
    return ThreadPoolExecutor(workers, "dps-share", initializer=torch.set_num_threads, initargs=(1,))
