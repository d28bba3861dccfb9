"""Networks: which features they hand out, what images they take, and another implementation that agrees."""

import lpips
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dps import metrics, networks
from dps.errors import ImageError
from dps.images import Triple, as_batch, make_image
from dps.measurement import Engine
from dps.metrics import Variant
from dps.networks import BUILT_IN, Extractor
from dps.verdicts import CaseDistances
from tests.refusals import refusal

Images = NDArray[np.uint8]


@pytest.fixture(params=list(BUILT_IN))
def extractor(request: pytest.FixtureRequest) -> Extractor:
    found: Extractor = request.getfixturevalue(request.param)
    return found


def random_images(count: int, height: int, width: int | None = None, seed: int = 0) -> Tensor:
    return torch.rand((count, 3, height, width or height), generator=torch.Generator().manual_seed(seed))


def why(extractor: Extractor, images: Tensor) -> str:
    return refusal(lambda: next(iter(extractor.features(images))), ImageError)


# ------------------------------------------------------------------------------------------- the features

AT_96_PIXELS = {
    # 11 x 11 / 4, padded by 2: (96 + 4 - 11) // 4 + 1 = 23; then each 3 x 3 / 2 pooling n -> (n - 3) // 2 + 1
    "alexnet": [(64, 23, 23), (192, 11, 11), (384, 5, 5), (256, 5, 5), (256, 5, 5)],
    # convolutions keep the size, each 2 x 2 / 2 pooling halves it
    "vgg16": [(64, 96, 96), (128, 48, 48), (256, 24, 24), (512, 12, 12), (512, 6, 6)],
    # 3 x 3 / 2, not padded: (96 - 3) // 2 + 1 = 47; then each 3 x 3 / 2 pooling as above
    "squeezenet": [(64, 47, 47), (128, 23, 23), (256, 11, 11), (384, 5, 5), (384, 5, 5), (512, 5, 5), (512, 5, 5)],
    # five convolutions of stride 2, padded so that each halves the size
    "efficientnet_lite0": [(16, 48, 48), (24, 24, 24), (40, 12, 12), (112, 6, 6), (320, 3, 3)],
}


def test_layers_have_the_channels_and_sizes_worked_out_by_hand(extractor: Extractor) -> None:
    shapes = [tuple(layer.shape[1:]) for layer in extractor.features(random_images(1, 96))]
    assert shapes == AT_96_PIXELS[extractor.network.name]


def test_nothing_after_the_last_layer_runs() -> None:
    ran: list[str] = []
    network = networks.named("vgg16@features.8")
    extractor = Extractor(network)
    features = extractor._features
    assert isinstance(features, nn.Module)
    for name, module in features.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    extractor.features(random_images(1, 32))
    assert ran == [f"features.{i}" for i in range(8)]  # the hook of the last layer ends the pass


def test_images_are_left_as_they_are(alexnet: Extractor) -> None:
    images = random_images(1, 40)
    list(alexnet.features(images))
    assert torch.equal(images, random_images(1, 40))


# ------------------------------------------------------------------------------------------- sizes of images

SMALLEST = {  # where a pooling or convolution without padding has no position left
    "alexnet": 31,  # 31 -> (31 + 4 - 11) // 4 + 1 = 7 -> 3 -> 1
    "vgg16": 16,  # four poolings halve it
    "squeezenet": 17,  # 17 -> 8 -> 3 -> 1
    "efficientnet_lite0": 1,  # everything is padded
}


def test_the_smallest_size_is_found_by_trying(extractor: Extractor) -> None:
    smallest = extractor.smallest
    assert smallest == SMALLEST[extractor.network.name]
    last = extractor.features(random_images(1, smallest, smallest + 40))[-1]
    assert last.shape[2] == 1


