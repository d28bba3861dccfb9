"""Checks of invariants on pairs of images that Hypothesis draws and shrinks.

The invariants are the tests of ``suites/test_invariants.py``. Here is what they measure of a variant, and the search
for the smallest pair that breaks one.
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
"""Height and width in pixels of the smallest images where a metric declares no smallest size: those of BAPPS."""


class NotApplicableError(Exception):
    """An invariant does not concern a variant; the message is the reason."""


class NotFiniteError(Exception):
    """A distance is not finite, which only the invariant of finiteness reports."""


class Subject:
    """One variant under test, among all of the run: those of one network get the same images, and are measured at once.

    Subjects of a run share the cache of measurements.
    """

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
        """Height and width, in pixels, of the smallest images that the variant is known to take."""
        metric = self.variant.metric
        if isinstance(metric, Metric):
            return metric.smallest
        assert self._engine.extractor is not None
        return self._engine.extractor.smallest

    def distances(self, *pairs: tuple[Pixels, Pixels], as_guests: bool = False) -> list[float]:
        """Measure pairs of images of one size in one batch.

        As guests, built-in functions are checked for what they do to their input, too, as users' always are.

        Raises:
            DpsError: the metric raised.
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
        """Return one of the distances of a batch; a NotFiniteError where it is not finite."""
        distance = self.distances(*pairs)[place]
        if not math.isfinite(distance):
            raise NotFiniteError
        return distance

    def scale(self, image: Pixels) -> float:
        """Return the larger of an image's distances to black and white; 0 where neither is positive and finite."""
        distances = self.distances(*((image, np.full_like(image, value)) for value in (0, 255)))
        return max([0.0, *filter(math.isfinite, distances)])

    def same(self, distance: float, other: float, image: Pixels) -> bool:
        """Compare two distances of an image, to `BATCH_TOLERANCE` of the larger or `SELF_TOLERANCE` of its scale."""
        tolerance = max(BATCH_TOLERANCE * max(abs(distance), abs(other)), SELF_TOLERANCE * self.scale(image))
        return abs(distance - other) <= tolerance

    def gradients(self, original: Pixels, other: Pixels) -> list[Tensor]:
        """Return the gradients of a distance at both images, RGB in [0, 1], each ``(1, 3, height, width)``."""
        batches = [as_batch([image]).requires_grad_() for image in (original, other)]
        return gradients(DifferentiableDistance(self.variant, self._engine), *batches)


def _as_guest(variant: Variant) -> Variant:
    """Have built-in functions called as users' are, with a check of what they do to their input."""
    metric = variant.metric
    if isinstance(metric, Metric):
        return replace(variant, metric=replace(metric))  # a copy is not the built-in one
    terms = tuple(replace(term, comparison=partial(term.comparison)) for term in metric.terms)
    return replace(variant, metric=replace(metric, terms=terms))


Check: TypeAlias = Callable[[Subject, ImagePair], None]
"""An invariant, of one pair: raises AssertionError where it is broken."""


PairOutcome: TypeAlias = tuple[bool | None, str, str, ImagePair]
"""Of one pair ``holds``, ``reason`` and ``error`` of a row of results.json, and the pair."""


def examine(
    check: Check, subject: Subject, *, examples: int | None = None, derandomize: bool = True
) -> tuple[Row, ImagePair | None]:
    """Check an invariant on pairs of images, and shrink a pair that breaks it.

    Without a number of examples it is that of Hypothesis's current profile; derandomized, the pairs are the same in
    each run, whatever Hypothesis's seed.

    Returns:
        The row of results.json, whose ``holds`` is None where the invariant does not concern the variant, or where it
        could not be measured, as ``error`` then says; and the smallest pair that breaks the invariant, or one that
        could not be measured.
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
        guest.threads(1),  # images are so small that a second thread only waits
        contextlib.suppress(hypothesis.errors.NoSuchExample, hypothesis.errors.Flaky),  # flaky: not broken each time
    ):
        hypothesis.find(image_pairs(subject.smallest), breaks, settings=settings)

    return _summarized(check, subject, outcomes)


def examine_pairs(check: Check, subject: Subject, pairs: Iterable[ImagePair]) -> tuple[Row, ImagePair | None]:
    """Check an invariant on given pairs of images; see `examine`."""
    return _summarized(check, subject, [(*_outcome(check, subject, pair), pair) for pair in pairs])


def _summarized(check: Check, subject: Subject, outcomes: Sequence[PairOutcome]) -> tuple[Row, ImagePair | None]:
    # a broken invariant counts first, then an error, then why it does not apply; the smallest broken pair is tried last
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
    """Return ``holds``, ``reason`` and ``error`` of one pair; neither of the three where no distance is finite."""
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
    """Return what went wrong in a few lines, and write the images of the pair to a folder as PNG."""
    name, label, error = row["invariant"], variant_key(row).label, row["error"]
    fault = f"{label} could not be measured: {error}" if error else f"{name} does not hold for {label}: "
    lines = [f"{fault}{row['reason']}."]
    if pair is not None:
        lines.append(f"  {'pair' if error else 'smallest pair'}: {pair.text}")
        lines.append(f"  {save(pair, folder, f'{name}-{label}')}")
    return "\n".join(lines)


def save(pair: ImagePair, folder: Path, name: str) -> str:
    """Write the images of a pair to a folder as PNG, and return where they are, or why they are not, in one line."""
    stem = folder / files.safe_name(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        images.write(Path(f"{stem}-original.png"), pair.original)
        images.write(Path(f"{stem}-other.png"), pair.other)
    except OSError as problem:
        return f"not written to {folder}: {problem.strerror or problem}"
    return f"{stem}-{{original,other}}.png"


def for_image_pairs(check: Check) -> Callable[[Variant, Any], None]:
    """Turn a check of one pair into a test of the pairs that Hypothesis draws."""

    def test(variant: Variant, suites: Any) -> None:  # `dps.plugin.Suites`
        suites.hold(check, variant)

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test
