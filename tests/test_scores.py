"""Agreement with people: 2AFC scores, JND average precision, and their standard errors."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lpips
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dps.scores import (
    Estimate,
    correlations,
    human_two_afc,
    jnd_average_precision,
    mean_of_subsets,
    mean_score,
    two_afc,
)

Array = NDArray[np.float64]

LPIPS: Any = lpips

quietly = settings(deadline=None, derandomize=True, database=None, max_examples=40)

SHARES = st.sampled_from([0, 0.2, 1 / 3, 0.4, 0.6, 2 / 3, 0.8, 1])
DISTANCES = st.sampled_from([0.0, 0.5, 1.0, 2.0, 1e-30, 1e30])


def the_others_loader(batch: dict[str, Any]) -> Any:
    """Data as lpips's own scoring functions want to be handed them, in one batch."""
    return SimpleNamespace(load_data=lambda: [batch])


# ------------------------------------------------------------------------------------------------ 2AFC


def test_two_afc_by_hand() -> None:
    first, second = [1.0, 2.0, 3.0], [2.0, 1.0, 3.0]
    assert two_afc(first, second, [0.2, 0.2, 0.2]).tolist() == [0.8, 0.2, 0.5]


def test_two_afc_is_that_of_lpips() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 20, (2, 500)) / 4  # some are equal
    judge = rng.integers(0, 6, 500) / 5
    handed_out = iter([torch.tensor(first), torch.tensor(second)])
    batch = {"ref": None, "p0": None, "p1": None, "judge": torch.tensor(judge)}
    theirs, found = LPIPS.score_2afc_dataset(the_others_loader(batch), lambda _a, _b: next(handed_out))
    ours = two_afc(first, second, judge)
    assert ours.tolist() == found["scores"].tolist()
    assert mean_score(ours).value == pytest.approx(theirs, rel=1e-14)


def test_people_agree_with_themselves_by_hand() -> None:
    found = human_two_afc([0, 0.2, 0.5, 1])
    np.testing.assert_allclose(found, [1, 0.68, 0.5, 1], rtol=1e-15)  # 0.2 * 0.2 + 0.8 * 0.8


# ----------------------------------------------------------------------------------------------- means


def test_a_mean_and_its_standard_error_by_hand() -> None:
    # deviations -1.5 -0.5 0.5 1.5: squares 5, variance 5 / 3, of the mean 5 / 12
    four = mean_score([1, 2, 3, 4])
    assert (four.value, four.count) == (2.5, 4)
    assert four.standard_error == pytest.approx(math.sqrt(5 / 12))
    alone = mean_score([0.25])
    assert (alone.value, alone.count) == (0.25, 1)
    assert math.isnan(alone.standard_error)


def test_subsets_count_alike_however_large_they_are() -> None:
    small = Estimate(value=0.5, standard_error=0.3, count=10)
    large = Estimate(value=0.8, standard_error=0.4, count=1000)
    found = mean_of_subsets([small, large])
    assert (found.value, found.count) == (0.65, 1010)
    assert found.standard_error == pytest.approx(0.25)  # sqrt(0.09 + 0.16) / 2


def test_the_papers_own_columns_are_unweighted_means() -> None:
    """Table 2, human row: 80.8 and 84.4 give 82.6; 73.4, 67.1, 68.8 and 68.6 give 69.5."""
    assert round(mean_of_subsets([Estimate(value=v, standard_error=0, count=1) for v in (80.8, 84.4)]).value, 1) == 82.6
    real = [Estimate(value=v, standard_error=0, count=1) for v in (73.4, 67.1, 68.8, 68.6)]
    assert round(mean_of_subsets(real).value, 1) == 69.5


# ------------------------------------------------------------------------------------------------- JND


