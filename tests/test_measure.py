"""Measuring: against a second implementation, each image once, and what a metric that breaks takes with it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models import get_model

from dps import metrics, networks, probes
from dps.comparisons import COMPARISONS, NORMALIZATIONS, Comparison
from dps.errors import DpsError
from dps.images import Image, Pixels, Triple, make_image
from dps.measurement import Engine, Outcome, pairwise_distances
from dps.metrics import AnyMetric, FeatureMetric, Metric, Term, Variant
from dps.networks import BUILT_IN, Extractor, Network
from dps.verdicts import CaseDistances, judge

Floats: TypeAlias = NDArray[np.float64]

SIZE = 48
DEEP = [metrics.named(name) for name in ("spatial", "sort", "mean", "spatial+sort", "spatial+mean")]
ALL_TEN = metrics.variants(DEEP, ["alexnet"], NORMALIZATIONS)


def noise(seed: int, size: int = SIZE) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def squares(seed: int) -> Pixels:
    """A few flat squares of random color and place."""
    rng = np.random.default_rng(seed)
    pixels = np.full((SIZE, SIZE, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(4):
        top, left = rng.integers(0, SIZE - 16, 2)
        pixels[top : top + 16, left : left + 16] = rng.integers(0, 256, 3)
    return pixels


def flat(*rgb: int) -> Pixels:
    return np.full((SIZE, SIZE, 3), rgb, np.uint8)


SHARED = {
    name: make_image(pixels, shared=True)
    for name, pixels in {"black": flat(0, 0, 0), "red": flat(255, 0, 0), "random": noise(99)}.items()
}


def case(seed: int) -> Triple:
    """An original, a distorted image, a reference of its own, and those that all cases share."""
    return Triple(
        original=make_image(squares(seed)),
        distorted=make_image(squares(seed + 100)),
        references={"own": make_image(noise(seed)), **SHARED},
    )


def distances(outcome: Outcome) -> CaseDistances:
    assert isinstance(outcome, CaseDistances), str(outcome)
    return outcome


def error(outcome: Outcome) -> str:
    assert isinstance(outcome, DpsError)
    message = str(outcome)
    assert "\n" not in message
    return message


def numbers(outcome: Outcome) -> list[float]:
    """The distorted image's distance, then the references'."""
    found = distances(outcome)
    return [found.distorted, *found.references.values()]


def on_alexnet(metric: AnyMetric, normalization: str = "none") -> Variant:
    return Variant(metric=metric, network="alexnet", normalization=normalization)


class Counting(Extractor):
    """AlexNet that counts the images it is given."""

    def __init__(self) -> None:
        super().__init__(networks.named("alexnet"))
        self.images = 0

    def run(self, images: Tensor, visit: Callable[[int, Tensor], object]) -> None:
        self.images += len(images)
        super().run(images, visit)


@pytest.fixture
def counting() -> Counting:
    return Counting()


class ImagesAsFeatures(Extractor):
    """A network that does nothing: its two layers are the images, and half of them."""

    def __init__(self) -> None:
        """It has no weights, and takes the name of another one."""
        plain = Network(features=lambda x: [x, x / 2], mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        super().__init__(dataclasses.replace(plain, layers=("0", "1"), returned=("0", "1"), name="alexnet"))


# ------------------------------------------------------------------------------------- distances by definition, slowly


TAKEN = {  # the layers, for EfficientNet the last block of each resolution, as timm names them
    "squeezenet": ("squeezenet1_1", ["1", "4", "7", "9", "10", "11", "12"]),
    "alexnet": ("alexnet", ["1", "4", "7", "9", "11"]),
    "vgg16": ("vgg16", ["3", "8", "15", "22", "29"]),
    "efficientnet_lite0": ("tf_efficientnet_lite0", ["0", "1", "2", "4", "6"]),
}


@functools.cache
def exact_modules(network: str) -> torch.nn.Module:
    """The model of torchvision or timm, in double precision."""
    weights, (name, _) = networks.named(network).weights, TAKEN[network]
    assert weights is not None
    with torch.device("meta"):
        model: Any = timm.create_model(name) if network not in THEIRS else get_model(name, weights=None)
    if network in THEIRS:
        state = {key.removeprefix("features."): value for key, value in weights.state.items()}
        model.features.load_state_dict(state, assign=True)
        features: torch.nn.Module = model.features.eval().double()
        return features
    names = [name for name in model.state_dict() if not name.startswith(("conv_head", "bn2", "classifier"))]
    model.load_state_dict(dict(zip(names, weights.state.values(), strict=True)), assign=True, strict=False)
    return torch.nn.Sequential(model.conv_stem, model.bn1, *model.blocks).eval().double()


THEIRS = ("squeezenet", "alexnet", "vgg16")
"""Those that are torchvision's."""


