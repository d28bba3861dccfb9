"""From images to the features of each layer: one forward pass, each layer handed out as it is reached.

A hook on each layer's module hands its output out, and the last one ends the pass. A trial run, of library networks on
the meta device, where nothing is computed, shows the order and shapes of layers, and which sizes of images are taken.
"""

import contextlib
import copy
import functools
import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from dps.errors import DpsError, ImageError, NetworkError, UsageError, WeightsError, one_line, unknown
from dps.networks.definitions import Network, tensors_of
from dps.user_code import guest

Visit: TypeAlias = Callable[[int, Tensor], object]
"""Takes the place of a layer and its features, ``(batch, channel, height, width)``."""

LARGEST = 1024
"""Height and width, in pixels, of the largest images that are tried."""

USUAL_SIZES = (96, 224, 64, 256, 128, 512, 384, 518)
"""Heights and widths, in pixels, at which a network is tried to see its layers."""

RETURN_MAPS = "return (batch, channel, height, width), with channels first and without class tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer as a trial run showed it.

    Attributes:
        name: of the module, or the key or place in what the network returned.
        shape: channels, height and width.
        overwritten: a later module changes the output in place, so that it has to be copied.
    """

    name: str
    shape: tuple[int, int, int]
    overwritten: bool = False


class Extractor:
    """Networks of one backbone, ready to take images; all of their layers come from one forward pass.

    Args:
        networks: with layers, see `names.resolve`.
        device: where to compute.

    Attributes:
        network: the first of them.
        layers: names of all layers that one of the networks has, in the order in which they run.
        places: by network, the places of its layers among these.

    Raises:
        WeightsError: a tensor is missing, unexpected or of another shape.
    """

    def __init__(self, *networks: Network, device: str = "cpu") -> None:
        self.network = networks[0]
        self.device = torch.device(device)
        names = tuple(dict.fromkeys(name for network in networks for name in network.layers))
        self._overwritten = [layer.overwritten for layer in order(self.network, names)]
        self.layers = tuple(layer.name for layer in order(self.network, names))
        self.places = {n.name: tuple(self.layers.index(name) for name in n.layers) for n in networks}
        self._calls = threading.local()  # chunks run in several threads
        self._features = load(self.network, self.device)
        _attach(self.network, self._features, self.layers, lambda name, output: self._calls.take(name, output))
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=self.device).view(1, 3, 1, 1)
            for values in (self.network.mean, self.network.std)
        )

    @property
    def smallest(self) -> int:
        """Return the smallest height and width that all of the networks take, in pixels."""
        return smallest(replace(self.network, layers=self.layers))

    def __repr__(self) -> str:
        return f"Extractor({self.network.backbone!r}, device={str(self.device)!r})"

    def run(self, images: Tensor, visit: Visit) -> None:
        """Run the network up to its last layer, and hand out each layer as it is reached.

        Args:
            images: RGB in [0, 1], ``(batch, 3, height, width)``.
            visit: is called with each layer, in order. Features may be signed, have no unit, and must not be changed.

        Raises:
            ImageError: the images have another shape or range, or a size that the network does not take.
            NetworkError: the network failed, or returned something else than feature maps.
        """
        check_images(images)
        images = images.to(self.device, torch.float32, memory_format=torch.channels_last)
        size = (int(images.shape[2]), int(images.shape[3]))
        visiting = False

        def take(name: str, output: Any) -> None:
            nonlocal visiting
            place = self.layers.index(name)
            features = as_map(self.network, self._features, name, output, len(images), size)
            visiting = True
            visit(place, features.clone() if self._overwritten[place] else features)
            visiting = False
            if place == len(self.layers) - 1:
                raise _LastLayerReached

        self._calls.take = take
        try:
            _call(self.network, self._features, (images - self._mean) / self._std, self.layers, take)
        except _LastLayerReached:
            pass
        except (Exception, SystemExit) as error:
            if visiting or isinstance(error, DpsError):
                raise
            check_size(self.network, *size)
            raise NetworkError(f"network {self.network.name!r}: {one_line(error)}") from None

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the features of all layers; see `run`."""
        layers: list[Tensor] = []
        self.run(images, lambda _, features: layers.append(features))
        return layers


