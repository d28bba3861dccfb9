"""Trial runs: which layers a network has, and which sizes of images it takes.

Networks of libraries are tried on the meta device, where nothing is computed.
"""

import contextlib
import functools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dps.errors import DpsError, ImageError, NetworkError, UsageError, one_line
from dps.networks.definitions import Network, tensors_of
from dps.networks.forward import as_map, attach, call

LARGEST = 1024
"""Height and width, in pixels, of the largest images that are tried."""

USUAL_SIZES = (96, 224, 64, 256, 128, 512, 384, 518)
"""Heights and widths, in pixels, at which a network is tried to see its layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLayer:
    """One layer as a trial run showed it.

    Attributes:
        name: of the module, or the key or place in what the network returned.
        shape: channels, height and width.
        overwritten: a later module changes the output in place, so that it has to be copied.
    """

    name: str
    shape: tuple[int, int, int]
    overwritten: bool = False


@functools.cache
def trial(network: Network, names: tuple[str, ...], height: int, width: int) -> tuple[NetworkLayer, ...]:
    """Run a network on one image, on the meta device where it is not loaded yet.

    Args:
        network: with or without layers.
        names: the layers to look at; empty for all modules, or all that it returns.
        height, width: of the image, in pixels.

    Returns:
        The layers, in the order in which they run. Without `names`, those that can be named: modules that run once and
        return a feature map.

    Raises:
        ImageError: the network does not take images of this size.
        UsageError: a layer does not run, or runs more than once.
        NetworkError: a layer is no feature map.
    """
    outputs: list[tuple[str, Tensor, int]] = []

    def take(name: str, output: Any) -> None:
        with contextlib.nullcontext() if names else contextlib.suppress(DpsError):
            features = as_map(network, network.features, name, output, 1, (height, width))
            outputs.append((name, features, features._version))

    device = next((tensor.device for tensor in tensors_of(network.features).values()), "cpu")
    modules = network.features.named_modules() if isinstance(network.features, nn.Module) else ()
    chosen = names or tuple(name for name, _ in modules if name)
    handles = attach(network, network.features, chosen, take)
    try:
        with torch.inference_mode(mode=False), torch.no_grad():  # tensors of inference do not count their changes
            call(network, network.features, torch.zeros(1, 3, height, width, device=device), names, take)
    except ImageError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, DpsError):
            raise
        if not names or {name for name, *_ in outputs} < set(names):
            raise ImageError(f"network {network.backbone!r} failed ({one_line(error)})") from None
    finally:
        for handle in handles:
            handle.remove()
    counts = Counter(name for name, *_ in outputs)
    for name in names:
        if counts[name] != 1:
            runs = f"runs {counts[name]} times" if counts[name] else "does not run"
            raise UsageError(
                f"network {network.backbone!r}: layer {name} {runs} in a forward pass; name a module that runs once."
            )
    return tuple(
        NetworkLayer(
            name=name,
            shape=(features.shape[1], features.shape[2], features.shape[3]),
            overwritten=features._version != version,
        )
        for name, features, version in outputs
        if counts[name] == 1
    )


def order(network: Network, names: tuple[str, ...] = ()) -> tuple[NetworkLayer, ...]:
    """Return layers in the order in which they run, as `trial` does, at the first usual size that the network takes.

    Networks are made for 224 x 224 pixels, and tell most there; a user's is tried at 96, where it costs little.

    Raises:
        NetworkError: it takes none of these.
    """
    reason = ""
    for size in usual_sizes(network):
        try:
            return trial(network, names, size, size)
        except ImageError as error:
            reason = reason or str(error)
    raise NetworkError(reason)


def usual_sizes(network: Network) -> list[int]:
    """Return heights and widths at which a network is tried; where it takes no usual one, the smallest that it may."""
    first = 96 if network.user_defined else 224
    step, least = network.multiple_of, max(network.smallest, first)
    sizes = [size for size in USUAL_SIZES if size >= network.smallest and size % step == 0]
    return sorted(sizes, key=lambda size: size != first) or [-(-least // step) * step]


def takes(network: Network, height: int, width: int) -> bool:
    """Return whether a network takes images of a size, in pixels."""
    if min(height, width) < network.smallest or height % network.multiple_of or width % network.multiple_of:
        return False
    try:
        trial(network, network.layers, height, width)
    except (ImageError, NetworkError):
        return False
    return True


@functools.cache
def smallest(network: Network) -> int:
    """Return the smallest height and width that a network takes, in pixels, found by trying."""
    sizes = range(network.smallest, max(LARGEST, network.smallest) + 1)
    return next((size for size in sizes if takes(network, size, size)), sizes[-1])


def nearest(network: Network, size: int, step: int = 1) -> list[int]:
    """Return the sizes nearest to one, at most one smaller and one larger, that a network takes.

    Args:
        network: whose sizes.
        size: in pixels.
        step: of which the sizes are multiples.
    """
    smaller = range(size // step * step, 0, -step)
    larger = range(-(-size // step) * step, LARGEST + 1, step)
    nearest = [next((n for n in sizes if takes(network, n, n)), 0) for sizes in (smaller, larger)]
    return sorted({n for n in nearest if n})


def check_size(network: Network, height: int, width: int) -> None:
    """Refuse images of a size that a network does not take.

    Args:
        network: whose sizes.
        height, width: in pixels.

    Raises:
        ImageError: with the smallest size, or the nearest ones, that it takes.
    """
    if takes(network, height, width):
        return
    least, shorter = smallest(network), min(height, width)
    if shorter < least and takes(network, least + 1, least + 1):  # it takes more than certain sizes
        raise ImageError(f"images of {shorter} pixels are too small for {network.name}, which needs {least} or more.")
    sizes = " or ".join(map(str, nearest(network, shorter)))
    drawn = " or ".join(map(str, nearest(network, shorter, 32)))
    raise ImageError(
        f"network {network.name!r} does not take images of {height} x {width} pixels; it takes {sizes or 'others'}"
        + (f". Draw at a size that it takes with --size: {drawn}." if drawn else ".")
    )
