"""One run: what its options ask for, checked before anything is measured, and measured when it is looked up."""

import functools
import itertools
import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from dps import agreement, baseline, memory, metrics, networks, probes, store, verdicts
from dps.agreement import Distances, Panel
from dps.bapps import folders, moved, synthetic
from dps.bapps.dataset import Dataset
from dps.baseline import NOTHING_KNOWN, Baseline
from dps.comparisons import NORMALIZATIONS, REDUCTIONS
from dps.errors import DpsError, ImageError, ProbeError, StoreError, UsageError, unknown
from dps.images import Triple
from dps.measure import IMAGES_AT_ONCE, Meter
from dps.metrics import Metric, Variant
from dps.networks import NETWORKS
from dps.probes import Case, Probe
from dps.store import Key
from dps.verdicts import Estimate, Verdict, judge
from dps.weights import Weights

GATES = ("baseline", "strict", "off")

BUILT_IN_BASELINE = Path(__file__).resolve().parents[1] / "reports" / "baselines" / "built-in.json"
"""What the built-in metrics came to on the built-in probes."""

UNITS_BETWEEN = 20
"""How many units are measured before free memory is given back, which takes about 0.1 s of CPU."""

Unit: TypeAlias = tuple[int, str | None]
"""What is measured at once: a batch of cases, by number, on one network or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What every measured variant must reach: a pass fraction on a probe, or a score such as ``2afc/cnn``."""

    of: str
    at_least: float

    def __str__(self) -> str:
        return f"{self.of}>={self.at_least:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one run asks.

    Attributes:
        dataset: with judgments: BAPPS, another folder of its form, or the synthetic stand-in.
        store: where distances of the data set are kept; None to keep none.
        variants: what is measured.
        weights: of each network that a variant needs.
        probes: in order of their files.
        reduction, device, gate, report_dir: as the options of those names.
        baseline: what the run is compared with; empty where nothing is known, so that every verdict counts.
        update: where the run is recorded as a baseline; None not to.
        previous: what stands there already and is kept where this run does not measure it.
        against: the metric that no other may be worse than, by name.
        narrowed: the options ask for less than everything that is built in.
        cases: how many cases each drawn probe was expanded to; None as declared.
        floors: what ``--require`` asks for.
    """

    dataset: Dataset
    store: Path | None
    variants: tuple[Variant, ...]
    weights: Mapping[str, Weights]
    reduction: str
    device: str
    probes: tuple[Probe, ...] = ()
    gate: str = "off"
    report_dir: Path = Path()
    cases: int | None = None
    floors: tuple[Floor, ...] = ()
    baseline: Baseline = field(default=NOTHING_KNOWN, repr=False)
    update: Path | None = None
    previous: Baseline | None = field(default=None, repr=False)
    against: str | None = None
    narrowed: bool = False

    def gates(self, variant: Variant) -> bool:
        """Whether a variant's misses may fail the run; those of what it is only held against never do."""
        return self.gate != "off" and variant.metric.name != self.against

    def items(self) -> Iterator[tuple[Unit, Case, Variant]]:
        """Every case with every variant, in the order that measures each unit at once."""
        by_network = [
            (network, list(group)) for network, group in itertools.groupby(self.variants, lambda v: v.network)
        ]
        for number, batch in enumerate(self.batches()):
            for network, variants in by_network:
                for case in batch:
                    for variant in variants:
                        yield (number, network), case, variant

    def scores(self) -> Iterator[tuple[Panel, Variant]]:
        """Every subset of the data set with every variant."""
        for panel in agreement.panels(self.dataset):
            for variant in self.variants:
                yield panel, variant

    def meter(self, network: str | None) -> Meter:
        """What measures on a network, which is loaded, or without one."""
        extractor = None if network is None else networks.load(self.weights[network], self.device)
        return Meter(extractor, self.reduction)

    def distances(
        self, variants: Sequence[Variant], meter: Callable[[str | None], Meter], *, shown: bool = True
    ) -> Distances:
        """Of the data set, by some of the variants; see `agreement.Distances`."""
        keys = {} if self.store is None else {variant: self._key(variant) for variant in variants}
        return Distances(self.dataset, variants, meter, self.store, keys, shown=shown)

    def _key(self, variant: Variant) -> Key:
        return store.key_of(
            variant,
            weights_sha256=None if variant.network is None else self.weights[variant.network].sha256,
            reduction=self.reduction,
            preprocessing=folders.PREPROCESSING,
            device=self.device,
        )

    def batches(self) -> list[list[Case]]:
        """Cases that are measured at once: of one size, as many as the memory should hold.

        Cases that begin with the same image stay together, so that it goes through a network once.
        """
        batches: list[list[Case]] = []
        room = 0.0
        cases = (case for probe in self.probes for case in probe.cases)
        for _, group in itertools.groupby(cases, lambda case: (case.shape, case.original)):
            alike = list(group)
            height, width = alike[0].shape
            area = height * width / 96**2
            own = area * (1 + sum(1 + sum(not r.standard for r in case.references.values()) for case in alike))
            if batches and batches[-1][0].shape == alike[0].shape and own <= room:
                batches[-1].extend(alike)
            else:
                batches.append(alike)
                room = float(IMAGES_AT_ONCE)
            room -= own
        return batches


