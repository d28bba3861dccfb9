"""Networks of torchvision and timm: modules on the meta device, default layers, and pretrained weights."""

import contextlib
import functools
import importlib
import re
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dps.errors import DpsError, UsageError, WeightsError, check_known, one_line, unknown
from dps.networks.built_in import BUILT_IN
from dps.networks.definitions import Network, ToMap
from dps.networks.trials import find_layers
from dps.weights import Weights, in_folder, in_torchvisions_cache

INSTALL_TIMM = "pip install 'dps[networks]'"

BLOCKS = 4
"""The number of evenly spaced blocks of a vision transformer that are layers by default."""


def named(library: str, name: str, source: str) -> Network:
    """Return a library's network with its default layers and its pretrained weights.

    Args:
        library: a key of `LIBRARIES`.
        name: the library's name for it, optionally with a tag of pretrained weights.
        source: a folder of weights; with ``pypi`` and ``torchvision`` the library downloads them.

    Raises:
        UsageError: the library has no such network, or is not installed.
        WeightsError: the pretrained weights are missing; the message has the remedy.
    """
    network, download = LIBRARIES[library](name)
    full = f"{library}:{name}"
    if source not in ("pypi", "torchvision"):
        weights = in_folder(source, name)
        if weights is None:
            raise WeightsError(
                f"--weights {source}: weights of {full} are missing; the folder needs {name}.safetensors or {name}.pth."
            )
    else:
        try:
            weights = download()
        except WeightsError as error:
            raise WeightsError(
                f"network {full!r}: its pretrained weights are not available: {error} In DIR, name "
                f"the file {name}.safetensors or {name}.pth."
            ) from None
    if full.startswith("torchvision:densenet"):  # whose files predate the names of its modules
        old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")
        weights = weights.changed(lambda state: {old.sub(r"\1", key): tensor for key, tensor in state.items()})
    return replace(network, weights=weights)


# --------------------------------------------------------------------------------------------------- torchvision


@functools.cache
def _torchvision(name: str) -> tuple[Network, Callable[[], Weights]]:
    import torchvision.models as library

    model, _, tag = name.partition(".")
    known = library.list_models(module=library)
    check_known("network of torchvision", model, known)
    weights = library.get_model_weights(model)
    if tag:
        check_known(f"weights of torchvision's {model}", tag, weights.__members__)
    pretrained = weights[tag] if tag else weights.DEFAULT
    size = {"image_size": pretrained.meta["min_size"][0]} if model.startswith("vit_") else {}

    def make() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about random initialization, which torchvision will change
            module: nn.Module = library.get_model(model, weights=None, **size).eval()
        if hasattr(module, "transform_input"):  # as torchvision does for pretrained weights
            module.transform_input = True  # type: ignore[assignment]
        return module

    try:
        with torch.device("meta"):
            module = make()
    except NotImplementedError:  # RegNets compute with their initial weights, which have no values on the meta device
        module = make()
    to_map: ToMap | None = None
    layers: tuple[str, ...] = ()
    if isinstance(module, library.VisionTransformer):
        to_map = _torchvision_tokens
        layers = _evenly([f"encoder.layers.{block}" for block, _ in module.encoder.layers.named_children()])
    elif isinstance(module, library.SwinTransformer):
        to_map = _channels_last
    if isinstance(module, library.SwinTransformer | library.ConvNeXt):
        layers = tuple(f"features.{stage}" for stage in range(1, len(module.features), 2))
    layers = next((built_in.layers for built_in in BUILT_IN.values() if built_in.model == model), layers)
    preset = pretrained.transforms()
    network = Network(
        features=module,
        layers=layers,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        make=make,
        to_map=to_map,
        name=f"torchvision:{name}",
        user_defined=False,
    )
    if not layers:
        network = replace(network, layers=ends_of_resolutions(network))
    return network, lambda: in_torchvisions_cache(pretrained.url)


