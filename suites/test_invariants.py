"""Invariants of every metric: each test checks one of the pairs of images that Hypothesis draws."""

import math

import numpy as np
import pytest

from dps.errors import ChangedInputError
from dps.image_pairs import ImagePair, noise
from dps.images import Pixels
from dps.invariants import NotApplicableError, Subject, for_image_pairs
from dps.metrics import Metric, Variant
from dps.plugin import Suites
from dps.user_code.guest import threads
from dps.verdicts import SELF_TOLERANCE


@for_image_pairs
def test_finiteness(subject: Subject, pair: ImagePair) -> None:
    """Every distance is a finite number, of flat images and of an image to itself as well."""
    (distance,) = subject.distances((pair.original, pair.other))
    assert math.isfinite(distance), f"the distance is {distance}"


@for_image_pairs
def test_identity(subject: Subject, pair: ImagePair) -> None:
    """The distance of an image to itself is 0, to `SELF_TOLERANCE` of its distance to black or white."""
    distance = subject.distance((pair.original, pair.original))
    tolerance = SELF_TOLERANCE * subject.scale(pair.original)
    assert abs(distance) <= tolerance, f"the distance of an image to itself is {distance:.6g}"


@for_image_pairs
def test_non_negativity(subject: Subject, pair: ImagePair) -> None:
    """No distance is negative; the tolerance is that of identity, since 1 less a similarity is rounded."""
    distance = subject.distance((pair.original, pair.other))
    assert distance >= -SELF_TOLERANCE * subject.scale(pair.original), f"the distance is {distance:.6g}"


@for_image_pairs
def test_symmetry(subject: Subject, pair: ImagePair) -> None:
    """The distance is the same in both directions, unless the metric is declared with ``symmetric=False``."""
    metric = subject.variant.metric
    if isinstance(metric, Metric) and not metric.symmetric:
        raise NotApplicableError("declared not to be symmetric")
    there, back = subject.distance((pair.original, pair.other)), subject.distance((pair.other, pair.original))
    message = f"the distance is {there:.6g} from the original to the other image, but {back:.6g} back"
    assert subject.same(there, back, pair.original), message


@for_image_pairs
def test_batch_invariance(subject: Subject, pair: ImagePair) -> None:
    """The distance of a pair does not depend on the other pairs of its batch."""
    alone, first = subject.distance((pair.original, pair.other)), subject.distance(*batch(pair))
    message = f"the distance is {alone:.6g} alone, but {first:.6g} as the first of four pairs"
    assert subject.same(alone, first, pair.original), message


@for_image_pairs
def test_batch_permutation_equivariance(subject: Subject, pair: ImagePair) -> None:
    """Pairs in reverse order have the same distances in reverse order."""
    first, last = subject.distance(*batch(pair)), subject.distance(*batch(pair)[::-1], place=-1)
    message = f"the distance is {first:.6g} as the first of four pairs, but {last:.6g} as the last"
    assert subject.same(first, last, pair.original), message


@for_image_pairs
def test_unchanged_input(subject: Subject, pair: ImagePair) -> None:
    """A metric or comparison does not change its input."""
    try:
        subject.distances((pair.original, pair.other), as_guests=True)
    except ChangedInputError as error:
        raise AssertionError(str(error)) from None


@for_image_pairs
def test_determinism_across_threads(subject: Subject, pair: ImagePair) -> None:
    """One thread and two threads, which may add in another order, give the same distance."""
    with threads(1):
        one = subject.distance((pair.original, pair.other))
    with threads(2):
        two = subject.distance((pair.original, pair.other))
    message = f"the distance is {one:.6g} on one thread, but {two:.6g} on two"
    assert subject.same(one, two, pair.original), message


@pytest.mark.users
@for_image_pairs
def test_evaluation_mode(subject: Subject, pair: ImagePair) -> None:
    """A pair has the same distance when it is measured again: no dropout, no random numbers."""
    first = subject.distance((pair.original, pair.other))
    (again,) = subject.distances((pair.original, pair.other), as_guests=True)  # cached separately
    message = f"the distance is {first:.6g}, but {again:.6g} when the same pair is measured again"
    assert subject.same(first, again, pair.original), message


@pytest.mark.users
def test_reproducible_construction(variant: Variant, suites: Suites) -> None:
    """A metric that is constructed again, in a new process, gives the same distances: no weights stay random."""
    suites.settle(variant, *suites.session.remake(variant))


@for_image_pairs
def test_finite_gradients(subject: Subject, pair: ImagePair) -> None:
    """The gradient of a finite distance is finite at each pixel of both images.

    A square root at 0, or a division by a norm of 0, has none: of flat images, and of an image and itself.
    """
    subject.distance((pair.original, pair.other))
    gradients = subject.gradients(pair.original, pair.other)
    for image, gradient in zip(("original", "other image"), gradients, strict=True):
        wrong = int((~gradient.isfinite()).sum())
        assert not wrong, f"the gradient at the {image} is not finite in {wrong} of {gradient.numel()} numbers"


def batch(pair: ImagePair) -> list[tuple[Pixels, Pixels]]:
    """Return the pair as the first of four."""
    white, random = np.full_like(pair.original, 255), noise((0, 0, 0), 0)[1](*pair.original.shape[:2])
    return [(pair.original, pair.other), (pair.other, white), (white, random), (random, pair.original)]
