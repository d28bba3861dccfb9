"""From images to the features of each layer, in one forward pass that ends at the last requested layer."""

import copy
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dps.errors import DpsError, ImageError, NetworkError, WeightsError, one_line
from dps.networks.definitions import Network
from dps.networks.forward import as_map, attach, call
from dps.networks.trials import check_size, find_layers, smallest
from dps.weights import State


def check_images(images: Tensor) -> None:
    """Check that a tensor is a batch of RGB images in [0, 1].

    Raises:
        ImageError: it is not; the message suggests a conversion.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ImageError(
            f"images must be floating point, (batch, 3, height, width), got {images.dtype} {tuple(images.shape)}."
        )
    low, high = (float(value) for value in torch.aminmax(images.detach())) if images.numel() else (0.0, 0.0)
    if low >= 0 and high <= 1:
        return
    guess = "They contain NaN or infinity."
    if low >= -0.5 and high <= 1.5:
        guess = "They are slightly out of range: clamp them, images.clamp(0, 1)."
    elif low >= 0 and high <= 255:
        guess = "They look like 0..255: divide them by 255."
    elif low >= -1 and high <= 1:
        guess = "They look like -1..1: add 1 and divide by 2."
    elif math.isfinite(low) and math.isfinite(high):
        guess = "They look normalized already: pass plain RGB; dps normalizes it for the network."
    raise ImageError(f"images must be RGB in [0, 1], got [{low:.4g}, {high:.4g}]. {guess}")


class Extractor:
    """A feature extractor for networks of one backbone, which share a forward pass.

    Args:
        networks: with layers, see `names.resolve`.
        device: for computation.
        check: validates each batch of images.

    Attributes:
        network: the first of the networks.
        layers: the names of all layers of the networks, in execution order.
        layer_indices: the indices into `layers` of each network's layers, by the network's name.

    Raises:
        WeightsError: a tensor is missing, unexpected or of the wrong shape.
    """

    def __init__(
        self, *networks: Network, device: str = "cpu", check: Callable[[Tensor], object] = check_images
    ) -> None:
        self.network = networks[0]
        self._check = check
        self.device = torch.device(device)
        names = tuple(dict.fromkeys(name for network in networks for name in network.layers))
        layers = find_layers(self.network, names)
        self._overwritten = [layer.overwritten for layer in layers]
        self.layers = tuple(layer.name for layer in layers)
        self.layer_indices = {n.name: tuple(self.layers.index(name) for name in n.layers) for n in networks}
        self._calls = threading.local()  # chunks run in several threads
        self._features = load(self.network, self.device)
        attach(self.network, self._features, self.layers, lambda name, output: self._calls.take(name, output))
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=self.device).view(1, 3, 1, 1)
            for values in (self.network.mean, self.network.std)
        )

    @property
    def smallest(self) -> int:
        """Return the smallest height and width that all of the networks accept, in pixels."""
        return smallest(replace(self.network, layers=self.layers))

    def run(self, images: Tensor, visit: Callable[[int, Tensor], object]) -> None:
        """Run the network up to its last layer, and pass each layer's features to `visit`.

        Args:
            images: RGB in [0, 1], ``(batch, 3, height, width)``.
            visit: called in execution order with the index of a layer and its features, ``(batch, channel, height,
                width)``, signed, without unit, which it must not change.

        Raises:
            ImageError: the images have the wrong shape or range, or a size that the network does not accept.
            NetworkError: the network failed, or a layer's output is not a feature map.
        """
        self._check(images)
        images = images.to(self.device, torch.float32, memory_format=torch.channels_last)
        size = (int(images.shape[2]), int(images.shape[3]))
        visiting = False
        deferred: list[tuple[int, Tensor]] = []  # a user's network may have changed global state until it returns

        def take(name: str, output: Any) -> None:
            nonlocal visiting
            index = self.layers.index(name)
            features = as_map(self.network, self._features, name, output, len(images), size)
            features = features.clone() if self._overwritten[index] else features
            if self.network.user_defined:
                deferred.append((index, features))
            else:
                visiting = True
                visit(index, features)
                visiting = False
            if index == len(self.layers) - 1:
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
            del self._calls.take  # and with it the references to images and features
        for index, features in deferred:
            visit(index, features)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the features of all layers; see `run`."""
        layers: list[Tensor] = []
        self.run(images, lambda _, features: layers.append(features))
        return layers


class _LastLayerReached(BaseException):
    """Ends a forward pass."""


def load(network: Network, device: torch.device | str = "cpu") -> Callable[[Tensor], Any]:
    """Return a copy of a network's modules with its weights, on a device; a function is returned unchanged.

    Raises:
        NetworkError: the modules cannot be copied.
        WeightsError: a tensor is missing, unexpected or of the wrong shape.
    """
    if not isinstance(network.features, nn.Module):
        return network.features
    with torch.inference_mode(mode=False):
        try:
            module: nn.Module = network.make() if network.make else copy.deepcopy(network.features)
        except Exception as error:  # noqa: BLE001 - copying runs a user's code
            raise NetworkError(
                f"network {network.backbone!r}: cannot be copied ({one_line(error)}); remove from the module what "
                "copy.deepcopy does not accept, such as locks, open files and tensors computed from parameters."
            ) from None
        if network.weights is not None:
            _fill(module, network.weights.state, f"weights of {network.backbone}:")
        module = module.to(memory_format=torch.channels_last).to(device)
        return module.eval().requires_grad_(requires_grad=False)


def cut(network: Network) -> nn.Sequential:
    """Return the ``features`` of a built-in network up to its last layer, with torchvision's indices."""
    features = load(network).features  # type: ignore[attr-defined]
    return features[: int(network.layers[-1].rpartition(".")[2]) + 1]  # type: ignore[no-any-return]


def _fill(module: nn.Module, state: State, where: str) -> None:
    """Load weights into modules, which may rename the tensors of older files."""
    for key, tensor in module.state_dict().items():
        if key in state and state[key].shape != tensor.shape:
            raise WeightsError(
                f"{where} tensor {key} has shape {tuple(state[key].shape)}, expected {tuple(tensor.shape)}."
            )
    floats = OrderedDict((key, value.float() if value.is_floating_point() else value) for key, value in state.items())
    floats._metadata = getattr(state, "_metadata", {"": {"version": module._version}})  # type: ignore[attr-defined]
    try:
        missing, unexpected = module.load_state_dict(floats, strict=False, assign=True)
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{where} do not fit ({one_line(error)}).") from None
    if missing:
        raise WeightsError(f"{where} tensor {min(missing)} is missing.")
    if unexpected:
        raise WeightsError(f"{where} tensor {min(unexpected)} is not in the network.")
