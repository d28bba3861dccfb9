"""Comparisons: worked by hand, by what must hold for all features, and against optimal transport."""

import math
import re
from collections.abc import Callable
from random import Random

import hypothesis.extra.numpy
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dps.comparisons import (
    COMPARISONS,
    NORMALIZATIONS,
    Comparison,
    divisor,
    flatten,
    layer_distances,
    mean,
    normalize,
    sort,
    spatial,
    squared_distances,
    unit,
)
from dps.errors import MetricError
from dps.metrics import Term


def distance(
    comparison: Comparison, a: Tensor, b: Tensor, normalization: str = "none", reduction: str = "sum"
) -> float:
    """Of two images by their features at one layer, ``(1, channel, height, width)``."""
    mine, other = (normalize(comparison(features), normalization) for features in (a, b))
    return between(mine, other, reduction)


def between(a: Tensor, b: Tensor, reduction: str = "sum") -> float:
    """Of two images by their representations, ``(1, channel, position)``."""
    _, channels, positions = a.shape
    return float(squared_distances(flatten(a)[None], flatten(b)[None]).item()) / divisor(channels, positions, reduction)


def features(*channels: list[list[float]]) -> Tensor:
    """One image's features: a list of rows for each channel."""
    return torch.tensor([channels])


ROWS = features([[1.0, 2.0], [3.0, 4.0]])
TURNED = features([[4.0, 3.0], [2.0, 1.0]])


# ------------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("comparison", "other", "expected"),
    [
        (spatial, TURNED, 5),  # (9 + 1 + 1 + 9) / 4
        (sort, TURNED, 0),
        (sort, features([[5.0, 1.0], [2.0, 2.0]]), 0.5),  # 1 2 2 5 against 1 2 3 4: (0 + 0 + 1 + 1) / 4
        (mean, TURNED, 0),
        (mean, features([[6.0, 6.0], [6.0, 6.0]]), 12.25),  # (2.5 - 6)^2
    ],
)
def test_comparisons_by_hand(comparison: Comparison, other: Tensor, expected: float) -> None:
    assert distance(comparison, ROWS, other) == expected


def test_channels_are_added_and_positions_averaged() -> None:
    a = features([[1.0, 1.0]], [[2.0, 0.0]])
    b = features([[0.0, 0.0]], [[0.0, 0.0]])
    assert distance(spatial, a, b) == 3  # (1 + 1) / 2 + (4 + 0) / 2
    assert distance(mean, a, b) == 2  # 1^2 + 1^2
    assert distance(spatial, a, b, reduction="mean") == 1.5  # by the number of channels


def test_unit_normalized_mean_by_hand() -> None:
    a = torch.tensor([[[[3.0, 3.0]], [[0.0, 0.0]]]])  # mean (3, 0) -> unit (1, 0)
    b = torch.tensor([[[[0.0, 0.0]], [[1.0, 7.0]]]])  # mean (0, 4) -> unit (0, 1)
    assert distance(mean, a, b, "unit") == 2.0  # |(1, 0) - (0, 1)|^2


def test_unit_normalized_spatial_by_hand() -> None:
    a = features([[3.0, 5.0]], [[4.0, 0.0]])  # (3, 4) -> (0.6, 0.8) and (5, 0) -> (1, 0)
    b = features([[0.0, 0.0]], [[2.0, 9.0]])  # (0, 2) -> (0, 1) and (0, 9) -> (0, 1)
    assert distance(spatial, a, b, "unit") == pytest.approx(1.2)  # (0.36 + 0.04 + 1 + 1) / 2


def test_unit_comes_after_sort_never_before() -> None:
    a = features([[1.0, 0.0]], [[0.0, 1.0]])  # sorted: (0, 0), (1, 1) -> (0, 0), (1, 1) / sqrt 2
    b = features([[0.0, 3.0]], [[0.0, 0.0]])  # sorted: (0, 0), (3, 0) -> (0, 0), (1, 0)
    after = 1 - 2**-0.5  # ((1 - 1 / sqrt 2)^2 + 1 / 2) / 2
    before = 0.5  # a and b have unit vectors already, or zero: ((1 - 1)^2 + (1 - 0)^2) / 2
    assert distance(sort, a, b, "unit") == pytest.approx(after)
    assert after != pytest.approx(before)


