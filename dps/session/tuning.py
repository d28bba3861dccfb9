"""Tune a metric for one network: draw cases to fit on and cases to judge on, measure their parts, fit, and judge."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

import dps
from dps import agreement, images, metrics, notes, photographs, probes, scores, throughput, tuning
from dps.comparisons import COMPARISONS, NORMALIZATIONS
from dps.errors import DpsError, DrawError, UsageError
from dps.images import Triple
from dps.judgments import synthetic
from dps.metrics import DEFAULT_METRICS, FeatureMetric, Part, Term, Variant
from dps.networks import Network
from dps.options import Options
from dps.photographs import Photograph
from dps.probes import Case, Probe
from dps.progress import progress
from dps.rows import MIXED, Row
from dps.scores import Estimate
from dps.session.configuration import RunConfiguration, batches_of
from dps.session.configuring import check_images, configure_measurement
from dps.tuning import Array, Constraints, Contradictions
from dps.verdicts import CaseDistances

SHIFTS = {"training": 1_000_000, "held-out": 2_000_000}
"""What is added to the seeds of probes for each of the two sets of cases, so that neither has a case of a usual run."""

HALVES = {"training": ("astronaut.png", "coffee.png", "rocket.jpg"), "held-out": ("chelsea.png", "retina.jpg")}
"""The built-in photographs of each. Several probes exclude the other one, a field of stars."""

LEAST_PHOTOGRAPHS = 4
"""Of fewer photographs, none are held out."""

CASES = 20
"""Drawn ones of each probe in each set, and as many photographed ones."""

CURVE = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Shares of people in the loss, for the trade-off."""

WeightsByName: TypeAlias = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTriplets:
    """Triplets with people's judgments, in two halves by original image.

    Attributes:
        dataset: the name of the data set.
        training: what is fitted on.
        subsets, originals: of the other half, names and numbers, ``(triplet,)``.
        distances, judgments: of these triplets, ``(triplet, 2, part)`` and ``(triplet,)``.
    """

    dataset: str
    training: Constraints = field(repr=False)
    subsets: NDArray[np.str_] = field(repr=False)
    originals: NDArray[np.int64] = field(repr=False)
    distances: Array = field(repr=False)
    judgments: Array = field(repr=False)

    @property
    def described(self) -> str:
        """Return the name of the data set, and what it is not."""
        return f"{self.dataset} (simulated judges, not people)" if self.dataset == synthetic.NAME else self.dataset

    def score(self, weights: Array) -> Estimate:
        """Return the 2AFC score of the held-out half, the mean over subsets."""
        first, second = (self.distances @ weights).T
        of_triplets = scores.two_afc(first, second, self.judgments)
        of = [self.subsets == subset for subset in np.unique(self.subsets)]
        return scores.mean_of_subsets([scores.mean_score(of_triplets[rows], self.originals[rows]) for rows in of])


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningResult:
    """A tuned metric, and what it was compared with.

    Attributes:
        weights: of each comparison with each normalization at each layer, ``(part,)``.
        before: the weights of the built-in variants of the network, by name.
        left_out: for each probe, of each of its held-out cases, whether it passes where the probe was not fitted on.
        people: triplets; None where there are none.
        curve: for each share of people in the loss, the weights.
        cost: rows of `throughput`, of the forward pass and the metric.
        fitted: what it was fitted on; plain data, for the file.
        cases: that it was fitted on, by name. Usual cases of the same names are others, since their seeds are.
    """

    name: str
    network: Network
    weights: Array = field(repr=False)
    training: Constraints = field(repr=False)
    held_out: Constraints = field(repr=False)
    before: WeightsByName = field(repr=False)
    left_out: Mapping[str, Array] = field(repr=False)
    contradictions: Contradictions = field(repr=False)
    people: JudgedTriplets | None = None
    curve: Mapping[float, Array] = field(default_factory=dict, repr=False)
    cost: Sequence[Row] = field(default=(), repr=False)
    fitted: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cases: Mapping[str, Case] = field(default_factory=dict, repr=False)

    @property
    def by_part(self) -> dict[Part, list[float]]:
        """Return the weights at each layer by comparison and normalization."""
        rows = np.reshape(self.weights, (-1, len(self.network.layers))).tolist()
        return dict(zip(_PARTS, rows, strict=True))

    @property
    def shares(self) -> Array:
        """Return each part's share of the mean distance of references, ``(part,)``; they sum to 1."""
        shares: Array = self.weights * self.training.scale
        return shares / float(shares.sum())


_PARTS: list[Part] = [(name, normalization) for name in COMPARISONS for normalization in NORMALIZATIONS]

_SINGLE = {name: FeatureMetric(name=name, terms=(Term(name=name, comparison=c),)) for name, c in COMPARISONS.items()}


