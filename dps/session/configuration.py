"""What one run measures: its options, checked before anything is measured."""

import functools
import itertools
import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import torch

from dps import agreement, baseline, locations, metrics, networks, notes, photographs, probes, store
from dps.agreement import DatasetDistances, Subset
from dps.baseline import Baseline
from dps.comparisons import NORMALIZATIONS, REDUCTIONS
from dps.errors import ImageError, ProbeError, UsageError, WeightsError, check_known, unknown
from dps.judgments import layouts, rank_flips, synthetic, tables
from dps.judgments.dataset import Dataset
from dps.judgments.tables import Predictions
from dps.measurement import IMAGES_AT_ONCE, Engine, images_at_once
from dps.metrics import AnyMetric, FeatureMetric, Metric, Variant
from dps.networks import Extractor, Network
from dps.options import Options
from dps.photographs import Photograph
from dps.probes import Case, Probe
from dps.session import preflight

BUILT_IN_BASELINE = locations.data("baselines") / "built-in.json"
"""The recorded run of the built-in metrics on the built-in probes."""

NARROWING = ("metric", "network", "normalization", "probes", "images", "select_probe", "cases", "size")
"""Options with which a run is of less than everything that is built in."""

Unit: TypeAlias = tuple[int, str | None]
"""A unit of work: the number of a batch of cases, and a network or None."""

Batch: TypeAlias = tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A limit that every measured variant must keep: of a pass fraction on a probe, or of a score such as ``2afc/cnn``.

    Of rank flips, fewer are better, so theirs is an upper limit.
    """

    name: str
    limit: float
    upper: bool = False

    def __str__(self) -> str:
        return f"{self.name}{'<=' if self.upper else '>='}{self.limit:g}"

    def admits(self, value: float) -> bool:
        """Return whether a value keeps the limit."""
        return value <= self.limit if self.upper else value >= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfiguration:
    """Everything that a run depends on.

    Attributes:
        variants: what is measured.
        networks: those that a variant needs, by name.
        reduction, device, gate, report_dir: as the options of those names.
        datasets: with judgments; none where no scores were asked for.
        store: where distances of the data sets are kept; None to keep none.
        probes: in order of their files.
        batches: all cases, those in one batch measured at once, see `batches_of`.
        cases, size: the options of these names; None for what the probes declare.
        images: photographs of one's own that the probes are asked of.
        floors: what ``--require`` demands.
        gating_requested: an option asks for a gate, so that what the baseline does not know must pass, too.
        baseline: what the run is compared with; empty to compare with nothing.
        update: where the run is recorded as a baseline; None not to.
        previous: the baseline in that place, whose entries are kept where this run does not measure them.
        against: the metric that no other may be worse than, by name.
        same_as: for each variant the one that it must be the same as; empty without ``--same-as``.
        options: as they were given.
        excluded: why metrics are not measured, by name: their first call ended its process or did not return.
        narrowed: one of `NARROWING` is given.
    """

    variants: tuple[Variant, ...]
    networks: Mapping[str, Network]
    reduction: str
    device: str
    datasets: tuple[Dataset, ...] = ()
    store: Path | None = None
    probes: tuple[Probe, ...] = ()
    batches: tuple[Batch, ...] = field(default=(), repr=False)
    cases: int | None = None
    size: int | None = None
    images: tuple[Photograph, ...] = field(default=(), repr=False)
    gate: str = "off"
    gating_requested: bool = False
    report_dir: Path = Path()
    floors: tuple[Floor, ...] = ()
    baseline: Baseline = field(default=Baseline(), repr=False)
    update: Path | None = None
    previous: Baseline | None = field(default=None, repr=False)
    against: str | None = None
    same_as: Mapping[Variant, Variant] = field(default_factory=dict)
    options: Options = field(default=Options(), repr=False)
    excluded: Mapping[str, str] = field(default_factory=dict)
    narrowed: bool = False

    def gates(self, variant: Variant) -> bool:
        """Return whether what fails with a variant may fail the run; with ``--against``'s metric nothing does."""
        if self.gate == "off" or variant.metric.name == self.against:
            return False
        return self.gating_requested or any(variant.key == key for _, key in self.baseline.margins)

    def is_users(self, variant: Variant) -> bool:
        """Return whether a variant has a metric that is not built in, or a user's network."""
        network = self.networks[variant.network] if variant.network else None
        return not variant.metric.built_in or (network is not None and network.user_defined)

    def items(self) -> Iterator[tuple[Unit, Case, Variant]]:
        """Yield every case with every variant, in the order in which units are measured."""
        by_backbone = [
            (backbone, list(group)) for backbone, group in itertools.groupby(self.variants, lambda v: v.backbone)
        ]
        for number, batch in enumerate(self.batches):
            for backbone, variants in by_backbone:
                for case in batch:
                    for variant in variants:
                        yield (number, backbone), case, variant

    def scores(self) -> Iterator[tuple[Subset, Variant]]:
        """Yield every subset of the data sets with every variant, and with all predictions of it."""
        for dataset in self.datasets:
            for subset in agreement.subsets_of(dataset):
                for variant in self.scored_on(dataset):
                    yield subset, variant

    def scored_on(self, dataset: Dataset) -> list[Variant]:
        """Return the variants, where a data set has images, and what its predictions stand under: a metric's place."""
        pixel = metrics.named("pixel")  # of which nothing but the name is used
        predicted = [replace(pixel, name=name) for name in dataset.predictions]
        return [
            *(self.variants if dataset.shapes else ()),
            *(Variant(metric=metric, network=None, normalization=None) for metric in predicted),
        ]

    def check_size(self, shape: Sequence[int]) -> None:
        """Refuse images, by height and width in pixels, that a network or metric cannot take.

        Raises:
            ImageError: with the smallest size that works.
        """
        for network in self.networks.values():
            networks.check_size(network, shape[0], shape[1])
        for variant in self.variants:
            if isinstance(variant.metric, Metric):
                variant.metric.check_size(min(shape[:2]))

    @property
    def weights_in_words(self) -> str:
        """Source and digest of each network's weights."""
        return ", ".join(
            f"{name} from {network.source}, SHA-256 {network.sha256[:16]}" for name, network in self.networks.items()
        )

    def engine(self, backbone: str | None, only: str | None = None) -> Engine:
        """Return the engine of all networks of a backbone, or of one of them; of None, that of metrics of images."""
        if backbone is None:
            return Engine(None, self.reduction)
        chosen = [n for n in self.networks.values() if n.backbone == backbone and only in (None, n.name)]
        return Engine(Extractor(*chosen, device=self.device), self.reduction)

    def distances(
        self,
        dataset: Dataset,
        variants: Sequence[Variant],
        engine: Callable[[str | None], Engine],
        *,
        shown: bool = True,
    ) -> DatasetDistances:
        """Return the distances of a data set by some of the variants; see `agreement.DatasetDistances`."""
        key_of = functools.partial(self.key_of, dataset.preprocessing)
        return DatasetDistances(variants, dataset, engine, self.store, key_of, shown=shown)

    def key_of(self, preprocessing: str, variant: Variant) -> str:
        """Return the key of a variant's distances, see `store.key_of`."""
        return store.key_of(
            variant,
            network=None if variant.network is None else self.networks[variant.network],
            reduction=self.reduction,
            preprocessing=preprocessing,
            device=self.device,
        )


