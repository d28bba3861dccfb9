"""Verdicts: the strict rule, by hand and for all distances, and what a verdict says."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from dps import rows, verdicts
from dps.verdicts import CaseDistances, Verdict, judge

NAN, INFINITY = math.nan, math.inf
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


def case(distorted: float, *references: float, itself: float = 0.0) -> CaseDistances:
    """References are named a, b, c in order."""
    return CaseDistances(itself=itself, distorted=distorted, references=dict(zip("abc", references, strict=False)))


# ------------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("distances", "passed", "nearest", "at", "margin"),
    [
        (case(2.0, 5.0, 3.0, 4.0), True, "b", 3.0, 0.5),
        (case(2.0, 5.0, 1.5, 4.0), False, "b", 1.5, -0.25),  # one closer reference is enough
        (case(2.0, 3.0, 2.0), False, "b", 2.0, 0.0),  # a tie
        (case(0.0, 0.0, 0.0), False, "a", 0.0, None),  # of a metric that is always zero
        (case(0.0, 3.0, 2.0), True, "b", 2.0, None),
        (case(1.0, 3.0, 2.0, 2.0), True, "b", 2.0, 1.0),  # of equally near references the first
    ],
)
def test_closer_than_every_reference_passes(
    distances: CaseDistances, passed: bool, nearest: str, at: float, margin: float | None
) -> None:
    assert judge(distances) == Verdict(
        passed=passed,
        distance=distances.distorted,
        nearest_reference=nearest,
        nearest_reference_distance=at,
        margin=margin,
    )


def test_the_next_number_below_the_reference_passes() -> None:
    assert judge(case(math.nextafter(3.0, 0), 3.0)).passed
    assert not judge(case(math.nextafter(3.0, 9), 3.0)).passed


def test_each_layers_contribution_is_passed_on() -> None:
    verdict = judge(
        CaseDistances(
            itself=0.0,
            distorted=3.0,
            references={"a": 9.0, "b": 7.0},
            distorted_layers=(1.0, 2.0),
            reference_layers={"a": (4.0, 5.0), "b": (1.0, 6.0)},
        )
    )
    assert verdict.layers == (1.0, 2.0)
    assert verdict.nearest_reference_layers == (1.0, 6.0)  # those of b


# ------------------------------------------------------------------------------------------- what is not a distance


def test_a_distance_that_is_not_finite_means_that_the_case_could_not_be_measured() -> None:
    """No number is left, whichever distance it is."""
    for distances, error in [
        (case(NAN, 1.0), "the distorted image is nan"),
        (case(INFINITY, 1.0), "the distorted image is inf"),
        (case(1.0, 2.0, NAN), "b is nan"),
        (case(1.0, INFINITY, 2.0), "a is inf"),
        (case(1.0, 2.0, -INFINITY), "b is -inf"),
        (case(-1.0, 2.0, NAN), "b is nan"),  # what makes it unmeasurable is said before what makes it fail
        (case(1.0, 2.0, itself=NAN), "itself is nan"),
        (dataclasses.replace(case(1.0, 2.0), alone=NAN), "the distorted image, alone in a batch, is nan"),
        (dataclasses.replace(case(1.0, 2.0), alone=INFINITY, distorted_layers=(1.0,)), "the distorted image, alone in"),
    ]:
        verdict = judge(distances)
        assert verdict == Verdict(passed=False, error=verdict.error)
        assert verdict.error.startswith(f"the distance of the original to {error}")
        assert verdict.error.endswith(": not finite, so not a distance")
        assert not rows.was_measured(dataclasses.asdict(verdict))


@pytest.mark.parametrize(
    ("distances", "error", "nearest"),
    [
        (case(-0.5, 1.0), "the distorted image is -0.5", 1.0),
        (case(1.0, 2.0, -3.0), "b is -3", -3.0),
    ],
)
def test_a_negative_distance_is_measured_and_fails(distances: CaseDistances, error: str, nearest: float) -> None:
    verdict = judge(distances)
    assert str(verdict) == f"the distance of the original to {error}: negative, so not a distance"
    assert (verdict.passed, verdict.margin) == (False, None)
    assert (verdict.distance, verdict.nearest_reference_distance) == (distances.distorted, nearest)
    assert rows.was_measured(dataclasses.asdict(verdict))


@pytest.mark.parametrize("itself", [0.0, 4e-6, -4e-6])
def test_a_distance_to_itself_of_a_millionth_of_the_largest_reference_is_let_pass(itself: float) -> None:
    assert judge(case(1.0, 2.0, 4.0, itself=itself)).passed


@pytest.mark.parametrize(("itself", "distorted"), [(4.1e-6, 1.0), (4.1e-6, 0.0), (-4.1e-6, 1.0)])
def test_a_larger_distance_to_itself_does_not_pass(itself: float, distorted: float) -> None:
    verdict = judge(case(distorted, 2.0, 4.0, itself=itself))
    assert not verdict.passed
    assert (verdict.distance, verdict.margin) == (distorted, None)
    about = "(to 1e-06 of the largest reference distance, 4)"
    assert verdict.error == f"the distance of the original to itself is {itself:g}, not 0 {about}"


@pytest.mark.parametrize(("alone", "passes"), [(1.0, True), (1.0003, True), (1.0005, False)])
def test_a_distance_that_is_another_one_alone_does_not_pass(alone: float, passes: bool) -> None:
    verdict = judge(dataclasses.replace(case(1.0, 2.0, 4.0), alone=alone))  # to 1e-4 of 4
    assert (verdict.passed, verdict.distance) == (passes, 1.0)
    said = f"the distance of the original to the distorted image is 1 in a batch and {alone:.5g} alone"
    assert verdict.error == ("" if passes else said)


def test_any_distance_to_itself_is_too_large_where_all_references_are_at_zero() -> None:
    assert judge(case(0.0, 0.0, itself=1e-30)).error


# ------------------------------------------------------------------------------------------- the margin


@given(POSITIVE, st.lists(POSITIVE, min_size=1, max_size=3))
def test_the_margin_is_positive_exactly_where_the_case_passes(distorted: float, references: list[float]) -> None:
    verdict = judge(case(distorted, *references))
    assert verdict.passed == all(distorted < reference for reference in references)
    if verdict.margin is None:  # reference / distorted is beyond the largest float
        assert min(references) / distorted == INFINITY
    else:
        assert (verdict.margin > 0) == verdict.passed
        assert verdict.margin >= -1


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.integers(-20, 20))
def test_the_margin_has_no_unit(distorted: float, reference: float, exponent: int) -> None:
    factor = 2.0**exponent  # exact in binary
    assert verdicts.margin(factor * distorted, factor * reference) == verdicts.margin(distorted, reference)


@given(st.lists(st.floats(), min_size=3, max_size=5))
def test_whatever_the_numbers_there_is_a_verdict_of_finite_numbers(numbers: list[float]) -> None:
    itself, distorted, *references = numbers
    verdict = judge(case(distorted, *references, itself=itself))
    kept = (verdict.distance, verdict.nearest_reference_distance)
    assert (kept == (None, None)) == (not all(map(math.isfinite, numbers)))
    assert all(number is None or math.isfinite(number) for number in (*kept, verdict.margin))
    assert verdict.passed == (
        all(0 <= number < INFINITY for number in numbers[1:])
        and distorted < min(references)
        and abs(itself) <= 1e-6 * max(references)
    )
    assert "\n" not in str(verdict)


# ------------------------------------------------------------------------------------------- pass fractions


def test_wilson_agrees_with_scipy() -> None:
    for cases in (1, 5, 48, 200):
        for passed in range(cases + 1):
            expected = binomtest(passed, cases).proportion_ci(confidence_level=0.95, method="wilson")
            assert verdicts.wilson(passed, cases) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_by_hand() -> None:
    """(p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), with z = 1.95996, of 8 of 10 and 0 of 5."""
    assert verdicts.wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-7)
    assert verdicts.wilson(0, 5) == pytest.approx((0, 0.4344825), abs=1e-7)  # z^2 / (n + z^2)
    assert verdicts.wilson(24, 24) == pytest.approx((0.8620238, 1), abs=1e-7)  # n / (n + z^2)


# ------------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("distances", "text"),
    [
        (case(1.00123456, 0.9782), "distorted at 1.0012, but reference 'a' at 0.9782 (margin -2.3%)"),
        (case(2.0, 3.0), "distorted at 2, and reference 'a' at 3 (margin +50.0%)"),
        (case(2.0, 2.0), "distorted at 2, but reference 'a' at 2 (margin +0.0%)"),
        (case(0.0, 2.0), "distorted at 0, and reference 'a' at 2 (no margin)"),
        (case(0.0, 0.0), "distorted at 0, but reference 'a' at 0 (no margin)"),
    ],
)
def test_a_verdict_in_one_line(distances: CaseDistances, text: str) -> None:
    assert str(judge(distances)) == text


def test_a_case_that_could_not_be_measured_says_why() -> None:
    verdict = verdicts.not_measured("metric 'mine': ValueError: no")
    assert (verdict.passed, verdict.distance, verdict.margin) == (False, None, None)
    assert str(verdict) == "metric 'mine': ValueError: no"