def tune(options: Options, *, name: str, cases: int | None, most: int | None, share: float | None) -> TuningResult:
    """Tune a metric for the one network that options name.

    Args:
        options: network, probes, images, judgments, weights, device and store are used.
        name: of the file that is to be written.
        cases: of each probe, drawn and photographed, in each set; `CASES` if None.
        most: see `tuning.fit`.
        share: of people in the loss; half of it if None, where there are judgments.

    Raises:
        DpsError: an option is wrong, or something cannot be measured.
    """
    configuration = configure_measurement(
        replace(options, metric=list(COMPARISONS), layers="each" if options.judgments or options.bapps else "all")
    )
    backbones = {network.backbone for network in configuration.networks.values()}
    network = next(iter(configuration.networks.values()))
    if len(backbones) > 1 or len(options.network) != 1 or "," in options.network[0]:
        raise UsageError(f"--network {','.join(options.network)}: a metric is tuned for one network; name one.")
    if share is not None and not configuration.datasets:
        raise UsageError("--people: needs judgments; pass --judgments PATH (or --bapps DIR), too.")
    photographs_of = halves(options)
    drawn = {which: list(draw(options, which, cases or CASES, photographs_of[which])) for which in SHIFTS}
    seen: set[str] = set()
    training, held_out = (_measure(configuration, network, of_set, which, seen) for which, of_set in drawn.items())
    held_out = replace(held_out, scale=training.scale)
    if unjudged := np.setdiff1d(training.groups, held_out.groups).tolist():
        notes.add_text(f"fitted on, but without held-out cases, and so not judged: {', '.join(unjudged)}.")
    people = _people(configuration, network) if configuration.datasets else None
    share = 0.0 if people is None else 0.5 if share is None else share
    triplets = None if people is None else people.training
    weights = tuning.fit(training, triplets, share, most)
    left_out = {}
    with progress("leave one probe out", len(np.unique(training.groups)), "probes") as advance:
        for probe, passed in tuning.leave_one_out(training, held_out, triplets, share, most):
            left_out[probe] = passed
            advance(1)
    result = TuningResult(
        name=name,
        network=network,
        weights=weights,
        training=training,
        held_out=held_out,
        before=dict(_before(network)),
        left_out=left_out,
        contradictions=tuning.contradictions(training, weights),
        people=people,
        curve={} if people is None else {s: tuning.fit(training, triplets, s, most) for s in CURVE},
        fitted={
            "versions": {"dps": dps.__version__, "torch": str(torch.__version__)},
            "probes_sha256": images.digest_of_files(probe.path for probe in drawn["training"]),
            "cases": cases or CASES,
            "size": options.size,
            "seed_shifts": dict(SHIFTS),
            "photographs": {which: [str(photograph) for photograph in of] for which, of in photographs_of.items()},
            "people": None if people is None else {"data_set": people.described, "share": share},
        },
        cases={case.name: case for probe in drawn["training"] for case in probe.cases},
    )
    return replace(result, cost=_cost(configuration, result))


def halves(options: Options) -> dict[str, list[Photograph]]:
    """Return the photographs of each set of cases: by file, so that no photograph is in both.

    Of fewer than `LEAST_PHOTOGRAPHS` of one's own, none are held out, which is noted.
    """
    if options.images is None:
        return {which: [Photograph(name, pool=names) for name in names] for which, names in HALVES.items()}
    chosen = photographs.in_folder(Path(options.images))
    if len(chosen) < LEAST_PHOTOGRAPHS:
        notes.add_text(
            f"{options.images}: fewer than {LEAST_PHOTOGRAPHS} photographs, so none are held out: nothing is known of "
            "how the metric judges others."
        )
        return {"training": chosen, "held-out": []}
    parts = {"training": chosen[::2], "held-out": chosen[1::2]}
    return {which: [replace(p, pool=tuple(o.name for o in part)) for p in part] for which, part in parts.items()}


def draw(options: Options, which: str, count: int, of_set: Sequence[Photograph]) -> Iterator[Probe]:
    """Yield each probe with the drawn cases of the set ``training`` or ``held-out``, and then with photographed ones.

    Cases of image files are the same in every set, so they are in none.
    """
    places: Sequence[str | Path] = options.probes or [probes.BUILT_IN]
    every = probes.load(places, 2 * count, options.size, shift=SHIFTS[which])  # about half of most are photographed
    photographed = probes.load(places, count, options.size, of_set, SHIFTS[which]) if of_set else []
    for probes_of_kind, of_photographs in ((every, False), (photographed, True)):
        for probe in probes_of_kind:
            drawn = [case for case in probe.cases if all(recipe.file is None for recipe in case.recipes())]
            kept = [case for case in drawn if bool(case.photographs()) == of_photographs]
            yield replace(probe, cases=tuple(kept[:count]))