def configure(
    options: Options, excluded: Mapping[str, str] | None = None, load: Callable[..., list[Probe]] = probes.load
) -> RunConfiguration:
    """Turn the options of the suites into a configuration, and call each metric that is not built in once.

    What that call found in another process of this run is `excluded`; it is not made again. Probes are read by `load`,
    with the arguments of `probes.load`.

    Raises:
        DpsError: an option names something that does not exist, does not fit or is missing; one line says what.
    """
    notes.clear()
    images = photographs.in_folder(Path(options.images)) if options.images else []
    loaded = load(options.probes or [probes.BUILT_IN], options.cases, options.size, images)
    configuration = configure_measurement(options)
    gate = options.gate or ("off" if options.against or options.update_baseline else "baseline")
    check_known("gate", gate, ("baseline", "strict", "off"))
    chosen = _selected(loaded, options.select_probe)
    check_images(chosen, configuration)
    for dataset, shape in ((each, shape) for each in configuration.datasets for shape in sorted(each.shapes)):
        try:
            configuration.check_size(shape)
        except ImageError as error:
            raise UsageError(f"--judgments {dataset.name}: {error} (--judgment-size N resizes.)") from None
    recorded = Baseline()
    if gate == "baseline":
        recorded = baseline.read(_shortened(Path(options.baseline or BUILT_IN_BASELINE)))
        digests = {name: network.sha256 for name, network in configuration.networks.items()}
        baseline.check(recorded, digests, configuration.reduction)
        if not options.baseline:  # a user's probe of the same name is another one, and so is one of another size
            folder = None if options.size or images else probes.BUILT_IN.resolve()
            users = [probe.name for probe in chosen if probe.path.resolve().parent != folder]
            recorded = baseline.without_probes(recorded, users)
    elif options.baseline:
        raise UsageError(f"--baseline {options.baseline}: nothing is compared with it under --gate {gate}.")
    update = Path(options.update_baseline) if options.update_baseline else None
    if update is not None:
        check_writable("--update-baseline", update.parent)
    names = [probe.name for probe in chosen]
    names += [name for dataset in configuration.datasets for name in agreement.scored_names(dataset)]
    floors = tuple(_floor(text, names) for text in _listed(options.require))
    previous = baseline.read(update) if update is not None and update.exists() else None
    report_dir = Path(options.report_dir or default_report_dir())
    check_writable("--report-dir", report_dir)
    if excluded is None:
        excluded = _preflight(configuration, (case.shape for probe in chosen for case in probe.cases))
    return replace(
        configuration,
        variants=tuple(v for v in configuration.variants if v.metric.name not in excluded),
        excluded=excluded,
        probes=chosen,
        batches=tuple(
            batches_of((case for probe in chosen for case in probe.cases), images_at_once(configuration.device))
        ),
        gate=gate,
        gating_requested=bool(options.gate or options.baseline or options.against),
        cases=options.cases,
        size=options.size,
        images=tuple(images),
        floors=floors,
        report_dir=_shortened(report_dir),
        baseline=recorded,
        update=update,
        previous=previous,
        narrowed=any(getattr(options, name) for name in NARROWING),
    )


