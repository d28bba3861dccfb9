"""From options to the configuration of a run. Everything that can be checked is checked before anything is measured."""

import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from dps import agreement, baseline, locations, metrics, networks, notes, photographs, probes, store
from dps.baseline import Baseline
from dps.comparisons import NORMALIZATIONS, REDUCTIONS
from dps.errors import ImageError, ProbeError, UsageError, WeightsError, check_known
from dps.judgments import layouts, rank_flips, synthetic, tables
from dps.judgments.dataset import Dataset
from dps.measurement import images_at_once
from dps.metrics import FeatureMetric, Variant
from dps.networks import Extractor, Network, extractor
from dps.options import Options
from dps.probes import Probe
from dps.rows import MIXED
from dps.session import floors, preflight
from dps.session.configuration import RunConfiguration, batches_of

BUILT_IN_BASELINE = locations.data("baselines") / "built-in.json"
"""The recorded run of the built-in metrics on the built-in probes."""

NARROWING = ("metric", "network", "normalization", "probes", "images", "select_probe", "cases", "size")
"""Options that restrict a run to less than everything built in."""


def configure(
    options: Options, excluded: Mapping[str, str] | None = None, load: Callable[..., list[Probe]] = probes.load
) -> RunConfiguration:
    """Turn the options of the suites into a configuration, and call each metric that is not built in once.

    Args:
        options: of the run.
        excluded: the result of these calls in another process of this run; None to make them here.
        load: reads probes; takes the arguments of `probes.load`.

    Raises:
        DpsError: an option names something that does not exist or is missing, or options do not fit together.
    """
    notes.clear()
    images = photographs.in_folder(Path(options.images)) if options.images else []
    loaded = load(options.probes or [probes.BUILT_IN], options.cases, options.size, images)
    configuration = configure_measurement(options)
    for network in configuration.networks.values():
        if network.source not in ("pypi", "torchvision", "timm", "user"):
            extractor.load(network)  # a WeightsError if the file in the folder does not fit
    gate = options.gate or ("off" if options.against or options.update_baseline else "baseline")
    check_known("gate", gate, ("baseline", "strict", "off"))
    selected = _select(loaded, options.select_probe)
    check_images(selected, configuration)
    for dataset in configuration.datasets:
        try:
            for shape in sorted(dataset.shapes):
                configuration.check_size(shape)
        except ImageError as error:
            raise UsageError(f"--judgments {dataset.name}: {error} (--judgment-size N resizes.)") from None
    if all(variant.normalization == MIXED for variant in configuration.variants):
        for option, given in (("--normalization", options.normalization), ("--layers each", options.layers == "each")):
            if given:
                notes.add_text(f"{option} has no effect: a tuned metric fixes its normalizations and layers.")
    recorded = Baseline()
    if gate == "baseline":
        recorded = baseline.read(_shortened(Path(options.baseline or BUILT_IN_BASELINE)))
        digests = {name: network.sha256 for name, network in configuration.networks.items()}
        baseline.check(recorded, digests, options.reduction)
        if not options.baseline:  # it does not apply to a user's probe of the same name, or at another size
            folder = None if options.size or images else probes.BUILT_IN.resolve()
            users = [probe.name for probe in selected if probe.path.resolve().parent != folder]
            recorded = baseline.without_probes(recorded, users)
    elif options.baseline:
        raise UsageError(f"--baseline {options.baseline}: nothing is compared with it under --gate {gate}.")
    update = Path(options.update_baseline) if options.update_baseline else None
    if update is not None:
        check_writable("--update-baseline", update.parent)
    names = [probe.name for probe in selected]
    names += [name for dataset in configuration.datasets for name in agreement.all_score_names(dataset)]
    limits = tuple(floors.parse(text, names) for text in _split(options.require))
    previous = baseline.read(update) if update is not None and update.exists() else None
    report_dir = Path(options.report_dir or default_report_dir())
    cases = [case for probe in selected for case in probe.cases]
    if excluded is None:
        excluded = _preflight(configuration, (case.shape for case in cases))
    check_writable("--report-dir", report_dir)
    return replace(
        configuration,
        variants=tuple(v for v in configuration.variants if v.metric.name not in excluded),
        probes=selected,
        batches=tuple(batches_of(iter(cases), images_at_once(options.device))),
        images=tuple(images),
        report_dir=_shortened(report_dir),
        gate=gate,
        gating_requested=bool(options.gate or options.baseline or options.against),
        baseline=recorded,
        floors=limits,
        update=update,
        previous=previous,
        excluded=excluded,
        narrowed=any(getattr(options, name) for name in NARROWING),
    )


