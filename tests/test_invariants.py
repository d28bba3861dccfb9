"""Invariants: each flaw is found by the invariant that names it and by no other, with the smallest pair."""

import functools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from dps import images, metrics, networks
from dps.comparisons import COMPARISONS
from dps.image_pairs import flat, image_pair, noise, square
from dps.invariants import Check, Subject, examine
from dps.measurement import Engine
from dps.metrics import FeatureMetric, Metric, Term, Variant
from dps.networks import BUILT_IN, Extractor
from dps.options import Options
from dps.rows import Row
from dps.session import construction
from suites import test_invariants as invariants
from tests.running import SUITES, Run, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

INVARIANTS = [name.removeprefix("test_") for name in vars(invariants) if name.startswith("test_")]
INVARIANTS.remove("reproducible_construction")  # of a run, not of pairs


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference: every invariant holds."""
    return (a - b).abs().mean((1, 2, 3))


def half_red_is_negative(a: Tensor, b: Tensor) -> Tensor:
    """Negative where the other image is flat and half red, but the original is less red."""
    red = b[:, 0].flatten(1)
    flat = (red[:, :1] == red).all(dim=1)
    return l1(a, b) * (1 - 2 * (flat & (red[:, 0] > 0.5) & (red[:, 0] < 0.9) & (a[:, 0, 0, 0] < 0.5)))


def nan_on_flat(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a.flatten(1).amax(1) == a.flatten(1).amin(1), torch.nan, l1(a, b))


def one_way(a: Tensor, b: Tensor) -> Tensor:
    return (b - a).relu().mean((1, 2, 3))


def paints_over(a: Tensor, b: Tensor) -> Tensor:
    distance = l1(a, b)
    with torch.no_grad():
        a.zero_()
    return distance


def tires() -> Callable[[Tensor, Tensor], Tensor]:
    """Twice as large for images that were measured before; but on two threads, which have an invariant of their own."""
    seen = set()

    def distance(a: Tensor, b: Tensor) -> Tensor:
        images = (a.detach().numpy().tobytes(), b.detach().numpy().tobytes())
        again = images in seen and torch.get_num_threads() == 1 and not a.requires_grad
        seen.add(images)
        return l1(a, b) * (1 + again)

    return distance


FLAWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "finiteness": nan_on_flat,
    "identity": lambda a, b: l1(a, b) + 0.1,
    "non_negativity": lambda a, b: -l1(a, b),
    "symmetry": one_way,
    "batch_invariance": lambda a, b: l1(a, b) * (1 + (len(a) > 1)),
    "batch_permutation_equivariance": lambda a, b: l1(a, b) * torch.arange(1, len(a) + 1),
    "unchanged_input": paints_over,
    "evaluation_mode": tires(),
    "determinism_across_threads": lambda a, b: l1(a, b) * torch.get_num_threads(),
    "finite_gradients": lambda a, b: (a - b).square().mean((1, 2, 3)).sqrt(),
}


def image_metric(distance: Callable[[Tensor, Tensor], Tensor], **declared: object) -> Variant:
    metric = Metric(distance=distance, name="mine", **declared)  # type: ignore[arg-type]
    return Variant(metric=metric, network=None, normalization=None)


def check(variant: Variant, *names: str, extractor: Extractor | None = None, examples: int = 30) -> dict[str, Row]:
    subject = Subject(variant, [variant], Engine(extractor), {})
    findings: dict[str, Row] = {}

    def hold(check: Check, _variant: Variant) -> None:
        findings[check.__name__.removeprefix("test_")] = examine(check, subject, examples=examples)[0]

    for name in names or INVARIANTS:
        getattr(invariants, f"test_{name}")(variant, SimpleNamespace(hold=hold))
    return findings


def broken(findings: dict[str, Row]) -> list[str]:
    return [name for name, finding in findings.items() if finding["holds"] is False]


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_each_flaw_breaks_exactly_the_invariant_that_names_it(invariant: str) -> None:
    assert broken(check(image_metric(FLAWS[invariant]), examples=15)) == [invariant]


GRADIENT = "the gradient at the original is"


@pytest.mark.parametrize(
    ("distance", "invariant", "reason", "pair"),
    [
        (FLAWS["identity"], "identity", "the distance of an image to itself is 0.1", "itself"),
        (half_red_is_negative, "non_negativity", "the distance is -0.16732", "flat #800000"),  # 128 / 255 in 1 of 3
        (FLAWS["finite_gradients"], "finite_gradients", f"{GRADIENT} not finite in 192 of 192 numbers", "itself"),
    ],
)
def test_the_smallest_pair_is_reported_with_numbers(
    distance: Callable[[Tensor, Tensor], Tensor], invariant: str, reason: str, pair: str
) -> None:
    (finding,) = check(image_metric(distance, smallest=8), invariant, examples=300).values()
    assert finding["reason"] == reason
    assert finding["pair"] == f"8 x 8 pixels, flat #000000 against {pair}"


def test_a_metric_that_raises_breaks_no_invariant_and_could_not_be_measured() -> None:
    def throws(_a: Tensor, _b: Tensor) -> Tensor:
        raise RuntimeError("no such thing\nreally")

    findings = check(image_metric(throws))
    assert {finding["holds"] for finding in findings.values()} == {None}
    assert {finding["error"] for finding in findings.values()} == {"metric 'mine': RuntimeError: no such thing really"}


def test_nan_everywhere_is_reported_by_finiteness_alone() -> None:
    def always_nan(a: Tensor, b: Tensor) -> Tensor:
        return l1(a, b) * torch.nan

    findings = check(image_metric(always_nan))
    assert broken(findings) == ["finiteness"]
    assert findings["finiteness"]["reason"] == "the distance is nan"
    held = [name for name, finding in findings.items() if finding["holds"]]
    assert held == ["unchanged_input"]
    assert findings["symmetry"]["error"] == "no pair of images has a finite distance"


def test_a_metric_declared_not_symmetric_skips_symmetry() -> None:
    (finding,) = check(image_metric(one_way, symmetric=False), "symmetry").values()
    assert (finding["holds"], finding["reason"]) == (None, "declared not to be symmetric")


def in_numpy(a: Tensor, b: Tensor) -> Tensor:
    return torch.from_numpy(np.abs(a.numpy() - b.numpy()).mean((1, 2, 3)))


def detached(a: Tensor, b: Tensor) -> Tensor:
    return l1(a, b).detach()


@pytest.mark.parametrize(
    ("distance", "reason"),
    [
        (in_numpy, "Can't call numpy() on Tensor that requires grad."),
        (detached, "element 0 of tensors does not require"),
    ],
)
def test_a_metric_without_gradients_skips_them_and_the_reason_is_named(
    distance: Callable[[Tensor, Tensor], Tensor], reason: str
) -> None:
    (finding,) = check(image_metric(distance), "finite_gradients").values()
    assert (finding["holds"], finding["error"]) == (None, "")
    assert finding["reason"].startswith(f"not differentiable: {reason}")


def test_a_fault_of_another_kind_is_not_taken_for_a_missing_gradient() -> None:
    def looks_up(a: Tensor, b: Tensor) -> Tensor:
        return a.new_tensor(vars()["weights"]) if a.requires_grad else l1(a, b)

    (finding,) = check(image_metric(looks_up), "finite_gradients").values()
    assert (finding["holds"], finding["error"]) == (None, "KeyError: 'weights'")


def loads_at_its_first_call(a: Tensor, b: Tensor) -> Tensor:
    return l1(weight() * a, weight() * b)


@functools.cache
def weight() -> Tensor:
    return torch.tensor(2.0)


def similarity_of_images_around_0(a: Tensor, b: Tensor) -> Tensor:
    assert a.detach().min() >= -1
    return 1 - l1(a, b)


def at_least(size: int) -> Callable[[Tensor, Tensor], Tensor]:
    def l1_of_larger(a: Tensor, b: Tensor) -> Tensor:
        assert min(a.shape[-2:]) >= size
        return l1(a, b)

    return l1_of_larger


@pytest.mark.parametrize(
    ("distance", "declared"),
    [
        (l1, {}),
        (loads_at_its_first_call, {}),
        (similarity_of_images_around_0, {"similarity_at_identity": 1.0, "input_range": (-1.0, 1.0)}),
        (at_least(11), {"smallest": 11}),
        (at_least(64), {}),  # without a declaration, as small as those of BAPPS
    ],
)
def test_every_invariant_holds(distance: Callable[[Tensor, Tensor], Tensor], declared: dict[str, object]) -> None:
    findings = check(image_metric(distance, **declared))
    assert {name: finding["holds"] for name, finding in findings.items()} == dict.fromkeys(INVARIANTS, True)


# --------------------------------------------------------------------------------------------- on a network


def halves_its_features(features: Tensor) -> Tensor:
    representation = features.flatten(2).clone()
    features.mul_(0.5)
    return representation


def spread(features: Tensor) -> Tensor:
    """Each channel's standard deviation: a root, at 0 where a channel is the same everywhere."""
    return features.flatten(2).var(dim=2, keepdim=True, correction=0).sqrt()