@pytest.mark.parametrize(
    ("distances", "same", "expected"),
    [
        # in order of distance: same 1, 0, 1 -> precision 1, 1/2, 2/3, recall 1/2, 1/2, 1; envelope 1, 2/3, 2/3
        ([3, 1, 2], [1, 1, 0], 1 / 2 * 1 + 1 / 2 * 2 / 3),
        # parts of people: true 2/3, 1, 2; all 1, 2, 3 -> precision 2/3, 1/2, 2/3; the envelope is 2/3 all along
        ([1, 2, 3], [2 / 3, 1 / 3, 1], 2 / 3),
        # 1 and 0 at the same distance are one step of precision 1/2, in either order; then 2/3 at recall 1
        ([1, 1, 2], [1, 0, 1], 2 / 3),
        ([1, 1, 2], [0, 1, 1], 2 / 3),
        ([5, 5, 5, 5], [1, 0, 0, 0], 0.25),  # a metric that tells nothing apart finds as much as there is
        ([1, 2], [0, 0], 0),  # nobody said "same"
    ],
)
def test_average_precision_by_hand(distances: list[float], same: list[float], expected: float) -> None:
    assert jnd_average_precision(distances, same).value == pytest.approx(expected)


def test_average_precision_is_that_of_lpips() -> None:
    """Where no two distances are equal: theirs then depends on the order of files."""
    rng = np.random.default_rng(4)
    for pairs in (2, 7, 400):
        distance, same = rng.permutation(pairs) / pairs, rng.integers(0, 4, pairs) / 3
        same[0] = 1  # theirs divides by zero where nobody said "same"
        batch = {"p0": None, "p1": None, "same": torch.tensor(same)}
        theirs, _ = LPIPS.score_jnd_dataset(the_others_loader(batch), lambda _a, _b, d=distance: torch.tensor(d))
        assert jnd_average_precision(distance, same).value == pytest.approx(theirs, rel=1e-12)


@quietly
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_average_precision_with_ties_is_that_of_whole_people(rows: list[tuple[int, int]]) -> None:
    """Written anew, plainly: three people a pair, thresholds from the smallest distance on."""
    people = [(distance, person < same) for distance, same in rows for person in range(3)]
    positives = sum(said_same for _, said_same in people)
    curve = []
    for threshold in sorted({distance for distance, _ in people}):
        entered = [said_same for distance, said_same in people if distance <= threshold]
        curve.append((sum(entered) / max(positives, 1), sum(entered) / len(entered)))
    area = reached = 0.0
    for step, (recall, _) in enumerate(curve):
        area += (recall - reached) * max(precision for _, precision in curve[step:])
        reached = recall
    distance, same = np.array(rows).T
    assert jnd_average_precision(distance, same / 3).value == pytest.approx(area, abs=1e-12)


@quietly
@given(st.lists(st.tuples(DISTANCES, SHARES), min_size=1, max_size=20), st.randoms())
def test_average_precision_is_bounded_and_knows_no_order(rows: list[tuple[float, float]], random: Any) -> None:
    score = jnd_average_precision(*np.array(rows).T)
    assert 0 <= score.value <= 1
    random.shuffle(rows)
    again = jnd_average_precision(*np.array(rows).T)
    assert repr(again) == repr(score)  # standard error included


def drawn_pairs(rng: np.random.Generator, pairs: int) -> tuple[Array, Array]:
    """Pairs of which people say "same" the less, the farther they are."""
    distance = rng.random(pairs)
    return distance, (rng.random((3, pairs)) > distance).mean(axis=0)


def test_the_bootstrap_says_how_much_the_average_precision_varies() -> None:
    rng = np.random.default_rng(5)
    found = [jnd_average_precision(*drawn_pairs(rng, 300)) for _ in range(200)]
    varies = float(np.std([each.value for each in found], ddof=1))
    said = float(np.mean([each.standard_error for each in found]))
    assert said == pytest.approx(varies, rel=0.15)  # both are known to about 5 %
    assert math.isnan(jnd_average_precision([1], [1]).standard_error)


@pytest.mark.parametrize(
    "score",
    [
        lambda bad: two_afc([bad, 1.0], [2.0, 2.0], [0.0, 1.0]),
        lambda bad: jnd_average_precision([bad, 1.0], [0.0, 1.0]),
        lambda bad: correlations([bad, 1.0, 2.0], [0.0, 1.0, 2.0], [0, 0, 0]),
    ],
)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_has_no_score(score: Callable[[float], object], bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        score(bad)