def _preflight(configuration: RunConfiguration, shapes: Iterable[tuple[int, int]]) -> dict[str, str]:
    """Call each user's metric and network once, on images of the smallest size of the run; see `preflight.check`."""
    called = [*configuration.variants, *configuration.same_as.values()]
    metrics_of_run = list({variant.metric.name: variant.metric for variant in called}.values())
    users = [network for network in configuration.networks.values() if network.user_defined]
    if not users and all(metric.built_in for metric in metrics_of_run):
        return {}
    device = configuration.options.device
    shape = min([*shapes, *(shape for dataset in configuration.datasets for shape in dataset.shapes)], key=min)
    for network in users:
        preflight.check_network(network, shape, device)
    first = next(iter(configuration.networks.values()), None)
    load = None if first is None else functools.partial(Extractor, first, device=device)
    find = preflight.find_exception if configuration.same_as else preflight.find_fault
    excluded = preflight.check(metrics_of_run, shape, load, find)
    needed = {configuration.against, *(variant.metric.name for variant in configuration.same_as.values())}
    if needed & excluded.keys() or all(variant.metric.name in excluded for variant in configuration.variants):
        name, reason = min(excluded.items(), key=lambda item: item[0] not in needed)
        raise UsageError(f"metric {name!r}: {reason}, so there is nothing to measure or to compare with.")
    return excluded


def configure_measurement(options: Options) -> RunConfiguration:
    """Turn the options that define what is measured into a configuration without probes; raises as `configure`."""
    check_device(options.device)
    if options.same_as is not None and not options.metric:
        raise UsageError(f"--same-as {options.same_as}: name the metric that is compared with it, with --metric.")
    selected, against, reference = metrics.resolve(
        options.metric or metrics.DEFAULT_METRICS,
        against=options.against,
        same_as=options.same_as,
        weights=options.weights,
        device=options.device,
    )
    if against is not None and len(selected) == 1:
        raise UsageError(f"--against {options.against}: no other metric is measured; name one with --metric.")
    resolved: Mapping[str, Network] = {}
    on_features = [metric for metric in [*selected, reference] if isinstance(metric, FeatureMetric)]
    if options.network or on_features:
        default = dict.fromkeys(name for metric in on_features for name in metric.fitted or networks.BUILT_IN)
        names = options.network or list(default)
        if users := [] if options.network else [name for name in names if networks.runs_code(name)]:
            raise UsageError(
                f"{users[0]} is code, which the file of a metric does not run; allow it: --network {users[0]}"
            )
        resolved = networks.resolve(names, layers=options.layers, weights=options.weights)
    normalizations = _split(options.normalization) or NORMALIZATIONS
    for normalization in normalizations:
        check_known("normalization", normalization, NORMALIZATIONS)
    variants = metrics.variants(selected, resolved, normalizations)
    check_known("reduction", options.reduction, REDUCTIONS)
    datasets, folder = _datasets_and_store(options)
    references = [] if reference is None else metrics.variants([reference], resolved, normalizations)
    same_as = {} if reference is None else dict(_with_references(variants, references))
    measured = [*variants, *same_as.values()]
    _check_fitted(on_features, resolved, measured, options)
    return RunConfiguration(
        options=options,
        variants=tuple(variants),
        networks={v.network: resolved[v.network] for v in measured if v.network is not None},
        datasets=datasets,
        store=folder,
        against=None if against is None else against.name,
        same_as=same_as,
    )


def _check_fitted(
    on_features: Sequence[FeatureMetric], resolved: Mapping[str, Network], variants: Sequence[Variant], options: Options
) -> None:
    """Refuse networks that a tuned metric was not fitted to, by name, layers or weights, with a UsageError."""
    used = {variant.backbone for variant in variants}
    unused = [network.name for network in resolved.values() if network.backbone not in used]
    for metric in on_features:
        if metric.fitted and (unused or not metric.fitted.keys() & resolved.keys()):
            other = ", ".join(unused or resolved)
            raise UsageError(
                f"metric {metric.name!r}: was fitted to {', '.join(metric.fitted)}, not to {other}; leave --network "
                f"out, or fit one with: dps tune --network {other} --out FILE.yaml"
            )
    for variant in variants:
        if variant.network is not None and isinstance(variant.metric, FeatureMetric):
            variant.metric.check(resolved[variant.network], options.reduction)


