"""One run in progress: each unit of work is measured when one of its results is first looked up."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dps import agreement, memory
from dps.agreement import DatasetDistances, Subset
from dps.errors import DpsError, StoreError
from dps.images import Triple
from dps.measurement import Engine
from dps.metrics import Variant
from dps.probes import Case
from dps.scores import Estimate
from dps.session.configuration import RunConfiguration, Unit
from dps.verdicts import Verdict, judge, not_measured

UNITS_BETWEEN = 20
"""How many units are measured before free memory is given back, which takes about 0.1 s of CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
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
class ScoreResult:
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


class Session:
    """All answers of a run; the first look-up of a unit measures it.

    Args:
        configuration: what is asked.
        selected: cases that will be looked up; nothing else is drawn or measured.
        scored: the variants whose scores will be.
    """

    def __init__(
        self, configuration: RunConfiguration, selected: Iterable[tuple[Case, Variant]], scored: Sequence[Variant] = ()
    ) -> None:
        self._question = configuration
        wanted = {(case.name, variant) for case, variant in selected}
        self._cases: dict[Unit, dict[str, Case]] = {}
        self._variants: dict[Unit, dict[Variant, None]] = {}
        self._batch_of: dict[str, int] = {}
        for unit, case, variant in configuration.items():
            if (case.name, variant) not in wanted:
                continue
            self._cases.setdefault(unit, {})[case.name] = case
            self._variants.setdefault(unit, {})[variant] = None
            self._batch_of[case.name] = unit[0]
        self._engines: dict[str | None, Engine] = {}
        self._drawn: dict[str, Triple | DpsError] = {}
        self._answers: dict[Unit, dict[tuple[str, Variant], CaseResult]] = {}
        self._scored = scored

    def score(self, subset: Subset, variant: Variant) -> ScoreResult:
        """How well a variant agrees with those who judged; the first look-up measures all of its network.

        Raises:
            StoreError: what was measured cannot be kept. Running again goes on from there.
        """
        try:
            judgments, distances = self.distances.of(subset, variant)
        except StoreError:
            raise
        except DpsError as error:
            return ScoreResult(estimate=None, error=str(error))
        if not np.isfinite(distances).all() or (distances < 0).any():
            wrong = distances[~(np.isfinite(distances) & (distances >= 0))]
            return ScoreResult(
                estimate=None, error=f"{wrong.size} of {distances.size} distances are none, the first is {wrong[0]}"
            )
        each = agreement.triplet_scores(subset.kind, judgments, distances)
        return ScoreResult(
            estimate=agreement.score(subset, judgments, distances),
            judges=agreement.judges_score(subset.kind, judgments),
            triplets=() if each is None else tuple(each.tolist()),
        )

    @functools.cached_property
    def distances(self) -> DatasetDistances:
        """Of the data set."""
        return self._question.distances(self._scored, self.engine)

    def __getitem__(self, asked: tuple[Case, Variant]) -> CaseResult:
        case, variant = asked
        unit = self._batch_of[case.name], variant.network
        if unit not in self._answers:
            self._answers[unit] = self._measure(unit)
            if len(self._answers) % UNITS_BETWEEN == 0:
                memory.give_back()
        return self._answers[unit].pop((case.name, variant))

    def _measure(self, unit: Unit) -> dict[tuple[str, Variant], CaseResult]:
        cases, variants = self._cases[unit], tuple(self._variants[unit])
        drawn = self._draw(cases)
        answers = {
            (name, variant): CaseResult(verdict=not_measured(str(error)), drawing_failed=True)
            for name, error in drawn.items()
            if isinstance(error, DpsError)
            for variant in variants
        }
        triples = {name: triple for name, triple in drawn.items() if isinstance(triple, Triple)}
        if triples:
            outcomes = self.engine(unit[1]).measure(list(triples.values()), variants)
            for (name, triple), by_variant in zip(triples.items(), outcomes, strict=True):
                digest = triple.digest
                for variant, outcome in by_variant.items():
                    verdict = not_measured(str(outcome)) if isinstance(outcome, DpsError) else judge(outcome)
                    answers[name, variant] = CaseResult(
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

    def engine(self, network: str | None) -> Engine:
        """The one that measures on a network, or metrics without one; loads the network at the first look-up."""
        if network not in self._engines:
            self._engines[network] = self._question.engine(network)
        return self._engines[network]
