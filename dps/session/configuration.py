"""The configuration of a run: what is measured, and what the results are compared with."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from dps import agreement, metrics, networks, store
from dps.agreement import DatasetDistances, Subset
from dps.baseline import Baseline
from dps.judgments.dataset import Dataset
from dps.measurement import IMAGES_AT_ONCE, Engine
from dps.metrics import Metric, Variant
from dps.networks import Extractor, Network
from dps.options import Options
from dps.photographs import Photograph
from dps.probes import Case, Probe
from dps.session.floors import Floor

Unit: TypeAlias = tuple[int, str | None]
"""A unit of work: the number of a batch of cases, and a backbone or None."""

Batch: TypeAlias = tuple[Case, ...]
"""Cases of one image size that are measured at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfiguration:
    """Everything that a run depends on.

    Attributes:
        options: as given.
        variants: to be measured.
        networks: of the variants, by name.
        datasets: of people's judgments.
        store: the folder that keeps distances of the data sets; None to keep none.
        probes: in the order of their files.
        batches: all cases, see `batches_of`.
        images: the user's photographs, in place of the probes' contents.
        report_dir: the folder of the reports.
        gate: ``baseline``, ``strict`` or ``off``.
        gating_requested: an option requests a gate, so that cases that are not in the baseline must pass as well.
        baseline: to compare the run with; may be empty.
        floors: of ``--require``.
        against: the name of the metric that no other may be worse than.
        same_as: for each variant the one that it must equal; empty without ``--same-as``.
        update: the file to record the run in as a baseline.
        previous: the baseline in that file, whose entries are kept where this run does not measure them.
        excluded: for each metric whose first call crashed or did not return, the reason.
        narrowed: the run measures less than all built-in metrics, networks and probes.
    """

    options: Options = field(default=Options(), repr=False)
    variants: tuple[Variant, ...]
    networks: Mapping[str, Network]
    datasets: tuple[Dataset, ...] = ()
    store: Path | None = None
    probes: tuple[Probe, ...] = ()
    batches: tuple[Batch, ...] = field(default=(), repr=False)
    images: tuple[Photograph, ...] = field(default=(), repr=False)
    report_dir: Path = Path()
    gate: str = "off"
    gating_requested: bool = False
    baseline: Baseline = field(default=Baseline(), repr=False)
    floors: tuple[Floor, ...] = ()
    against: str | None = None
    same_as: Mapping[Variant, Variant] = field(default_factory=dict)
    update: Path | None = None
    previous: Baseline | None = field(default=None, repr=False)
    excluded: Mapping[str, str] = field(default_factory=dict)
    narrowed: bool = False

    def gates(self, variant: Variant) -> bool:
        """Return whether a failure of a variant may fail the run; failures of ``--against``'s metric never do."""
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
        """Yield every subset of the data sets with every variant, and with the predictions for it."""
        for dataset in self.datasets:
            for subset in agreement.subsets_of(dataset):
                for variant in self.scored_on(dataset):
                    yield subset, variant

    def scored_on(self, dataset: Dataset) -> list[Variant]:
        """Return the variants, if the data set has images, and stand-ins for variants named after its predictions."""
        pixel = metrics.named("pixel")
        stand_ins = [replace(pixel, name=name) for name in dataset.predictions]
        return [
            *(self.variants if dataset.shapes else ()),
            *(Variant(metric=metric, network=None, normalization=None) for metric in stand_ins),
        ]

    def check_size(self, shape: Sequence[int]) -> None:
        """Refuse images, by height and width in pixels, that a network or metric does not take.

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
        """Return an engine for all networks of a backbone, or for one of them; for None, for metrics of images."""
        if backbone is None:
            return Engine(None, self.options.reduction)
        selected = [n for n in self.networks.values() if n.backbone == backbone and only in (None, n.name)]
        return Engine(Extractor(*selected, device=self.options.device), self.options.reduction)

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
        """Return the key of a variant's distances; see `store.key_of`."""
        return store.key_of(
            variant,
            network=None if variant.network is None else self.networks[variant.network],
            reduction=self.options.reduction,
            preprocessing=preprocessing,
            device=self.options.device,
        )


def batches_of(cases: Iterator[Case], images: int = IMAGES_AT_ONCE) -> list[Batch]:
    """Divide cases into batches of one image size, each with about as many images as are measured at once.

    Cases of one original stay together, so that it goes through a network once.
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