def _preflight(configuration: RunConfiguration, shapes: Iterable[tuple[int, int]]) -> dict[str, str]:
    """Call each metric and network that is a user's once, on images of the run's smallest size."""
    metrics_of_run = list(_metrics_of(configuration))
    users = [network for network in configuration.networks.values() if network.user_defined]
    if not users and all(metric.built_in for metric in metrics_of_run):
        return {}
    shape = min([*shapes, *(shape for dataset in configuration.datasets for shape in dataset.shapes)], key=min)
    for network in users:
        preflight.check_network(network, shape, configuration.device)
    first = next(iter(configuration.networks.values()), None)
    load = None if first is None else functools.partial(Extractor, first, device=configuration.device)
    find = preflight.find_exception if configuration.same_as else preflight.find_fault
    excluded = preflight.check(metrics_of_run, shape, load, find)
    needed = {configuration.against, *(variant.metric.name for variant in configuration.same_as.values())}
    if needed & excluded.keys() or all(variant.metric.name in excluded for variant in configuration.variants):
        name, reason = min(excluded.items(), key=lambda item: item[0] not in needed)
        raise UsageError(f"metric {name!r}: {reason}, so there is nothing to measure or to compare with.")
    return excluded


def _metrics_of(configuration: RunConfiguration) -> tuple[AnyMetric, ...]:
    """Return each metric that is called, once."""
    called = [*configuration.variants, *configuration.same_as.values()]
    return tuple({variant.metric.name: variant.metric for variant in called}.values())