def ask(options: Any) -> Question:
    """Turn options of the suites into a question.

    Args:
        options: an object with the options of `dps.options` as attributes.

    Raises:
        DpsError: something in them does not exist, does not fit or is not there; one line says what.
    """
    question = ask_measure(options)
    gate = options.gate or ("off" if options.against or options.update_baseline else "baseline")
    check_name("gate", gate, GATES)
    asked = tuple(probes.load(options.probes or [probes.BUILT_IN], options.cases))
    _check_sizes(asked, question)
    known = [*(probe.name for probe in asked), *agreement.scored_names(question.dataset)]
    recorded = NOTHING_KNOWN
    if gate == "baseline":
        recorded = baseline.read(_shown(Path(options.baseline or BUILT_IN_BASELINE)))
        digests = {name: weights.sha256 for name, weights in question.weights.items()}
        baseline.check(recorded, digests, question.reduction)
    elif options.baseline:
        raise UsageError(f"--baseline {options.baseline}: nothing is compared with it under --gate {gate}.")
    update = None
    if options.update_baseline is not None:
        update = Path(options.update_baseline)
        _writable("--update-baseline", update.parent)
    narrowed = any((options.metric, options.network, options.normalization, options.probes, options.cases))
    return replace(
        question,
        probes=asked,
        gate=gate,
        cases=options.cases,
        floors=tuple(_floor(text, known) for text in _listed(options.require)),
        report_dir=_writable("--report-dir", Path(options.report_dir)),
        baseline=recorded,
        update=update,
        previous=baseline.read(update) if update is not None and update.exists() else None,
        narrowed=narrowed,
    )