def _with_references(variants: Iterable[Variant], references: Sequence[Variant]) -> Iterator[tuple[Variant, Variant]]:
    """Yield each variant with the reference of the same network and normalization, or else the only reference."""
    for variant in variants:
        matching = [reference for reference in references if reference.key[:2] == variant.key[:2]] or references
        if len(matching) > 1:
            raise UsageError(
                f"--same-as {matching[0].metric.name}: stands for {len(matching)} variants, {matching[0]} and so on; "
                "choose one with --network and --normalization."
            )
        yield variant, matching[0]


def _select(loaded: Sequence[Probe], names: Sequence[str]) -> tuple[Probe, ...]:
    """Return the probes that ``dps test`` names, or all; refuse a name of neither a probe nor a suite."""
    suites = [path.stem.removeprefix("test_") for path in locations.data("suites").glob("test_*.py")]
    for name in names:
        check_known("suite or probe", name, [*suites, *(probe.name for probe in loaded)])
    selected = [probe for probe in loaded if not names or probe.name in names]
    if selected and not any(probe.cases for probe in selected):
        raise UsageError(f"{', '.join(probe.name for probe in selected)}: {probes.NOTHING_TO_REPLACE}.")
    return tuple(probe for probe in selected if probe.cases)


def _datasets_and_store(options: Options) -> tuple[tuple[Dataset, ...], Path | None]:
    """Return the data sets, and the store: the named one, or for judgments in files the one in the user's cache."""
    folder = None if options.store is None else store.prepare(Path(options.store))
    named = [*options.judgments, *([options.bapps] if options.bapps else [])]
    texts = [part for text in named for part in ([text] if Path(text).exists() else text.split(","))]
    predictions = [tables.predictions(Path(text)) for text in options.predictions]
    without_scores = [each for each in predictions if not each.rows]
    if without_scores and not texts:
        raise UsageError(
            f"--predictions {without_scores[0].path}: has no column score; name the judgments: --judgments PATH."
        )
    datasets = [
        layouts.read(text, size=options.judgment_size, predictions=without_scores) for text in dict.fromkeys(texts)
    ]
    datasets += [layouts.with_own_scores(each) for each in predictions if each.rows]
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


def check_images(selected: Sequence[Probe], configuration: RunConfiguration) -> None:
    """Refuse probes with photographs that are missing, or of an image size that a network or metric does not take."""
    for case in (case for probe in selected for case in probe.cases):
        try:
            configuration.check_size(case.shape)
            for photograph in case.photographs():
                photograph.path()
        except (ImageError, WeightsError) as error:
            raise ProbeError(f"{case.where}: case {case.id!r}: {error}") from None


def check_device(name: str) -> None:
    """Raise a UsageError if PyTorch cannot compute on a device."""
    check_known("device", name.partition(":")[0], ("cpu", "cuda", "mps"))
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError):
        raise UsageError(f"device {name!r} is not available here; use --device cpu.") from None


def check_writable(option: str, folder: Path) -> None:
    """Make a folder if it is missing, and raise a UsageError if files cannot be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"{option} {_shortened(folder)}: cannot be written ({error.strerror}); name a folder that can."
        ) from None


def default_report_dir() -> Path:
    """Return ``reports/latest`` of a checkout if the working directory lies in it, else ``dps-report``, absolute."""
    checkout = locations.PACKAGE.parent
    inside = locations.data("suites").parent == checkout and Path.cwd().is_relative_to(checkout)
    return checkout / "reports" / "latest" if inside else Path.cwd() / "dps-report"


def _shortened(path: Path) -> Path:
    """Return a path relative to the working directory if it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _split(values: Sequence[str]) -> list[str]:
    """Split the values of an option at commas, and remove duplicates; a UsageError if one is empty."""
    parts = [part.strip() for value in values for part in value.split(",")]
    if "" in parts:
        raise UsageError(f"an empty name in {','.join(values)!r}; separate names by single commas.")
    return list(dict.fromkeys(parts))
