"""Invariants on pairs of images that Hypothesis draws: measuring a variant, and searching for the smallest violation.

The invariants themselves are the tests of ``suites/test_invariants.py``.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from dps import files, images
from dps.differentiable import DifferentiableDistance, NotDifferentiableError, gradients
from dps.errors import DpsError, one_line
from dps.image_pairs import ImagePair, image_pairs
from dps.images import Pixels, as_batch
from dps.measurement import Engine
from dps.metrics import Metric, Variant
from dps.rows import Row, variant_key
from dps.user_code import guest
from dps.verdicts import BATCH_TOLERANCE, SELF_TOLERANCE

DEFAULT_SMALLEST = 64
"""Height and width of the smallest images, in pixels, for a metric that declares no smallest size: those of BAPPS."""


class NotApplicableError(Exception):
    """An invariant does not apply to a variant; the message is the reason."""


class NotFiniteError(Exception):
    """A distance is not finite, which only the invariant ``finiteness`` reports."""


class Subject:
    """A variant under test; variants of one backbone are measured at once, and subjects share a cache of distances."""

    def __init__(
        self,
        variant: Variant,
        variants: Sequence[Variant],
        engine: Engine,
        cache: dict[object, Mapping[Variant, Any]],
    ) -> None:
        self.variant, self._engine, self._cache = variant, engine, cache
        same_network = [each for each in variants if each.backbone == variant.backbone]
        self._group = [variant] if variant.network is None else same_network

    @property
    def smallest(self) -> int:
        """Height and width of the smallest images, in pixels."""
        return self.least if self.least > 1 or self.variant.network is not None else DEFAULT_SMALLEST

    @property
    def least(self) -> int:
        """Height and width, in pixels, of the smallest images that the variant accepts, as far as declared."""
        metric = self.variant.metric
        if isinstance(metric, Metric):
            return metric.smallest
        assert self._engine.extractor is not None
        return self._engine.extractor.smallest

    def distances(self, *pairs: tuple[Pixels, Pixels], as_guests: bool = False) -> list[float]:
        """Measure pairs of images of one size in one batch.

        With `as_guests`, built-in functions are checked for changes of their input, as users' always are.

        Raises:
            DpsError: the metric failed.
        """
        stack = np.stack([np.stack(pair) for pair in pairs])
        key = (as_guests, self.variant.backbone or self.variant, torch.get_num_threads(), images.digest([stack]))
        if key not in self._cache:
            group = [_as_guest(variant) for variant in self._group] if as_guests else self._group
            self._cache[key] = self._engine.measure_stack(stack, group)
        outcome = self._cache[key][self.variant]
        if isinstance(outcome, DpsError):
            raise outcome
        distances: list[float] = outcome[:, 0].tolist()
        return distances

    def distance(self, *pairs: tuple[Pixels, Pixels], place: int = 0) -> float:
        """Return one distance of a batch; raise a NotFiniteError if it is not finite."""
        distance = self.distances(*pairs)[place]
        if not math.isfinite(distance):
            raise NotFiniteError
        return distance

    def scale(self, image: Pixels) -> float:
        """Return the larger of an image's distances to black and white; 0 if neither is positive and finite."""
        distances = self.distances(*((image, np.full_like(image, value)) for value in (0, 255)))
        return max([0.0, *filter(math.isfinite, distances)])

    def same(self, distance: float, other: float, image: Pixels) -> bool:
        """Return whether two distances agree, to `BATCH_TOLERANCE` of the larger or `SELF_TOLERANCE` of the scale."""
        tolerance = max(BATCH_TOLERANCE * max(abs(distance), abs(other)), SELF_TOLERANCE * self.scale(image))
        return abs(distance - other) <= tolerance

    def gradients(self, original: Pixels, other: Pixels) -> list[Tensor]:
        """Return the gradients of a distance at both images, RGB in [0, 1], each ``(1, 3, height, width)``."""
        batches = [as_batch([image]).requires_grad_() for image in (original, other)]
        return gradients(DifferentiableDistance(self.variant, self._engine), *batches)


def _as_guest(variant: Variant) -> Variant:
    """Return a variant whose built-in functions are called and checked as users' are."""
    metric = variant.metric
    if isinstance(metric, Metric):
        return replace(variant, metric=replace(metric))  # a copy is not the built-in one
    terms = tuple(replace(term, comparison=partial(term.comparison)) for term in metric.terms)
    return replace(variant, metric=replace(metric, terms=terms))


Check: TypeAlias = Callable[[Subject, ImagePair], None]
"""An invariant of one pair; raises AssertionError if it is violated."""


