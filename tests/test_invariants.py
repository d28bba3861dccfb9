"""Invariants: each flaw is caught by the invariant that names it and by no other, and shown by the smallest pair."""

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from dps import images, invariants, metrics, networks
from dps.comparisons import COMPARISONS, NORMALIZATIONS, mean, spatial
from dps.invariants import INVARIANTS, Bench, Finding, checks, examine
from dps.invariants.pairs import Look, Square, pair
from dps.measurement import Engine
from dps.metrics import FeatureMetric, Metric, Term, Variant
from dps.networks import Extractor
from tests.running import SUITES, Run, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

GENERAL = [name for name, invariant in INVARIANTS.items() if invariant.concerns is checks._every]


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference: all that can be asked of it holds."""
    return (a - b).abs().mean((1, 2, 3))


# ------------------------------------------------------------------------- sentinels, each named after its flaw


def far_from_itself(a: Tensor, b: Tensor) -> Tensor:
    return l1(a, b) + 0.1


def below_zero(a: Tensor, b: Tensor) -> Tensor:
    return -l1(a, b)


def one_way(a: Tensor, b: Tensor) -> Tensor:
    return (b - a).relu().mean((1, 2, 3))


def nan_on_flat(a: Tensor, b: Tensor) -> Tensor:
    flat = a.flatten(1).amax(1) == a.flatten(1).amin(1)
    return torch.where(flat, torch.nan, l1(a, b))


def of_the_batch(a: Tensor, b: Tensor) -> Tensor:
    return l1(a, b) * (1 + (len(a) > 1))


def by_place_in_the_batch(a: Tensor, b: Tensor) -> Tensor:
    return l1(a, b) * torch.arange(1, len(a) + 1)


def paints_over(a: Tensor, b: Tensor) -> Tensor:
    found = l1(a, b)
    with torch.no_grad():
        a.zero_()
    return found


def by_threads(a: Tensor, b: Tensor) -> Tensor:
    return l1(a, b) * torch.get_num_threads()


def root_at_zero(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean((1, 2, 3)).sqrt()


CAUGHT: dict[Callable[[Tensor, Tensor], Tensor], str | None] = {
    l1: None,
    far_from_itself: "zero_to_itself",
    below_zero: "never_negative",
    one_way: "symmetric",
    nan_on_flat: "finite",
    of_the_batch: "alone_or_in_a_batch",
    by_place_in_the_batch: "in_any_order",
    paints_over: "unchanged_input",
    by_threads: "one_or_two_threads",
    root_at_zero: "finite_gradients",
}


def plain(distance: Callable[[Tensor, Tensor], Tensor], **declared: object) -> Variant:
    metric = Metric(distance=distance, name=distance.__name__, **declared)  # type: ignore[arg-type]
    return Variant(metric=metric, network=None, normalization=None)


def ask(variant: Variant, *names: str, extractor: Extractor | None = None) -> dict[str, Finding]:
    bench = Bench(lambda _network: Engine(extractor), [variant])
    return {name: examine(name, bench.subject(variant), tries=30) for name in names or GENERAL}


def broken(found: dict[str, Finding]) -> list[str]:
    return [name for name, finding in found.items() if finding.holds is False]


@pytest.mark.parametrize("sentinel", CAUGHT, ids=lambda sentinel: sentinel.__name__)
def test_each_flaw_is_caught_by_exactly_the_invariant_that_names_it(
    sentinel: Callable[[Tensor, Tensor], Tensor],
) -> None:
    caught = CAUGHT[sentinel]
    assert broken(ask(plain(sentinel))) == ([caught] if caught else [])


def test_every_general_invariant_has_a_sentinel() -> None:
    assert sorted(filter(None, CAUGHT.values())) == sorted(GENERAL)


def test_what_breaks_it_is_said_with_numbers() -> None:
    why = {name: finding.why for name, finding in ask(plain(far_from_itself)).items()}
    assert why["zero_to_itself"] == "an image is 0.1 from itself"
    (finding,) = ask(plain(root_at_zero), "finite_gradients").values()
    assert finding.why == "the gradient at the original is not finite in 12288 of 12288 numbers"  # 3 x 64 x 64
    assert str(finding.pair) == "64 x 64 pixels, flat #000000 against itself"


def test_the_smallest_pair_is_found() -> None:
    def half_red(a: Tensor, b: Tensor) -> Tensor:
        """Not symmetric where the other image alone is flat and half red, or redder."""
        red = b[:, 0].flatten(1)
        flat = (red[:, :1] == red).all(dim=1)
        return l1(a, b) * (1 + (flat & (red[:, 0] > 0.5) & (red[:, 0] < 0.9)))

    finding = examine(
        "symmetric", Bench(lambda _network: Engine(), [plain(half_red)]).subject(plain(half_red)), tries=99
    )
    assert str(finding.pair) == "64 x 64 pixels, flat #000000 against flat #800000"
    # 128 / 255 in one of three channels is 0.16732; twice that is 0.33464
    assert finding.why == "the distance is 0.334641 from the original to the other image, but 0.16732 back"


def test_what_raises_holds_nothing() -> None:
    def throws(_a: Tensor, _b: Tensor) -> Tensor:
        raise RuntimeError("no such thing\nreally")

    found = ask(plain(throws))
    assert found["finite_gradients"].holds is None  # nobody can say what its gradients are
    assert {finding.why for finding in found.values()} == {
        "metric 'throws': RuntimeError: no such thing really",
        "RuntimeError: no such thing really",
        "not differentiable: no such thing",
    }
    assert broken(found) == [name for name in GENERAL if name != "finite_gradients"]


def test_nan_everywhere_is_no_pass() -> None:
    def always_nan(a: Tensor, b: Tensor) -> Tensor:
        return l1(a, b) * torch.nan

    found = ask(plain(always_nan))
    assert broken(found) == [name for name in GENERAL if name != "unchanged_input"]
    assert found["finite"].why == "the distance is nan"
    assert found["symmetric"].why == "no pair of images has a finite distance"


def test_what_is_declared_not_symmetric_is_not_asked_to_be() -> None:
    (finding,) = ask(plain(one_way, symmetric=False), "symmetric").values()
    assert (finding.holds, finding.why) == (None, "declared not to be symmetric")


def test_what_has_no_gradient_is_not_asked_for_one() -> None:
    def in_numpy(a: Tensor, b: Tensor) -> Tensor:
        return torch.from_numpy(np.abs(a.numpy() - b.numpy()).mean((1, 2, 3)))

    (finding,) = ask(plain(in_numpy), "finite_gradients").values()
    assert finding.holds is None
    assert finding.why.startswith("not differentiable: Can't call numpy() on Tensor that requires grad.")


def test_a_similarity_in_another_range_is_asked_as_a_distance() -> None:
    def similarity(a: Tensor, b: Tensor) -> Tensor:
        assert float(a.min()) >= -1
        return 1 - l1(a, b)

    assert not broken(ask(plain(similarity, similarity_at_identity=1.0, input_range=(-1.0, 1.0))))


def test_a_metric_that_loads_at_its_first_call_has_gradients_afterwards() -> None:
    @functools.cache
    def weight() -> Tensor:
        return torch.tensor(2.0)

    def loads_late(a: Tensor, b: Tensor) -> Tensor:
        return l1(weight() * a, weight() * b)

    assert ask(plain(loads_late))["finite_gradients"].holds is True


def test_images_are_as_small_as_a_metric_can_take() -> None:
    def at_least_11(a: Tensor, b: Tensor) -> Tensor:
        assert min(a.shape[-2:]) >= 11
        return l1(a, b)

    def at_least_64(a: Tensor, b: Tensor) -> Tensor:
        assert min(a.shape[-2:]) >= 64  # those of BAPPS
        return l1(a, b)

    assert not broken(ask(plain(at_least_11, smallest=11)))
    assert not broken(ask(plain(at_least_64)))


# --------------------------------------------------------------------------------------------- on a network


def deep(name: str, comparison: Callable[[Tensor], Tensor]) -> Variant:
    metric = FeatureMetric(name=name, terms=(Term(name=name, comparison=comparison),))
    return Variant(metric=metric, network="alexnet", normalization="none")


def halves_its_features(features: Tensor) -> Tensor:
    form = features.flatten(2).clone()
    features.mul_(0.5)
    return form


def spread(features: Tensor) -> Tensor:
    """Each channel's standard deviation: a root, at 0 where a channel is the same everywhere."""
    return features.flatten(2).var(dim=2, keepdim=True, correction=0).sqrt()