def test_zero_vectors_stay_zero() -> None:
    zero, one = torch.zeros(1, 2, 3), torch.tensor([[[0.0, 3.0, 1e-30], [0.0, 4.0, 0.0]]])
    assert torch.equal(unit(zero), zero)
    # a vector shorter than 1e-12 is divided by 1e-12, so that it stays as good as zero
    torch.testing.assert_close(unit(one), torch.tensor([[[0.0, 0.6, 1e-18], [0.0, 0.8, 0.0]]]), rtol=1e-6, atol=0)
    silent = torch.zeros(1, 2, 1, 3)
    for comparison in COMPARISONS.values():
        assert distance(comparison, silent, silent, "unit") == 0
        assert distance(comparison, silent, silent + 1, "unit") == pytest.approx(1)  # |(1, 1)| / sqrt 2


# ------------------------------------------------------------------------------------------- for all features

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
QUIETLY = settings(max_examples=60, deadline=None)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Features of two images, never negative, many of them zero, as after a ReLU."""
    shape = (1, *draw(SHAPES))
    elements = st.floats(0, 100, width=32) | st.just(0.0)
    a, b = (draw(hypothesis.extra.numpy.arrays(np.float32, shape, elements=elements)) for _ in range(2))
    return torch.from_numpy(a), torch.from_numpy(b)


def within_rounding(a: Tensor, b: Tensor) -> float:
    """What float32 may add to a squared difference of two such features, summed over channels, or lose of one."""
    smallest = torch.finfo(torch.float32).tiny
    return (1e-6 * float(a.square().mean() + b.square().mean()) + smallest) * a.shape[1]


@QUIETLY
@given(pairs())
def test_mean_is_at_most_sort_and_sort_at_most_spatial(pair: tuple[Tensor, Tensor]) -> None:
    by_mean, by_sort, by_position = (distance(comparison, *pair) for comparison in (mean, sort, spatial))
    assert by_mean <= by_sort + within_rounding(*pair)  # Jensen
    assert by_sort <= by_position + within_rounding(*pair)  # the rearrangement inequality


def cheapest_transport(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The squared Wasserstein-2 distance of two samples of one size: the best of all ways to pair them."""
    cost = np.subtract.outer(a, b) ** 2
    return float(cost[linear_sum_assignment(cost)].mean())


@QUIETLY
@given(pairs())
def test_sort_is_the_squared_wasserstein_2_distance_summed_over_channels(pair: tuple[Tensor, Tensor]) -> None:
    channels = zip(*(features[0].flatten(1).double().numpy() for features in pair), strict=True)
    expected = sum(cheapest_transport(a, b) for a, b in channels)
    assert distance(sort, *pair) == pytest.approx(expected, rel=1e-5, abs=within_rounding(*pair))


@QUIETLY
@given(pairs(), st.randoms(use_true_random=False), st.sampled_from(["none", "unit"]))
def test_where_activations_are_does_not_matter_to_sort_and_mean(
    pair: tuple[Tensor, Tensor], random: Random, normalization: str
) -> None:
    a, b = pair
    order = list(range(a[0, 0].numel()))
    random.shuffle(order)
    moved = a.flatten(2)[:, :, order].view_as(a)
    assert distance(sort, moved, b, normalization) == distance(sort, a, b, normalization)
    rounding = within_rounding(a, b) if normalization == "none" else 1e-6
    expected = pytest.approx(distance(mean, a, b, normalization), rel=1e-4, abs=rounding)
    assert distance(mean, moved, b, normalization) == expected


@QUIETLY
@given(pairs(), st.sampled_from(sorted(COMPARISONS)), st.sampled_from(["none", "unit"]))
def test_distances_are_symmetric_never_negative_and_zero_to_itself(
    pair: tuple[Tensor, Tensor], name: str, normalization: str
) -> None:
    comparison, (a, b) = COMPARISONS[name], pair
    assert distance(comparison, a, b, normalization) == distance(comparison, b, a, normalization) >= 0
    assert distance(comparison, a, a, normalization) == 0


