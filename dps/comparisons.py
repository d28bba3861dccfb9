"""Ways to compare the features of two images at one layer. Nothing here knows about networks.

A comparison puts one image's features into a form, ``(batch, channel, position)``, once per image. All
comparisons then share the normalization and the subtraction below (NUMERICS: the squared difference, summed
over channels, averaged over positions, without a root).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.errors import MetricError

Comparison: TypeAlias = Callable[[Tensor], Tensor]
"""Features of one layer, ``(batch, channel, height, width)``, to the form that is subtracted,
``(batch, channel, position)``, any number of positions."""

Flat: TypeAlias = Any
"""Representations with their channels and positions in one axis: an array of NumPy's on a CPU, else a tensor."""

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
    if form.device.type == "cpu" and form.stride(1) != 1 and not form.requires_grad:
        return torch.from_numpy(_unit_on_cpu(form.numpy()))
    return torch.nn.functional.normalize(form, dim=1, eps=SHORTEST)


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
    if given is not features:
        form = form.contiguous()  # ours lie as the network left them; a user's may lie differently from call to call
    return form if form.dtype in (torch.float32, torch.float64) else form.float()


def flat(form: Tensor) -> Flat:
    """Channels and positions in one axis, as they lie in memory: any order serves that all images have.

    Args:
        form: ``(batch, channel, position)``.

    Returns:
        ``(batch, channel * position)``, on a CPU as a NumPy array.
    """
    flattened = (form.mT if form.stride(1) == 1 else form).flatten(start_dim=1)
    return flattened.numpy() if form.device.type == "cpu" else flattened


def squared_distances(pairs: Sequence[tuple[Flat, Flat]]) -> list[NDArray[np.float64]]:
    """How far images are from their originals at one layer, not averaged yet: where features become distances.

    Args:
        pairs: by comparison and normalization, the originals' forms, ``(original, 1, number)``, and those of what
            each is compared with, ``(original, compared, number)``; or, where all are compared with the same
            images, ``(1, compared, number)``. See `flat`.

    Returns:
        For each the sums of the squared differences, ``(original, compared)``.
    """
    on_cpu = all(isinstance(each, np.ndarray) for pair in pairs for each in pair)
    return [(_sums_on_cpu if on_cpu else _sums)(originals, others) for originals, others in pairs]


def distance_between(form: Tensor, other: Tensor, reduction: str = "sum") -> float:
    """The distance of two images at one layer.

    Args:
        form, other: theirs, ``(1, channel, position)``.
        reduction: see `averaged_over`.
    """
    (sums,) = squared_distances([(flat(form)[None], flat(other)[None])])
    _, channels, positions = form.shape
    return float(sums.item()) / averaged_over(channels, positions, reduction)


def averaged_over(channels: int, positions: int, reduction: str) -> int:
    """What a sum of squared differences is divided by.

    Args:
        channels, positions: of a form.
        reduction: ``sum`` over channels, as the published numbers need; ``mean`` divides by the number of channels
            too, as the paper's Eq. 1 to 3 are printed.
    """
    return channels * positions if reduction == "mean" else positions


def shapes_differ(a: Sequence[int], b: Sequence[int]) -> MetricError:
    """What to say of forms that cannot be subtracted."""
    return MetricError(f"features must have the same shape, got {tuple(a)} and {tuple(b)}.")


def _sums(originals: Flat, others: Flat) -> NDArray[np.float64]:
    """Sums of squared differences, ``(original, compared)``."""
    sums: NDArray[np.float64] = (others - originals).square().sum(dim=-1).double().cpu().numpy()
    return sums


ROW = 2**13
"""How many squares a CPU adds in single precision: few enough for NumPy's BLAS to start no threads of its own."""

ROWS = 2**7
"""How many rows are subtracted at once, of all pairs: bounds the memory."""


def _sums_on_cpu(originals: Flat, others: Flat) -> NDArray[np.float64]:
    """The same with NumPy, row by row: a pair's sum is the same whatever is subtracted beside."""
    size = originals.shape[-1]
    sums = np.zeros((len(originals), others.shape[1]))
    row = min(ROW, size)
    block = row * min(max(1, ROWS // sums.size), -(-size // row))
    difference = np.empty((*sums.shape, block), np.result_type(originals, others))
    with np.errstate(all="ignore"):  # what is not finite is judged as such, later
        for start in range(0, size, block):
            some = difference[..., : size - start]
            np.subtract(others[..., start : start + block], originals[..., start : start + block], out=some)
            difference[..., size - start :] = 0
            rows = difference.reshape(*sums.shape, -1, row)
            for squares in np.vecdot(rows, rows).transpose(2, 0, 1):
                sums += squares
    return sums


def _unit_on_cpu(form: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same with NumPy, which is ten times faster where the channels of a position lie apart in memory."""
    with np.errstate(all="ignore"):  # what is not finite is judged as such, later
        norm = np.sqrt(np.einsum("bck,bck->bk", form, form))
        unit: NDArray[np.float32] = form / np.maximum(norm, np.float32(SHORTEST))[:, None]
    return unit


SMALL = 2**15
"""How many features make an image large enough to be copied by itself."""


def _ascending(rows: Tensor) -> Tensor:
    """Sort along the last axis; on a CPU with NumPy, 2 to 4 times faster there than `torch.sort`."""
    if rows.device.type != "cpu" or rows.requires_grad:
        return rows.sort(dim=-1).values
    if rows[0].numel() < SMALL:
        ordered = rows.clone(memory_format=torch.contiguous_format)
    else:
        ordered = torch.empty(rows.shape, dtype=rows.dtype)
        for own, given in zip(ordered, rows, strict=True):
            own.copy_(given)  # image by image: PyTorch transposes matrices fast, batches of them slowly
    numbers = ordered.numpy()
    if numbers.dtype == np.float32 and (bits := numbers.view(np.int32)).min() >= 0:
        numbers = bits  # of numbers that are not negative the bits have the same order, and are sorted faster
    numbers.sort(axis=-1)
    return ordered