def test_smaller_images_are_refused_with_the_number(extractor: Extractor) -> None:
    smallest, name = extractor.smallest, extractor.network.name
    for height, width in [(smallest - 1, 99), (99, smallest - 1)] if smallest > 1 else ():
        assert why(extractor, random_images(1, height, width)) == (
            f"images of {smallest - 1} pixels are too small for {name}, which needs {smallest} or more."
        )


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (random_images(1, 40) * 255, "0..255: divide them by 255."),
        (random_images(1, 40) * 2 - 1, "-1..1: add 1 and divide by 2."),
        (random_images(1, 40) * 4 - 2, "normalized already: pass plain RGB; dps normalizes it for the network."),
    ],
)
def test_another_range_is_refused_with_a_guess_at_what_it_is(alexnet: Extractor, images: Tensor, message: str) -> None:
    low, high = images.min(), images.max()
    assert why(alexnet, images) == (
        f"images must be RGB in [0, 1], got [{low:.4g}, {high:.4g}]. They look {'' if 'norm' in message else 'like '}"
        f"{message}"
    )
    assert why(alexnet, images.clamp(-0.1, 1.1)).endswith(
        "They are slightly out of range: clamp them, images.clamp(0, 1)."
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_pixel_that_is_no_number_is_refused(alexnet: Extractor, value: float) -> None:
    images = random_images(2, 40)
    images[1, 2, 3, 4] = value
    message = why(alexnet, images)
    assert message.startswith("images must be RGB in [0, 1], got [")
    assert message.endswith("]. They contain NaN or infinity.")


def test_both_ends_of_the_range_belong_to_it(alexnet: Extractor) -> None:
    networks.check_images(torch.zeros(1, 3, 40, 40))
    networks.check_images(torch.ones(1, 3, 40, 40))


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (torch.zeros(3, 40, 40), "torch.float32 (3, 40, 40)"),
        (torch.zeros(1, 1, 40, 40), "torch.float32 (1, 1, 40, 40)"),
        (torch.zeros(1, 40, 40, 3), "torch.float32 (1, 40, 40, 3)"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), "torch.uint8 (1, 3, 40, 40)"),
    ],
)
def test_another_shape_or_type_is_refused(alexnet: Extractor, images: Tensor, found: str) -> None:
    assert why(alexnet, images) == (f"images must be floating point, (batch, 3, height, width), got {found}.")


# ------------------------------------------------------------------------------------------- against LPIPS

THEIR_NAMES = {"alexnet": "alex", "vgg16": "vgg", "squeezenet": "squeeze"}


def their_baseline(extractor: Extractor) -> lpips.LPIPS:
    """The uncalibrated LPIPS of its authors' own package, with our weights and nothing downloaded."""
    with torch.device("meta"):  # its random initial weights are not needed
        model = lpips.LPIPS(net=THEIR_NAMES[extractor.network.name], lpips=False, pnet_rand=True, verbose=False)
    model.scaling_layer = lpips.ScalingLayer()
    assert extractor.network.weights is not None
    ours = extractor.network.weights.state
    theirs = {key: f"features.{key.partition('.')[2]}" for key in model.net.state_dict()}  # slice2.3.bias
    model.net.load_state_dict({key: ours[name] for key, name in theirs.items()}, strict=True, assign=True)
    assert set(theirs.values()) == ours.keys()
    return model


def structured(kind: str) -> Images:
    down, right = np.mgrid[:64, :64]
    images = {
        "checkers": 255 * ((down // 8 + right // 8) % 2),
        "slope": 4 * right,
        "disc": 200 * (np.hypot(down - 30, right - 34) < 20) + 20,
        "black": 0 * down,
    }
    red = images[kind].astype(np.uint8)
    return np.stack([red, red // 2, 255 - red], axis=-1)


def noise(seed: int) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


PAIRS = [
    (noise(1), noise(2)),
    (structured("checkers"), structured("slope")),
    (structured("disc"), structured("black")),
    (structured("disc"), noise(3)),
]


@pytest.mark.filterwarnings("ignore:The parameter 'pretrained' is deprecated", "ignore:Arguments other than a weight")
@pytest.mark.parametrize("network", THEIR_NAMES)
def test_spatial_with_unit_normalization_is_uncalibrated_lpips(network: str, request: pytest.FixtureRequest) -> None:
    extractor: Extractor = request.getfixturevalue(network)
    theirs = their_baseline(extractor)
    spatial = Variant(metric=metrics.named("spatial"), network=extractor.network.name, normalization="unit")
    triples = [
        Triple(original=make_image(a), distorted=make_image(b), references={"a": make_image(noise(9))})
        for a, b in PAIRS
    ]
    measured = Engine(extractor).measure(triples, [spatial])
    with torch.inference_mode():
        expected = theirs(*(as_batch(images) * 2 - 1 for images in zip(*PAIRS, strict=True))).flatten().tolist()
    for outcome, value in zip(measured, expected, strict=True):
        distances = outcome[spatial]
        assert isinstance(distances, CaseDistances)
        assert distances.distorted == pytest.approx(value, rel=1e-5)
