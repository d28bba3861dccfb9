"""Trial runs of a network, to find its layers and the image sizes it accepts.

Networks of libraries run on the meta device, where nothing is computed.
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
"""Height and width of the largest images in trial runs, in pixels."""

USUAL_SIZES = (96, 224, 64, 256, 128, 512, 384, 518)
"""Heights and widths of the images in trial runs that find layers, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLayer:
    """One layer, as observed in a trial run.

    Attributes:
        name: the module's name, or the key or index in the network's output.
        shape: channels, height and width.
        overwritten: a later module changes the output in place, so it must be copied.
    """

    name: str
    shape: tuple[int, int, int]
    overwritten: bool = False


@functools.cache
def trial(network: Network, names: tuple[str, ...], height: int, width: int) -> tuple[NetworkLayer, ...]:
    """Run a network on one image of a height and width in pixels, and return its layers in execution order.

    Without `names`, these are all modules, and keys of the output, that run once and return a feature map. A network
    whose weights are not loaded yet runs on the meta device.

    Raises:
        ImageError: the network does not accept images of this size.
        UsageError: a layer does not run, or runs more than once.
        NetworkError: the output of a layer is not a feature map.
    """
    outputs: list[tuple[str, Tensor, int]] = []

    def take(name: str, output: Any) -> None:
        with contextlib.nullcontext() if names else contextlib.suppress(DpsError):
            features = as_map(network, network.features, name, output, 1, (height, width))
            outputs.append((name, features, features._version))

    device = next((tensor.device for tensor in tensors_of(network.features).values()), "cpu")
    modules = network.features.named_modules() if isinstance(network.features, nn.Module) else ()
    handles = attach(network, network.features, names or [name for name, _ in modules if name], take)
    try:
        with torch.inference_mode(mode=False), torch.no_grad():  # inference tensors have no version counter
            call(network, network.features, torch.zeros(1, 3, height, width, device=device), names, take)
    except DpsError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it may run a user's code
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


def find_layers(network: Network, names: tuple[str, ...] = ()) -> tuple[NetworkLayer, ...]:
    """Return layers in execution order, from `trial` at the first of `usual_sizes` that the network accepts.

    Raises:
        NetworkError: the network accepts none of them.
    """
    reason = ""
    for size in usual_sizes(network):
        try:
            return trial(network, names, size, size)
        except ImageError as error:
            reason = reason or str(error)
    raise NetworkError(reason)


def usual_sizes(network: Network) -> list[int]:
    """Return the sizes at which to try a network: the `USUAL_SIZES` that it may accept, or the smallest such size.

    The first is 224, for which most networks are designed; for user-defined networks 96, which is cheap.
    """
    first = 96 if network.user_defined else 224
    step, minimum = network.multiple_of, max(network.smallest, first)
    sizes = [size for size in USUAL_SIZES if size >= network.smallest and size % step == 0]
    return sorted(sizes, key=lambda size: size != first) or [-(-minimum // step) * step]


def accepts(network: Network, height: int, width: int) -> bool:
    """Return whether a network accepts images of a size, in pixels."""
    if min(height, width) < network.smallest or height % network.multiple_of or width % network.multiple_of:
        return False
    try:
        trial(network, network.layers, height, width)
    except (ImageError, NetworkError):
        return False
    return True


@functools.cache
def smallest(network: Network) -> int:
    """Return the smallest height and width that a network accepts, in pixels, found by trial runs."""
    sizes = range(network.smallest, max(LARGEST, network.smallest) + 1)
    return next((size for size in sizes if accepts(network, size, size)), sizes[-1])


def nearest(network: Network, size: int, step: int = 1) -> list[int]:
    """Return the nearest accepted sizes, at most one not above and one not below `size`, multiples of `step` pixels."""
    smaller = range(size // step * step, 0, -step)
    larger = range(-(-size // step) * step, LARGEST + 1, step)
    sizes = {next((n for n in candidates if accepts(network, n, n)), 0) for candidates in (smaller, larger)}
    return sorted(sizes - {0})


def check_size(network: Network, height: int, width: int) -> None:
    """Check that a network accepts images of a height and width, in pixels.

    Raises:
        ImageError: it does not; the message has the smallest or the nearest accepted sizes.
    """
    if accepts(network, height, width):
        return
    minimum, shorter = smallest(network), min(height, width)
    if shorter < minimum and accepts(network, minimum + 1, minimum + 1):  # it accepts more than a few fixed sizes
        raise ImageError(f"images of {shorter} pixels are too small for {network.name}, which needs {minimum} or more.")
    sizes = " or ".join(map(str, nearest(network, shorter)))
    drawn = " or ".join(map(str, nearest(network, shorter, 32)))
    raise ImageError(
        f"network {network.name!r} does not accept images of {height} x {width} pixels; it accepts {sizes or 'others'}"
        + (f". Draw at a size that it accepts with --size: {drawn}." if drawn else ".")
    )
