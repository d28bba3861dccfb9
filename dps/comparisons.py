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
    return form if form.dtype in (torch.float32, torch.float64) else form.float()


def squared_distances(pairs: Sequence[tuple[Tensor, Tensor]], reduction: str = "sum") -> list[float]:
    """The distances of pairs of images at one layer.

    Args:
        pairs: their forms, ``(channel, position)``; many pairs may share one.
        reduction: ``sum`` over channels, as the published numbers need; ``mean`` divides by the number of
            channels too, as the paper's Eq. 1 to 3 are printed.

    Returns:
        For each pair the squared difference, summed over channels and averaged over positions.

    Raises:
        MetricError: the shapes of a pair differ.
    """
    for pair in pairs:
        check_shapes(*pair)
    on_cpu = all(form.device.type == "cpu" for pair in pairs for form in pair)
    sums = _sums_on_cpu(pairs) if on_cpu else _sums(pairs)
    over = [a.numel() if reduction == "mean" else a.shape[-1] for a, _ in pairs]
    return [total / count for total, count in zip(sums, over, strict=True)]


def stacked_distances(forms: Tensor, reduction: str = "sum") -> Tensor:
    """The distances of the first image of each stack to the others, at one layer.

    Args:
        forms: ``(stack, 1 + compared, channel, position)``.
        reduction: as for `squared_distances`.

    Returns:
        ``(stack, compared)``, float64, on the CPU.
    """
    stacks, images, channels, positions = forms.shape
    over = channels * positions if reduction == "mean" else positions
    if forms.device.type != "cpu":
        return (forms[:, 1:] - forms[:, :1]).square().sum(dim=(2, 3)).double().cpu() / over
    flat = (forms.mT if forms.mT.is_contiguous() else forms).reshape(stacks, images, -1).numpy()
    with np.errstate(all="ignore"):  # what is not finite is judged as such, later
        difference = flat[:, 1:] - flat[:, :1]
        sums = [np.vecdot(part, part) for part in np.split(difference, range(BLOCK, flat.shape[-1], BLOCK), axis=-1)]
        return torch.from_numpy(np.sum(sums, axis=0, dtype=np.float64) / over)


def check_shapes(a: Tensor, b: Tensor) -> None:
    """Refuse forms that cannot be subtracted.

    Raises:
        MetricError: their shapes differ.
    """
    if a.shape != b.shape:
        raise MetricError(f"features must have the same shape, got {tuple(a.shape)} and {tuple(b.shape)}.")


def _sums(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[float]:
    """Sums of squared differences."""
    sums: list[float] = torch.stack([(a - b).square().sum() for a, b in pairs]).tolist()
    return sums


BLOCK = 2**14
"""How many numbers of each image are compared at once on a CPU: few enough that all images' stay in its cache."""


def _sums_on_cpu(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[float]:
    """The same block by block: all pairs of one block are subtracted while it is in the cache."""
    forms = {id(form): form for pair in pairs for form in pair}
    alike = all(form.mT.is_contiguous() for form in forms.values())  # any order serves that is the same for all
    flat = {key: (form.mT if alike else form).reshape(-1).numpy() for key, form in forms.items()}
    sums = [0.0] * len(pairs)
    size = max((each.size for each in flat.values()), default=0)
    difference = np.empty(min(size, BLOCK), np.result_type(np.float32, *flat.values()))
    with np.errstate(all="ignore"):  # what is not finite is judged as such, later
        for start in range(0, size, BLOCK):
            blocks = {key: each[start : start + BLOCK] for key, each in flat.items()}
            for index, (a, b) in enumerate(pairs):
                block = blocks[id(a)]
                out = difference[: block.size]
                np.subtract(block, blocks[id(b)], out=out)
                sums[index] += float(out.dot(out))
    return sums


def _unit_on_cpu(form: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same with NumPy, whose sum over an axis in the middle takes a tenth of the time."""
    with np.errstate(all="ignore"):  # what is not finite is judged as such, later
        norm = np.sqrt(np.einsum("bck,bck->bk", form, form))
        unit: NDArray[np.float32] = form / np.maximum(norm, np.float32(SHORTEST))[:, None]
    return unit


def _ascending(rows: Tensor) -> Tensor:
    """Sort along the last axis; on a CPU with NumPy, 2 to 4 times faster there than `torch.sort`."""
    if rows.device.type != "cpu" or rows.requires_grad:
        return rows.sort(dim=-1).values
    ordered = torch.empty(rows.shape, dtype=rows.dtype)
    for own, given in zip(ordered, rows, strict=True):
        own.copy_(given)  # image by image: PyTorch transposes matrices fast, batches of them slowly
    ordered.numpy().sort(axis=-1)
    return ordered