def test_a_comparison_that_changes_its_features_is_caught_by_that_alone(alexnet: Extractor) -> None:
    found = ask(deep("mine", halves_its_features), extractor=alexnet)
    assert broken(found) == ["unchanged_input"]
    assert found["unchanged_input"].why == "it changes the features that mine is given"


def test_a_comparison_with_a_root_at_0_has_no_gradient_there(alexnet: Extractor) -> None:
    assert broken(ask(deep("mine", spread), extractor=alexnet)) == ["finite_gradients"]


@pytest.mark.parametrize(
    ("invariant", "name", "flawed", "why"),
    [
        ("ordered", "mean", lambda features: 3 * mean(features), "mean is .*, sort .*, spatial"),
        ("ordered", "sort", lambda features: 2 * features.flatten(2), "at layer 1 mean is .*, sort .*, spatial"),
        ("wasserstein", "sort", spatial, "four channels of sort are .*, but their cheapest transport"),
        ("wherever", "sort", spatial, "with positions in another order"),
    ],
)
def test_a_built_in_comparison_that_breaks_what_is_proven(
    invariant: str,
    name: str,
    flawed: Callable[[Tensor], Tensor],
    why: str,
    alexnet: Extractor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (variant,) = metrics.variants([metrics.named("sort")], ["alexnet"], ["none"])
    assert not broken(ask(variant, invariant, extractor=alexnet))
    monkeypatch.setitem(COMPARISONS, name, flawed)
    (finding,) = ask(variant, invariant, extractor=alexnet).values()
    assert finding.holds is False
    assert re.search(why, finding.why)


def test_what_is_proven_is_asked_of_what_it_is_proven_of() -> None:
    every = metrics.variants(
        [metrics.named(name) for name in metrics.DEFAULT_METRICS], networks.NETWORKS, NORMALIZATIONS
    )
    asked = list(invariants.asked(every))
    assert len(asked) == len(set(asked)) == 31 * len(GENERAL) + 3 * (1 + 1 + 4)
    assert {(str(v)) for name, v in asked if name == "wherever" and v.network == "vgg16"} == {
        "vgg16-none-sort", "vgg16-unit-sort", "vgg16-none-mean", "vgg16-unit-mean",
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------- the pairs


def test_looks_by_hand() -> None:
    pixels = Look(color=(1, 2, 3), square=Square(color=(9, 8, 7), side=2, left=1, top=0)).draw(2, 3)
    ground, square = [1, 2, 3], [9, 8, 7]
    assert pixels.tolist() == [[ground, square, square], [ground, square, square]]
    noise = Look(noise=5).draw(4, 6)
    assert noise.shape == (4, 6, 3)
    assert (noise == Look(noise=5).draw(4, 6)).all()
    assert (noise != Look(noise=6).draw(4, 6)).any()


def test_pairs_by_hand() -> None:
    made = pair(2, 3, Look(color=(0, 100, 200)), 50)  # 127.5 + 1.5 * (100 - 127.5) = 86.25
    assert made.other.tolist() == [[[0, 86, 236]] * 3] * 2
    assert str(made) == "3 x 2 pixels, flat #0064c8 against itself with 50 % more contrast"
    itself = pair(2, 3, Look(), 0)
    assert (itself.original == itself.other).all()
    assert str(itself) == "3 x 2 pixels, flat #000000 against itself"


# -------------------------------------------------------------------------------------------- as users run it

MINE = """
import dps

def l1(a, b):
    return (a - b).abs().mean((1, 2, 3))

def one_way(a, b):
    return (b - a).relu().mean((1, 2, 3))

def declared():
    return dps.Metric(distance=one_way, symmetric=False)
"""


def asking(suite: Suite, *options: str) -> Run:
    Path("mine.py").write_text(MINE, encoding="utf-8")
    return suite(*options, "-k=test_invariant", paths=(str(SUITES),))


def outcomes(done: Run) -> dict[str, int]:
    """Of the invariants alone."""
    return {what: count for what, count in done.outcomes.items() if what != "deselected"}


def test_a_broken_invariant_fails_in_three_lines_and_its_pair_is_kept(suite: Suite) -> None:
    done = asking(suite, "--metric=mine.py:l1,mine.py:one_way")
    assert done.code == 1
    assert outcomes(done) == {"failed": 1, "passed": 2 * len(GENERAL) - 1}
    stem = done.folder / "invariants" / "symmetric-mine.py_one_way"
    why = "the distance is 1 from the original to the other image, but 0 back"
    at = done.lines.index("_______________ test_invariant[symmetric-mine.py:one_way] _______________".center(80, "_"))
    assert done.lines[at + 1 : at + 4] == [
        f"symmetric does not hold for mine.py:one_way: {why}.",
        "  smallest pair: 64 x 64 pixels, flat #000000 against flat #ffffff",
        f"  {stem}-{{original,other}}.png",
    ]
    assert np.asarray(PIL.Image.open(f"{stem}-original.png")).tolist() == [[[0, 0, 0]] * 64] * 64
    assert images.read(Path(f"{stem}-other.png")).tolist() == [[[255, 255, 255]] * 64] * 64
    rows = {(row["invariant"], row["metric"]): row for row in done.results["invariants"]}
    assert rows["symmetric", "mine.py:l1"]["holds"] is True
    assert rows["symmetric", "mine.py:one_way"] | {"tries": 0} == {
        "invariant": "symmetric", "metric": "mine.py:one_way", "network": None, "normalization": None, "holds": False,
        "why": why,
        "pair": "64 x 64 pixels, flat #000000 against flat #ffffff", "tries": 0,
    }  # fmt: skip
    assert "## Invariants" in (done.folder / "report.md").read_text(encoding="utf-8")


def test_with_the_gate_off_it_is_reported_and_fails_nothing(suite: Suite) -> None:
    done = asking(suite, "--metric=mine.py:one_way", "--gate=off")
    assert done.code == 0
    assert outcomes(done) == {"xfailed": 1, "passed": len(GENERAL) - 1}
    assert f"invariants: {len(GENERAL) - 1} hold, 1 do not." in done.lines
    assert "symmetric does not hold for mine.py:one_way: the distance is 1 from the original" in done.text


def test_a_metric_says_that_it_is_not_symmetric(suite: Suite) -> None:
    done = asking(suite, "--metric=mine.py:declared")
    assert done.code == 0
    assert outcomes(done) == {"skipped": 1, "passed": len(GENERAL) - 1}
    assert "symmetric is not asked of mine.py:declared: declared not to be symmetric." in done.text


def test_built_in_variants_hold_and_ids_name_every_axis(suite: Suite) -> None:
    done = asking(suite, "--network=alexnet", "--metric=sort", "-v")
    assert done.code == 0
    assert outcomes(done) == {"passed": 2 * len(GENERAL) + 1 + 1 + 2}
    assert "test_invariant[symmetric-alexnet-none-sort] PASSED" in done.text
    assert "test_invariant[wherever-alexnet-unit-sort] PASSED" in done.text


def test_collecting_imports_no_hypothesis(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "hypothesis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(networks, "load", lambda *_args: pytest.fail("a network was loaded"))
    done = asking(suite, "--collect-only", "-q")
    assert done.code == 0
    assert "hypothesis" not in sys.modules
    assert f"{31 * len(GENERAL) + 18}/" in done.text


def test_more_pairs_with_a_profile_of_hypothesis() -> None:
    class Options:
        hypothesis_profile = "default"
        hypothesis_seed = "7"

    assert invariants.draws(Options(), named=True) == {"tries": 100, "seed": 7}  # Hypothesis's own default
    assert invariants.draws(object(), named=True) == {"tries": 100, "seed": 0}
    assert invariants.draws(object(), named=False) == {"tries": 8, "seed": 0}
