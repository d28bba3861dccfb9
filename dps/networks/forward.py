"""One forward pass of a network, with a hook on the module of each layer."""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from dps.errors import ImageError, NetworkError, UsageError, one_line, unknown
from dps.networks.definitions import Network
from dps.user_code import guest

RETURN_MAPS = "return (batch, channel, height, width), with channels first and without class tokens"


def attach(
    network: Network, features: Callable[[Tensor], Any], names: Sequence[str], take: Callable[[str, Any], object]
) -> list[Any]:
    """Register hooks that call `take` with the name and output of each layer that is a module; see `call` for others.

    Raises:
        UsageError: the network has no such module.
        NetworkError: its modules accept no hooks.
    """

    def hook(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        take(name, output)

    modules = dict(features.named_modules()) if isinstance(features, nn.Module) else {}
    hooked = [name for name in names if name not in network.returned]
    for name in hooked:
        if name not in modules:
            known = [*network.returned, *filter(None, modules)]
            raise UsageError(f"network {network.backbone!r}: {unknown('layer', name, known)}")
    try:
        return [modules[name].register_forward_hook(functools.partial(hook, name)) for name in hooked]
    except RuntimeError as error:
        raise NetworkError(
            f"network {network.backbone!r}: its layers cannot be read ({one_line(error)}); name the module that it "
            "was made from."
        ) from None


def call(
    network: Network,
    features: Callable[[Tensor], Any],
    images: Tensor,
    names: Sequence[str],
    take: Callable[[str, Any], object],
) -> None:
    """Call a network, and `take` with each named layer in its output; without names, with each layer in its output."""
    with guest.visit() if network.user_defined else contextlib.nullcontext():
        output = features(images)
    maps = by_name(output) if network.returned else {}
    for name in network.returned:
        if name in names or not names:
            if name not in maps:
                keys = ", ".join(maps) or type(output).__name__
                raise NetworkError(
                    f"network {network.backbone!r}: returned no {name!r}, but {keys}; return all layers."
                )
            take(name, maps[name])


def by_name(output: Any) -> dict[str, Any]:
    """Return a network's output by key or index; empty unless it is a list or dict."""
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    return {str(index): value for index, value in enumerate(output)} if isinstance(output, list | tuple) else {}


def as_map(network: Network, features: Any, name: str, output: Any, count: int, size: tuple[int, int]) -> Tensor:
    """Return a layer's output for `count` images as a feature map, ``(batch, channel, height, width)``, float32.

    The `size` is the height and width of the images, in pixels.

    Raises:
        ImageError: the feature map is empty, since the images are too small.
        NetworkError: the output is not a feature map.
    """
    where = f"network {network.backbone!r}, layer {name}"
    if not isinstance(output, Tensor):
        raise NetworkError(f"{where}: returns {type(output).__name__}, not a tensor; {RETURN_MAPS}.")
    maps = output if network.to_map is None else network.to_map(features, name, output, size)
    if maps is None or maps.ndim != 4 or len(maps) != count or not maps.is_floating_point():
        shape = tuple(output.shape)
        raise NetworkError(f"{where}: returns {output.dtype} {shape} for {count} images; {RETURN_MAPS}.")
    if 0 in maps.shape:
        raise ImageError(f"{where} has no positions for images of {size[0]} x {size[1]} pixels.")
    return maps.float()