@torch.inference_mode()
def exact_features(pixels: Pixels, network: str) -> list[Floats]:
    """Features of one image, (channel, height, width) by layer."""
    rgb = torch.from_numpy(pixels / 255).permute(2, 0, 1)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    features, layers = ((rgb - mean.double()[:, None, None]) / std.double()[:, None, None])[None], []
    if network not in THEIRS:
        features = ((255 * rgb - 127) / 128)[None]
    before_the_blocks = 0 if network in THEIRS else 2
    for index, module in enumerate(exact_modules(network).children(), start=-before_the_blocks):
        features = module(features)
        if str(index) in TAKEN[network][1]:
            layers.append(features[0].numpy().copy())
        if len(layers) == len(TAKEN[network][1]):
            break
    return layers


def plain_representation(features: Floats, comparison: str) -> Floats:
    """``r(x)``: (channel, position)."""
    flattened = features.reshape(len(features), -1)
    if comparison == "spatial":
        return flattened
    if comparison == "sort":
        return np.sort(flattened, axis=1)
    assert comparison == "mean"
    mean: Floats = flattened.mean(axis=1, keepdims=True)
    return mean


def plain_distance(a: list[Floats], b: list[Floats], metric: str, normalization: str) -> float:
    """The sum over terms and layers of: the squared difference, summed over channels, averaged over positions."""
    total = 0.0
    for comparison in metric.split("+"):
        for layers in zip(a, b, strict=True):
            r_a, r_b = (plain_representation(layer, comparison) for layer in layers)
            if normalization == "unit":
                r_a, r_b = (r / np.maximum(np.sqrt((r**2).sum(axis=0)), 1e-12) for r in (r_a, r_b))
            total += ((r_a - r_b) ** 2).sum(axis=0).mean()
    return total


def assert_exact(triples: Sequence[Triple], extractor: Extractor) -> None:
    """Every distance of the fast path agrees with plain arithmetic in double precision to 1e-5, and every verdict."""
    variants = metrics.variants(DEEP, [extractor.network.name], NORMALIZATIONS)
    assert len(variants) == 10
    images = {image.digest: image.pixels for t in triples for image in [t.original, *t.compared]}
    features = {digest: exact_features(pixels, extractor.network.name) for digest, pixels in images.items()}
    for triple, found in zip(triples, Engine(extractor).measure(triples, variants), strict=True):
        for variant in variants:
            assert variant.normalization is not None
            original = features[triple.original.digest]
            distorted, *rest = expected = [
                plain_distance(original, features[image.digest], variant.metric.name, variant.normalization)
                for image in triple.compared
            ]
            assert numbers(found[variant]) == pytest.approx(expected, rel=1e-5), variant
            plain = CaseDistances(itself=0.0, distorted=distorted, references=dict(zip("abcdefg", rest, strict=False)))
            assert judge(distances(found[variant])).passed == judge(plain).passed


@pytest.mark.parametrize("network", BUILT_IN)
def test_all_ten_variants_agree_with_plain_arithmetic(network: str, request: pytest.FixtureRequest) -> None:
    assert_exact([case(1), case(2)], request.getfixturevalue(network))


def test_all_ten_variants_agree_with_plain_arithmetic_on_the_probes(alexnet: Extractor) -> None:
    names = ("rotate", "color_stain", "rearrange", "moved_camera")  # of all kinds of scenes and references
    cases = [probe.cases[0] for probe in probes.load([probes.BUILT_IN / f"{name}.yaml" for name in names], 1)]
    assert_exact([case.draw() for case in cases], alexnet)


# ------------------------------------------------------------------------------------------- with gradients


def test_distances_with_gradients_by_hand() -> None:
    a = torch.tensor([[[[3.0, 3.0]], [[4.0, 0.0]]]])  # two channels of two positions: (3, 4) and (3, 0)
    b = torch.zeros(1, 2, 1, 2)

    def distance(name: str, normalization: str = "none", reduction: str = "sum", layers: int = 1) -> list[float]:
        metric = metrics.named(name)
        assert isinstance(metric, FeatureMetric)
        found: list[float] = pairwise_distances([a] * layers, [b] * layers, metric, normalization, reduction).tolist()
        return found

    assert distance("spatial") == [17]  # (9 + 16 + 9) / 2
    assert distance("spatial", reduction="mean") == [8.5]
    assert distance("spatial", "unit") == [1]  # each position has a direction
    assert distance("mean") == [13]  # 3^2 + 2^2
    assert distance("mean", layers=2) == [26]
    assert distance("spatial+0.5*mean") == [23.5]  # 17 + 13 / 2


