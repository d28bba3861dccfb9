"""The results of a run: a unit of work is measured when one of its results is first looked up."""

import functools
import itertools
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from dps import agreement, attacks, invariants, kernels, photographs, rows, same, scores, thresholds, verdicts
from dps.agreement import Subset
from dps.errors import DpsError, MetricError, StoreError
from dps.image_pairs import ImagePair
from dps.images import Triple
from dps.invariants import Subject
from dps.measurement import Engine
from dps.metrics import Metric, Variant
from dps.probes import Case
from dps.rows import Row
from dps.scores import Estimate
from dps.session import construction
from dps.session.ahead import Ahead
from dps.session.configuration import RunConfiguration, Unit
from dps.session.crashes import REASON, CrashLog
from dps.thresholds import GradedDistortion
from dps.verdicts import Verdict

Measured: TypeAlias = tuple[Case, Variant, Verdict, str | None]
"""A case, a variant, the verdict, and the digest of the case's images; None if they could not be drawn."""

BATCHES_AHEAD = 16
"""Batches of cases that are measured before their results are looked up, at most."""

UNITS_AT_ONCE = 4
"""Units measured concurrently, on an equal share of the cores each, so that no core waits during short steps.
More would take more memory. On an accelerator, whose batches are large, one unit is measured at a time."""

