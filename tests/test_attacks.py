"""Attacks whose optimum is known by hand, metrics that cannot be attacked, and the suite on one network."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import dps
from dps import attacks, metrics, photographs
from dps.attacks import BOUNDS, perturb
from dps.differentiable import DifferentiableDistance, NotDifferentiableError
from dps.errors import ImageError, UsageError
from dps.images import as_batch
from dps.measurement import Engine
from dps.metrics import Metric, Variant
from dps.networks import Extractor
from dps.report.attacks_table import as_sentences, attack_tables, median_bound
from dps.rows import Row
from dps.scenes.rng import Rng
from tests.running import SUITES, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]


def variant_of(metric: Metric) -> Variant:
    return Variant(metric=metric, network=None, normalization=None)


def distance_of(metric: Metric) -> DifferentiableDistance:
    return DifferentiableDistance(variant_of(metric), Engine())


PIXEL = metrics.IMAGE_METRICS["pixel"]
GRAY = np.full((2, 8, 9, 3), 128, np.uint8)


def l1(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean((1, 2, 3))


# --------------------------------------------------------------------------------------------- the attack


@pytest.mark.parametrize("bound", BOUNDS)
def test_the_pixel_distance_is_largest_where_every_channel_moves_by_the_bound(bound: int) -> None:
    attacked = perturb(distance_of(PIXEL), GRAY, bound)
    assert (np.abs(attacked.astype(int) - GRAY) == bound).all()
    distances = metrics.pixel_distance(as_batch(GRAY), as_batch(attacked))
    assert distances.tolist() == pytest.approx([(bound / 255) ** 2] * 2, rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), bound=st.sampled_from(BOUNDS), at_once=st.integers(1, 3))
def test_an_attack_keeps_its_bound_and_is_the_same_again_in_batches_of_any_size(
    seed: int, bound: int, at_once: int
) -> None:
    images = Rng(seed).integers(0, 255, 3, 5, 4, 3).astype(np.uint8)
    distance = distance_of(Metric(name="mine", distance=l1))
    attacked = perturb(distance, images, bound)
    assert attacked.dtype == np.uint8
    assert np.abs(attacked.astype(int) - images).max() <= bound
    assert np.array_equal(perturb(distance, images, bound, at_once), attacked)


def test_a_similarity_is_made_small_and_images_are_in_its_range() -> None:
    """1 - x of the left half alone, of images in [-1, 1]: the right half stays at its random start, by the bound."""

    def similarity(a: Tensor, b: Tensor) -> Tensor:
        return 1 - (a - b)[..., :4].square().mean((1, 2, 3))

    metric = Metric(name="mine", distance=similarity, similarity_at_identity=1.0, input_range=(-1.0, 1.0))
    attacked = perturb(distance_of(metric), GRAY, 4)
    moved = np.abs(attacked.astype(int) - GRAY)
    assert (moved[:, :, :4] == 4).all()
    assert (moved[:, :, 4:] < 4).any()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a, b: l1(a, b).detach(), r"not differentiable: element 0 of tensors does not require grad"),
        (lambda a, b: l1(a.round(), b.round()), r"the gradient is 0 at every pixel"),
        (lambda a, b: l1(a, b) * math.nan, r"the gradient is not finite in 432 of 432 numbers"),
    ],
)
def test_what_has_no_gradient_is_refused_with_the_reason(
    function: Callable[[Tensor, Tensor], Tensor], message: str
) -> None:
    with pytest.raises(NotDifferentiableError, match=f"^{message}"):
        perturb(distance_of(Metric(name="mine", distance=function)), GRAY, 4)


# --------------------------------------------------------------------------------------------- the judgment


def judged(function: Callable[[Tensor, Tensor], Tensor], *stack: int) -> Row:
    """The row of a photograph and damaged ones, each of one gray, attacked within 8 levels."""
    stacks = np.stack([np.full((8, 8, 3), level, np.uint8) for level in stack])[None]
    variant = variant_of(Metric(name="mine", distance=function))
    rows, _ = attacks.attack(variant, 8, stacks, lambda _: Engine(), [variant])
    return rows[0]


def test_a_photograph_holds_where_it_is_closer_than_each_damage_by_hand() -> None:
    row = judged(l1, 100, 109, 107, 120)  # attacked: every channel moves by 8
    assert (row["held_blur"], row["held_jpeg"], row["held_noise"], row["held"]) == (1, 0, 1, 0)
    assert row["ratio"] == pytest.approx(8 / 7)
    assert judged(l1, 100, 109, 110, 120)["held"] == 1
    assert (row["photographs"], row["attacked_on"], row["bound"], row["error"]) == (1, "mine", 8, "")


def test_a_distance_that_is_not_finite_or_negative_or_raises_never_holds() -> None:
    def throws(a: Tensor, b: Tensor) -> Tensor:
        raise KeyError("weights")

    def nan_far(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(l1(a, b) > 0.1, math.nan, l1(a, b))

    def negative_far(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(l1(a, b) > 0.1, -l1(a, b), l1(a, b))

    for function, error in (
        (throws, "metric 'mine': KeyError: 'weights'"),
        (nan_far, "the distance of the original to noise is nan: not finite"),
        (negative_far, "the distance of the original to noise is -0.39216: negative"),
    ):
        row = judged(function, 100, 110, 110, 200)
        assert (row["held"], row["held_blur"], row["ratio"], row["photographs"]) == (None, None, None, 0)
        assert row["error"].startswith(error)


# --------------------------------------------------------------------------------------------- as a module


@pytest.fixture(scope="module")
def stacks() -> Any:
    return attacks.draw(photographs.built_in()[:1], 64)[:2]


@pytest.mark.parametrize(("name", "normalization"), [("sort", "none"), ("spatial+0.5*mean", "unit")])
def test_a_loaded_metric_has_the_distances_of_the_engine(
    name: str, normalization: str, stacks: Any, alexnet: Extractor
) -> None:
    (variant,) = metrics.variants([metrics.named(name)], ["alexnet"], [normalization])
    expected = Engine(alexnet).measure_stack(stacks, [variant])[variant]
    assert isinstance(expected, np.ndarray)
    module = dps.load(name, "alexnet", normalization=normalization)
    other = as_batch(stacks[:, 1]).requires_grad_()
    distances = module(as_batch(stacks[:, 0]), other)
    assert distances.tolist() == pytest.approx(expected[:, 0], rel=1e-5)
    distances.mean().backward()
    assert other.grad is not None and other.grad.isfinite().all() and other.grad.any()  # noqa: PT018
    assert not list(module.parameters())


def test_what_cannot_be_loaded_or_measured_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"^'sort' stands for 4 variants, squeezenet-none-sort and so on; name one"):
        dps.load("sort")
    module, images = dps.load("pixel"), torch.zeros(2, 3, 8, 8)
    with pytest.raises(
        ImageError, match=r"^both batches must have the same shape, got \(2, 3, 8, 8\) and \(1, 3, 8, 8\)"
    ):
        module(images, images[:1])
    with pytest.raises(ImageError, match=r"^images must be RGB in \[0, 1\], got \[255, 255\]"):
        module(images, images + 255)


# --------------------------------------------------------------------------------------------- the report


@pytest.mark.parametrize(
    ("held", "bound"),
    [
        ({1: 1.0, 2: 0.75, 4: 0.25, 8: 0.0}, 2 * math.sqrt(2)),  # half way from log 2 to log 4
        ({1: 1.0, 2: 0.5, 4: 0.0, 8: 0.0}, 2.0),
        ({1: 0.4, 2: 0.6, 4: 0.0, 8: 0.0}, 0.0),
        ({1: 1.0, 2: 1.0, 4: 0.9, 8: 0.5}, math.inf),
    ],
)
def test_the_bound_up_to_which_half_hold_by_hand(held: dict[int, float], bound: float) -> None:
    assert median_bound(held) == pytest.approx(bound)


def test_words_and_tables_by_hand() -> None:
    def rows(metric: str, *held: int | None, by: str = "") -> list[Row]:
        key = {"network": None, "normalization": None, "metric": by or metric, "attacked_on": metric}
        return [
            {**key, "bound": b, "photographs": 8 * (h is not None), "held": h, "error": "" if h is not None else "why"}
            for b, h in zip(BOUNDS, held, strict=True)
        ]

    measured = [*rows("a", 8, 6, 2, 0), *rows("b", 8, 8, 8, 4), *rows("c", *[None] * 4)]
    assert as_sentences(measured) == [
        "Half of the photographs are farther than a damaged one after an attack of 2.8 levels of 255, the median of "
        "2 variants; least robust a (2.8), most b (above 8).",
        "c could not be attacked: why.",
    ]
    (table,) = attack_tables(measured)
    assert [[str(cell) for cell in line] for line in table.cells] == [
        ["8/8", "6/8", "2/8", "0/8", "2.8"],
        ["8/8", "8/8", "8/8", "4/8", "above 8"],
        ["-"] * 5,
    ]
    _, table = attack_tables([*measured, *rows("a", 8, 7, 7, 7, by="b")])
    assert (table.rows, table.heads) == ((("a",), ("b",)), ("a", "b", "c"))
    assert [str(cell) for cell in table.cells[0]] == ["2/8", "7/8", "-"]


# --------------------------------------------------------------------------------------------- the suite

METRIC = "mine.py:without_gradient"
MINE = """
import torch

