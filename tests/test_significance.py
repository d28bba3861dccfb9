"""Comparing with another metric: by hand, against SciPy's permutations, and what holds for all outcomes."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dps import significance
from dps.rows import VariantKey
from dps.significance import ComparisonResult, Conclusion, MatchedOutcomes, compare, match_cases
from tests.rows import row as made_up_row

WORSE, NOT_WORSE, CANNOT_TELL = Conclusion


def scores(own: Sequence[float], others: Sequence[float], **changed: Any) -> MatchedOutcomes:
    """2AFC scores of two metrics on the same triplets."""
    made = {"subject": "2afc/cnn", "variant": VariantKey("vgg16", "unit", "sort"), "other": "spatial"}
    arrays = {"outcomes": np.array(own, dtype=float), "other_outcomes": np.array(others, dtype=float)}
    return MatchedOutcomes(**{**made, **arrays, "unit": "triplets", **changed})


def cases(*, lost: int = 0, won: int = 0, both: int = 0, neither: int = 0, **changed: Any) -> MatchedOutcomes:
    """Cases of a probe by which metric passes them."""
    own = [0] * lost + [1] * won + [1] * both + [0] * neither
    others = [1] * lost + [0] * won + [1] * both + [0] * neither
    return scores(own, others, subject="rotate", unit="cases", **changed)


def alone(matched: MatchedOutcomes) -> ComparisonResult:
    (result,) = compare([matched])
    return result


TENTHS = st.integers(0, 10).map(lambda n: n / 10)
SCORES = st.lists(st.tuples(TENTHS, TENTHS), min_size=2, max_size=9)
COUNTS = st.builds(
    cases, lost=st.integers(0, 9), won=st.integers(0, 9), both=st.integers(0, 9), neither=st.integers(0, 9)
)
PAIRS = st.lists(COUNTS | SCORES.map(lambda rows: scores([a for a, _ in rows], [b for _, b in rows])), max_size=6)

# ------------------------------------------------------------------------------------------- Holm


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        # in order: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 1 * 0.04, which may not be smaller than the one before
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([], []),
        ([0.03125], [0.03125]),
        ([0.6, 0.5], [1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)
def test_holm_by_hand(p_values: list[float], adjusted: list[float]) -> None:
    assert significance.holm(p_values) == pytest.approx(adjusted)


# ------------------------------------------------------------------------------------------- p-values


@pytest.mark.parametrize(
    ("lost", "won", "p_value"),
    [
        (5, 0, 1 / 32),
        (3, 1, 5 / 16),  # 4 + 1 of 16 ways
        (1, 3, 15 / 16),
        (2, 2, 11 / 16),
        (0, 5, 1.0),
        (0, 0, 1.0),
    ],
)
def test_the_sign_test_by_hand(lost: int, won: int, p_value: float) -> None:
    result = alone(cases(lost=lost, won=won, both=7, neither=3))
    assert result.p_value == result.adjusted_p_value == pytest.approx(p_value)
    assert f"({lost} of {lost + won + 10} cases worse, {won} better" in str(result)
    assert result.matched.mean_difference == pytest.approx((won - lost) / (lost + won + 10))


def test_the_sign_flip_test_by_hand() -> None:
    # differences -0.6, -0.2, 0.2, 0: of 8 ways to sign three of them, -1, and -0.6 with either 0.2 lost
    result = alone(scores([0.2, 0.4, 0.6, 0.8], [0.8, 0.6, 0.4, 0.8]))
    assert result.p_value == pytest.approx(3 / 8)
    assert result.matched.mean_difference == pytest.approx(-0.15)


@settings(deadline=None, max_examples=60)
@given(SCORES)
def test_scipys_permutations_give_the_same(rows: list[tuple[float, float]]) -> None:
    own, others = (np.array(column) for column in zip(*rows, strict=True))
    expected = stats.permutation_test(
        (np.rint(10 * own), np.rint(10 * others)),  # whole numbers, whose sums tie exactly
        lambda a, b, axis: (a - b).sum(axis=axis),
        permutation_type="samples",
        alternative="less",
        n_resamples=2 ** len(own),
        vectorized=True,
    )
    assert alone(scores(list(own), list(others))).p_value == pytest.approx(expected.pvalue)


def test_a_p_value_is_never_zero() -> None:
    for others in ([1.0] * 900, [0.2, 0.4, 0.6, 0.8, 1.0] * 1000):  # the latter's by Fourier transforms
        result = alone(scores([0.0] * len(others), others))
        assert 0 < result.p_value < 1e-15
        assert result.conclusion is WORSE


def test_differences_that_are_not_tenths_are_tested_in_hundredths() -> None:
    thirds = [1 / 3, 2 / 3, 1.0, 0.0, 1 / 3]
    result = alone(scores([1 - score for score in thirds], thirds))
    # 0.33, -0.33, -1, 1, 0.33: a sum of 0.33 or less, of +-1 +-1 +-0.33 +-0.33 +-0.33. Below 0: 2 of 4 for the
    # ones, 1/4 at -2 with all 8, 1/2 at 0 with 7 of 8 (all but +0.99), 1/4 at 2 with none
    assert result.p_value == pytest.approx(1 / 4 + 1 / 2 * 7 / 8)
    assert result.matched.mean_difference == pytest.approx(1 / 15)


# ------------------------------------------------------------------------------------------- conclusions


@pytest.mark.parametrize(
    ("matched", "conclusion"),
    [
        (cases(lost=5, both=5), WORSE),  # 1/32
        (cases(lost=7, won=1), WORSE),  # 9/256
        (cases(lost=4, both=5), CANNOT_TELL),  # 1/16
        (cases(lost=6, won=1), CANNOT_TELL),  # 8/128
        (cases(both=5), NOT_WORSE),  # had all five been lost, 1/32
        (cases(both=4, neither=50), CANNOT_TELL),  # had all four been lost, 1/16
        (cases(lost=2, won=2, both=3), NOT_WORSE),
        (cases(lost=2, won=1, both=30), CANNOT_TELL),  # a loss, however small
        (cases(won=46, both=13), NOT_WORSE),
        (cases(won=5), NOT_WORSE),  # nothing to lose, but five won is 1/32
        (cases(won=4), CANNOT_TELL),
        (cases(neither=99), CANNOT_TELL),
        (cases(), CANNOT_TELL),
        (cases(won=5, both=99, not_measured=1), CANNOT_TELL),  # the case that broke may be the one that is lost
        (cases(lost=5, both=5, not_measured=1), WORSE),
        (scores([0.2] * 5, [0.8] * 5), WORSE),
        (scores([0.2] * 4, [0.8] * 4), CANNOT_TELL),
        (scores([0.8] * 5, [0.8] * 5), NOT_WORSE),
        (scores([0.8] * 4, [0.8] * 4), CANNOT_TELL),
        (scores([0.2] * 99, [0.2] * 99), CANNOT_TELL),  # the other one is wrong everywhere
        (scores([0.8] * 5, [0.2] * 5), NOT_WORSE),
        (scores([0.8, 0.6, 0.0] * 5, [0.6, 0.0, 0.8] * 5), NOT_WORSE),  # gains and losses add up to 0
        (scores([], []), CANNOT_TELL),
    ],
)
def test_conclusions_by_hand(matched: MatchedOutcomes, conclusion: Conclusion) -> None:
    assert alone(matched).conclusion is conclusion


def test_the_more_comparisons_the_more_it_takes() -> None:
    twice = compare([cases(lost=5, both=15)] * 2)  # 2/32 each
    assert [result.adjusted_p_value for result in twice] == pytest.approx([1 / 16, 1 / 16])
    assert [result.conclusion for result in twice] == [CANNOT_TELL] * 2
    step_down = compare([cases(lost=5, both=15), cases(lost=6, both=14)])  # 2/64, then 1/32
    assert [result.adjusted_p_value for result in step_down] == pytest.approx([1 / 32, 1 / 32])
    assert [result.conclusion for result in step_down] == [WORSE] * 2
    assert [result.conclusion for result in compare([cases(both=5)] * 2)] == [CANNOT_TELL] * 2
    assert [result.conclusion for result in compare([cases(both=6)] * 2)] == [NOT_WORSE] * 2
    assert compare([]) == []


@settings(deadline=None)
@given(PAIRS, st.randoms(use_true_random=False))
def test_properties_of_all_comparisons(matched: list[MatchedOutcomes], rng: random.Random) -> None:
    results = compare(matched)
    swapped = [scores(list(pair.other_outcomes), list(pair.outcomes), unit=pair.unit) for pair in matched]
    for pair, one, other in zip(matched, results, compare(swapped), strict=True):
        assert one.matched is pair
        assert 0 < one.p_value <= one.adjusted_p_value <= 1
        assert (one.conclusion is WORSE) == (one.adjusted_p_value <= 0.05)
        assert one.conclusion is not WORSE or pair.mean_difference < 0
        assert one.conclusion is not NOT_WORSE or pair.mean_difference >= 0
        assert pair.mean_difference == -other.matched.mean_difference
        assert {one.conclusion, other.conclusion} != {WORSE}
        assert one.p_value + other.p_value >= 1 - 1e-9  # what happened is in both tails
        assert len(str(one)) <= 110
    order = rng.sample(range(len(matched)), len(matched))
    assert list(map(str, compare([matched[place] for place in order]))) == [str(results[place]) for place in order]


# ------------------------------------------------------------------------------------------- matching


def row(metric: str, case: str, passed: bool, place: str = "alexnet-none", **changed: Any) -> dict[str, Any]:
    network, _, normalization = place.partition("-")
    names = {"case": case, "metric": metric, "network": network or None, "normalization": normalization or None}
    return made_up_row(0.5 if passed else -0.5, **names, **changed)


def places(matched: list[MatchedOutcomes]) -> list[tuple[str, str]]:
    return [(pair.subject, pair.variant.label) for pair in matched]


def test_rows_are_matched_case_by_case() -> None:
    rows = [
        *(row("sort", case, passed) for case, passed in {"a": True, "b": False, "c": True, "d": True}.items()),
        *(row("mean", case, passed) for case, passed in {"b": True, "a": False, "c": True, "e": True}.items()),
    ]
    (matched,) = match_cases(random.Random(0).sample(rows, len(rows)), "mean")
    assert (matched.subject, matched.variant, matched.other) == ("rotate", ("alexnet", "none", "sort"), "mean")
    pairs = zip(matched.outcomes.tolist(), matched.other_outcomes.tolist(), strict=True)
    assert sorted(pairs) == [(0, 1), (1, 0), (1, 1)]  # b, a, c
    assert matched.not_measured == 2  # d and e


@pytest.mark.parametrize("broken", ["sort", "mean"])
def test_a_case_that_one_of_them_could_not_measure_is_left_out_and_counted(broken: str) -> None:
    rows = [row(metric, str(n), True) for metric in ("sort", "mean") for n in range(9)]
    rows += [row(metric, "x", False, distance=None) if metric == broken else row(metric, "x", True)
             for metric in ("sort", "mean")]  # fmt: skip
    (matched,) = match_cases(rows, "mean")
    assert (len(matched.outcomes), matched.not_measured) == (9, 1)
    assert str(alone(matched)) == (
        "rotate: sort against mean on alexnet (none): cannot tell (0 of 9 cases worse, 0 better, 1 not measured "
        "with both)"
    )


def test_pairs_share_network_and_normalization_and_probe() -> None:
    rows = [
        row(metric, "a", True, place, probe=probe)
        for metric in ("sort", "mean", "spatial")
        for place in ("alexnet-none", "alexnet-unit", "vgg16-none")
        for probe in ("rotate", "invert")
        if (metric, place) != ("mean", "vgg16-none")
    ]
    assert places(match_cases(rows, "mean")) == [
        (probe, f"alexnet-{normalization}-{metric}")
        for metric in ("sort", "spatial")
        for probe in ("invert", "rotate")
        for normalization in ("none", "unit")
    ]


@pytest.mark.parametrize(
    ("rows", "other", "labels"),
    [
        ([row("pixel", "a", False, ""), row("sort", "a", True), row("sort", "a", True, "vgg16-unit")], "sort",
         ["alexnet-none-pixel", "vgg16-unit-pixel"]),
        ([row("pixel", "a", False, ""), row("sort", "a", True), row("sort", "a", True, "vgg16-unit")], "pixel",
         ["alexnet-none-sort", "vgg16-unit-sort"]),
        ([row("pixel", "a", False, ""), row("my.py:name", "a", True, "")], "pixel", ["my.py:name"]),
        ([row("t", "a", True, "alexnet-mixed"), row("sort", "a", True), row("sort", "a", True, "alexnet-unit")], "sort",
         ["alexnet-none-t", "alexnet-unit-t"]),
        ([row("t", "a", True, "alexnet-mixed"), row("sort", "a", True), row("sort", "a", True, "vgg16-unit")], "t",
         ["alexnet-none-sort"]),
        ([row("t", "a", True, "alexnet-mixed"), row("pixel", "a", False, "")], "pixel", ["alexnet-mixed-t"]),
        ([row("sort", "a", True)], "sort", []),
        ([row("sort", "a", True)], "mean", []),
    ],
)  # fmt: skip
def test_metrics_without_a_network_and_tuned_ones_are_paired_with_each(
    rows: Any, other: str, labels: list[str]
) -> None:
    assert places(match_cases(rows, other)) == [("rotate", label) for label in labels]


def test_a_probe_without_a_common_case_is_inconclusive() -> None:
    (result,) = compare(match_cases([row("sort", "a", True), row("mean", "b", True)], "mean"))
    assert (len(result.matched.outcomes), result.matched.not_measured, result.conclusion) == (0, 2, CANNOT_TELL)


def test_scores_are_matched_by_subset() -> None:
    sort, mean = VariantKey("vgg16", "unit", "sort"), VariantKey("vgg16", "unit", "mean")
    by_variant = {("2afc/cnn", sort): [0.2, 0.4], ("2afc/cnn", mean): [0.8, 0.6], ("2afc/color", sort): [1.0]}
    (matched,) = significance.match(by_variant, "mean", "triplets")
    assert (matched.subject, matched.variant, matched.unit) == ("2afc/cnn", sort, "triplets")
    assert (matched.outcomes.tolist(), matched.other_outcomes.tolist()) == ([0.2, 0.4], [0.8, 0.6])


@pytest.mark.parametrize(
    ("matched", "words"),
    [
        (cases(lost=5, both=5), "worse (5 of 10 cases worse, 0 better, p = 0.031)"),
        (cases(lost=2, both=48), "cannot tell (2 of 50 cases worse, 0 better)"),
        (cases(won=3, not_measured=2), "cannot tell (0 of 3 cases worse, 3 better, 2 not measured with both)"),
        (scores([0.4] * 8 + [1.0] * 12, [0.6] * 8 + [1.0] * 12), "worse (-8.00 points on 20 triplets, p = 0.0039)"),
        (scores([0.6] * 9, [0.6] * 9), "not worse (+0.00 points on 9 triplets)"),
    ],
)  # fmt: skip
def test_results_in_words(matched: MatchedOutcomes, words: str) -> None:
    assert str(alone(matched)) == f"{matched.subject}: sort against spatial on vgg16 (unit): {words}"
