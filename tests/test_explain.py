"""The parts of a distance add up, worked by hand on a tiny case; and the page that shows them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from dps import explain, image_files, images, metrics, probes
from dps.errors import MetricError, UsageError
from dps.explain import Explanation
from dps.images import Triple
from dps.measurement import Engine
from dps.networks import Extractor, Network
from dps.options import Options
from dps.report import explain_page as report
from dps.session.configuration import RunConfiguration
from dps.session.configuring import configure_measurement

CASES = {case.name: case for probe in probes.load([probes.BUILT_IN], 6) for case in probe.cases}


def explained(metric: metrics.AnyMetric, case: str, extractor: Extractor, normalization: str = "none") -> Explanation:
    (variant,) = metrics.variants([metric], ["alexnet"], [normalization])
    return explain.explain(case, CASES[case].draw(), variant, Engine(extractor))


class TwoPositions:
    """A network double: one layer of two channels and 1 x 2 positions, of numbers one can follow."""

    layers, layer_indices = ("both",), {"alexnet": (0,)}

    def __init__(self, features: list[list[list[float]]]) -> None:
        self.device = torch.device("cpu")
        self.network = Network(features=lambda _images: [], name="alexnet")
        self._features = torch.tensor(features).unsqueeze(2)

    def features(self, images: Tensor) -> list[Tensor]:
        return [self._features[: len(images)]]

    def run(self, images: Tensor, visit: Callable[[int, Tensor], object]) -> None:
        visit(0, self._features[: len(images)])


def by_hand(metric: str, normalization: str = "none", reduction: str = "sum") -> Explanation:
    """Original (1, 2 | 0, 0), distorted (3, 2 | 0, 4): squared gaps (4, 0 | 0, 16)."""
    features = [[[1.0, 2.0], [0.0, 0.0]], [[3.0, 2.0], [0.0, 4.0]]]
    black, white = (images.make_image(np.full((2, 4, 3), value, dtype=np.uint8)) for value in (0, 255))
    (variant,) = metrics.variants([metrics.named(metric)], ["alexnet"], [normalization])
    engine = Engine(cast(Extractor, TwoPositions(features)), reduction)
    return explain.explain("by hand", Triple(original=black, distorted=white, references={}), variant, engine)


def test_the_map_of_spatial_by_hand() -> None:
    explanation = by_hand("spatial")
    assert explanation.distances == (10.0,)  # (4 + 16) / 2 positions
    heat = explanation.heat_map(0)
    assert heat is not None
    assert heat.tolist() == [[0.5, 0.5, 2.0, 2.0]] * 2  # each position stands for 2 x 2 of the pixels


@pytest.mark.parametrize(
    ("metric", "channels", "positions", "localized", "ascending"),
    [
        ("spatial", [2.0, 8.0], [2.0, 8.0], True, False),
        ("sort", [1.0, 8.0], [0.5, 8.5], False, True),  # (1, 2) and (2, 3): 1, 1; (0, 0) and (0, 4): 0, 16
        ("mean", [1.0, 4.0], [5.0], False, False),  # 1.5 and 2.5; 0 and 2
    ],
)
def test_parts_of_each_comparison_by_hand(
    metric: str, channels: list[float], positions: list[float], localized: bool, ascending: bool
) -> None:
    explanation = by_hand(metric)
    (view,) = explanation.views
    assert view.channel_parts[0].tolist() == channels
    assert view.position_parts[0].tolist() == positions
    assert (view.localized, view.ascending) == (localized, ascending)
    assert (explanation.heat_map(0) is not None) == localized


def test_weights_and_reduction_are_in_the_parts() -> None:
    explanation = by_hand("spatial+0.5*mean", reduction="mean")
    spatial, mean = (view.channel_parts[0].tolist() for view in explanation.views)
    assert (spatial, mean) == ([1.0, 4.0], [0.25, 1.0])  # by two channels, and mean by half again
    assert explanation.distances == (6.25,)


@pytest.mark.parametrize("normalization", ["none", "unit"])
@pytest.mark.parametrize("metric", ["mean", "spatial+0.5*sort"])
def test_parts_add_up_to_what_results_give(alexnet: Extractor, metric: str, normalization: str) -> None:
    explanation = explained(metrics.named(metric), "translate/mosaic-000", alexnet, normalization)
    variant = explanation.variant
    outcome = Engine(alexnet).measure([CASES["translate/mosaic-000"].draw()], [variant])[0][variant]
    assert explanation.layers[0] == getattr(outcome, "distorted_layers")  # noqa: B009 - an error has none
    for image, layers in enumerate(explanation.layers):
        for number, distance in enumerate(layers, start=1):
            views = [view for view in explanation.views if view.layer == number]
            for parts in ("channel_parts", "position_parts"):
                total = sum(float(getattr(view, parts)[image].sum()) for view in views)
                assert total == pytest.approx(distance, rel=1e-5)


def test_the_map_of_pixels_is_of_squared_differences() -> None:
    (variant,) = metrics.variants([metrics.named("pixel")], [], [])
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    other = pixels.copy()
    other[0, 1] = (255, 0, 51)
    triple = Triple(original=images.make_image(pixels), distorted=images.make_image(other), references={})
    explanation = explain.explain("two", triple, variant, Engine())
    parts = explanation.heat_map(0)
    assert parts is not None
    assert parts == pytest.approx(np.array([[0, 1.04 / 12], [0, 0]]), rel=1e-6)  # (1 + 0.2^2) / 12 numbers
    assert explanation.distances[0] == pytest.approx(1.04 / 12)


@pytest.mark.parametrize(("share", "count"), [(0.5, 1), (0.8, 2), (1.0, 3)])
def test_parts_needed_by_hand(share: float, count: int) -> None:
    assert explain.parts_needed([2.0, 5.0, 0.0, 3.0], share) == count  # 5, 8, 10 of 10
    assert explain.parts_needed([0.0, 0.0], share) == 0


def test_a_metric_of_two_images_is_refused() -> None:
    black = images.make_image(np.zeros((8, 8, 3), dtype=np.uint8))
    metric = metrics.Metric(name="own.py:mine", distance=lambda a, _b: a.new_zeros(len(a)))
    (variant,) = metrics.variants([metric], [], [])
    with pytest.raises(UsageError, match=r"^metric 'own.py:mine' returns one number .* has no parts"):
        explain.explain("x", Triple(original=black, distorted=black, references={}), variant, Engine())


def test_a_comparison_without_channels_and_places_is_shown_without_them(alexnet: Extractor, tmp_path: Path) -> None:
    """The name of its file has glyphs that Matplotlib's font lacks."""
    (tmp_path / "度量.py").write_text("def halves(f):\n    return f.flatten(2)[:, :7, ::2]\n")
    explanation = explained(metrics.named(f"{tmp_path}/度量.py:halves"), "invert/rings-003", alexnet)
    words = " ".join(report.as_sentences(explanation))
    assert "has no map" in words
    assert "has no feature maps" in words
    written = report.write(explanation, [2], "dps", "", tmp_path / "out")
    assert sum("values" in path.name for path in written) == 1