@pytest.mark.parametrize(
    ("comparison", "invariant", "reason"),
    [
        (halves_its_features, "unchanged_input", "metric 'mine': changed its input; it must leave it as it is"),
        (spread, "finite_gradients", f"{GRADIENT} not finite in "),
    ],
)
def test_a_comparison_with_a_flaw_breaks_one_invariant_and_in_the_table_as_well(
    comparison: Callable[[Tensor], Tensor],
    invariant: str,
    reason: str,
    alexnet: Extractor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metric = FeatureMetric(name="mine", terms=(Term(name="mine", comparison=comparison),))
    variant = Variant(metric=metric, network="alexnet", normalization="none")
    findings = check(variant, extractor=alexnet, examples=8)
    assert broken(findings) == [invariant]
    monkeypatch.setitem(COMPARISONS, "mine", comparison)
    (built_in,) = metrics.variants([metrics.named("mine")], ["alexnet"], ["none"])
    (finding,) = check(built_in, invariant, extractor=alexnet, examples=8).values()
    for row in (findings[invariant], finding):
        assert row["reason"].startswith(reason)


# ------------------------------------------------------------------------------------------------- the pairs


def test_drawings_by_hand() -> None:
    text, draw = square((1, 2, 3), (9, 8, 7), 2, 1, 0)
    ground, color = [1, 2, 3], [9, 8, 7]
    assert draw(2, 3).tolist() == [[ground, color, color], [ground, color, color]]
    assert text == "flat #010203 with a #090807 square of 2 pixels at 1, 0"
    _, draw = noise((0, 0, 0), 5)
    assert draw(4, 6).shape == (4, 6, 3)
    assert (draw(4, 6) == noise((9, 9, 9), 5)[1](4, 6)).all()
    assert (draw(4, 6) != noise((0, 0, 0), 6)[1](4, 6)).any()


@pytest.mark.parametrize(
    ("percentage", "green", "blue", "text"),
    [(50, 86, 236, "itself with 50 % more contrast"), (0, 100, 200, "itself")],  # 127.5 + 1.5 * (100 - 127.5) = 86.25
)
def test_pairs_by_hand(percentage: int, green: int, blue: int, text: str) -> None:
    pair = image_pair(2, 3, flat((0, 100, 200)), percentage)
    assert pair.other.tolist() == [[[0, green, blue]] * 3] * 2
    assert pair.text == f"3 x 2 pixels, flat #0064c8 against {text}"


# -------------------------------------------------------------------------------------------- as users run it

MINE = """
import dps

def l1(a, b):
    return (a - b).abs().mean((1, 2, 3))

def one_way(a, b):
    return (b - a).relu().mean((1, 2, 3))

def raises_on_flat(a, b):
    if (a == a[:, :, :1, :1]).all():
        raise ValueError("flat")
    return l1(a, b)

def declared():
    return dps.Metric(distance=one_way, symmetric=False)
"""


OF_PAIRS = ("-k", "not reproducible_construction")  # which takes a new process


def run(suite: Suite, *options: str) -> Run:
    Path("mine.py").write_text(MINE, encoding="utf-8")
    return suite(*options, paths=(str(SUITES / "test_invariants.py"),))


def test_a_broken_invariant_fails_in_three_lines_and_its_pair_is_kept(suite: Suite) -> None:
    done = run(suite, "--metric=mine.py:l1,mine.py:one_way", "--examples=5", "--gate=strict", *OF_PAIRS)
    assert done.code == 1
    assert done.outcomes == {"failed": 1, "passed": 2 * len(INVARIANTS) - 1, "deselected": 2}
    stem = done.folder.relative_to(Path.cwd()) / "invariants" / "symmetry-mine.py_one_way"
    reason = "the distance is 1 from the original to the other image, but 0 back"
    at = done.lines.index(" test_symmetry[mine.py:one_way] ".center(80, "_"))
    assert done.lines[at + 1 : at + 4] == [
        f"symmetry does not hold for mine.py:one_way: {reason}.",
        "  smallest pair: 64 x 64 pixels, flat #000000 against flat #ffffff",
        f"  {stem}-{{original,other}}.png",
    ]
    assert np.asarray(PIL.Image.open(f"{stem}-original.png")).tolist() == [[[0, 0, 0]] * 64] * 64
    assert images.read(Path(f"{stem}-other.png")).tolist() == [[[255, 255, 255]] * 64] * 64
    rows = {(row["invariant"], row["metric"]): row for row in done.results["invariants"]}
    assert rows["symmetry", "mine.py:l1"]["holds"] is True
    assert rows["symmetry", "mine.py:l1"]["examples"] == 5
    assert rows["symmetry", "mine.py:one_way"] | {"examples": 0} == {
        "invariant": "symmetry", "network": None, "normalization": None, "metric": "mine.py:one_way", "holds": False,
        "reason": reason, "error": "", "pair": "64 x 64 pixels, flat #000000 against flat #ffffff", "examples": 0,
    }  # fmt: skip
    assert f"{reason}." in (done.folder / "report.md").read_text(encoding="utf-8")


def test_with_the_gate_off_only_what_could_not_be_measured_fails_and_once(suite: Suite) -> None:
    metrics = "--metric=mine.py:one_way,mine.py:declared,mine.py:raises_on_flat"
    done = run(suite, metrics, "--examples=10", "--gate=off", *OF_PAIRS)
    assert done.code == 1
    count = len(INVARIANTS)
    outcomes = {"failed": 1, "xfailed": 1, "skipped": count - 1 + 1, "passed": 2 * (count - 1), "deselected": 3}
    assert done.outcomes == outcomes
    words = " ".join(done.text.split())
    assert f"{2 * (count - 1)} invariants hold." in words
    assert "symmetry does not hold for mine.py:one_way: the distance is 1 from the original" in words
    assert "symmetry does not apply to mine.py:declared: declared not to be symmetric." in words
    assert "mine.py:raises_on_flat could not be measured: metric 'mine.py:raises_on_flat': ValueError: flat." in words


def test_built_in_variants_hold_and_ids_name_every_axis(suite: Suite) -> None:
    done = run(suite, "--network=alexnet", "--metric=sort", "--examples=10", "-v")
    assert done.code == 0
    assert done.outcomes == {
        "passed": 2 * (len(INVARIANTS) - 1)
    }  # the evaluation mode of built-in metrics is tested here
    assert "test_symmetry[alexnet-none-sort] PASSED" in done.text


# ---------------------------------------------------------------------------------------------- made anew


MADE = """
import sys

import torch

def once():
    weights = torch.rand(1, 3, 1, 1, generator=torch.Generator().manual_seed(3))
    return lambda a, b: (weights * (a - b).abs()).mean((1, 2, 3))

def random_heads():
    weights = torch.rand(1, 3, 1, 1)
    return lambda a, b: (weights * (a - b).abs()).mean((1, 2, 3))

def other_each_time():
    sys.made = factor = getattr(sys, "made", 0) + 1
    print("made", factor)
    return lambda a, b: factor * (a - b).abs().mean((1, 2, 3))
"""


def test_a_metric_that_is_made_anew_gives_the_same_distances(suite: Suite, pytester: pytest.Pytester) -> None:
    (pytester.path / "made.py").write_text(MADE, encoding="utf-8")
    names = ",".join(f"made.py:{name}" for name in ("once", "random_heads", "other_each_time"))
    options = (f"--metric={names},pixel", "--gate=strict", "-k", "reproducible_construction", "-vv")
    done = suite(*options, paths=(str(SUITES / "test_invariants.py"),))
    assert (done.code, done.outcomes) == (1, {"passed": 1, "failed": 2, "deselected": 39})
    rows = {row["metric"]: row for row in done.results["invariants"]}
    assert {name: row["holds"] for name, row in rows.items()} == {
        "made.py:once": True,
        "made.py:other_each_time": False,
        "made.py:random_heads": False,
    }
    assert rows["made.py:random_heads"]["reason"].endswith(" of the same metric made in a new process")


def test_a_process_that_ends_is_an_error_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert construction.remake(Options(metric=["pixel"]), ["pixel"]) == [{"pixel": "the new process ended with code 1"}]


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_networks_are_in_evaluation_mode_and_the_same_when_made_anew(name: str) -> None:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    extractor, anew = (Extractor(networks.named(name)) for _ in range(2))
    for first, again, other in zip(*(each.features(images) for each in (extractor, extractor, anew)), strict=True):
        assert torch.equal(first, again)
        assert torch.equal(first, other)
