"""Is a metric the same as another one: what passes, what differs, and which mistake explains it."""

import copy
import functools
import importlib.metadata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import functional as transforms

from dps import metrics, networks, weights
from dps.image_pairs import ImagePair
from dps.metrics import Metric, Variant
from dps.metrics.third_party import THIRD_PARTY_METRICS
from dps.networks import Extractor
from dps.networks.extractor import cut
from dps.same import diagnosis, lenient, mistakes, pairs, reference
from dps.same.reference import Distance, Reference
from tests.running import ROOT, SUITES, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

PORTS = """
import torch

def l1(a, b):
    return (a - b).abs().mean((1, 2, 3))

def again(a, b):
    return torch.stack([(x - y).abs().mean() for x, y in zip(a, b)])

def flipped(a, b):
    return (a - b).abs()[..., : a.shape[-1] // 2].mean((1, 2, 3))
"""


def image_metric(name: str) -> Metric:
    metric = metrics.named(name)
    assert isinstance(metric, Metric)
    return metric


@pytest.fixture
def same(suite: Suite, pytester: pytest.Pytester) -> Suite:
    """Run the suite on a file of ports."""
    (pytester.path / "port.py").write_text(PORTS, encoding="utf-8")
    return lambda *options: suite("--gate=off", *options, paths=(str(SUITES / "test_same.py"),))


def test_equal_metrics_pass_and_others_fail_with_the_smallest_pair(same: Suite) -> None:
    done = same("--metric=port.py:again,port.py:flipped", "--same-as=port.py:l1")
    assert (done.code, done.outcomes) == (1, {"passed": 1, "failed": 1})
    first, second = done.results["same"]
    assert (first["metric"], first["same_as"], first["same"]) == ("port.py:again", "port.py:l1", True)
    assert (second["metric"], second["same"]) == ("port.py:flipped", False)
    assert second["pairs"] == second["compared"] > second["differing"] > 0
    assert second["pair"].startswith("32 x 32 pixels, face against ")
    assert (second["batch"], second["explanations"]) == (1, [])
    assert abs(second["distance"] - second["reference_distance"]) > 1e-4
    assert "port.py:flipped is not port.py:l1: 0." in done.text
    for name in ("original", "other"):
        assert (done.folder / "same" / f"port.py_flipped-{name}.png").is_file()


def test_the_suite_needs_both_metrics(same: Suite) -> None:
    wanted = "ERROR: test_same.py: name the metric that others must be the same as; pass --same-as METRIC."
    assert wanted in same("--metric=pixel").errors
    done = same("--same-as=pixel")
    assert done.code == 4
    assert "ERROR: --same-as pixel: name the metric that is compared with it, with --metric." in done.errors
    done = same("--metric=pixel", "--same-as=spatial")
    assert done.code == 4
    assert "--same-as spatial: stands for 8 variants, squeezenet-none-spatial and so on; choose one" in done.errors[0]


# ---------------------------------------------------------------------------------------------- known mistakes


@functools.cache
def loaded_lpips() -> nn.Module:
    other = THIRD_PARTY_METRICS["lpips:alex"]
    assert other.weights is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cast("nn.Module", other.make(other.weights.find("a test", "").state, cut(networks.named("alexnet"))))


def lpips_model() -> Any:
    """LPIPS of its package, a new one each time, on images in [-1, 1]."""
    return copy.deepcopy(loaded_lpips()).eval()


def scaled(model: Any) -> Distance:
    return lambda a, b: model(2 * a - 1, 2 * b - 1)


def heads_of_version_0_0() -> Distance:
    model = lpips_model()
    path = Path(str(importlib.metadata.distribution("lpips").locate_file("lpips/weights/v0.0/alex.pth")))
    model.load_state_dict(weights.read_state(path), strict=False)
    return scaled(model)


def with_attribute(name: str, value: object) -> Distance:
    model = lpips_model()
    setattr(model, name, value)
    return scaled(model)


def normalized_twice() -> Distance:
    model = lpips_model()
    mean, std = model.scaling_layer.shift, model.scaling_layer.scale
    return lambda a, b: model((2 * a - 1 - mean) / std, (2 * b - 1 - mean) / std)


def own_lpips(*, unit: bool = True, sums: bool = False) -> Distance:
    """LPIPS from the features of its package's network."""
    model = lpips_model()

    def distance(a: Tensor, b: Tensor) -> Tensor:
        total = torch.zeros(len(a))
        layers = zip(*(model.net(model.scaling_layer(2 * images - 1)) for images in (a, b)), strict=True)
        for head, (x, y) in zip(model.lins, layers, strict=True):
            if unit:
                x, y = (f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in (x, y))
            by_position = head.model[-1]((x - y).square()).flatten(1)
            total = total + (by_position.sum(1) if sums else by_position.mean(1))
        return total

    return distance