def doubled(features: Tensor) -> Tensor:
    return 2 * features.flatten(2)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradients_are_right_also_of_a_comparison_that_is_only_in_the_table(
    normalization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMPARISONS, "doubled", doubled)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 3, 2, 3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    for metric in [*DEEP, metrics.named("doubled")]:
        assert isinstance(metric, FeatureMetric)
        assert torch.autograd.gradcheck(lambda a, b: pairwise_distances([a], [b], metric, normalization), (a, b))  # noqa: B023


def test_a_comparison_that_is_only_in_the_table_is_measured(
    alexnet: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMPARISONS, "doubled", doubled)
    by_double, by_spatial = on_alexnet(metrics.named("doubled")), on_alexnet(metrics.named("spatial"))
    (found,) = Engine(alexnet).measure([case(1)], [by_double, by_spatial])
    assert numbers(found[by_double]) == pytest.approx([4 * d for d in numbers(found[by_spatial])], rel=1e-6)


# ------------------------------------------------------------------------------------------- by hand


def test_distances_by_hand() -> None:
    black, gray = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 51, np.uint8)  # 51 / 255 = 0.2
    corner = black.copy()
    corner[0, 0, 0] = 255
    triple = Triple(original=make_image(black), distorted=make_image(gray), references={"corner": make_image(corner)})
    (found,) = Engine(ImagesAsFeatures()).measure([triple], ALL_TEN)
    by_name = {str(variant): found[variant] for variant in ALL_TEN}
    # the second layer is half the first: a quarter of the squared distance
    spatial = distances(by_name["alexnet-none-spatial"])
    assert spatial.distorted_layers == pytest.approx([0.12, 0.03])  # three channels of 0.2^2 at each position
    assert spatial.reference_layers == {"corner": (0.25, 0.0625)}  # one channel at one of four positions
    assert numbers(by_name["alexnet-none-spatial"]) == pytest.approx([0.15, 0.3125])
    assert numbers(by_name["alexnet-none-mean"]) == pytest.approx([0.15, 0.078125])  # (1 / 4)^2, and a quarter
    # black has no direction: every other position is at a distance of 1, in both layers
    assert numbers(by_name["alexnet-unit-spatial"]) == pytest.approx([2, 0.5])
    assert numbers(by_name["alexnet-unit-mean"]) == pytest.approx([2, 2])
    assert numbers(by_name["alexnet-unit-spatial+mean"]) == pytest.approx([4, 2.5])


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_reduction_mean_divides_each_layer_by_its_channels(alexnet: Extractor, normalization: str) -> None:
    variant = on_alexnet(metrics.named("spatial+sort"), normalization)
    (by_sum,), (by_mean,) = (Engine(alexnet, reduction).measure([case(1)], [variant]) for reduction in ("sum", "mean"))
    layers = np.array(distances(by_sum[variant]).distorted_layers) / [64, 192, 384, 256, 256]
    assert distances(by_mean[variant]).distorted_layers == pytest.approx(layers.tolist(), rel=1e-6)


# ------------------------------------------------------------------------------------------- each image once


def test_each_image_goes_through_the_network_once_whatever_the_variants(counting: Counting) -> None:
    Engine(counting).measure([case(1), case(2)], ALL_TEN)
    assert counting.images == 2 * 3 + 3  # original, distorted, own reference; the three shared ones


def test_what_cases_share_is_measured_once_over_several_calls(counting: Counting, alexnet: Extractor) -> None:
    engine = Engine(counting)
    engine.measure([case(1)], ALL_TEN)
    counting.images = 0
    (again,) = engine.measure([case(2)], ALL_TEN)
    assert counting.images == 3
    (fresh,) = Engine(alexnet).measure([case(2)], ALL_TEN)
    for variant in ALL_TEN:
        assert numbers(again[variant]) == pytest.approx(numbers(fresh[variant]), rel=1e-5)


def test_a_variant_that_comes_later_finds_what_cases_share_measured_for_it(
    counting: Counting, alexnet: Extractor
) -> None:
    engine = Engine(counting)
    engine.measure([case(1)], ALL_TEN[:1])
    (later,) = engine.measure([case(1)], ALL_TEN)
    (fresh,) = Engine(alexnet).measure([case(1)], ALL_TEN)
    for variant in ALL_TEN:
        assert numbers(later[variant]) == pytest.approx(numbers(fresh[variant]), rel=1e-5)