def configure_measurement(options: Options) -> RunConfiguration:
    """Turn the options that say what is measured into a configuration without probes; raises as `configure`."""
    check_device(options.device)
    if options.same_as is not None and not options.metric:
        raise UsageError(f"--same-as {options.same_as}: name the metric that is compared with it, with --metric.")
    chosen, against, reference = metrics.resolve(
        options.metric or metrics.DEFAULT_METRICS,
        against=options.against,
        same_as=options.same_as,
        weights=options.weights,
        device=options.device,
    )
    if against is not None and len(chosen) == 1:
        raise UsageError(f"--against {options.against}: no other metric is measured; name one with --metric.")
    chosen_networks: Mapping[str, Network] = {}
    on_features = [metric for metric in [*chosen, reference] if isinstance(metric, FeatureMetric)]
    if options.network or on_features:
        default = dict.fromkeys(name for metric in on_features for name in metric.fitted or networks.BUILT_IN)
        names = options.network or list(default)
        if users := [] if options.network else [name for name in names if networks.runs_code(name)]:
            raise UsageError(
                f"{users[0]} is code, which the file of a metric does not run; allow it: --network {users[0]}"
            )
        chosen_networks = networks.resolve(names, layers=options.layers, weights=options.weights)
    normalizations = _listed(options.normalization) or NORMALIZATIONS
    for normalization in normalizations:
        check_known("normalization", normalization, NORMALIZATIONS)
    variants = metrics.variants(chosen, chosen_networks, normalizations)
    check_known("reduction", options.reduction, REDUCTIONS)
    datasets, folder = _datasets_and_store(options)
    references = [] if reference is None else metrics.variants([reference], chosen_networks, normalizations)
    same_as = {} if reference is None else dict(_with_references(variants, references))
    needed = dict.fromkeys(v.network for v in [*variants, *same_as.values()] if v.network is not None)
    _check_fitted(on_features, chosen_networks, [*variants, *same_as.values()], options)
    return RunConfiguration(
        datasets=datasets,
        store=folder,
        variants=tuple(variants),
        networks={name: chosen_networks[name] for name in needed},
        reduction=options.reduction,
        device=options.device,
        against=None if against is None else against.name,
        same_as=same_as,
        options=options,
    )


def _check_fitted(
    on_features: Sequence[FeatureMetric], chosen: Mapping[str, Network], variants: Sequence[Variant], options: Options
) -> None:
    """Refuse a network that a tuned metric was not fitted to, by name, layers or weights, with a UsageError."""
    tuned = [metric for metric in on_features if metric.fitted]
    used = {variant.backbone for variant in variants}
    unused = [network.name for network in chosen.values() if network.backbone not in used]
    for metric in tuned:
        if unused or not metric.fitted.keys() & chosen.keys():
            other = ", ".join(unused or chosen)
            raise UsageError(
                f"metric {metric.name!r}: was fitted to {', '.join(metric.fitted)}, not to {other}; leave --network "
                f"out, or fit one with: dps tune --network {other} --out FILE.yaml"
            )
    for variant in variants:
        if variant.network is not None and isinstance(variant.metric, FeatureMetric):
            variant.metric.check(chosen[variant.network], options.reduction)


def _with_references(variants: Iterable[Variant], references: Sequence[Variant]) -> Iterator[tuple[Variant, Variant]]:
    """Yield each variant with the reference of the same network and normalization, or the only one that there is."""
    for variant in variants:
        of_key = [each for each in references if each.key[:2] == variant.key[:2]] or references
        if len(of_key) > 1:
            raise UsageError(
                f"--same-as {of_key[0].metric.name}: stands for {len(of_key)} variants, {of_key[0]} and so on; choose "
                "one with --network and --normalization."
            )
        yield variant, of_key[0]


def _selected(loaded: Sequence[Probe], names: Sequence[str]) -> tuple[Probe, ...]:
    """Return the probes that ``dps test`` names, or all; refuse a name that is of no probe and of no suite."""
    suites = [path.stem.removeprefix("test_") for path in locations.data("suites").glob("test_*.py")]
    for name in names:
        check_known("suite or probe", name, [*suites, *(probe.name for probe in loaded)])
    selected = [probe for probe in loaded if not names or probe.name in names]
    if selected and not any(probe.cases for probe in selected):
        raise UsageError(f"{', '.join(probe.name for probe in selected)}: {probes.NOTHING_TO_REPLACE}.")
    return tuple(probe for probe in selected if probe.cases)


def batches_of(cases: Iterator[Case], images: int = IMAGES_AT_ONCE) -> list[Batch]:
    """Divide cases into batches of one size, as many as `IMAGES_AT_ONCE` allows, that are measured at once.

    Cases with the same original stay together, so that it goes through a network once.
    """
    batches: list[Batch] = []
    room = 0.0
    for _, group in itertools.groupby(cases, lambda case: (case.shape, case.original)):
        same = tuple(group)
        height, width = same[0].shape
        area = height * width / 96**2
        size = area * (1 + sum(1 + sum(not r.shared for r in case.references.values()) for case in same))
        if batches and batches[-1][0].shape == same[0].shape and size <= room:
            batches[-1] += same
        else:
            batches.append(same)
            room = float(images)
        room -= size
    return batches


def default_report_dir() -> Path:
    """Return ``reports/latest`` of a checkout where that is the working directory, else ``dps-report``, absolute."""
    checkout = locations.PACKAGE.parent
    inside = locations.data("suites").parent == checkout and Path.cwd().is_relative_to(checkout)
    return checkout / "reports" / "latest" if inside else Path.cwd() / "dps-report"