def in_half() -> Distance:
    model = lpips_model().half()
    return lambda a, b: model((2 * a - 1).half(), (2 * b - 1).half())


def own_spatial(*, unit: bool = False, mean: bool = False) -> Distance:
    """The comparison ``spatial`` on SqueezeNet."""
    extractor = Extractor(networks.named("squeezenet"))

    def distance(a: Tensor, b: Tensor) -> Tensor:
        total = torch.zeros(len(a))
        for x, y in zip(extractor.features(a), extractor.features(b), strict=True):
            if unit:
                x, y = (f / f.norm(dim=1, keepdim=True).clamp(min=1e-12) for f in (x, y))
            squares = (x - y).square().mean((2, 3))
            total = total + (squares.mean(1) if mean else squares.sum(1))
        return total

    return distance


WEIGHTS = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)


def light(a: Tensor, b: Tensor) -> Tensor:
    """A metric of no great use, on which each mistake of images and arguments shows: without a network, it is fast."""
    return ((1 + a.square()) * WEIGHTS * (a.sin() - b.sin()).square()).mean((1, 2, 3))


def on_images(change: Callable[[Tensor], Tensor]) -> Callable[[], Distance]:
    return lambda: lambda a, b: light(change(a), change(b))


def on_distances(change: Callable[[Tensor], Tensor]) -> Callable[[], Distance]:
    return lambda: lambda a, b: change(light(a, b))


def seen_by(size: int) -> Callable[[Tensor], Tensor]:
    return lambda images: transforms.resize(images, [size, size], antialias=True)


def central(images: Tensor) -> Tensor:
    cropped: Tensor = transforms.center_crop(images, [min(64, side) for side in images.shape[-2:]])
    return cropped


LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)

PORTS_WITH_ONE_MISTAKE: dict[str, tuple[str, Callable[[], Distance]]] = {
    "on images in [0, 1] taken for [-1, 1]": ("lpips:alex", lpips_model),
    "on images in [0, 1] taken for 0..255": ("light", on_images(lambda x: x / 255)),
    "on images in [-1, 1] taken for [0, 1]": ("light", on_images(lambda x: 2 * x - 1)),
    "on images in [-1, 1] taken for 0..255": ("light", on_images(lambda x: (2 * x - 1) / 255)),
    "on images in 0..255 taken for [0, 1]": ("light", on_images(lambda x: 255 * x)),
    "on images in 0..255 taken for [-1, 1]": ("light", on_images(lambda x: (255 * x + 1) / 2)),
    "on images in BGR order": ("light", on_images(lambda x: x[:, [2, 1, 0]])),
    "on gray images (luma)": ("light", on_images(lambda x: (x * LUMA).sum(1, keepdim=True).repeat(1, 3, 1, 1))),
    "on images resized to 64 (antialiased)": ("light", on_images(seen_by(64))),
    "on images resized to 224 (antialiased)": ("light", on_images(seen_by(224))),
    "on images resized to 256 (antialiased)": ("light", on_images(seen_by(256))),
    "on center-cropped images (to 64)": ("light", on_images(central)),
    "with the arguments swapped": ("light", lambda: lambda a, b: light(b, a)),
    "without ImageNet normalization": ("lpips:alex", lambda: with_attribute("scaling_layer", nn.Identity())),
    "with ImageNet normalization twice": ("lpips:alex", normalized_twice),
    "on another network (lpips:squeeze)": ("lpips:alex", lambda: image_metric("lpips:squeeze")),
    "with heads of version 0.0": ("lpips:alex", heads_of_version_0_0),
    "without heads (uncalibrated)": ("lpips:alex", lambda: with_attribute("lpips", False)),
    "without unit normalization": ("lpips:alex", lambda: own_lpips(unit=False)),
    "with unit normalization": ("spatial", lambda: own_spatial(unit=True)),
    "averaged over channels, not summed": ("spatial", lambda: own_spatial(mean=True)),
    "summed over channels, not averaged": ("spatial, mean", own_spatial),
    "summed over positions, not averaged": ("lpips:alex", lambda: own_lpips(sums=True)),
    "in half precision (float16)": ("lpips:alex", in_half),
    "in train mode": ("lpips:alex", lambda: scaled(lpips_model().train())),
    "squared": ("light", on_distances(lambda d: d**2)),
    "under a square root": ("light", on_distances(torch.sqrt)),
    "averaged over the batch": ("light", on_distances(torch.mean)),
    "as a similarity (1 - distance)": ("light", on_distances(lambda d: 1 - d)),
    "times a constant factor (2.5)": ("light", on_distances(lambda d: 2.5 * d)),
    "plus a constant offset (0.1)": ("light", on_distances(lambda d: d + 0.1)),
    "summed over pixels, not averaged": (
        "light",
        lambda: lambda a, b: light(a, b) * a.shape[2] * a.shape[3],
    ),
}


