"""Tune a metric for one network: draw and measure training and held-out cases, and fit the weights."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
from dps.rows import MIXED, Row, VariantKey
from dps.scores import Estimate
from dps.session.configuration import RunConfiguration, batches_of
from dps.session.configuring import check_images, configure_measurement
from dps.tuning import Array, Constraints, Contradiction
from dps.verdicts import CaseDistances

SHIFTS = {"training": 1_000_000, "held-out": 2_000_000}
"""Seed offsets of the two sets of cases, which share no case with each other or with ``dps test``."""

HALVES = {"training": ("astronaut.png", "coffee.png", "rocket.jpg"), "held-out": ("chelsea.png", "retina.jpg")}
"""Built-in photographs of the two sets. The remaining one, a star field, is excluded by several probes."""

MIN_PHOTOGRAPHS = 4
"""Smallest number of photographs of which some are held out."""

CASES = 20
"""Default number of drawn cases of each probe in each set, and of photographed ones."""

CURVE = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Shares of people in the loss for the trade-off between cases and judgments."""

_PARTS: list[Part] = [(name, normalization) for name in COMPARISONS for normalization in NORMALIZATIONS]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JudgedTriplets:
    """Triplets with people's judgments, split in two halves by original image.

    Attributes:
        dataset: the name of the data set.
        training: constraints of the training half.
        subsets, originals: names and numbers of the held-out half, ``(triplet,)``.
        distances, judgments: of the held-out half, ``(triplet, 2, part)`` and ``(triplet,)``.
    """

    dataset: str
    training: Constraints
    subsets: NDArray[np.str_]
    originals: NDArray[np.int64]
    distances: Array
    judgments: Array

    @property
    def label(self) -> str:
        """Return the name of the data set, with a remark where the judges are simulated."""
        return f"{self.dataset} (simulated judges, not people)" if self.dataset == synthetic.NAME else self.dataset

    def score(self, weights: Array) -> Estimate:
        """Return the 2AFC score on the held-out half, the mean over subsets."""
        first, second = (self.distances @ weights).T
        agreements = scores.two_afc(first, second, self.judgments)
        masks = [self.subsets == subset for subset in np.unique(self.subsets)]
        return scores.mean_of_subsets([scores.mean_score(agreements[mask], self.originals[mask]) for mask in masks])


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TuningResult:
    """A tuned metric, with everything its report needs.

    Attributes:
        weights: of each comparison with each normalization at each layer, ``(part,)``.
        training, held_out: measured cases.
        built_in: weights of the built-in variants of the network, by label.
        left_out: by probe, whether each of its held-out cases passes when fitted without the probe.
        impossible, contradictions: of training cases, see `dps.tuning`.
        people: judged triplets; None without.
        trade_off: fitted weights, by the share of people in the loss; empty without people.
        cost: the metric's row of `throughput`.
        fitted: provenance of the weights, as plain data for the file.
        cases: training cases by name. ``dps test`` draws other cases of the same names.
    """

    name: str
    network: Network
    weights: Array
    training: Constraints
    held_out: Constraints
    built_in: Mapping[str, Array]
    left_out: Mapping[str, NDArray[np.bool_]]
    impossible: Sequence[str]
    contradictions: Sequence[Contradiction]
    people: JudgedTriplets | None
    trade_off: Mapping[float, Array]
    cost: Row
    fitted: Mapping[str, Any]
    cases: Mapping[str, Case]

    @property
    def by_part(self) -> dict[Part, list[float]]:
        """Return the weights at each layer by comparison and normalization."""
        return _by_part(self.weights, self.network)

    @property
    def shares(self) -> Array:
        """Return the share of each part in the mean reference distance, ``(part,)``; the sum is 1."""
        shares: Array = self.weights * self.training.scale
        return shares / float(shares.sum())