def _torchvision_tokens(network: nn.Module, _name: str, output: Tensor, size: tuple[int, int]) -> Tensor | None:
    """Return the tokens of the patches, without the class token, as a feature map."""
    patch = network.patch_size
    assert isinstance(patch, int)
    return _tokens(output, 1, (size[0] // patch, size[1] // patch))


def ends_of_resolutions(network: Network) -> tuple[str, ...]:
    """Return the last stage of each resolution larger than one position.

    A stage is a module whose features have at most two resolutions, inside a module whose features have more.
    """
    sizes = {layer.name: layer.shape[1] for layer in find_layers(network) if layer.shape[1] == layer.shape[2] > 1}
    assert isinstance(network.features, nn.Module)
    last: dict[int, str] = {}
    for name in sorted(_stages(network.features, "", sizes), key=list(sizes).index):
        if not last or sizes[name] <= min(last):
            last[sizes[name]] = name
    return tuple(last.values())


def _stages(module: nn.Module, prefix: str, sizes: Mapping[str, int]) -> Iterator[str]:
    for child, inner in module.named_children():
        if child == "classifier":  # some networks have one that returns class maps
            continue
        name = f"{prefix}{child}"
        resolutions = {size for other, size in sizes.items() if other == name or other.startswith(f"{name}.")}
        if name in sizes and len(resolutions) <= 2:
            yield name
        else:
            yield from _stages(inner, f"{name}.", sizes)


# ---------------------------------------------------------------------------------------------------------- timm


@functools.cache
def _timm(name: str) -> tuple[Network, Callable[[], Weights]]:
    try:
        timm: Any = importlib.import_module("timm")
    except ImportError:
        raise UsageError(f"network 'timm:{name}': package timm is not installed. Get it with: {INSTALL_TIMM}") from None
    if not timm.is_model(name):
        raise UsageError(unknown("network of timm", name, timm.list_models()))

    options: dict[str, bool] = {}

    def make(*, pretrained: bool = False) -> nn.Module:
        module: nn.Module = timm.create_model(name, pretrained=pretrained, **options).eval()
        return module

    with torch.device("meta"):
        try:
            module: Any = make()
        except RuntimeError:  # unknown tag
            tagged = timm.list_pretrained(f"{name.partition('.')[0]}.*")
            raise UsageError(unknown("network of timm", name, tagged)) from None
        if hasattr(getattr(module, "patch_embed", None), "dynamic_img_pad"):
            options["dynamic_img_size"] = True
            try:
                module = make()
            except TypeError:  # some transformers do not have this parameter
                options.clear()
    stages = module.feature_info if isinstance(module.feature_info, list) else module.feature_info.info
    layers = tuple(stage["module"] for stage in stages)
    if len({stage["reduction"] for stage in stages}) == 1:
        layers = _evenly(layers)
    to_map: ToMap | None = None
    if getattr(module, "output_fmt", "") == "NHWC":
        to_map = _channels_last
    elif hasattr(getattr(module, "patch_embed", None), "dynamic_feat_size"):
        to_map = _timm_tokens
    config = module.pretrained_cfg
    network = Network(
        features=module,
        layers=layers,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        make=make,
        to_map=to_map,
        name=f"timm:{name}",
        user_defined=False,
    )

    try:
        find_layers(network, layers)
    except DpsError:  # some entries of feature_info are not modules with feature maps
        network = replace(network, layers=())

    def download() -> Weights:
        weights = Weights("timm", lambda: make(pretrained=True).state_dict())
        with _hub() as unreachable:
            try:
                _ = weights.state
            except Exception as error:  # noqa: BLE001 - hubs, sockets and disks each raise their own
                raise WeightsError(
                    f"{unreachable or one_line(error).rstrip('.')}. Run this once on a machine with network access, or "
                    "pass a folder of weights with --weights DIR."
                ) from None
        return weights

    return network, download


@contextlib.contextmanager
def _hub() -> Iterator[str]:
    """Check the connection to timm's hub, and if there is none, use its cache only; yield the reason.

    Without this, the hub retries for a minute.
    """
    hub: Any = importlib.import_module("huggingface_hub.constants")
    offline, unreachable = hub.HF_HUB_OFFLINE, ""
    if not offline:
        try:
            urllib.request.urlopen(urllib.request.Request(hub.ENDPOINT, method="HEAD"), timeout=10).close()  # noqa: S310
        except urllib.error.HTTPError:
            pass  # the hub is reachable
        except (OSError, ValueError) as error:
            unreachable = f"{hub.ENDPOINT} cannot be reached ({one_line(error)})"
    hub.HF_HUB_OFFLINE = offline or bool(unreachable)
    try:
        yield unreachable
    finally:
        hub.HF_HUB_OFFLINE = offline


def _timm_tokens(network: nn.Module, _name: str, output: Tensor, size: tuple[int, int]) -> Tensor | None:
    """Return the tokens of the patches, without class and register tokens, as a feature map."""
    grid: tuple[int, int] = network.patch_embed.dynamic_feat_size(size)  # type: ignore[union-attr, operator]
    only_patches = output.ndim == 3 and output.shape[1] == grid[0] * grid[1]  # some add the class token later
    return _tokens(output, 0 if only_patches else int(getattr(network, "num_prefix_tokens", 0)), grid)


# ---------------------------------------------------------------------------------------------------------- both


def _channels_last(_network: nn.Module, name: str, output: Tensor, _size: tuple[int, int]) -> Tensor | None:
    """Move channels from the last axis to the first; None in the first convolution, whose layout varies."""
    first = name.startswith(("features.0", "patch_embed"))
    return None if first or output.ndim != 4 else output.permute(0, 3, 1, 2)


def _tokens(output: Tensor, prefix: int, grid: tuple[int, int]) -> Tensor | None:
    """Turn tokens, ``(batch, prefix + height * width, channel)``, into a feature map."""
    if output.ndim != 3 or output.shape[1] != prefix + grid[0] * grid[1]:
        return None
    return torch.unflatten(output[:, prefix:].mT, 2, grid)


def _evenly(names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Return `BLOCKS` evenly spaced names, including the last."""
    return tuple(names[len(names) * (i + 1) // BLOCKS - 1] for i in range(min(BLOCKS, len(names))))


LIBRARIES: dict[str, Callable[[str], tuple[Network, Callable[[], Weights]]]] = {
    "torchvision": _torchvision,
    "timm": _timm,
}
"""From a name to a network without weights, and a function that downloads its pretrained weights."""
