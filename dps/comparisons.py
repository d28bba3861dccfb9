"""Ways to compare the features of two images at one layer. Nothing here knows about networks.

A comparison puts one image's features into a form, ``(batch, channel, position)``, once per image. All
comparisons then share the normalization and the subtraction below (NUMERICS: the squared difference, summed
over channels, averaged over positions, without a root).
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.errors import MetricError

Comparison: TypeAlias = Callable[[Tensor], Tensor]
"""Features of one layer, ``(batch, channel, height, width)``, to the form that is subtracted,
``(batch, channel, position)``, any number of positions."""

NORMALIZATIONS = ("none", "unit")
REDUCTIONS = ("sum", "mean")


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
    return _ascending(features.flatten(start_dim=2))


COMPARISONS: dict[str, Comparison] = {"spatial": spatial, "mean": mean, "sort": sort}


SHORTEST = 1e-12
"""What norms are clamped to from below."""


def unit(form: Tensor) -> Tensor:
    """Divide each position's channel vector by its L2 norm.

    Args:
        form: ``(batch, channel, position)``; normalization comes after the comparison, never before.

    Returns:
        The same shape. A vector shorter than `SHORTEST` is divided by that.
    """
    if form.device.type == "cpu" and not form.requires_grad:
        return torch.from_numpy(_unit_on_cpu(form.numpy()))
    norm: Tensor = torch.linalg.vector_norm(form, dim=1, keepdim=True)
    return form / norm.clamp(min=SHORTEST)


def normalized(form: Tensor, normalization: str) -> Tensor:
    """Apply one of `NORMALIZATIONS` to a form."""
    return unit(form) if normalization == "unit" else form


def form_of(features: Tensor, comparison: Comparison, name: str) -> Tensor:
    """Put features in the form of a comparison and check what came out.

    Raises:
        MetricError: the comparison returned something else than ``(batch, channel, position)``, or changed
            the features, which the network and other comparisons go on with.
    """
    given = features if comparison in COMPARISONS.values() else features.clone()
    form = comparison(given)
    if not isinstance(form, Tensor):
        raise MetricError(f"comparison {name!r} must return a tensor, got {type(form).__name__}.")
    if form.ndim != 3 or len(form) != len(features) or 0 in form.shape:
        raise MetricError(
            f"comparison {name!r} must return (batch, channel, position) for features "
            f"{tuple(features.shape)}, got {tuple(form.shape)}."
        )
    if not form.is_floating_point():
        raise MetricError(f"comparison {name!r} must return floating point, got {form.dtype}.")
    if given is not features and not torch.equal(given, features):
        raise MetricError(f"comparison {name!r} changed the features it was given; it must leave them as they are.")
    return form


BLOCK = 2**16
"""How many numbers are subtracted at once on a CPU: few enough to stay in its cache until they are squared."""


def squared_distances(original: Tensor, others: Sequence[Tensor], reduction: str = "sum") -> Tensor:
    """The distances of one image to others at one layer.

    Args:
        original, others: their forms, ``(channel, position)``.
        reduction: ``sum`` over channels, as the published numbers need; ``mean`` divides by the number of
            channels too, as the paper's Eq. 1 to 3 are printed.

    Returns:
        ``(others,)``, float64: the squared difference, summed over channels and averaged over positions.

    Raises:
        MetricError: their shapes differ.
    """
    for other in others:
        if other.shape != original.shape:
            raise MetricError(
                f"features must have the same shape, got {tuple(original.shape)} and {tuple(other.shape)}."
            )
    channels, positions = original.shape
    sums = _sums_on_cpu(original, others) if original.device.type == "cpu" else _sums(original, others)
    return sums / (positions * channels if reduction == "mean" else positions)


def _sums(original: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Sums of squared differences, ``(others,)``."""
    return torch.stack([(original - other).double().square().sum() for other in others])


def _sums_on_cpu(original: Tensor, others: Sequence[Tensor]) -> Tensor:
    """The same block by block, so that a difference is squared while it is in the cache."""
    mine, *theirs = (form.reshape(-1).numpy() for form in (original, *others))
    sums = np.zeros(len(theirs))
    difference = np.empty(min(BLOCK, mine.size), mine.dtype)
    for start in range(0, mine.size, BLOCK):
        block = mine[start : start + BLOCK]
        out = difference[: block.size]
        for index, other in enumerate(theirs):
            np.subtract(block, other[start : start + BLOCK], out=out)
            sums[index] += out.dot(out)
    return torch.from_numpy(sums)


def _unit_on_cpu(form: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same with NumPy, whose sum over an axis in the middle takes a tenth of the time."""
    norm = np.sqrt(np.einsum("bck,bck->bk", form, form))
    unit: NDArray[np.float32] = form / np.maximum(norm, np.float32(SHORTEST))[:, None]
    return unit


def _ascending(rows: Tensor) -> Tensor:
    """Sort along the last axis; on a CPU with NumPy, 2 to 4 times faster there than `torch.sort`."""
    if rows.device.type == "cpu" and not rows.requires_grad:
        return torch.from_numpy(np.sort(rows.contiguous().numpy(), axis=-1))
    return rows.sort(dim=-1).values