@QUIETLY
@given(pairs(), st.sampled_from(sorted(COMPARISONS)), st.sampled_from(["none", "unit"]))
def test_distances_with_gradients_are_the_same(pair: tuple[Tensor, Tensor], name: str, normalization: str) -> None:
    a, b = (normalize(COMPARISONS[name](each.clone().requires_grad_()), normalization) for each in pair)
    found = layer_distances(a, b)
    expected = distance(COMPARISONS[name], *pair, normalization)
    rounding = 1e-6 if normalization == "unit" else within_rounding(*pair)
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=rounding)
    for gradient in torch.autograd.grad(found.sum(), [a, b]):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("change", [torch.relu, torch.neg, torch.Tensor.double])
def test_sorting_in_numpy_gives_what_sorting_in_torch_gives(
    layout: torch.memory_format, change: Callable[[Tensor], Tensor]
) -> None:
    given_ = change(torch.randn((3, 5, 7, 6), generator=torch.manual_seed(0))).to(memory_format=layout)
    expected = given_.reshape(3, 5, 42).sort(dim=-1).values
    assert torch.equal(sort(given_), expected)
    assert torch.equal(sort(given_.requires_grad_()).detach(), expected)  # NumPy carries no gradient


def test_features_are_left_as_they_are() -> None:
    given_ = torch.randn((2, 3, 4, 4), generator=torch.manual_seed(0))
    before = given_.clone()
    for comparison in COMPARISONS.values():
        unit(comparison(given_))
    assert torch.equal(given_, before)


# ------------------------------------------------------------------------------------------- what is refused


SHAPE = "must return (batch, channel, position) for features (2, 3, 4, 5), got "


@pytest.mark.parametrize(
    ("comparison", "message"),
    [
        (lambda features: features, f"{SHAPE}(2, 3, 4, 5)"),
        (lambda features: features.mean(dim=(2, 3)), f"{SHAPE}(2, 3)"),
        (lambda features: features.flatten(2)[:1], f"{SHAPE}(1, 3, 20)"),
        (lambda features: features.flatten(2)[:, :, :0], f"{SHAPE}(2, 3, 0)"),
        (lambda features: features.numpy(), "must return a tensor, got ndarray"),
        (lambda features: features.flatten(2) > 0.5, "must return floating point, got torch.bool"),
        (lambda features: features.mul_(2).flatten(2), "changed its input; it must leave it as it is"),
    ],
)
def test_what_a_comparison_must_not_return_or_do(comparison: Comparison, message: str) -> None:
    with pytest.raises(MetricError, match=f"^{re.escape(message)}$"):
        Term(name="mine", comparison=comparison).represent(torch.ones(2, 3, 4, 5))


def test_infinite_features_give_a_distance_that_is_not_finite_and_no_warning() -> None:
    form = torch.full((1, 2, 3), math.inf)
    for normalization in NORMALIZATIONS:
        a = normalize(form, normalization)
        assert math.isnan(between(a, a))  # infinity less itself


def test_half_precision_is_subtracted_in_single() -> None:
    halved = Term(name="halved", comparison=lambda features: features.flatten(2).bfloat16())
    representation = halved.represent(torch.ones(1, 2, 4, 4))
    assert representation.dtype == torch.float32
    assert between(representation, 3 * representation) == 8.0  # two channels of (3 - 1)^2


def test_each_original_is_compared_with_its_own_or_with_what_all_have_in_common() -> None:
    originals = np.array([[[0.0, 0.0]], [[1.0, 2.0]]], np.float32)
    own, common = np.array([[[3.0, 4.0]], [[1.0, 2.0]]], np.float32), np.array([[[0.0, 1.0], [1.0, 0.0]]], np.float32)
    assert squared_distances(originals, own).tolist() == [[25.0], [0.0]]
    assert squared_distances(originals, common).tolist() == [[1.0, 1.0], [2.0, 4.0]]


def test_what_is_subtracted_at_once_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.random((2, many, 50_001), np.float32) for many in (1, 4))
    at_once = squared_distances(a, b)
    assert at_once[1, 2] == squared_distances(a[1:], b[1:, 2:3]).item()
    monkeypatch.setattr("dps.kernels.SUMS_AT_ONCE", 1)
    assert at_once.tolist() == squared_distances(a, b).tolist()


def test_rows_and_devices_make_no_difference() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 1, 20_001)), rng.random((2, 3, 20_001))
    on_cpu, on_other_devices = squared_distances(a, b), squared_distances(torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(on_cpu, ((a - b) ** 2).sum(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(on_other_devices, on_cpu, rtol=1e-12)