def test_a_distance_that_is_not_finite_is_refused(alexnet: Extractor) -> None:
    nan = metrics.Term(name="nan", comparison=lambda f: f.flatten(2) * torch.nan)
    with pytest.raises(MetricError, match="not finite"):
        explained(metrics.FeatureMetric(name="nan", terms=(nan,)), "invert/rings-003", alexnet)


def test_an_unknown_case_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^unknown case 'rotate/mosaic-45'\. Did you mean 'rotate/mosaic-0"):
        explain.find(probes.load([probes.BUILT_IN]), "rotate/mosaic-45")


def test_the_page_has_everything_in_it_and_runs_nothing(alexnet: Extractor, tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    explanation = replace(explained(metrics.named("spatial+sort"), "translate/mosaic-000", alexnet), name=name)
    page, *pngs = report.write(explanation, [], name, "", tmp_path)
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<svg") == len(pngs)
    assert "src=" not in html
    for path in pngs:
        with PIL.Image.open(path) as image:
            assert image.width > 500
    shares = [view.distances[0] / explanation.distances[0] for view in explanation.views]
    assert sum(shares) == pytest.approx(1, rel=1e-5)
    with pytest.raises(UsageError, match=r"^--layers 6: alexnet has layers 1 to 5\.$"):
        report.write(explanation, [6], "", "", tmp_path)


def of_one(metric: str) -> RunConfiguration:
    return configure_measurement(Options(metric=[metric], network=["alexnet"], normalization=["none"]))


def test_distances_of_files_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"a": 100, "b": 110, "c": 100}.items():
        PIL.Image.fromarray(np.full((40, 60, 3), value, dtype=np.uint8)).save(f"{name}.png")
    files = Path("a.png"), [Path("b.png"), Path("c.png")]
    assert image_files.distances(of_one("pixel"), *files) == [(pytest.approx((10 / 255) ** 2), ()), (0, ())]
    (far, layers), (near, none) = image_files.distances(of_one("spatial"), *files)
    assert far == pytest.approx(sum(layers), rel=1e-12)
    assert (len(layers), near, none) == (5, 0, (0,) * 5)
    (tmp_path / "own.py").write_text("def nan(a, b):\n    return (a - b).mean((1, 2, 3)) * float('nan')\n")
    with pytest.raises(MetricError, match=r"the distance of a.png to b.png is nan, which is not finite"):
        image_files.distances(of_one("own.py:nan"), *files)
