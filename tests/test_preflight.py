"""The one call of each metric before a run: what is told, what is excluded, and that none is built in."""

import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dps import metrics
from dps.errors import UsageError
from dps.metrics import AnyMetric, FeatureMetric, Metric, Term
from dps.networks import Extractor
from dps.session import preflight
from tests.refusals import refusal
from tests.running import Suite, suite

__all__ = ["suite"]

pytest_plugins = ["pytester"]

SHAPE = (32, 32)


def check(*chosen: AnyMetric, network: Extractor | None = None) -> dict[str, str]:
    load = None if network is None else lambda: network
    return preflight.check(chosen, SHAPE, load, preflight.find_fault)


def of_images(distance: Callable[..., Any], **declared: Any) -> Metric:
    return Metric(name="mine", distance=distance, **declared)


def of_features(comparison: Callable[..., Any], name: str = "mine") -> FeatureMetric:
    return FeatureMetric(name=name, terms=(Term(name="mine", comparison=comparison),))


def squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean((1, 2, 3))


def raises(_a: Tensor, _b: Tensor) -> Tensor:
    raise RuntimeError("no CUDA\nhere")


@pytest.mark.parametrize("distance", [squared, lambda a, b: squared(a, b)[:, None, None, None]])
def test_an_ordinary_metric_has_no_fault(distance: Callable[..., Any], alexnet: Extractor) -> None:
    similarity = Metric(name="other", distance=lambda a, b: 1 - squared(a, b), similarity_at_identity=1.0)
    assert check(of_images(distance), similarity, of_features(torch.Tensor.double), network=None) == {}
    assert check(of_features(lambda features: features.flatten(2)), network=alexnet) == {}


def test_built_in_metrics_cost_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_check_in_child", lambda *_: pytest.fail("called"))
    assert check(*(metrics.named(name) for name in metrics.DEFAULT_METRICS)) == {}


@pytest.mark.parametrize(
    ("distance", "message"),
    [
        (raises, "RuntimeError: no CUDA here"),
        (lambda a, b: (a - b).square(), "must return shape (3,) for 3 pairs, got (3, 3, 32, 32)"),
        (
            lambda a, b: squared(a, b) * torch.nan,
            "returned nan for two images; return a finite number for each pair.",
        ),
        (
            lambda a, b: 1 - squared(a, b),
            "the distance of an image to itself is 1, but must be 0. If it is a similarity, declare it: "
            "dps.Metric(distance=..., similarity_at_identity=1.0)",
        ),
        (
            lambda a, b: 2 + 2 * squared(a, b) * 0,
            "the distance of an image to itself is 2, but must be 0 (to 1e-06 of its other distances, 2).",
        ),
    ],
)
def test_a_wrong_metric_is_told_what_to_return(distance: Callable[..., Any], message: str) -> None:
    assert (
        refusal(lambda: check(of_images(distance), metrics.named("pixel")), UsageError) == f"metric 'mine': {message}"
    )


@pytest.mark.parametrize(
    ("comparison", "message"),
    [
        (lambda f: f, "must return (batch, channel, position) for features (3, 64, 7, 7), got (3, 64, 7, 7)"),
        (lambda f: f.flatten(2) / 0, "returned numbers that are not finite for features (3, 64, 7, 7)."),
    ],
)
def test_a_wrong_comparison_is_told_once_though_two_sums_have_it(
    comparison: Callable[..., Any], message: str, alexnet: Extractor
) -> None:
    assert (
        refusal(
            lambda: check(of_features(comparison), of_features(comparison, "sort+mine"), network=alexnet), UsageError
        )
        == f"metric 'mine': {message}"
    )


def test_a_metric_that_ends_its_process_or_hangs_is_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "TIME_LIMIT", 2)
    died = "its first call ended the process"
    assert check(of_images(lambda _a, _b: os._exit(3)), of_images(squared)) == {}  # the later one of a name
    assert check(of_images(lambda _a, _b: os._exit(3))) == {"mine": f"{died} (exit code 3)"}
    assert check(of_images(lambda _a, _b: ctypes.string_at(0))) == {"mine": f"{died} (signal SIGSEGV)"}
    assert check(of_images(lambda _a, _b: time.sleep(60))) == {"mine": "its first call did not return within 2 s"}


def test_a_comparison_that_ends_its_process_excludes_each_sum_with_it(alexnet: Extractor) -> None:
    ends = lambda _: os._exit(3)  # noqa: E731
    found = check(of_features(ends), of_features(ends, "sort+mine"), network=alexnet)
    assert set(found) == {"mine", "sort+mine"}


def test_where_a_process_cannot_be_forked_the_call_is_made_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr("multiprocessing.get_context", lambda _kind: pytest.fail("forked"))
    with pytest.raises(UsageError, match="RuntimeError: no CUDA here"):
        check(of_images(raises))


def test_wrong_metrics_end_the_run_with_one_line_each_and_exit_code_4(suite: Suite, pytester: pytest.Pytester) -> None:
    text = (
        "def similarity(a, b):\n    return 1 - (a - b).abs().mean((1, 2, 3))\n\ndef pixels(a, b):\n    return a - b\n"
    )
    (pytester.path / "m.py").write_text(text, encoding="utf-8")
    done = suite("--probes=tiny.yaml", "--metric=m.py:similarity,m.py:pixels,pixel")
    assert done.code == 4
    lines = [line for line in done.errors if line]
    assert [line.partition("metric ")[2].partition(":")[0] for line in lines] == ["'m.py", "'m.py"]
    assert not done.folder.exists() or not list(done.folder.iterdir())


def test_a_metric_that_dies_is_excluded_by_name_and_the_others_are_measured(
    suite: Suite, pytester: pytest.Pytester
) -> None:
    text = "import os\n\n\ndef dies(a, b):\n    os._exit(3)\n"
    (pytester.path / "m.py").write_text(text, encoding="utf-8")
    done = suite("--probes=tiny.yaml", "--metric=m.py:dies,pixel", "--gate=off")
    assert done.code == 1
    assert {row["metric"] for row in done.rows} == {"pixel"}
    assert "  m.py:dies: its first call ended the process (exit code 3)" in done.lines
    assert suite("--probes=tiny.yaml", "--metric=m.py:dies").code == 4