@pytest.fixture(scope="module")
def few() -> list[pairs.Batch]:
    """Some of all pairs, alone and in batches: of each kind and size but the largest."""
    by_kind: dict[str, list[ImagePair]] = {}
    for kind, pair in pairs.draw(31):
        by_kind.setdefault(kind, []).append(pair)
    del by_kind["large"]
    return pairs.batches([pair for of_kind in by_kind.values() for pair in of_kind[1 : -1 : len(of_kind) // 3]])


@functools.cache
def reference_of(name: str) -> Reference:
    squeezenet = networks.named("squeezenet")
    if name.startswith("spatial"):
        variant = Variant(metric=metrics.named("spatial"), network="squeezenet", normalization="none")
    else:
        metric = Metric(name="light", distance=light) if name == "light" else image_metric(name)
        variant = Variant(metric=metric, network=None, normalization=None)
    reduction = name.partition(", ")[2] or "sum"
    return reference.reference_of(variant, {"squeezenet": squeezenet}, reduction, "cpu", "pypi")


def explanations(name: str, port: Distance, batches: list[pairs.Batch]) -> list[list[str]]:
    metric = lenient(Metric(name="port", distance=port))
    ours, theirs = (diagnosis.measure(distance, batches)[0] for distance in (metric, reference_of(name)))
    return [each.names for each in diagnosis.explain(reference_of(name), batches, ours, theirs, 1e-4)]


@pytest.mark.parametrize("mistake", PORTS_WITH_ONE_MISTAKE)
def test_a_port_with_one_mistake_is_diagnosed_by_name(mistake: str, few: list[pairs.Batch]) -> None:
    name, port = PORTS_WITH_ONE_MISTAKE[mistake]
    assert [mistake] in explanations(name, port(), few)


def test_every_mistake_of_the_table_is_made_once() -> None:
    single = [mistake.name for mistake in mistakes.MISTAKES if not mistake.double]
    assert len(single) == len(PORTS_WITH_ONE_MISTAKE)
    for name in single:
        assert any(made.startswith(name) for made in PORTS_WITH_ONE_MISTAKE), name


PORTS_WITH_TWO_MISTAKES: dict[tuple[str, ...], Callable[[], Distance]] = {
    ("on images in 0..255 taken for [0, 1]", "on images in BGR order"): on_images(lambda x: 255 * x.flip(1)),
    ("on gray images (luma)", "under a square root"): lambda: (
        lambda a, b: light(*((x * LUMA).sum(1, keepdim=True).repeat(1, 3, 1, 1) for x in (a, b))).sqrt()
    ),
    ("with the arguments swapped", "times a constant factor (3)"): lambda: lambda a, b: 3 * light(b, a),
    ("times a constant factor, plus a constant offset (2 and -0.1)",): on_distances(lambda d: 2 * d - 0.1),
}


@pytest.mark.parametrize("names", PORTS_WITH_TWO_MISTAKES)
def test_two_mistakes_at_once_are_named_together(names: tuple[str, ...], few: list[pairs.Batch]) -> None:
    assert list(names) in explanations("light", PORTS_WITH_TWO_MISTAKES[names](), few)


def test_mistakes_that_give_equal_numbers_are_named_together(few: list[pairs.Batch]) -> None:
    def pixel(a: Tensor, b: Tensor) -> Tensor:
        return (255 * a - 255 * b).square().mean((1, 2, 3))

    variant = Variant(metric=metrics.IMAGE_METRICS["pixel"], network=None, normalization=None)
    known = reference.reference_of(variant, {}, "sum", "cpu", "pypi")
    ours, theirs = (diagnosis.measure(distance, few)[0] for distance in (pixel, known))
    found = [each.names for each in diagnosis.explain(known, few, ours, theirs, 1e-4)]
    assert found == [["on images in 0..255 taken for [0, 1]"], ["times a constant factor (65025)"]]


def test_a_similarity_may_be_rounded_in_another_way(few: list[pairs.Batch]) -> None:
    ssim = image_metric("piq:ssim")
    theirs, _ = diagnosis.measure(reference_of("piq:ssim"), few)
    ours, _ = diagnosis.measure(lambda a, b: ssim(a, b) + 5e-7, few)
    assert (diagnosis.deviations(ours, theirs, reference_of("piq:ssim").least) < 1e-4).all()
    assert (diagnosis.deviations(ours + 1e-5, theirs, reference_of("piq:ssim").least) > 1e-4).any()


def test_a_constant_is_not_a_factor_of_zero(few: list[pairs.Batch]) -> None:
    assert explanations("light", lambda a, _b: torch.zeros(len(a)), few) == []


def test_the_page_names_every_mistake() -> None:
    page = " ".join((ROOT / "docs" / "same-metric.md").read_text(encoding="utf-8").split())
    for mistake in mistakes.MISTAKES:
        name = mistake.name.replace(", plus", ",")
        assert mistake.double or name.removeprefix("on images in ") in page, name
