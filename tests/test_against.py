"""Comparing with another metric: by hand, against SciPy's permutations, and what holds for all outcomes."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dps import against
from dps.against import Answer, Comparison, Pair, judge
from dps.errors import UsageError


def pair(mine: Sequence[float], theirs: Sequence[float], dtype: type = float, what: str = "2afc/cnn") -> Pair:
    return Pair(
        what=what,
        metric="sort",
        other="spatial",
        network="vgg16",
        normalization="unit",
        outcomes=np.array(mine, dtype=dtype),
        other_outcomes=np.array(theirs, dtype=dtype),
    )


def cases(*, lost: int = 0, won: int = 0, both: int = 0, neither: int = 0) -> Pair:
    """Cases of a probe by who passes them."""
    mine = [False] * lost + [True] * won + [True] * both + [False] * neither
    theirs = [True] * lost + [False] * won + [True] * both + [False] * neither
    return pair(mine, theirs, bool, "rotate")


def alone(asked: Pair) -> Comparison:
    (comparison,) = judge([asked])
    return comparison


TENTHS = st.integers(0, 10).map(lambda n: n / 10)
SCORES = st.lists(st.tuples(TENTHS, TENTHS), min_size=2, max_size=9)
COUNTS = st.builds(
    cases, lost=st.integers(0, 9), won=st.integers(0, 9), both=st.integers(0, 9), neither=st.integers(0, 9)
)
PAIRS = st.lists(COUNTS | SCORES.map(lambda rows: pair([a for a, _ in rows], [b for _, b in rows])), max_size=6)

# ------------------------------------------------------------------------------------------- Holm


def test_holm_by_hand() -> None:
    # in order: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 1 * 0.04, which may not be smaller than the one before
    assert against.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_of_few_and_of_large() -> None:
    assert against.holm([]) == []
    assert against.holm([0.03125]) == [0.03125]
    assert against.holm([0.6, 0.5]) == [1.0, 1.0]
    assert against.holm([0.02, 0.02]) == [0.04, 0.04]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.2))
def test_holm_rejects_as_its_definition_says(p_values: list[float], level: float) -> None:
    adjusted = against.holm(p_values)
    ordered = sorted(zip(p_values, adjusted, strict=True))
    assert [a for _, a in ordered] == sorted(adjusted)
    assert all(p <= a <= 1 for p, a in ordered)
    rejected = 0
    while rejected < len(ordered) and (len(ordered) - rejected) * ordered[rejected][0] <= level:
        rejected += 1
    assert sum(a <= level for a in adjusted) == rejected


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
    found = alone(cases(lost=lost, won=won, both=7, neither=3))
    assert found.p_value == pytest.approx(p_value)
    assert found.adjusted_p_value == found.p_value
    assert (found.of, found.count, found.lost, found.won) == ("cases", lost + won + 10, lost, won)
    assert found.difference == pytest.approx((won - lost) / (lost + won + 10))


def test_the_sign_flip_test_by_hand() -> None:
    # differences -0.6, -0.2, 0.2, 0: of 8 ways to sign three of them, -1, and -0.6 three times, are -0.6 or less
    found = alone(pair([0.2, 0.4, 0.6, 0.8], [0.8, 0.6, 0.4, 0.8]))
    assert found.p_value == pytest.approx(3 / 8)  # -1, and -0.6 with either 0.2 lost
    assert (found.of, found.count, found.lost, found.won) == ("triplets", 4, 2, 1)
    assert found.difference == pytest.approx(-0.15)


@settings(deadline=None, max_examples=60)
@given(SCORES)
def test_scipys_permutations_give_the_same(scores: list[tuple[float, float]]) -> None:
    mine, theirs = (np.array(column) for column in zip(*scores, strict=True))
    expected = stats.permutation_test(
        (np.rint(10 * mine), np.rint(10 * theirs)),  # whole numbers, whose sums tie exactly
        lambda a, b, axis: (a - b).sum(axis=axis),
        permutation_type="samples",
        alternative="less",
        n_resamples=2 ** len(mine),
        vectorized=True,
    )
    assert alone(pair(list(mine), list(theirs))).p_value == pytest.approx(expected.pvalue)


@given(COUNTS)
def test_both_tests_agree_on_passes(asked: Pair) -> None:
    as_scores = alone(pair(list(asked.outcomes.astype(float)), list(asked.other_outcomes.astype(float))))
    as_cases = alone(asked)
    assert as_scores.p_value == pytest.approx(as_cases.p_value)
    assert (as_scores.lost, as_scores.won, as_scores.answer) == (as_cases.lost, as_cases.won, as_cases.answer)
    assert as_scores.difference == as_cases.difference


def made_up(count: int, seed: int) -> Pair:
    """Five judges a triplet; the second metric answers a tenth of the triplets otherwise, rather to its gain."""
    generator = np.random.default_rng(seed)
    shares = generator.integers(0, 6, size=count) / 5
    first = generator.random(count) < 0.5 + 0.6 * (0.5 - shares)
    turned = generator.random(count) < np.where(first == (shares < 0.5), 0.09, 0.11)
    scores = [np.where(choice, 1 - shares, shares) for choice in (first, first ^ turned)]
    return pair(list(scores[0]), list(scores[1]))


def test_as_many_triplets_as_bapps_has_agree_with_the_normal_distribution() -> None:
    for seed in range(20):
        asked = made_up(10_856, seed)
        differences = asked.outcomes.astype(float) - asked.other_outcomes.astype(float)
        normal = stats.norm.cdf(differences.sum() / math.sqrt((differences**2).sum()))
        assert alone(asked).p_value == pytest.approx(normal, rel=0.05, abs=0.005)


def test_a_p_value_is_never_zero() -> None:
    found = alone(pair([0.0] * 3000, [1.0] * 3000))
    assert 0 < found.p_value < 1e-15
    assert found.answer is Answer.WORSE


def test_differences_that_are_no_tenths_are_tested_in_hundredths() -> None:
    thirds = [1 / 3, 2 / 3, 1.0, 0.0, 1 / 3]
    found = alone(pair([1 - score for score in thirds], thirds))
    # 0.33, -0.33, -1, 1, 0.33: a sum of 0.33 or less, of +-1 +-1 +-0.33 +-0.33 +-0.33. Below 0: 2 of 4 for the
    # ones, 1/4 at -2 with all 8, 1/2 at 0 with 7 of 8 (all but +0.99), 1/4 at 2 with none
    assert found.p_value == pytest.approx(1 / 4 + 1 / 2 * 7 / 8)
    assert found.difference == pytest.approx(1 / 15)


# ------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (cases(lost=5, both=5), Answer.WORSE),  # 1/32
        (cases(lost=7, won=1), Answer.WORSE),  # 9/256
        (cases(lost=4, both=5), Answer.CANNOT_TELL),  # 1/16
        (cases(lost=6, won=1), Answer.CANNOT_TELL),  # 8/128
        (cases(both=5), Answer.NOT_WORSE),  # had all five been lost, 1/32
        (cases(both=4, neither=50), Answer.CANNOT_TELL),  # had all four been lost, 1/16
        (cases(lost=2, won=2, both=3), Answer.NOT_WORSE),
        (cases(lost=2, won=1, both=30), Answer.CANNOT_TELL),  # a loss, however small
        (cases(won=46, both=13), Answer.NOT_WORSE),
        (cases(won=5), Answer.NOT_WORSE),  # nothing to lose, but five won is 1/32
        (cases(won=4), Answer.CANNOT_TELL),
        (cases(neither=99), Answer.CANNOT_TELL),
        (cases(), Answer.CANNOT_TELL),
        (pair([0.2] * 5, [0.8] * 5), Answer.WORSE),
        (pair([0.2] * 4, [0.8] * 4), Answer.CANNOT_TELL),
        (pair([0.8] * 5, [0.8] * 5), Answer.NOT_WORSE),
        (pair([0.8] * 4, [0.8] * 4), Answer.CANNOT_TELL),
        (pair([0.2] * 99, [0.2] * 99), Answer.CANNOT_TELL),  # the other one is wrong everywhere
        (pair([0.8] * 5, [0.2] * 5), Answer.NOT_WORSE),
        (pair([0.8, 0.6, 0.0] * 5, [0.6, 0.0, 0.8] * 5), Answer.NOT_WORSE),  # gains and losses add up to 0
        (pair([], []), Answer.CANNOT_TELL),
    ],
)
def test_answers_by_hand(asked: Pair, answer: Answer) -> None:
    assert alone(asked).answer is answer


@pytest.mark.parametrize(
    ("asked", "smallest"),
    [
        (cases(both=20), 5 / 20),  # 1/32
        (cases(both=5), 5 / 5),
        (cases(lost=2, both=18, neither=30), 5 / 50),  # those lost count as lost
        (cases(won=1, both=20), 7 / 21),  # 6 lost: 8/128; 7 lost: 9/256
        (cases(won=1, both=6), None),
        (cases(both=4), None),
        (cases(), None),
        (pair([0.0] * 4 + [1.0] * 4, [1.0] * 4 + [0.0] * 4), 6 / 8),  # 7 of 8 lost: 9/256; 6 of 8: 37/256
        (pair([0.4] * 8 + [1.0] * 12, [0.6] * 8 + [1.0] * 12), 0.2 * 6 / 20),
        (pair([0.4] * 4, [0.6] * 4), None),  # all 4 lost: 1/16
        (pair([0.2] * 3 + [0.4] * 2, [0.8] * 5), 2.6 / 5),  # all lost: 1/32; the next, 2.6 - 2 * 0.4: 3/32
        (pair([1.0] * 9, [1.0] * 9), None),
        (pair([], []), None),
    ],
)
def test_the_smallest_loss_by_hand(asked: Pair, smallest: float | None) -> None:
    assert alone(asked).smallest_seen == pytest.approx(smallest)


def test_the_more_comparisons_the_more_it_takes() -> None:
    twice = judge([cases(lost=5, both=15)] * 2)  # 2/32 each
    assert [each.adjusted_p_value for each in twice] == pytest.approx([1 / 16, 1 / 16])
    assert [each.answer for each in twice] == [Answer.CANNOT_TELL] * 2
    assert [each.smallest_seen for each in twice] == [6 / 20] * 2  # 1/64, at most 0.025
    step_down = judge([cases(lost=5, both=15), cases(lost=6, both=14)])  # 2/64, then 1/32
    assert [each.adjusted_p_value for each in step_down] == pytest.approx([1 / 32, 1 / 32])
    assert [each.answer for each in step_down] == [Answer.WORSE] * 2
    assert [each.answer for each in judge([cases(both=5)] * 2)] == [Answer.CANNOT_TELL] * 2
    assert [each.answer for each in judge([cases(both=6)] * 2)] == [Answer.NOT_WORSE] * 2


def test_nothing_to_judge() -> None:
    assert judge([]) == []


def swapped(asked: Pair) -> Pair:
    return Pair(
        what=asked.what,
        metric=asked.other,
        other=asked.metric,
        network=asked.network,
        normalization=asked.normalization,
        outcomes=asked.other_outcomes,
        other_outcomes=asked.outcomes,
    )


@settings(deadline=None)
@given(PAIRS)
def test_swapping_the_metrics_turns_everything_round(asked: list[Pair]) -> None:
    for one, other in zip(judge(asked), judge([swapped(each) for each in asked]), strict=True):
        assert (one.lost, one.won, one.difference) == (other.won, other.lost, -other.difference)
        assert one.smallest_seen == other.smallest_seen or one.of == "cases"
        assert {one.answer, other.answer} != {Answer.WORSE}
        assert one.p_value + other.p_value >= 1 - 1e-9  # what happened is in both tails


@settings(deadline=None)
@given(PAIRS, st.randoms(use_true_random=False))
def test_what_always_holds(asked: list[Pair], chance: random.Random) -> None:
    found = judge(asked)
    assert [each.what for each in found] == [each.what for each in asked]
    for each in found:
        assert 0 < each.p_value <= each.adjusted_p_value <= 1
        assert (each.answer is Answer.WORSE) == (each.adjusted_p_value <= 0.05)
        assert each.answer is not Answer.WORSE or each.difference < 0
        assert each.answer is not Answer.NOT_WORSE or each.difference >= 0
        assert each.smallest_seen is None or 0 < each.smallest_seen <= 1
        if each.smallest_seen is not None and -each.difference >= each.smallest_seen and not each.won:
            assert each.answer is Answer.WORSE
    order = chance.sample(range(len(asked)), len(asked))
    assert judge([asked[place] for place in order]) == [found[place] for place in order]


@pytest.mark.parametrize(
    ("mine", "theirs", "dtype", "message"),
    [
        ([0.5], [0.5, 0.5], float, "outcomes on the same cases are needed, got float64 of shape (1,) and float64 of "
         "shape (2,)"),
        ([[0.5]], [[0.5]], float, "outcomes on the same cases are needed, got float64 of shape (1, 1) and float64 of "
         "shape (1, 1)"),
        ([1], [1], int, "outcomes are bool (passed) or float64 (scores), got int64"),
        ([0.5, math.nan], [0.5, 0.5], float, "scores are within [0, 1], and none is missing"),
        ([0.5], [1.5], float, "scores are within [0, 1], and none is missing"),
        ([-0.1], [0.5], float, "scores are within [0, 1], and none is missing"),
    ],
)  # fmt: skip
def test_what_does_not_pair_is_refused(mine: Any, theirs: Any, dtype: type, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared whole
        pair(mine, theirs, dtype)
    assert str(raised.value) == message


def test_passes_do_not_pair_with_scores() -> None:
    mixed = np.array([True]), np.array([0.5])
    with pytest.raises(
        ValueError, match=r"^outcomes on the same cases are needed, got bool of shape \(1,\) and float64"
    ):
        Pair(what="", metric="", other="", network=None, normalization=None, outcomes=mixed[0], other_outcomes=mixed[1])


# ------------------------------------------------------------------------------------------- pairing rows


def row(metric: str, case: str, passed: bool, place: str = "alexnet-none", **changed: Any) -> dict[str, Any]:
    network, _, normalization = place.partition("-")
    made = {
        "probe": "rotate",
        "case": case,
        "metric": metric,
        "network": network or None,
        "normalization": normalization or None,
        "passed": passed,
    }
    return made | changed


def places(found: list[Pair]) -> list[tuple[str, str, str | None, str | None]]:
    return [(each.what, each.metric, each.network, each.normalization) for each in found]


def test_rows_are_paired_case_by_case() -> None:
    rows = [
        *(row("sort", case, passed) for case, passed in {"a": True, "b": False, "c": True, "d": True}.items()),
        *(row("mean", case, passed) for case, passed in {"b": True, "a": False, "c": True, "e": True}.items()),
    ]
    (found,) = against.pairs(random.Random(0).sample(rows, len(rows)), "mean")
    assert (found.what, found.metric, found.other, found.network, found.normalization) == (
        "rotate", "sort", "mean", "alexnet", "none"
    )  # fmt: skip
    assert found.outcomes.tolist() == [True, False, True]  # a, b, c
    assert found.other_outcomes.tolist() == [False, True, True]
    assert found.left_out == 2  # d and e
    comparison = alone(found)
    assert (comparison.count, comparison.left_out, comparison.lost, comparison.won) == (3, 2, 1, 1)


def test_pairs_share_network_and_normalization_and_probe() -> None:
    variants = ("alexnet-none", "alexnet-unit", "vgg16-none")
    rows = [
        row(metric, "a", True, place, probe=probe)
        for metric in ("sort", "mean", "spatial")
        for place in variants
        for probe in ("rotate", "invert")
        if (metric, place) != ("mean", "vgg16-none")
    ]
    assert places(against.pairs(rows, "mean")) == [
        (probe, metric, "alexnet", normalization)
        for metric in ("sort", "spatial")
        for probe in ("invert", "rotate")
        for normalization in ("none", "unit")
    ]


def test_a_metric_without_a_network_is_paired_with_each() -> None:
    rows = [row("pixel", "a", False, ""), row("sort", "a", True), row("sort", "a", True, "vgg16-unit")]
    both = [("alexnet", "none"), ("vgg16", "unit")]
    assert places(against.pairs(rows, "sort")) == [("rotate", "pixel", *place) for place in both]
    assert places(against.pairs(rows, "pixel")) == [("rotate", "sort", *place) for place in both]
    rows = [row("pixel", "a", False, ""), row("my.py:name", "a", True, "")]
    assert places(against.pairs(rows, "pixel")) == [("rotate", "my.py:name", None, None)]


def test_what_broke_is_not_passed() -> None:
    rows = [
        row("sort", "a", True, error="broke"),
        row("mean", "a", True),
        row("sort", "b", True),
        row("mean", "b", True),
    ]
    (found,) = against.pairs(rows, "mean")
    assert found.outcomes.tolist() == [False, True]


def test_a_probe_without_a_common_case_says_nothing_but_is_named() -> None:
    (found,) = judge(against.pairs([row("sort", "a", True), row("mean", "b", True)], "mean"))
    assert (found.count, found.left_out, found.answer) == (0, 2, Answer.CANNOT_TELL)


def test_a_metric_that_was_not_measured_is_refused() -> None:
    with pytest.raises(UsageError) as raised:
        against.pairs([row("sort", "a", True), row("mean", "a", True)], "srot")
    assert str(raised.value) == (
        "--against srot: was not measured in this run; unknown metric 'srot'. Did you mean 'sort'? Known: mean, sort."
    )
    assert against.pairs([row("sort", "a", True)], "sort") == []
    assert against.pairs([], "sort") == []


# ------------------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (cases(lost=5, both=5), "worse, lost 5 and won 0 of 10, p = 0.031"),
        (cases(lost=2, both=48), "cannot tell, lost 2 and won 0 of 50; 5 lost would show"),
        (cases(lost=2, both=2), "cannot tell, lost 2 and won 0 of 4; no loss would show"),
        (cases(won=3, both=20), "not worse, lost 0 and won 3 of 23"),
    ],
)
def test_cases_in_words(asked: Pair, words: str) -> None:
    assert against.in_words(alone(asked)) == f"rotate: sort against spatial on vgg16 (unit): {words}"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (pair([0.4] * 8 + [1.0] * 12, [0.6] * 8 + [1.0] * 12), "worse, -8.00 points, p = 0.0039"),
        (pair([0.4] * 8 + [0.6] * 3, [0.6] * 7 + [0.4] * 4), "cannot tell, -7.27 points; -14.55 would show"),
        (pair([0.4] * 3 + [0.6], [0.6] * 3 + [0.6]), "cannot tell, -15.00 points; no loss would show"),
        (pair([0.6] * 9, [0.6] * 9), "not worse, +0.00 points"),
    ],
)
def test_scores_in_words(asked: Pair, words: str) -> None:
    assert against.in_words(alone(asked)) == f"2afc/cnn: sort against spatial on vgg16 (unit): {words}"


def test_a_metric_without_a_network_in_words() -> None:
    rows = [
        *(row("pixel", str(n), False, "") for n in range(8)),
        *(row("mine", str(n), True, "") for n in range(9)),
    ]
    assert [against.in_words(each) for each in judge(against.pairs(rows, "mine"))] == [
        "rotate: pixel against mine: worse, lost 8 and won 0 of 8, p = 0.0039 (1 left out)"
    ]


@given(PAIRS)
@settings(deadline=None)
def test_words_fit_one_line(asked: list[Pair]) -> None:
    for each in judge(asked):
        assert len(against.in_words(each)) <= 110