def test_a_shared_picture_may_be_an_original_or_a_distorted_image_too(alexnet: Extractor) -> None:
    plain = case(1)
    odd = Triple(original=SHARED["red"], distorted=SHARED["random"], references={"a": plain.original, **SHARED})
    found = Engine(alexnet).measure([plain, odd], ALL_TEN)[1]
    for variant in ALL_TEN:
        distorted, _, _, red, random = numbers(found[variant])
        assert red == pytest.approx(0, abs=1e-6 * random)  # measured in another batch
        assert random == pytest.approx(distorted, rel=1e-5)


# ------------------------------------------------------------------------------------------- sums and layers


def test_sums_are_the_weighted_sums_of_their_parts(alexnet: Extractor) -> None:
    names = ["spatial", "sort", "mean", "spatial+sort", "0.5*spatial+3*mean"]
    chosen = metrics.variants([metrics.named(name) for name in names], ["alexnet"], NORMALIZATIONS)
    (found,) = Engine(alexnet).measure([case(3)], chosen)
    for normalization in NORMALIZATIONS:
        spatial, sort, mean, both, weighted = (
            np.array(numbers(found[variant])) for variant in chosen if variant.normalization == normalization
        )
        assert both.tolist() == pytest.approx((spatial + sort).tolist(), rel=1e-12)
        assert weighted.tolist() == pytest.approx((0.5 * spatial + 3 * mean).tolist(), rel=1e-12)


def test_layers_add_up_to_the_distance(alexnet: Extractor) -> None:
    (found,) = Engine(alexnet).measure([case(4)], ALL_TEN)
    for variant in ALL_TEN:
        of = distances(found[variant])
        assert len(of.distorted_layers) == 5
        assert sum(of.distorted_layers) == of.distorted > 0
        assert {name: sum(layers) for name, layers in of.reference_layers.items()} == of.references
        assert list(of.references) == ["own", "black", "red", "random"]
        assert of.itself == 0


def test_what_else_is_in_the_batch_does_not_matter(alexnet: Extractor) -> None:
    triples = [case(seed) for seed in (1, 2, 3)]
    together = Engine(alexnet).measure(triples, ALL_TEN)
    backwards = Engine(alexnet).measure(triples[::-1], ALL_TEN)[::-1]
    alone = [Engine(alexnet).measure([triple], ALL_TEN)[0] for triple in triples]
    for a, b, c in zip(together, backwards, alone, strict=True):
        for variant in ALL_TEN:
            assert numbers(a[variant]) == pytest.approx(numbers(c[variant]), rel=1e-5)
            assert numbers(b[variant]) == pytest.approx(numbers(c[variant]), rel=1e-5)