def tune(options: Options, *, name: str, cases: int | None, max_parts: int | None, share: float | None) -> TuningResult:
    """Tune a metric for the one network in the options.

    Args:
        options: network, probes, images, judgments, weights, device and store are used.
        name: of the file that will be written.
        cases: number of drawn and of photographed cases of each probe in each set; `CASES` if None.
        max_parts: see `tuning.fit`.
        share: of people in the loss; if None, 0.5 with judgments and 0 without.

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
    training, held_out = (_measure(configuration, network, drawn[which], which, seen) for which in SHIFTS)
    if untested := np.setdiff1d(training.groups, held_out.groups).tolist():
        notes.add_text(f"in the training set, but without held-out cases to test on: {', '.join(untested)}.")
    people = _people(configuration, network) if configuration.datasets else None
    share = 0.0 if people is None else 0.5 if share is None else share
    triplets = None if people is None else people.training
    weights = tuning.fit(training, triplets, share, max_parts)
    left_out = {}
    with progress("leave one probe out", len(np.unique(training.groups)), "probes") as advance:
        for probe, passed in tuning.leave_one_out(training, held_out, triplets, share, max_parts):
            left_out[probe] = passed
            advance(1)
    return TuningResult(
        name=name,
        network=network,
        weights=weights,
        training=training,
        held_out=held_out,
        built_in=dict(_built_in(network)),
        left_out=left_out,
        impossible=tuning.impossible_cases(training),
        contradictions=tuning.contradictions(training, weights),
        people=people,
        trade_off={} if people is None else {s: tuning.fit(training, triplets, s, max_parts) for s in CURVE},
        cost=_cost(configuration, name, network, weights),
        fitted={
            "versions": {"dps": dps.__version__, "torch": str(torch.__version__)},
            "probes_sha256": images.digest_of_files(probe.path for probe in drawn["training"]),
            "cases": cases or CASES,
            "size": options.size,
            "seed_shifts": dict(SHIFTS),
            "photographs": {which: list(map(str, half)) for which, half in photographs_of.items()},
            "people": None if people is None else {"data_set": people.label, "share": share},
        },
        cases={case.name: case for probe in drawn["training"] for case in probe.cases},
    )


def _by_part(weights: Array, network: Network) -> dict[Part, list[float]]:
    return dict(zip(_PARTS, np.reshape(weights, (-1, len(network.layers))).tolist(), strict=True))


def halves(options: Options) -> dict[str, list[Photograph]]:
    """Return the photographs of each set of cases, split by file.

    With fewer than `MIN_PHOTOGRAPHS` photographs in ``--images``, none are held out, and a note is added.
    """
    if options.images is None:
        return {which: [Photograph(name, pool=names) for name in names] for which, names in HALVES.items()}
    all_photographs = photographs.in_folder(Path(options.images))
    if len(all_photographs) < MIN_PHOTOGRAPHS:
        notes.add_text(
            f"{options.images}: fewer than {MIN_PHOTOGRAPHS} photographs, so none are held out: the metric is not "
            "tested on other photographs."
        )
        return {"training": all_photographs, "held-out": []}
    parts = {"training": all_photographs[::2], "held-out": all_photographs[1::2]}
    return {which: [replace(p, pool=tuple(o.name for o in part)) for p in part] for which, part in parts.items()}


def draw(options: Options, which: str, count: int, half: Sequence[Photograph]) -> Iterator[Probe]:
    """Yield each probe with `count` drawn cases of the ``training`` or ``held-out`` set, then with photographed ones.

    Cases of image files are left out, since they are the same in both sets.
    """
    places: Sequence[str | Path] = options.probes or [probes.BUILT_IN]
    loaded = probes.load(places, 2 * count, options.size, shift=SHIFTS[which])  # about half of most are photographed
    with_half = probes.load(places, count, options.size, half, SHIFTS[which]) if half else []
    for probes_of_kind, photographed in ((loaded, False), (with_half, True)):
        for probe in probes_of_kind:
            cases = [
                case
                for case in probe.cases
                if bool(case.photographs()) == photographed and all(recipe.file is None for recipe in case.recipes())
            ]
            yield replace(probe, cases=tuple(cases[:count]))


def _measure(
    configuration: RunConfiguration, network: Network, drawn: Sequence[Probe], which: str, seen: set[str]
) -> Constraints:
    """Draw and measure the cases of a set, except those with an image in `seen`; then add their images to `seen`."""
    check_images(drawn, configuration)
    engine = configuration.engine(network.backbone)
    by_key = {variant.key: variant for variant in configuration.variants}
    variants = [by_key[VariantKey(network.name, normalization, name)] for name, normalization in _PARTS]
    batches = batches_of((case for probe in drawn for case in probe.cases), engine.images_at_once)
    count = sum(map(len, batches))
    measured: list[Case] = []
    rows: list[tuple[int, str, list[float], list[float]]] = []
    digests: set[str] = set()
    with progress(f"{which} cases on {network.name}", count, "cases") as advance:
        for batch in batches:
            triples: list[Triple] = []
            for case in batch:
                try:
                    triple = case.draw()
                except DrawError:
                    continue
                case_digests = {image.digest for image in (triple.original, *triple.compared) if not image.shared}
                if not case_digests & seen:
                    digests |= case_digests
                    triples.append(triple)
                    measured.append(case)
            outcomes = engine.measure(triples, variants) if triples else []
            for index, by_variant in enumerate(outcomes, start=len(measured) - len(triples)):
                distances: list[CaseDistances] = []
                for variant in variants:
                    outcome = by_variant[variant]
                    if isinstance(outcome, DpsError):
                        raise outcome
                    distances.append(outcome)
                distorted = [layer for d in distances for layer in d.distorted_layers]
                for reference in distances[0].references:
                    layers = [layer for d in distances for layer in d.reference_layers[reference]]
                    rows.append((index, reference, layers, distorted))
            advance(len(batch))
    seen |= digests
    if len(measured) < count:
        left_out = count - len(measured)
        notes.add_text(f"left out, {left_out} of the {which} cases: not drawable, or with an image of the other set.")
    if not measured:
        raise UsageError(
            f"no {which} case: none of these probes draws other cases for other seeds, or all of them need photographs "
            f"and there are fewer than {MIN_PHOTOGRAPHS}; add a probe with drawn scenes, or photographs."
        )
    places, references, far, near = zip(*rows, strict=True)
    scale = np.mean(far, axis=0)
    return Constraints(
        names=np.array([case.name for case in measured]),
        groups=np.array([case.probe for case in measured]),
        differences=np.subtract(far, near),
        cases=np.array(places),
        references=np.array(references),
        importance=np.ones(len(measured)),
        scale=np.where(scale > 0, scale, 1.0),
    )


def _people(configuration: RunConfiguration, network: Network) -> JudgedTriplets:
    """Measure the triplets of the first data set with triplets; originals with even numbers are the training half."""
    dataset = next((d for d in configuration.datasets if d.subsets("2afc")), None)
    if dataset is None:
        raise UsageError("--people: needs triplets with judgments, as BAPPS has them.")
    by_layer = {(*v.key[1:], configuration.networks[str(v.network)].layers): v for v in configuration.variants}
    variants = [by_layer[normalization, name, (layer,)] for name, normalization in _PARTS for layer in network.layers]
    measured = configuration.distances(dataset, variants, functools.cache(configuration.engine))
    columns = []
    for subset in agreement.subsets_of(dataset):
        if subset.kind == "2afc" and not subset.group:
            judgments, distances = zip(*(measured.look_up(subset, variant) for variant in variants), strict=True)
            names = np.full(len(judgments[0]), subset.name)
            columns.append((names, judgments[0], np.stack(distances, axis=-1), subset.originals()))
    subsets, judged, parts, originals = map(np.concatenate, zip(*columns, strict=True))
    training = originals % 2 == 0
    count = np.count_nonzero(training)
    return JudgedTriplets(
        dataset=dataset.name,
        training=Constraints(
            names=originals[training].astype(str),
            groups=subsets[training],
            differences=(np.sign(0.5 - judged)[:, None] * (parts[:, 1] - parts[:, 0]))[training],
            cases=np.arange(count),
            references=np.full(count, ""),
            importance=np.abs(2 * judged[training] - 1),
            scale=np.ones(len(variants)),
        ),
        subsets=subsets[~training],
        distances=parts[~training],
        judgments=judged[~training],
        originals=originals[~training],
    )


def _built_in(network: Network) -> Iterator[tuple[str, Array]]:
    """Yield the label and the weights of each built-in variant of a network."""
    defaults = [metric for name in DEFAULT_METRICS if isinstance(metric := metrics.named(name), FeatureMetric)]
    for variant in metrics.variants(defaults, [network.name], NORMALIZATIONS):
        assert isinstance(variant.metric, FeatureMetric)
        terms = {term.name: term.weight for term in variant.metric.terms}
        weights = [terms.get(name, 0.0) * (normalization == variant.normalization) for name, normalization in _PARTS]
        yield str(variant), np.repeat(weights, len(network.layers))


def _cost(configuration: RunConfiguration, name: str, network: Network, weights: Array) -> Row:
    """Measure the throughput of the tuned metric."""
    terms = tuple(
        Term(name=part, comparison=COMPARISONS[part], normalization=normalization, layer_weights=tuple(layer_weights))
        for (part, normalization), layer_weights in _by_part(weights, network).items()
        if any(layer_weights)
    )
    variant = Variant(metric=FeatureMetric(name=name, terms=terms), network=network.name, normalization=MIXED)
    return throughput.measure(configuration.engine(network.backbone), [variant], configuration.options.size)[-1]
