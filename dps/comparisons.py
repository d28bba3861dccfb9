"""Ways to compare the features of two images at one layer. Nothing here knows about networks.

A comparison turns one image's features into a representation, ``(batch, channel, position)``, once per image. All
comparisons then share the normalization and the distance below (NUMERICS: the squared difference, summed over
channels, averaged over positions, without a root). Each is defined once, for measuring and for gradients.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from dps import kernels

Comparison: TypeAlias = Callable[[Tensor], Tensor]
"""From the features of one layer, ``(batch, channel, height, width)``, to their representation,
``(batch, channel, position)``, any number of positions."""

Flat: TypeAlias = Any
"""Representations with channels and positions in one axis, or distances: a NumPy array on a CPU, else a tensor."""

NORMALIZATIONS = ("none", "unit")
REDUCTIONS = ("sum", "mean")

SMALLEST_NORM = 1e-12
"""Norms are clamped to this from below."""


def spatial(features: Tensor) -> Tensor:
    """Compare by position: the features as they are.

    Args:
        features: one layer's, ``(batch, channel, height, width)``, no unit.

    Returns:
        ``(batch, channel, height * width)``.

    Source:
        Sjögren et al. 2022, arXiv:2207.02512, Eq. 1; with unit normalization, the uncalibrated LPIPS of
        Zhang et al. 2018, arXiv:1801.03924.
    """
    return features.flatten(start_dim=2)


def mean(features: Tensor) -> Tensor:
    """Compare how strongly each channel responds on average.

    Args:
        features: one layer's, ``(batch, channel, height, width)``, no unit.

    Returns:
        ``(batch, channel, 1)``.

    Source:
        Sjögren et al. 2022, arXiv:2207.02512, Eq. 2.
    """
    return features.mean(dim=(2, 3)).unsqueeze(-1)


def sort(features: Tensor) -> Tensor:
    """Compare how strongly each channel responds, wherever it responds.

    Each channel's activations are put in ascending order, so that rearranging positions inside the
    feature map changes nothing.

    Args:
        features: one layer's, ``(batch, channel, height, width)``, no unit.

    Returns:
        ``(batch, channel, height * width)``, ascending along the last axis.

    Source:
        Sjögren et al. 2022, arXiv:2207.02512, Eq. 3 (which sorts descending; the distance is the same).
    """
    rows = features.flatten(start_dim=2)
    return rows.sort(dim=-1).values if _needs_torch(rows) else kernels.sort(rows)


COMPARISONS: dict[str, Comparison] = {"spatial": spatial, "mean": mean, "sort": sort}


def unit(representation: Tensor) -> Tensor:
    """Divide each position's channel vector by its L2 norm.

    Args:
        representation: ``(batch, channel, position)``; normalization comes after the comparison, never before.

    Returns:
        The same shape. A vector shorter than `SMALLEST_NORM` is divided by that.
    """
    if _needs_torch(representation) or representation.stride(1) == 1:
        return torch.nn.functional.normalize(representation, dim=1, eps=SMALLEST_NORM)
    return kernels.unit(representation, SMALLEST_NORM)


def normalized(representation: Tensor, normalization: str) -> Tensor:
    """Apply one of `NORMALIZATIONS`."""
    return unit(representation) if normalization == "unit" else representation


def joined(arrays: Sequence[Flat], axis: int = 0) -> Flat:
    """Join arrays, or tensors, along an axis."""
    return np.concatenate(arrays, axis) if isinstance(arrays[0], np.ndarray) else torch.cat(list(arrays), axis)


def flat(representation: Tensor) -> Flat:
    """Put channels and positions in one axis, in their order in memory: any order will do that all images share.

    Args:
        representation: ``(batch, channel, position)``.

    Returns:
        ``(batch, channel * position)``, on a CPU as a NumPy array.
    """
    flattened = (representation.mT if representation.stride(1) == 1 else representation).flatten(start_dim=1)
    return flattened.numpy() if flattened.device.type == "cpu" else flattened


def squared_distances(originals: Flat, others: Flat) -> Flat:
    """Return the sums of squared differences of originals and what each is compared with, not averaged yet.

    Args:
        originals: ``(original, 1, number)``, see `flat`.
        others: ``(original, compared, number)``; or ``(1, compared, number)`` where all are compared with the same.

    Returns:
        ``(original, compared)``; on a CPU as a NumPy array, else a tensor that stays where it is.
    """
    if isinstance(originals, np.ndarray):
        return kernels.sums_of_squares(originals, others)
    return (others - originals).square().sum(dim=-1)


def layer_distances(a: Tensor, b: Tensor, reduction: str = "sum") -> Tensor:
    """Return the distances of pairs of images at one layer, ``(batch,)``, with gradients.

    Args:
        a, b: their representations, ``(batch, channel, position)``.
        reduction: see `divisor`.
    """
    _, channels, positions = a.shape
    return (a - b).square().sum(dim=(1, 2)) / divisor(channels, positions, reduction)


def divisor(channels: int, positions: int, reduction: str) -> int:
    """Return the number that a sum of squared differences is divided by.

    Args:
        channels, positions: of a representation.
        reduction: ``sum`` over channels, as the published numbers need; ``mean`` divides by the number of channels
            too, as the paper's Eq. 1 to 3 are printed.
    """
    return channels * positions if reduction == "mean" else positions


def _needs_torch(tensor: Tensor) -> bool:
    """Return whether NumPy cannot do it: on another device, or with gradients."""
    return tensor.device.type != "cpu" or tensor.requires_grad