def _shown(path: Path) -> Path:
    """A path as a person would write it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def ask_measure(options: Any) -> Question:
    """Turn the options that say what is measured into a question without probes.

    Args:
        options: an object with ``metric``, ``network``, ``normalization``, ``reduction``, ``device``, ``weights``,
            ``bapps``, ``steady`` and ``store`` as attributes.

    Raises:
        DpsError: as for `ask`.
    """
    check_device(options.device)
    asked = _listed(options.metric) or list(metrics.DEFAULT_METRICS)
    against = getattr(options, "against", None)
    if against is not None and against not in asked:
        asked.append(against)
    chosen = [metrics.named(name, weights=options.weights, device=options.device) for name in asked]
    names = _listed(options.network) or list(NETWORKS)
    for name in names:
        networks.named(name)
    normalizations = [metrics.check_normalization(n) for n in _listed(options.normalization) or NORMALIZATIONS]
    variants = metrics.variants(chosen, names, normalizations)
    check_name("reduction", options.reduction, REDUCTIONS)
    dataset = synthetic.synthesize() if options.bapps is None else folders.read(Path(options.bapps))
    needed = dict.fromkeys(variant.network for variant in variants if variant.network is not None)
    weights = {name: networks.find_weights(name, options.weights) for name in needed}
    return Question(
        dataset=moved.with_moves(dataset) if options.steady else dataset,
        store=_store(options),
        variants=tuple(variants),
        weights=weights,
        reduction=options.reduction,
        device=options.device,
        against=against,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What measuring one case with one variant came to.

    Attributes:
        verdict: passed or not, and by how much.
        images_sha256: of the case's images; empty where it could not be drawn.
        drawn: what it was drawn with.
        drawing_failed: the case itself is at fault, not the metric.
        triple: the images; None where the case could not be drawn.
    """

    verdict: Verdict
    images_sha256: str = ""
    drawn: dict[str, object] = field(default_factory=dict)
    drawing_failed: bool = False
    triple: Triple | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How well one variant agrees with those who judged one subset.

    Attributes:
        estimate: the score; None where something broke.
        judges: how well they agree with each other; None where that has no score.
        triplets: each triplet's score, ``(triplet,)``; empty for JND, which has none.
        error: what broke, in one line; empty if nothing did.
    """

    estimate: Estimate | None
    judges: Estimate | None = None
    triplets: tuple[float, ...] = field(default=(), repr=False)
    error: str = ""


class Measured:
    """All answers of a run; the first look-up of a unit measures it.

    Args:
        question: what is asked.
        selected: cases that will be looked up; nothing else is drawn or measured.
        scored: the variants whose scores will be.
    """

    def __init__(
        self, question: Question, selected: Iterable[tuple[Case, Variant]], scored: Sequence[Variant] = ()
    ) -> None:
        self._question = question
        wanted = {(case.name, variant) for case, variant in selected}
        self._cases: dict[Unit, dict[str, Case]] = {}
        self._variants: dict[Unit, dict[Variant, None]] = {}
        self._batch_of: dict[str, int] = {}
        for unit, case, variant in question.items():
            if (case.name, variant) not in wanted:
                continue
            self._cases.setdefault(unit, {})[case.name] = case
            self._variants.setdefault(unit, {})[variant] = None
            self._batch_of[case.name] = unit[0]
        self._meters: dict[str | None, Meter] = {}
        self._drawn: dict[str, Triple | DpsError] = {}
        self._answers: dict[Unit, dict[tuple[str, Variant], Answer]] = {}
        self._distances = question.distances(scored, self.meter)

    def score(self, panel: Panel, variant: Variant) -> Score:
        """How well a variant agrees with those who judged; the first look-up measures all of its network.

        Raises:
            StoreError: what was measured cannot be kept. Running again goes on from there.
        """
        try:
            judgments, distances = self._distances.of(panel, variant)
        except StoreError:
            raise
        except DpsError as error:
            return Score(estimate=None, error=str(error))
        if not np.isfinite(distances).all() or (distances < 0).any():
            wrong = distances[~(np.isfinite(distances) & (distances >= 0))]
            return Score(
                estimate=None, error=f"{wrong.size} of {distances.size} distances are none, the first is {wrong[0]}"
            )
        each = agreement.triplet_scores(panel.kind, judgments, distances)
        return Score(
            estimate=agreement.score(panel, judgments, distances),
            judges=agreement.judges_score(panel.kind, judgments),
            triplets=() if each is None else tuple(each.tolist()),
        )

    def __getitem__(self, asked: tuple[Case, Variant]) -> Answer:
        case, variant = asked
        unit = self._batch_of[case.name], variant.network
        if unit not in self._answers:
            self._answers[unit] = self._measure(unit)
            if len(self._answers) % UNITS_BETWEEN == 0:
                memory.give_back()
        return self._answers[unit].pop((case.name, variant))

    def _measure(self, unit: Unit) -> dict[tuple[str, Variant], Answer]:
        cases, variants = self._cases[unit], tuple(self._variants[unit])
        drawn = self._draw(cases)
        answers = {
            (name, variant): Answer(verdict=verdicts.broken(str(error)), drawing_failed=True)
            for name, error in drawn.items()
            if isinstance(error, DpsError)
            for variant in variants
        }
        triples = {name: triple for name, triple in drawn.items() if isinstance(triple, Triple)}
        if triples:
            outcomes = self.meter(unit[1]).measure(list(triples.values()), variants)
            for (name, triple), by_variant in zip(triples.items(), outcomes, strict=True):
                digest = triple.digest
                for variant, outcome in by_variant.items():
                    verdict = verdicts.broken(str(outcome)) if isinstance(outcome, DpsError) else judge(outcome)
                    answers[name, variant] = Answer(
                        verdict=verdict, images_sha256=digest, drawn=triple.drawn, triple=triple
                    )
        return answers

    def _draw(self, cases: Mapping[str, Case]) -> dict[str, Triple | DpsError]:
        """The images of a batch; those of the last batch are remembered for the next network."""
        drawn: dict[str, Triple | DpsError] = {}
        for name, case in cases.items():
            if name in self._drawn:
                drawn[name] = self._drawn[name]
                continue
            try:
                drawn[name] = case.draw()
            except DpsError as error:
                drawn[name] = error
        self._drawn = drawn
        return drawn

    def meter(self, network: str | None) -> Meter:
        """The one that measures on a network, or metrics without one; loads the network at the first look-up."""
        if network not in self._meters:
            self._meters[network] = self._question.meter(network)
        return self._meters[network]


def measure(question: Question, worker: int = 0, workers: int = 1) -> Iterator[str]:
    """Measure this worker's share of the data set into the store; what is there already is not measured again.

    Nothing is shared between workers but the store: worker i of n takes every n-th shard from the i-th on.

    Args:
        question: with a store.
        worker: which one this is, from 0.
        workers: how many there are.

    Yields:
        A line for each network, when its share is done.

    Raises:
        DpsError: a metric broke, images cannot be read, or the store cannot be written.
    """
    shards = question.dataset.shards[worker::workers]
    by_network = question.distances(question.variants, functools.cache(question.meter), shown=worker == 0)
    for network in dict.fromkeys(variant.network for variant in question.variants):
        measured = by_network.measure(shards, network, question.dataset.name)
        by_network.check(shards, network)
        yield (
            f"worker {worker} of {workers}, {network or 'no network'}: {measured} shards measured, "
            f"{len(shards) - measured} of {len(shards)} were in the store"
        )


def check_name(kind: str, value: str, known: Sequence[str]) -> None:
    """See that a value is one of a list.

    Raises:
        UsageError: it is not; the message names all that are.
    """
    if value not in known:
        raise UsageError(unknown(kind, value, known))


def check_device(name: str) -> None:
    """See that PyTorch can compute there.

    Raises:
        UsageError: it cannot.
    """
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise UsageError(unknown("device", name, ("cpu", "cuda", "mps")))
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError):
        raise UsageError(f"device {name!r} is not available here; use --device cpu.") from None


def _listed(values: Sequence[str] | None) -> list[str]:
    """An option that may be repeated and takes lists with commas; each value once."""
    parts = [part.strip() for value in values or () for part in value.split(",")]
    if "" in parts:
        raise UsageError(f"an empty name in {','.join(values or ())!r}; write names with single commas between.")
    return list(dict.fromkeys(parts))


def _store(options: Any) -> Path | None:
    """Where distances are kept: where the option says, or else BAPPS's in the user's cache.

    The synthetic stand-in is measured anew in each run: that takes seconds, and nothing can be out of date.
    """
    if options.store is not None:
        return store.prepare(Path(options.store))
    return None if options.bapps is None else store.prepare(store.default_folder())


_FLOOR = re.compile(r"(?P<of>[^<>=]+)>=(?P<at_least>.+)")


def _floor(text: str, known: Sequence[str]) -> Floor:
    match = _FLOOR.fullmatch(text)
    try:
        at_least = float(match["at_least"]) if match else math.nan
    except ValueError:
        at_least = math.nan
    if match is None or not 0 <= at_least <= 1:
        raise UsageError(f"--require {text!r}: write PROBE>=X with X from 0 to 1, as in 'translate>=0.9'.")
    name = match["of"].strip()
    if name not in known:
        raise UsageError(f"--require {text!r}: {unknown('probe or score', name, known)}")
    return Floor(of=name, at_least=at_least)


def _check_sizes(asked: Iterable[Probe], question: Question) -> None:
    """Refuse images that a network or metric cannot take before one is measured."""
    checks: list[Callable[[int], None]] = [functools.partial(networks.check_size, name) for name in question.weights]
    checks += [each.metric.check_size for each in question.variants if isinstance(each.metric, Metric)]
    for case in (case for probe in asked for case in probe.cases):
        for check in checks:
            try:
                check(min(case.shape))
            except ImageError as error:
                raise ProbeError(f"{case.where}: case {case.id!r}: {error}") from None


def _writable(option: str, folder: Path) -> Path:
    """See that a report or baseline can be written, before the measuring starts."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{option} {folder}: cannot be written ({error.strerror}); name a folder that can.") from None
    return folder
