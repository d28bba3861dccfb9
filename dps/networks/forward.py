"""One call of a network: a hook on each layer's module hands its output out."""

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
    """Hand out the output of each named module whenever it runs; what the network returns is left to `call`."""

    def hook(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        take(name, output)

    modules = dict(features.named_modules()) if isinstance(features, nn.Module) else {}
    of_modules = [name for name in names if name not in network.returned]
    if missing := [name for name in of_modules if name not in modules]:
        known = [*network.returned, *filter(None, modules)]
        raise UsageError(f"network {network.backbone!r}: {unknown('layer', missing[0], known)}")
    try:
        return [modules[name].register_forward_hook(functools.partial(hook, name)) for name in of_modules]
    except RuntimeError as error:
        raise NetworkError(
            f"network {network.backbone!r}: its layers cannot be taken ({one_line(error)}); name the module that it "
            "was made of."
        ) from None


def call(
    network: Network,
    features: Callable[[Tensor], Any],
    images: Tensor,
    names: Sequence[str],
    take: Callable[[str, Any], object],
) -> None:
    """Call a network; hand out what it returns by these names, where the layers are what it returns."""
    with guest.visit() if network.user_defined else contextlib.nullcontext():
        output = features(images)
    maps = by_name(output) if network.returned else {}
    for name in network.returned:
        if name in names or not names:
            if name not in maps:
                found = ", ".join(maps) or type(output).__name__
                raise NetworkError(
                    f"network {network.backbone!r}: returned no {name!r}, but {found}; return all layers."
                )
            take(name, maps[name])


def by_name(output: Any) -> dict[str, Any]:
    """Return what a network returned by key or place; empty where that is no list or dict."""
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    return {str(place): value for place, value in enumerate(output)} if isinstance(output, list | tuple) else {}


def as_map(network: Network, features: Any, name: str, output: Any, count: int, size: tuple[int, int]) -> Tensor:
    """Return a layer's output as a feature map, ``(batch, channel, height, width)``.

    Raises:
        ImageError: it is empty, since the images are too small.
        NetworkError: it is something else.
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