class _LastLayerReached(BaseException):
    """Ends a forward pass."""


def _attach(
    network: Network, features: Callable[[Tensor], Any], names: Sequence[str], take: Callable[[str, Any], object]
) -> list[Any]:
    """Hand out the output of each named module whenever it runs; what the network returns is left to `_call`."""

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


def _call(
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


# ------------------------------------------------------------------------------------------------- trial runs


@functools.cache
def trial(network: Network, names: tuple[str, ...], height: int, width: int) -> tuple[Layer, ...]:
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
    handles = _attach(network, network.features, chosen, take)
    try:
        with torch.inference_mode(mode=False), torch.no_grad():  # tensors of inference do not count their changes
            _call(network, network.features, torch.zeros(1, 3, height, width, device=device), names, take)
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
        Layer(
            name=name,
            shape=(features.shape[1], features.shape[2], features.shape[3]),
            overwritten=features._version != version,
        )
        for name, features, version in outputs
        if counts[name] == 1
    )


def order(network: Network, names: tuple[str, ...] = ()) -> tuple[Layer, ...]:
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
    if shorter < least:
        raise ImageError(f"images of {shorter} pixels are too small for {network.name}, which needs {least} or more.")
    sizes = " or ".join(map(str, nearest(network, shorter)))
    drawn = " or ".join(map(str, nearest(network, shorter, 32)))
    raise ImageError(
        f"network {network.name!r} does not take images of {height} x {width} pixels; it takes {sizes or 'others'}"
        + (f". Draw at a size that it takes with --size: {drawn}." if drawn else ".")
    )


# ------------------------------------------------------------------------------------------------------- loading


def load(network: Network, device: torch.device | str = "cpu") -> Callable[[Tensor], Any]:
    """Return a network's own copy of its modules with its weights, on a device; a function is returned as it is.

    Raises:
        WeightsError: a tensor is missing, unexpected or of another shape.
    """
    if not isinstance(network.features, nn.Module):
        return network.features
    with torch.inference_mode(mode=False):
        return _loaded(network, network.features).to(device)


def _loaded(network: Network, features: nn.Module) -> nn.Module:
    try:
        module = network.make() if network.make else copy.deepcopy(features)
    except Exception as error:  # noqa: BLE001 - copying runs a user's code
        raise NetworkError(
            f"network {network.backbone!r}: cannot be copied ({one_line(error)}); leave out of the module what "
            "copy.deepcopy does not take, such as locks, open files and tensors that were computed from parameters."
        ) from None
    if network.weights is not None:
        _fill(module, network)
    return module.to(memory_format=torch.channels_last).eval().requires_grad_(requires_grad=False)


def cut(network: Network) -> nn.Sequential:
    """Return the ``features`` of a built-in network up to its last layer, numbered as torchvision does."""
    features = load(network).features  # type: ignore[attr-defined]
    return features[: int(network.layers[-1].rpartition(".")[2]) + 1]  # type: ignore[no-any-return]


def _fill(module: nn.Module, network: Network) -> None:
    """Load weights into modules, which know the names that older files of theirs have."""
    assert network.weights is not None
    state, where = network.weights.state, f"weights of {network.backbone}: tensor"
    for key, tensor in module.state_dict().items():
        if key in state and state[key].shape != tensor.shape:
            raise WeightsError(
                f"{where} {key} has shape {tuple(state[key].shape)}, but {tuple(tensor.shape)} is right."
            )
    floats = OrderedDict((key, value.float() if value.is_floating_point() else value) for key, value in state.items())
    floats._metadata = getattr(state, "_metadata", {"": {"version": module._version}})  # type: ignore[attr-defined]
    try:
        missing, unexpected = module.load_state_dict(floats, strict=False, assign=True)
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"weights of {network.backbone}: do not fit ({one_line(error)}).") from None
    for key in sorted(missing):
        raise WeightsError(f"{where} {key} is missing; the network has it.")
    for key in sorted(unexpected):
        raise WeightsError(f"{where} {key} is unexpected; the network has none.")


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
