"""From images to the features of each layer: one forward pass, each layer handed out as it is reached.

The last layer that is needed ends the pass.
"""

import copy
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from dps.errors import DpsError, ImageError, NetworkError, WeightsError, one_line
from dps.networks.definitions import Network
from dps.networks.forward import as_map, attach, call
from dps.networks.trials import check_size, order, smallest

Visit: TypeAlias = Callable[[int, Tensor], object]
"""Takes the place of a layer and its features, ``(batch, channel, height, width)``."""


SLIGHTLY = 0.5
"""How far outside [0, 1] an image may be that is taken for one that was not clamped."""


class Extractor:
    """Networks of one backbone, ready to take images; all of their layers come from one forward pass.

    Args:
        networks: with layers, see `names.resolve`.
        device: where to compute.
        check: refuses batches that are not images.

    Attributes:
        network: the first of them.
        layers: names of all layers that one of the networks has, in the order in which they run.
        places: by network, the places of its layers among these.

    Raises:
        WeightsError: a tensor is missing, unexpected or of another shape.
    """

    def __init__(
        self, *networks: Network, device: str = "cpu", check: Callable[[Tensor], object] | None = None
    ) -> None:
        self.network = networks[0]
        self._check = check or check_images
        self.device = torch.device(device)
        names = tuple(dict.fromkeys(name for network in networks for name in network.layers))
        layers = order(self.network, names)
        self._overwritten = [layer.overwritten for layer in layers]
        self.layers = tuple(layer.name for layer in layers)
        self.places = {n.name: tuple(self.layers.index(name) for name in n.layers) for n in networks}
        self._calls = threading.local()  # chunks run in several threads
        self._features = load(self.network, self.device)
        attach(self.network, self._features, self.layers, lambda name, output: self._calls.take(name, output))
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
        self._check(images)
        images = images.to(self.device, torch.float32, memory_format=torch.channels_last)
        size = (int(images.shape[2]), int(images.shape[3]))
        visiting = False
        later: list[tuple[int, Tensor]] = []  # of a user's network, whose call may change global state until it ends

        def take(name: str, output: Any) -> None:
            nonlocal visiting
            place = self.layers.index(name)
            features = as_map(self.network, self._features, name, output, len(images), size)
            features = features.clone() if self._overwritten[place] else features
            if self.network.user_defined:
                later.append((place, features))
            else:
                visiting = True
                visit(place, features)
                visiting = False
            if place == len(self.layers) - 1:
                raise _LastLayerReached

        self._calls.take = take
        try:
            call(self.network, self._features, (images - self._mean) / self._std, self.layers, take)
        except _LastLayerReached:
            pass
        except (Exception, SystemExit) as error:
            if visiting or isinstance(error, DpsError):
                raise
            check_size(self.network, *size)
            raise NetworkError(f"network {self.network.name!r}: {one_line(error)}") from None
        finally:
            del self._calls.take  # and with it the images and features that it has
        for place, features in later:
            visit(place, features)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the features of all layers; see `run`."""
        layers: list[Tensor] = []
        self.run(images, lambda _, features: layers.append(features))
        return layers


class _LastLayerReached(BaseException):
    """Ends a forward pass."""


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
    if low >= -SLIGHTLY and high <= 1 + SLIGHTLY:
        guess = "They are a little outside: clamp them, images.clamp(0, 1)."
    elif low >= 0 and high <= 255:
        guess = "They look like 0..255: divide them by 255."
    elif low >= -1 and high <= 1:
        guess = "They look like -1..1: add 1 and divide by 2."
    elif math.isfinite(low) and math.isfinite(high):
        guess = "They look normalized already: pass plain RGB, the network normalizes it."
    raise ImageError(f"images must be RGB in [0, 1], got [{low:.4g}, {high:.4g}]. {guess}")