def _measure(
    configuration: RunConfiguration, network: Network, drawn: Sequence[Probe], which: str, seen: set[str]
) -> Constraints:
    """Draw and measure the cases of a set, except those with an image that was seen in another; those are seen then."""
    check_images(drawn, configuration)
    engine = configuration.engine(network.backbone)
    variants = [Variant(metric=_SINGLE[name], network=network.name, normalization=each) for name, each in _PARTS]
    cases = (case for probe in drawn for case in probe.cases)
    names: list[tuple[str, str]] = []
    rows: list[tuple[int, str, list[float], list[float]]] = []
    left_out = 0
    of_set: set[str] = set()
    batches = batches_of(cases, engine.images_at_once)
    with progress(f"{which} cases on {network.name}", sum(map(len, batches)), "cases") as advance:
        for batch in batches:
            triples: dict[int, Triple] = {}
            for case in batch:
                try:
                    triple = case.draw()
                except DrawError:
                    left_out += 1
                    continue
                digests = {image.digest for image in (triple.original, *triple.compared) if not image.shared}
                if digests & seen:
                    left_out += 1
                    continue
                of_set |= digests
                triples[len(names)] = triple
                names.append((case.name, case.probe))
            outcomes = engine.measure(list(triples.values()), variants) if triples else []
            for place, by_variant in zip(triples, outcomes, strict=True):
                measured: list[CaseDistances] = []
                for outcome in map(by_variant.__getitem__, variants):
                    if isinstance(outcome, DpsError):
                        raise outcome
                    measured.append(outcome)
                of_distorted = [layer for each in measured for layer in each.distorted_layers]
                for name in measured[0].references:
                    of_reference = [layer for each in measured for layer in each.reference_layers[name]]
                    rows.append((place, name, of_reference, of_distorted))
            advance(len(batch))
    seen |= of_set
    if left_out:
        notes.add_text(f"left out, {left_out} of the {which} cases: not drawable, or with an image of another set.")
    if not names:
        raise UsageError(
            f"no {which} case: of these probes none is drawn anew by another seed, or all are of photographs, of which "
            f"fewer than {LEAST_PHOTOGRAPHS} are given; add a probe with drawn scenes, or photographs."
        )
    of_names, groups = map(np.array, zip(*names, strict=True))
    places, references, far, near = zip(*rows, strict=True)
    scale = np.mean(far, axis=0)
    return Constraints(
        names=of_names,
        groups=groups,
        differences=np.subtract(far, near),
        cases=np.array(places),
        references=np.array(references),
        importance=np.ones(len(names)),
        scale=np.where(scale > 0, scale, 1.0),
    )


def _people(configuration: RunConfiguration, network: Network) -> JudgedTriplets:
    """Measure the triplets of the first data set that has some, in halves by original image."""
    dataset = next((each for each in configuration.datasets if each.subsets("2afc")), None)
    if dataset is None:
        raise UsageError("--people: needs triplets with judgments, as BAPPS has them.")
    engine = functools.cache(configuration.engine)
    by_layer = {(*v.key[1:], configuration.networks[str(v.network)].layers): v for v in configuration.variants}
    alone = [by_layer[normalization, name, (layer,)] for name, normalization in _PARTS for layer in network.layers]
    measured = configuration.distances(dataset, alone, engine)
    names, judgments, distances, originals = [], [], [], []
    for subset in agreement.subsets_of(dataset):
        if subset.kind == "2afc" and not subset.group:
            by_part = [measured.look_up(subset, variant) for variant in alone]
            names.append(np.full(len(by_part[0][0]), subset.name))
            judgments.append(by_part[0][0])
            distances.append(np.stack([of_part for _, of_part in by_part], axis=-1))
            originals.append(subset.originals())
    subsets, judged, measured_parts, numbers = (np.concatenate(e) for e in (names, judgments, distances, originals))
    fitted = numbers % 2 == 0
    farther = np.sign(0.5 - judged)[:, None] * (measured_parts[:, 1] - measured_parts[:, 0])
    count = int(fitted.sum())
    return JudgedTriplets(
        dataset=dataset.name,
        training=Constraints(
            names=numbers[fitted].astype(str),
            groups=subsets[fitted],
            differences=farther[fitted],
            cases=np.arange(count),
            references=np.full(count, ""),
            importance=np.abs(2 * judged[fitted] - 1),
            scale=np.ones(farther.shape[1]),
        ),
        subsets=subsets[~fitted],
        distances=measured_parts[~fitted],
        judgments=judged[~fitted],
        originals=numbers[~fitted],
    )


def _before(network: Network) -> Iterator[tuple[str, Array]]:
    """Yield the built-in variants of a network: label, and weights by part."""
    chosen = [metric for name in DEFAULT_METRICS if isinstance(metric := metrics.named(name), FeatureMetric)]
    for variant in metrics.variants(chosen, [network.name], NORMALIZATIONS):
        assert isinstance(variant.metric, FeatureMetric)
        terms = {term.name: term.weight for term in variant.metric.terms}
        of_parts = [terms.get(name, 0.0) * (each == variant.normalization) for name, each in _PARTS]
        yield str(variant), np.repeat(of_parts, len(network.layers))


def _cost(configuration: RunConfiguration, result: TuningResult) -> list[Row]:
    """Measure the throughput of the forward pass and of the metric."""
    terms = [
        replace(_SINGLE[name].terms[0], normalization=normalization, layer_weights=tuple(weights))
        for (name, normalization), weights in result.by_part.items()
        if any(weights)
    ]
    metric = FeatureMetric(name=result.name, terms=tuple(terms))
    variant = Variant(metric=metric, network=result.network.name, normalization=MIXED)
    rows = throughput.measure(configuration.engine(result.network.backbone), [variant], configuration.options.size)
    return [rows[0], rows[-1]]
