"""Thresholds: where curves cross one half, with intervals, by hand and by independent computations."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from dps import metrics, probes, thresholds
from dps.distortions.images import noise
from dps.measurement import Engine
from dps.metrics import Metric, Variant
from dps.report import figures, tables, thresholds_table
from dps.rows import Row, VariantKey
from dps.scenes.rng import Rng
from dps.thresholds import GRADED_DISTORTIONS, GradedDistortion, crossings, estimate
from tests.running import SUITES, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

LEVELS = (1.0, 2.0, 4.0, 8.0)
PIXEL = metrics.IMAGE_METRICS["pixel"].distance
BY_NAME = {graded.name: graded for graded in GRADED_DISTORTIONS}
NOISE = GradedDistortion("noise", "deviation", "of the range", (3 / 255, 6 / 255, 12 / 255, 24 / 255), {})


@pytest.mark.parametrize(
    ("curve", "crossing"),
    [
        ([1, 1, 0, 0], 2 * 2**0.5),  # halfway between 2 and 4, in logarithms
        ([1, 0.75, 0.25, 0], 2 * 2**0.5),
        ([1, 0.9, 0.4, 0], 2 * 2**0.8),
        ([1, 0.3, 0.6, 0], 2 ** (0.5 / 0.55)),  # the middle two are pooled: 0.45
        ([1, 0.5, 0.5, 0], 4.0),  # the largest severity at which half pass
        ([0.4, 0.9, 0, 0], 2 * 2 ** (0.15 / 0.65)),  # the first two are pooled: 0.65
        ([0.4, 0.3, 0, 0], 0.0),
        ([1, 1, 1, 0.5], np.inf),
        ([0, 0, 0, 0], 0.0),
        ([1, 1, 1, 1], np.inf),
    ],
)
def test_where_a_curve_crosses_one_half(curve: list[float], crossing: float) -> None:
    assert crossings(np.array([curve, curve], float), LEVELS) == pytest.approx([crossing] * 2)


def test_a_scene_passes_where_it_is_closer_than_every_damage() -> None:
    distances = np.array([[1.0, 3.0, 2.0, 4.0], [1.0, 2.0, 2.0, np.nan]])  # two levels, two damages
    assert thresholds.passed(distances, 2).tolist() == [[True, False], [False, False]]


def test_the_interval_is_that_of_an_independent_bootstrap() -> None:
    """Scene i passes up to its own level, so the curve needs no pooling; crossings by `numpy.interp`."""
    last = np.random.default_rng(3).integers(1, 4, 24)  # passed levels of each scene
    passes = np.arange(4) < last[:, None]
    found = []
    rng = np.random.default_rng(5)
    for _ in range(4000):
        fractions = passes[rng.integers(0, 24, 24)].mean(axis=0) + 1e-12 * np.arange(4, 0, -1)
        found.append(np.exp(np.interp(-0.5, -fractions, np.log(LEVELS))))
    threshold, low, high = estimate(passes, LEVELS)
    assert np.exp(np.interp(-0.5, -passes.mean(axis=0), np.log(LEVELS))) == pytest.approx(threshold)
    assert [low, high] == pytest.approx(np.quantile(found, [0.025, 0.975]).tolist(), rel=0.05)
    assert low < threshold < high


def measured(distance: Any, graded: GradedDistortion = NOISE) -> Row:
    """The row of six gray scenes with noise, of which 15/255 is the only damage."""
    variant = Variant(metric=Metric(name="mine", distance=distance), network=None, normalization=None)
    gray = np.full((64, 64, 3), 128, np.uint8)
    deviations = (*graded.levels, 15 / 255)
    noisy = [[noise(gray, Rng(scene, i), deviation=d) for i, d in enumerate(deviations)] for scene in range(6)]
    stack = np.array([[gray, *images] for images in noisy])
    return thresholds.row(graded, variant.key, Engine().measure_stack(stack, [variant])[variant])


def test_noise_is_as_far_as_the_same_noise_to_the_mean_squared_error() -> None:
    """It grows with the square of the deviation: all scenes pass below 15/255, and none above."""
    row = measured(PIXEL)
    assert row["passed"] == [6, 6, 6, 0]
    assert row["threshold"] == row["low"] == row["high"] == pytest.approx((12 * 24) ** 0.5 / 255)  # on the grid
    fine = replace(NOISE, levels=(14 / 255, 16 / 255))
    assert measured(PIXEL, fine)["threshold"] == pytest.approx(15 / 255, rel=0.01)


@pytest.mark.parametrize(
    ("distance", "passed", "threshold", "beyond", "error"),
    [
        (lambda a, _b: torch.zeros(len(a)), [0] * 4, None, "below", None),  # ties do not pass
        (lambda a, b: 1 / (1e-9 + (a - b).square().mean((1, 2, 3))), [0, 0, 0, 6], None, "below", None),
        (lambda a, _b: torch.full((len(a),), torch.nan), None, None, None, "are invalid, the first is nan"),
        (lambda a, _b: -torch.ones(len(a)), None, None, None, "are invalid, the first is -1"),
    ],
)
def test_metrics_that_are_broken(
    distance: Any, passed: list[int] | None, threshold: None, beyond: str | None, error: str | None
) -> None:
    row = measured(distance)
    assert (row["passed"], row["threshold"], row["threshold_beyond"]) == (passed, threshold, beyond)
    assert (error or "") in row.get("error", "")
    assert ("error" in row) == (error is not None) == (row["cases"] == 0)


@pytest.mark.parametrize("graded", GRADED_DISTORTIONS, ids=lambda graded: graded.name)
def test_levels_go_from_what_hardly_changes_a_scene_to_what_changes_it_far_more(graded: GradedDistortion) -> None:
    assert all(after > before for before, after in pairwise(graded.levels))
    assert graded.detection_threshold is None or 1.4 < graded.detection_threshold / graded.levels[0] < 2.1
    stack = thresholds.draw(graded, 1).astype(float)
    assert stack.shape == (1, 12 - (graded.name in ("blur", "noise", "jpeg")), 96, 96, 3)
    changes = np.abs(stack[:, 1:] - stack[:, :1]).mean(axis=(2, 3, 4))
    assert (changes[:, len(graded.levels) - 1] > 3 * changes[:, 0]).all()
    assert (changes[:, 0] < 16).all()


def test_people_are_those_of_the_probes() -> None:
    """The thresholds that the built-in probes declare, which another test holds against the paper."""
    severities = {probe.name: probe.severity for probe in probes.load([probes.BUILT_IN], 1)}
    declared = {name: severity.people for name, severity in severities.items() if severity and severity.people}
    assert BY_NAME["translate"].detection_threshold == declared["translate"].notice
    assert BY_NAME["rotate"].detection_threshold == declared["rotate"].notice
    assert 1 + (BY_NAME["zoom"].detection_threshold or 0) == declared["scale"].notice
    assert {name for name, graded in BY_NAME.items() if graded.detection_threshold} == {"translate", "rotate", "zoom"}
    assert all(graded.source for graded in GRADED_DISTORTIONS if graded.detection_threshold)


def made(high: float | None, high_beyond: str | None = None, **changes: Any) -> Row:
    key = VariantKey("alexnet", "none", "sort")
    passes = np.ones((4, 8), bool)
    row = thresholds.row(BY_NAME["rotate"], key, np.array([[0.0] * 8 + [1.0] * 3] * 4))
    assert row["passed"] == passes.sum(axis=0).tolist()
    return row | {"high": high, "high_beyond": high_beyond} | changes


def test_a_row_fails_where_its_whole_interval_is_below_what_people_notice() -> None:
    assert thresholds.below_people(made(3.5))
    assert thresholds.below_people(made(None, "below"))
    assert not thresholds.below_people(made(3.6))
    assert not thresholds.below_people(made(None, "above"))
    assert not thresholds.below_people(made(0.1, people=None))
    assert not thresholds.below_people(made(0.1, error="it broke"))


def test_the_table_has_intervals_a_mark_and_people_last() -> None:
    low: Row = {"threshold": 2.0, "threshold_beyond": None, "low": None, "low_beyond": "below"}
    rows = [made(3.5, **low), made(None, "above", metric="mean"), made(9, error="no", metric="x")]
    (table,) = thresholds_table.as_tables(rows)
    assert table.labels == ["alexnet-none-sort", "alexnet-none-mean", "alexnet-none-x", "people"]
    assert [str(cells[0]) for cells in table.cells] == ["2 <1.8..3.5", ">45 >45..>45", "not measured", "3.6"]
    assert [cells[0].shade for cells in table.cells] == ["fails", "", "unmeasured", ""]
    assert [cells[0].published for cells in table.cells] == [False, False, False, True]
    assert max(map(len, tables.as_text(table, 60))) <= 60
    assert thresholds_table.as_sentences(rows) == [
        "sort (none) finds visible damage closer than a change too small for people to notice: rotate on alexnet."
    ]
    figure = figures.draw_threshold({"thresholds": rows}, "rotate")
    assert figure is not None
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines[:2]] == [[100] * 8] * 2  # type: ignore[arg-type]
    assert "people's detection threshold, 3.6: arXiv:2407.17927" in figure.legends[1].get_texts()[0].get_text()


def test_a_run_is_gated_by_strict_alone_and_reported(suite: Suite) -> None:
    paths = (str(SUITES / "test_thresholds.py"),)
    options = ["--metric=pixel", "--probes=tiny.yaml", "--cases=4", "--size=64", "-k", "rotate or contrast"]
    done = suite(*options, paths=paths)
    assert (done.code, done.outcomes) == (0, {"passed": 1, "xfailed": 1, "deselected": 8})
    assert [row["distortion"] for row in done.results["thresholds"]] == ["contrast", "rotate"]
    assert all(row["cases"] == 4 for row in done.results["thresholds"])
    assert done.results["cases"] == []
    html = (done.folder / "report.html").read_text("utf-8")
    assert 'id="thresholds"' in html
    assert html.count('aria-label="Figure 1 of ') == 2
    strict = suite(*options, "--gate=strict", paths=paths)
    assert (strict.code, strict.outcomes) == (1, {"passed": 1, "failed": 1, "deselected": 8})
    assert "rotate-pixel: half of the scenes pass up to 1.8 degrees" in strict.text
