"""Comparisons of the features of two images at one layer, independent of networks.

A comparison computes a representation of one image's features, ``(batch, channel, position)``. All comparisons share
the normalization and the distance: the squared difference, summed over channels and averaged over positions, without
a square root. One definition serves measurement and gradients.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from dps import kernels

Comparison: TypeAlias = Callable[[Tensor], Tensor]
"""From the features of one layer, ``(batch, channel, height, width)``, to their representation,
``(batch, channel, position)``, with any number of positions."""

Flat: TypeAlias = Any
"""Flattened representations or distances: a NumPy array on a CPU, otherwise a tensor."""

NORMALIZATIONS = ("none", "unit")
REDUCTIONS = ("sum", "mean")

SMALLEST_NORM = 1e-12
"""Lower limit of norms."""


def spatial(features: Tensor) -> Tensor:
    """Compare the features position by position.

    The representation is the features, ``(batch, channel, height * width)``.

    Source: Sjögren et al. 2022, arXiv:2207.02512, Eq. 1; with unit normalization, the uncalibrated LPIPS of Zhang et
    al. 2018, arXiv:1801.03924.
    """
    return features.flatten(start_dim=2)


def mean(features: Tensor) -> Tensor:
    """Compare the mean activation of each channel.

    The representation is ``(batch, channel, 1)``.

    Source: Sjögren et al. 2022, arXiv:2207.02512, Eq. 2.
    """
    return features.mean(dim=(2, 3)).unsqueeze(-1)


def sort(features: Tensor) -> Tensor:
    """Compare the sorted activations of each channel.

    The representation, ``(batch, channel, height * width)``, is in ascending order along the last axis, and invariant
    to spatial permutations of the feature map.

    Source: Sjögren et al. 2022, arXiv:2207.02512, Eq. 3 (which sorts descending; the distance is the same).
    """
    rows = features.flatten(start_dim=2)
    return rows.sort(dim=-1).values if _needs_torch(rows) else kernels.sort(rows)


COMPARISONS: dict[str, Comparison] = {"spatial": spatial, "mean": mean, "sort": sort}


def unit(representation: Tensor) -> Tensor:
    """Divide the channel vectors of ``(batch, channel, position)`` by their L2 norm, at least `SMALLEST_NORM`."""
    if _needs_torch(representation) or representation.stride(1) == 1:
        return torch.nn.functional.normalize(representation, dim=1, eps=SMALLEST_NORM)
    return kernels.unit(representation, SMALLEST_NORM)


def normalize(representation: Tensor, normalization: str) -> Tensor:
    """Apply one of `NORMALIZATIONS`."""
    return unit(representation) if normalization == "unit" else representation


def concatenate(arrays: Sequence[Flat], axis: int = 0) -> Flat:
    """Concatenate arrays or tensors along an axis."""
    return np.concatenate(arrays, axis) if isinstance(arrays[0], np.ndarray) else torch.cat(list(arrays), axis)


def flatten(representation: Tensor) -> Flat:
    """Flatten ``(batch, channel, position)`` to ``(batch, channel * position)``, in memory order."""
    flattened = (representation.mT if representation.stride(1) == 1 else representation).flatten(start_dim=1)
    return flattened.numpy() if flattened.device.type == "cpu" else flattened


def squared_distances(originals: Flat, others: Flat) -> Flat:
    """Return the sums of squared differences between originals and other images, ``(original, other)``.

    Args:
        originals: ``(original, 1, number)``, see `flatten`.
        others: ``(original, other, number)``, or ``(1, other, number)`` if they are the same for all originals.
    """
    if isinstance(originals, np.ndarray):
        return kernels.sums_of_squares(originals, others)
    return (others - originals).square().sum(dim=-1)


def layer_distances(a: Tensor, b: Tensor, reduction: str = "sum") -> Tensor:
    """Return the distances, ``(batch,)``, of representations, ``(batch, channel, position)``, with gradients."""
    _, channels, positions = a.shape
    return (a - b).square().sum(dim=(1, 2)) / divisor(channels, positions, reduction)


def divisor(channels: int, positions: int, reduction: str) -> int:
    """Return the divisor of a sum of squared differences over channels and positions.

    The reduction ``sum`` over channels reproduces the published results; ``mean`` is that of Eq. 1 to 3 of the paper.
    """
    return channels * positions if reduction == "mean" else positions


def _needs_torch(tensor: Tensor) -> bool:
    """Return whether NumPy cannot be used: on an accelerator, or with gradients."""
    return tensor.device.type != "cpu" or tensor.requires_grad