def without_gradient(a, b):
    return (a - b).detach().abs().mean((1, 2, 3))
"""


def test_the_suite_attacks_each_variant_and_others_judge(
    suite: Suite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pytester.path / "mine.py").write_text(MINE, encoding="utf-8")
    monkeypatch.setattr(attacks, "PHOTOGRAPHS", 2)
    options = ["--probes=tiny.yaml", "--network=alexnet", f"--metric=mean,pixel,{METRIC}"]
    options += ["--normalization=none", "--size=32", "--transfer"]
    done = suite(*options, "--gate=strict", paths=(str(SUITES / "test_attacks.py"),))
    rows = done.results["attacks"]
    own = {(row["attacked_on"], row["bound"]): row for row in rows if row["attacked_on"].endswith(row["metric"])}
    lost = [row for row in own.values() if not row["error"] and row["held"] < 1]
    assert len(own) == 12
    assert 0 < len(lost) < 8
    assert done.outcomes == {"passed": 8 - len(lost), "failed": len(lost), "skipped": 4}
    assert done.code == 1
    assert own[METRIC, 4]["error"].startswith("not differentiable: ")
    assert {(row["attacked_on"], row["metric"]) for row in rows} == {
        *((attacked, judge) for attacked in ("alexnet-none-mean", "pixel") for judge in ("mean", "pixel", METRIC)),
        (METRIC, METRIC),
    }
    html = (done.folder / "report.html").read_text(encoding="utf-8")
    assert html.count("data:image/png") == 6  # two variants' originals, attacked photographs and differences
    assert "| alexnet | none | mean | " in (done.folder / "report.md").read_text(encoding="utf-8")
    again = suite(*options, "-k", "mean-2", paths=(str(SUITES / "test_attacks.py"),))
    assert again.results["attacks"] == [r for r in rows if (r["attacked_on"], r["bound"]) == ("alexnet-none-mean", 2)]
    assert again.code == 0


def test_the_suite_is_left_out_where_it_is_not_named(suite: Suite) -> None:
    done = suite("--metric=pixel", "--collect-only", "-q", "--probes=tiny.yaml", paths=(str(SUITES),))
    assert "test_attack" not in done.text
    done = suite("--metric=pixel", "--transfer", "--probes=tiny.yaml")
    assert done.code == 4
    assert done.errors[0] == "ERROR: --transfer: nothing is attacked; name the suite: dps test attacks --transfer"
