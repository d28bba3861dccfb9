"""What one run measures: its options, checked before anything is measured."""

import functools
import itertools
import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch

from dps import agreement, baseline, locations, metrics, networks, probes, store
from dps.agreement import DatasetDistances, Subset
from dps.bapps import folders, rank_flips, synthetic
from dps.bapps.dataset import Dataset
from dps.baseline import NOTHING_KNOWN, Baseline
from dps.comparisons import NORMALIZATIONS, REDUCTIONS
from dps.errors import ImageError, ProbeError, UsageError, unknown
from dps.measurement import IMAGES_AT_ONCE, Engine
from dps.metrics import Metric, Variant
from dps.networks import NETWORKS
from dps.probes import Case, Probe
from dps.store import Key
from dps.weights import Weights

GATES = ("baseline", "strict", "off")

BUILT_IN_BASELINE = locations.data("baselines") / "built-in.json"
"""What the built-in metrics came to on the built-in probes."""

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
class RunConfiguration:
    """What one run asks.

    Attributes:
        dataset: with judgments: BAPPS, another folder of its form, or the synthetic stand-in; None for no scores.
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

    dataset: Dataset | None
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

    def scores(self) -> Iterator[tuple[Subset, Variant]]:
        """Every subset of the data set with every variant."""
        for subset in () if self.dataset is None else agreement.subsets_of(self.dataset):
            for variant in self.variants:
                yield subset, variant

    def engine(self, network: str | None) -> Engine:
        """What measures on a network, which is loaded, or without one."""
        extractor = None if network is None else networks.load(self.weights[network], self.device)
        return Engine(extractor, self.reduction)

    def distances(
        self, variants: Sequence[Variant], engine: Callable[[str | None], Engine], *, shown: bool = True
    ) -> DatasetDistances:
        """Of the data set, by some of the variants; see `agreement.DatasetDistances`."""
        assert self.dataset is not None
        keys = {} if self.store is None else {variant: self._key(variant) for variant in variants}
        return DatasetDistances(self.dataset, variants, engine, self.store, keys, shown=shown)

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


def configure(options: Any) -> RunConfiguration:
    """Turn options of the suites into a configuration.

    Args:
        options: an object with the options of `dps.options` as attributes.

    Raises:
        DpsError: something in them does not exist, does not fit or is not there; one line says what.
    """
    configuration = configure_measurement(options)
    gate = options.gate or ("off" if options.against or options.update_baseline else "baseline")
    check_name("gate", gate, GATES)
    asked = tuple(probes.load(options.probes or [probes.BUILT_IN], options.cases))
    _check_sizes(asked, configuration)
    known = [probe.name for probe in asked]
    if configuration.dataset is not None:
        known += agreement.scored_names(configuration.dataset)
    recorded = NOTHING_KNOWN
    if gate == "baseline":
        recorded = baseline.read(_shown(Path(options.baseline or BUILT_IN_BASELINE)))
        digests = {name: weights.sha256 for name, weights in configuration.weights.items()}
        baseline.check(recorded, digests, configuration.reduction)
    elif options.baseline:
        raise UsageError(f"--baseline {options.baseline}: nothing is compared with it under --gate {gate}.")
    update = None
    if options.update_baseline is not None:
        update = Path(options.update_baseline)
        _writable("--update-baseline", update.parent)
    narrowed = any((options.metric, options.network, options.normalization, options.probes, options.cases))
    return replace(
        configuration,
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


def configure_measurement(options: Any) -> RunConfiguration:
    """Turn the options that say what is measured into a configuration without probes.

    Args:
        options: an object with ``metric``, ``network``, ``normalization``, ``reduction``, ``device``, ``weights``,
            ``bapps``, ``rank_flips`` and ``store`` as attributes.

    Raises:
        DpsError: as for `configure`.
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
    dataset = _dataset(options)
    needed = dict.fromkeys(variant.network for variant in variants if variant.network is not None)
    weights = {name: networks.find_weights(name, options.weights) for name in needed}
    return RunConfiguration(
        dataset=dataset,
        store=_store(options),
        variants=tuple(variants),
        weights=weights,
        reduction=options.reduction,
        device=options.device,
        against=against,
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


def _dataset(options: Any) -> Dataset | None:
    """Return what ``--bapps`` names; a folder of the name ``synthetic`` wins over the stand-in."""
    if options.bapps is None:
        if options.rank_flips:
            raise UsageError("--rank-flips: needs triplets; pass --bapps DIR, too.")
        return None
    folder = Path(options.bapps)
    stand_in = options.bapps == synthetic.NAME and not folder.exists()
    dataset = synthetic.synthesize() if stand_in else folders.read(folder)
    return rank_flips.with_perturbations(dataset) if options.rank_flips else dataset


def _store(options: Any) -> Path | None:
    """Return where distances are kept: where ``--store`` says, or else those of a folder in the user's cache.

    The synthetic stand-in is measured again in each run, which takes seconds.
    """
    if options.store is not None:
        return store.prepare(Path(options.store))
    if options.bapps is None or (options.bapps == synthetic.NAME and not Path(options.bapps).exists()):
        return None
    return store.prepare(store.default_folder())


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


def _check_sizes(asked: Iterable[Probe], configuration: RunConfiguration) -> None:
    """Refuse images that a network or metric cannot take before one is measured."""
    checks: list[Callable[[int], None]] = [
        functools.partial(networks.check_size, name) for name in configuration.weights
    ]
    checks += [each.metric.check_size for each in configuration.variants if isinstance(each.metric, Metric)]
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