PairOutcome: TypeAlias = tuple[bool | None, str, str, ImagePair]
"""``holds``, ``reason`` and ``error`` of a row of results.json, and the pair."""


def examine(
    check: Check, subject: Subject, *, examples: int | None = None, derandomize: bool = True
) -> tuple[Row, ImagePair | None]:
    """Check an invariant on pairs of images, and shrink a pair that violates it.

    Args:
        check: the invariant.
        subject: the variant.
        examples: number of pairs; that of Hypothesis's current profile if None.
        derandomize: draw the same pairs in each run, whatever Hypothesis's seed.

    Returns:
        The row of results.json, whose ``holds`` is None if the invariant does not apply or could not be measured; and
        the smallest pair that violates the invariant or could not be measured, if any.
    """
    import hypothesis

    outcomes: list[PairOutcome] = []

    def breaks(pair: ImagePair) -> bool:
        outcomes.append((*_outcome(check, subject, pair), pair))
        return outcomes[-1][0] is False

    settings = hypothesis.settings(
        max_examples=examples or hypothesis.settings().max_examples,
        derandomize=derandomize,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        database=None,
        deadline=None,
        verbosity=hypothesis.Verbosity.quiet,
        print_blob=False,
    )
    with (
        guest.threads(1),  # a second thread does not help with images this small
        contextlib.suppress(hypothesis.errors.NoSuchExample, hypothesis.errors.Flaky),  # flaky: not violated each time
    ):
        hypothesis.find(image_pairs(subject.smallest), breaks, settings=settings)

    return _summarized(check, subject, outcomes)


def examine_pairs(check: Check, subject: Subject, pairs: Iterable[ImagePair]) -> tuple[Row, ImagePair | None]:
    """Check an invariant on given pairs of images; see `examine`."""
    return _summarized(check, subject, [(*_outcome(check, subject, pair), pair) for pair in pairs])


def _summarized(check: Check, subject: Subject, outcomes: Sequence[PairOutcome]) -> tuple[Row, ImagePair | None]:
    # a violation counts first, then an error, then a reason; Hypothesis tries the smallest violation last
    holds, reason, error, pair = min(
        reversed(outcomes), key=lambda o: (o[0] is not False, not o[2], not o[1], not o[0])
    )
    shown = holds is False or bool(error)
    if holds is None and not reason and not error:
        error = "no pair of images has a finite distance"
    row = {
        "invariant": check.__name__.removeprefix("test_"),
        **subject.variant.key._asdict(),
        "holds": holds,
        "reason": reason,
        "error": error,
        "pair": pair.text if shown else None,
        "examples": len(outcomes),
    }
    return row, pair if shown else None


def _outcome(check: Check, subject: Subject, pair: ImagePair) -> tuple[bool | None, str, str]:
    """Return ``holds``, ``reason`` and ``error`` of one pair; None and empty texts if a distance is not finite."""
    try:
        check(subject, pair)
    except AssertionError as error:
        return False, str(error).partition("\n")[0], ""
    except NotFiniteError:
        return None, "", ""
    except (NotApplicableError, NotDifferentiableError) as error:
        return None, str(error), ""
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        return None, "", str(error).removesuffix(".") if isinstance(error, DpsError) else one_line(error)
    return True, "", ""


def explain(row: Row, pair: ImagePair | None, folder: Path) -> str:
    """Describe a violation or an error in a few lines, and write the images of the pair to a folder as PNG."""
    name, label, error = row["invariant"], variant_key(row).label, row["error"]
    fault = f"{label} could not be measured: {error}" if error else f"{name} does not hold for {label}: "
    lines = [f"{fault}{row['reason']}."]
    if pair is not None:
        lines.append(f"  {'pair' if error else 'smallest pair'}: {pair.text}")
        lines.append(f"  {save(pair, folder, f'{name}-{label}')}")
    return "\n".join(lines)


def save(pair: ImagePair, folder: Path, name: str) -> str:
    """Write the images of a pair to a folder as PNG; return their paths, or why they were not written, in one line."""
    stem = folder / files.safe_name(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        images.write(Path(f"{stem}-original.png"), pair.original)
        images.write(Path(f"{stem}-other.png"), pair.other)
    except OSError as problem:
        return f"not written to {folder}: {problem.strerror or problem}"
    return f"{stem}-{{original,other}}.png"


def for_image_pairs(check: Check) -> Callable[[Variant, Any], None]:
    """Turn a check of one pair into a test on pairs that Hypothesis draws."""

    def test(variant: Variant, suites: Any) -> None:  # `dps.plugin.Suites`
        suites.hold(check, variant)

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test