SWITCH_INTERVAL = 0.0002
"""Python's thread switch interval, in seconds, while units are measured ahead. With the default of 0.005, a measuring
thread waits that long for pytest's thread after each short step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """The agreement of one variant with the judgments of one subset.

    Attributes:
        estimates: by kind of score, see `agreement.SCORES`; empty after an error.
        judges: agreement among the judges; None if that has no score.
        originals: each original's score, ``(original,)``, see `agreement.scores_by_original`.
        error: one line; empty if there was none.
    """

    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    judges: Estimate | None = None
    originals: tuple[float, ...] = field(default=(), repr=False)
    error: str = ""


class Session:
    """All results of a run.

    Args:
        configuration: of the run.
        selected: cases and variants to be looked up; nothing else is drawn or measured.
        scored: variants whose scores are to be looked up.
        crashes: the log of all processes of the run; None for a run of one process.
    """

    def __init__(
        self,
        configuration: RunConfiguration,
        selected: Iterable[tuple[Case, Variant]],
        scored: Sequence[Variant] = (),
        crashes: CrashLog | None = None,
    ) -> None:
        self.configuration, options = configuration, configuration.options
        self._crashes = crashes or CrashLog(None)
        self._batch_of = {case.name: number for number, batch in enumerate(configuration.batches) for case in batch}
        self._unit_of: dict[tuple[str, Variant], Unit] = {}
        self._cases: dict[int, dict[str, Case]] = {}
        self._variants: dict[Unit, dict[Variant, None]] = {}
        for case, variant in selected:
            unit = self._batch_of[case.name], variant.backbone
            self._unit_of[case.name, variant] = unit
            self._cases.setdefault(unit[0], {})[case.name] = case
            self._variants.setdefault(unit, {})[variant] = None
        self._rows: dict[tuple[str, Variant], Row] = {}
        self._engine, self._engine_lock = functools.cache(configuration.engine), threading.Lock()
        self._checked: dict[object, Mapping[Variant, Any]] = {}
        self._thresholds: dict[tuple[str, Variant], Row] = {}
        self._stack = functools.lru_cache(maxsize=1)(
            lambda graded: thresholds.draw(graded, options.cases, options.size, configuration.images)
        )
        self._distances = {}
        elsewhere = {name for dataset in configuration.datasets for name in dataset.predictions}
        for dataset in configuration.datasets:
            names = [
                variant.metric.name for variant in scored if dataset.shapes and variant.metric.name not in elsewhere
            ]
            of_dataset = [variant for variant in scored if variant.metric.name in {*names, *dataset.predictions}]
            self._distances[dataset.name] = configuration.distances(dataset, of_dataset, self.engine)

        # nothing is measured ahead by several processes, or with users' code, which may change global state
        alone = not self._crashes.one_process or any(map(configuration.is_users, configuration.variants))
        together = [unit for unit in self._variants if unit[1] is not None]
        lead = BATCHES_AHEAD if together and not alone else 0
        self._before = sys.getswitchinterval(), torch.get_num_threads()
        self._drawn = Ahead(self._draw, self._cases, lead=min(lead, 2), kept=lead + 4)
        lead *= len({name for _, name in together})
        workers = min(torch.get_num_threads(), UNITS_AT_ONCE) if options.device == "cpu" else 1
        self._measured = Ahead(self._measure_unit, together, lead=lead, kept=1, workers=workers)
        if lead:
            sys.setswitchinterval(SWITCH_INTERVAL)
            kernels.use_threads(1)  # in this thread; more would compete with the measuring threads

    def close(self) -> None:
        """Stop measuring ahead, and restore the thread settings."""
        self._drawn.close()
        self._measured.close()
        sys.setswitchinterval(self._before[0])
        kernels.use_threads(self._before[1])

    def engine(self, backbone: str | None, only: str | None = None) -> Engine:
        """Return the engine of a backbone, made once; see `RunConfiguration.engine`."""
        with self._engine_lock:
            return self._engine(backbone, only)

    def row(self, case: Case, variant: Variant) -> Row:
        """Return the row of a case and variant; the first look-up in a unit measures the unit."""
        key = case.name, variant
        if key not in self._rows:
            unit, alone = self._unit_of[key], isinstance(variant.metric, Metric)
            try:
                self._keep(self._measure(unit, [case], [variant]) if alone else self._measured(unit))
            except (Exception, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as stop:  # raised by a plugin such as pytest-timeout; another try would take as long
                verdict = verdicts.not_measured(f"stopped while it was measured: {stop}")
                cases = [case] if alone else self._cases[unit[0]].values()
                variants = [variant] if alone else self._variants[unit]
                self._keep((each, one, verdict, None) for each, one in itertools.product(cases, variants))
                raise
        return self._rows[key]

    def triple(self, case: Case) -> Triple | DpsError:
        """Return the images of a case, or the error that drawing raised; the last batches are cached."""
        return self._drawn(self._batch_of[case.name])[case.name]

    def _draw(self, batch: int) -> dict[str, Triple | DpsError]:
        """Draw the selected cases of a batch, by name."""
        triples: dict[str, Triple | DpsError] = {}
        for name, case in self._cases[batch].items():
            try:
                triples[name] = case.draw()
            except DpsError as error:
                triples[name] = error
        return triples

    def subject(self, variant: Variant) -> Subject:
        """Return a variant as a subject of invariants; all subjects share a cache of measurements."""
        return Subject(variant, self.configuration.variants, self.engine(variant.backbone), self._checked)

    @functools.cached_property
    def _remade(self) -> list[construction.Remade]:
        """Return distances by user-defined and third-party metrics that were constructed again, in a new process."""
        labels = [str(variant) for variant in self.configuration.variants if self.configuration.is_users(variant)]
        return construction.remake(self.configuration.options, labels)

    def remake(self, variant: Variant) -> tuple[Row, ImagePair | None]:
        """Check that a metric that is constructed again gives the same distances; returns as `invariants.examine`."""

        def check(subject: Subject, pair: ImagePair) -> None:
            place = [each.text for each in pairs].index(pair.text)
            here = subject.distance((pair.original, pair.other))
            for remade, how in zip(self._remade, ("in a new process", "there a second time"), strict=False):
                there = remade.get(str(variant), "the new process has no such variant")
                if isinstance(there, str):
                    raise MetricError(f"made {how}: {there}")
                message = f"the distance is {here:.6g}, but {there[place]:.6g} of the same metric made {how}"
                assert subject.same(here, there[place], pair.original), message

        check.__name__ = "reproducible_construction"
        pairs = construction.draw(self.subject(variant).smallest)
        return invariants.examine_pairs(check, self.subject(variant), pairs)

    def compare(self, variant: Variant) -> tuple[Row, ImagePair | None]:
        """Compare a variant with its reference of ``--same-as``; see `same.compare`.

        Returns:
            The row of results.json, and the smallest pair on which the two differ; None if they do not.
        """
        configuration, reference = self.configuration, self.configuration.same_as[variant]
        settings = (configuration.options.reduction, configuration.options.device, configuration.options.weights)
        ours, theirs = (same.reference_of(each, configuration.networks, *settings) for each in (variant, reference))
        smallest = max(self.subject(each).least for each in (variant, reference))
        row, pair = same.compare(
            (str(variant), str(reference)), ours, theirs, smallest=smallest, tolerance=configuration.options.tolerance
        )
        return {**variant.key._asdict(), **row}, pair

    def threshold(self, graded: GradedDistortion, variant: Variant) -> Row:
        """Return the row of a graded distortion; the first look-up measures all variants of a backbone."""
        if (graded.name, variant) not in self._thresholds:
            together = [each for each in self.configuration.variants if each.backbone == variant.backbone]
            variants = [variant] if isinstance(variant.metric, Metric) else together
            outcomes: Mapping[Variant, Any]
            try:
                outcomes = self.engine(variant.backbone).measure_stack(self._stack(graded), variants)
            except DpsError as error:  # a scene cannot be drawn
                outcomes = dict.fromkeys(variants, error)
            for each, distances in outcomes.items():
                self._thresholds[graded.name, each] = thresholds.row(graded, each.key, distances)
        return self._thresholds[graded.name, variant]

    @functools.cached_property
    def _damaged_photographs(self) -> NDArray[np.uint8]:
        """Photographs with their damaged versions; see `attacks.draw`."""
        pool = self.configuration.images or photographs.built_in()
        return attacks.draw(pool, self.configuration.options.size or attacks.SIZE)

    def attack(self, variant: Variant, bound: int) -> tuple[list[Row], Triple | None]:
        """Attack photographs on a variant; with ``--transfer``, all variants judge them. See `attacks.attack`."""
        others = self.configuration.variants if self.configuration.options.transfer else ()
        judges = list(dict.fromkeys([variant, *others]))
        return attacks.attack(variant, bound, self._damaged_photographs, self.engine, judges)

    def score(self, subset: Subset, variant: Variant) -> ScoreResult:
        """Return a variant's score; the first look-up measures all variants of its backbone.

        Raises:
            StoreError: measured distances cannot be stored.
        """
        try:
            judgments, distances = self._distances[subset.dataset].look_up(subset, variant)
        except StoreError:
            raise
        except DpsError as error:
            return ScoreResult(error=str(error))
        if reason := scores.invalid(distances):
            return ScoreResult(error=reason)
        try:
            estimates = agreement.score(subset, judgments, distances)
        except ValueError as error:
            return ScoreResult(error=f"no score: {error}")
        return ScoreResult(
            estimates=estimates,
            judges=agreement.judges_score(subset.kind, judgments),
            originals=tuple(agreement.scores_by_original(subset, judgments, distances).tolist()),
        )

    def _measure_unit(self, unit: Unit) -> list[Measured]:
        return self._measure(unit, list(self._cases[unit[0]].values()), list(self._variants[unit]))

    def _measure(self, unit: Unit, cases: Sequence[Case], variants: Sequence[Variant]) -> list[Measured]:
        """Measure some cases and variants of a unit."""
        excluded = [variant for variant in variants if self._crashes.excludes(unit, variant)]
        rest = [variant for variant in variants if variant not in excluded]
        triples: list[tuple[Case, Triple]] = []
        measured: list[Measured] = []
        for case in cases:
            triple = self.triple(case)
            if not isinstance(triple, Triple):
                measured += [(case, variant, verdicts.not_measured(str(triple)), None) for variant in variants]
                continue
            triples.append((case, triple))
            for variant in excluded:
                reason = REASON.format(variant.metric.name)
                measured.append((case, variant, verdicts.not_measured(reason), triple.digest))
        if not triples or not rest:
            return measured
        with self._crashes.noting(unit, rest):
            outcomes = self.engine(unit[1]).measure([triple for _, triple in triples], rest)
        for (case, triple), by_variant in zip(triples, outcomes, strict=True):
            digest = triple.digest
            for variant, outcome in by_variant.items():
                verdict = (
                    verdicts.not_measured(str(outcome)) if isinstance(outcome, DpsError) else verdicts.judge(outcome)
                )
                measured.append((case, variant, verdict, digest))
        return measured

    def _keep(self, measured: Iterable[Measured]) -> None:
        for case, variant, verdict, digest in measured:
            row = rows.case_row(case.probe, case.id, variant.key, asdict(verdict), digest)
            self._rows[case.name, variant] = row