def check_device(name: str) -> None:
    """Raise a UsageError where PyTorch cannot compute on a device."""
    check_known("device", name.partition(":")[0], ("cpu", "cuda", "mps"))
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError):
        raise UsageError(f"device {name!r} is not available here; use --device cpu.") from None


def _shortened(path: Path) -> Path:
    """Return a path relative to the working directory where it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _listed(values: Sequence[str]) -> list[str]:
    """Split the values of an option at commas; each name once, and none of them empty."""
    parts = [part.strip() for value in values for part in value.split(",")]
    if "" in parts:
        raise UsageError(f"an empty name in {','.join(values)!r}; separate names by single commas.")
    return list(dict.fromkeys(parts))


def _datasets_and_store(options: Options) -> tuple[tuple[Dataset, ...], Path | None]:
    """Return the data sets, and the store that is named, else for files of judgments one in the user's cache."""
    folder = None if options.store is None else store.prepare(Path(options.store))
    named = [*options.judgments, *([options.bapps] if options.bapps else [])]
    texts = [part for text in named for part in ([text] if Path(text).exists() else text.split(","))]
    predictions = [tables.predictions(Path(text)) for text in options.predictions]
    elsewhere: list[Predictions] = [each for each in predictions if not each.own]
    if elsewhere and not texts:
        raise UsageError(
            f"--predictions {elsewhere[0].path}: has no column score; name the judgments: --judgments PATH."
        )
    datasets = [layouts.read(text, size=options.judgment_size, predictions=elsewhere) for text in dict.fromkeys(texts)]
    datasets += [layouts.predicted(each) for each in predictions if each.own]
    names = [dataset.name for dataset in datasets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"--judgments: {names.count(twice[0])} data sets are called {twice[0]}; rename a file.")
    if options.rank_flips:
        if not any(dataset.subsets("2afc") for dataset in datasets):
            raise UsageError("--rank-flips: needs triplets; pass --judgments PATH (or --bapps DIR), too.")
        datasets = [rank_flips.with_perturbations(dataset) for dataset in datasets]
    if any(text != synthetic.NAME or Path(text).exists() for text in texts):  # the stand-in is measured in seconds
        folder = folder or store.prepare(store.default_folder())
    return tuple(datasets), folder


_FLOOR = re.compile(r"(?P<name>[^<>=]+)(?P<sign>[<>]=)(?P<limit>.+)")


def _floor(text: str, known: Sequence[str]) -> Floor:
    match = _FLOOR.fullmatch(text)
    try:
        limit = float(match["limit"]) if match else math.nan
    except ValueError:
        limit = math.nan
    least = -math.inf if "log_likelihood" in text else 0
    if match is None or not least <= limit <= 1:
        raise UsageError(f"--require {text!r}: write PROBE[/STRATUM]>=X with X from 0 to 1, as in 'translate>=0.9'.")
    name = match["name"].strip()
    probe, stratum, _ = name.partition("/")
    if name not in known and not (stratum and probe in known):
        if "/" in name and not any("/" in each for each in known):
            raise UsageError(f"--require {text!r}: {name} is a score, and none is measured; add --judgments PATH.")
        raise UsageError(f"--require {text!r}: {unknown('probe or score', name, known)}")
    upper = agreement.RANK_FLIPS in name.split("/")
    if upper != (match["sign"] == "<="):
        better = "fewer flips are better" if upper else "more is better"
        raise UsageError(f"--require {text!r}: {better}; write {Floor(name=name, limit=limit, upper=upper)}.")
    return Floor(name=name, limit=limit, upper=upper)


def check_images(chosen: Sequence[Probe], configuration: RunConfiguration) -> None:
    """Refuse photographs that are missing, and images that a network or metric cannot take."""
    for case in (case for probe in chosen for case in probe.cases):
        try:
            configuration.check_size(case.shape)
            for photograph in case.photographs():
                photograph.path()
        except (ImageError, WeightsError) as error:
            raise ProbeError(f"{case.where}: case {case.id!r}: {error}") from None


def check_writable(option: str, folder: Path) -> None:
    """Check that a report or baseline can be written, before the measuring starts."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"{option} {_shortened(folder)}: cannot be written ({error.strerror}); name a folder that can."
        ) from None