def test_chunks_on_two_cores_find_what_one_finds(alexnet: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    triples = [case(seed) for seed in range(6)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = Engine(alexnet).measure(triples, ALL_TEN)
        torch.set_num_threads(2)
        monkeypatch.setattr(
            "dps.measurement.engine.IMAGES_PER_CHUNK", 1
        )  # of 96 x 96: four of 48 x 48, of one case and a third
        chunks = Engine(alexnet).measure(triples, ALL_TEN)
    finally:
        torch.set_num_threads(before)
    for one, two in zip(whole, chunks, strict=True):
        for variant in ALL_TEN:
            assert numbers(two[variant]) == pytest.approx(numbers(one[variant]), rel=1e-5)


# ------------------------------------------------------------------------------------------- metrics that break

WHITE = make_image(flat(255, 255, 255))
FINE = on_alexnet(metrics.named("spatial"))


def own_case(original: Image, seed: int) -> Triple:
    return Triple(
        original=original, distorted=make_image(noise(seed)), references={"own": make_image(noise(seed + 1)), **SHARED}
    )


def measured_beside_a_fine_one(
    comparison: Comparison, triples: Sequence[Triple]
) -> tuple[list[Outcome], list[Mapping[Variant, Outcome]]]:
    """What a comparison named ``flawed`` gives, having checked that it does nothing to another."""
    flawed = on_alexnet(FeatureMetric(name="flawed", terms=(Term(name="flawed", comparison=comparison),)))
    found = Engine(ImagesAsFeatures()).measure(triples, [flawed, FINE])
    without = Engine(ImagesAsFeatures()).measure(triples, [FINE])
    assert [outcome[FINE] for outcome in found] == [outcome[FINE] for outcome in without]
    return [outcome[flawed] for outcome in found], list(found)


def throws_at_white(features: Tensor) -> Tensor:
    if bool((features == 1).all(dim=(1, 2, 3)).any()):
        raise ValueError("too bright\nfor me")
    return features.flatten(2)


def test_a_comparison_that_throws_at_one_image_fails_its_case_alone() -> None:
    triples = [own_case(make_image(noise(1)), 10), own_case(WHITE, 20), own_case(make_image(noise(2)), 30)]
    (first, second, third), found = measured_beside_a_fine_one(throws_at_white, triples)
    assert error(second) == "metric 'flawed': ValueError: too bright for me"
    assert numbers(first) == pytest.approx(numbers(found[0][FINE]), rel=1e-6)
    assert numbers(third) == pytest.approx(numbers(found[2][FINE]), rel=1e-6)


def test_a_comparison_that_throws_at_a_shared_reference_fails_the_cases_that_have_it() -> None:
    def throws_at_black(features: Tensor) -> Tensor:
        if bool((features == 0).all(dim=(1, 2, 3)).any()):
            raise ValueError("too dark")
        return features.flatten(2)

    triples = [own_case(make_image(noise(seed)), 10 * seed) for seed in (1, 2)]
    others = {name: reference for name, reference in triples[0].references.items() if name != "black"}
    triples[0] = dataclasses.replace(triples[0], references=others)
    (first, second), _ = measured_beside_a_fine_one(throws_at_black, triples)
    distances(first)
    assert error(second) == "metric 'flawed': ValueError: too dark"


def test_a_comparison_that_throws_once_and_then_no_more_fails_the_batch() -> None:
    left = [RuntimeError("out of luck")]

    def throws_once(features: Tensor) -> Tensor:
        if left:
            raise left.pop()
        return features.flatten(2)

    triples = [
        dataclasses.replace(own_case(make_image(noise(seed)), 10 * seed), references={"own": make_image(noise(7))})
        for seed in (1, 2)
    ]
    outcomes, _ = measured_beside_a_fine_one(throws_once, triples)
    assert [error(outcome) for outcome in outcomes] == ["metric 'flawed': RuntimeError: out of luck"] * 2


def test_a_comparison_whose_positions_depend_on_the_batch() -> None:
    (outcome,), _ = measured_beside_a_fine_one(
        lambda f: f.flatten(2)[:, :, : int((f > 0).float().mean() * 1000)], [own_case(make_image(noise(1)), 10)]
    )
    assert "features must have the same shape, got (3, " in error(outcome)


# ------------------------------------------------------------------------------------------- metrics of images


def on_images(*chosen: Metric) -> list[Variant]:
    return metrics.variants(chosen, [], [])


def test_the_original_is_compared_with_itself() -> None:
    always_one = Metric(name="always_one", distance=lambda a, _b: torch.ones(len(a)))
    (variant,) = on_images(always_one)
    (found,) = Engine().measure([case(1)], [variant])
    assert distances(found[variant]).itself == 1
    assert "the distance of the original to itself is 1, not 0" in judge(distances(found[variant])).error


def throws_at_white_images(a: Tensor, _b: Tensor) -> Tensor:
    if bool((a == 1).all()):
        raise ValueError("too bright")
    return torch.zeros(len(a))


def test_a_metric_that_throws_at_one_case_leaves_the_others() -> None:
    throws = Metric(name="throws", distance=throws_at_white_images)
    flawed, pixel = on_images(throws, metrics.IMAGE_METRICS["pixel"])
    triples = [own_case(make_image(noise(1)), 10), own_case(WHITE, 20), own_case(make_image(noise(2)), 30)]
    found = Engine().measure(triples, [flawed, pixel])
    assert error(found[1][flawed]) == "metric 'throws': ValueError: too bright"
    assert numbers(found[0][flawed]) == numbers(found[2][flawed]) == [0] * 5
    for outcome in found:
        assert min(numbers(outcome[pixel])) > 0


def test_a_metric_of_images_that_gives_nan_never_passes() -> None:
    (variant,) = on_images(Metric(name="nan", distance=lambda a, _b: torch.full((len(a),), torch.nan)))
    (found,) = Engine().measure([case(1)], [variant])
    verdict = judge(distances(found[variant]))
    assert (verdict.passed, verdict.distance) == (False, None)
    assert verdict.error == "the distance of the original to the distorted image is nan: not finite, so not a distance"
