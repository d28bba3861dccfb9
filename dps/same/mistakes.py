"""The table of known mistakes in ports of metrics, which are applied to the reference to explain a port.

Metrics are called with RGB in [0, 1]. A port that misinterprets its images equals the reference on converted images.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from dps.same.reference import Distance, Reference
from dps.user_code import guest

Distances: TypeAlias = NDArray[np.float64]
Variants: TypeAlias = Iterator[tuple[str, Reference]]
"""References with the variants of one mistake; a single variant has an empty name."""

Make: TypeAlias = Callable[[Reference], Variants]
ImageChange: TypeAlias = Callable[[Tensor], Tensor]
"""From images to images, ``(batch, 3, height, width)``."""

DistanceChange: TypeAlias = Callable[[Distance, Tensor, Tensor], Any]
"""From a distance and its two arguments to other distances."""


Adjust: TypeAlias = Callable[[Reference, Distances, Distances], tuple[str, Distances]]
"""From a reference, its distances and those of the port, to a variant and other distances."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake by which a port differs from its reference.

    Attributes:
        name: completes "equals the reference ...".
        remedy: an instruction.
        group: of mutually exclusive mistakes.
        make: applies it to the reference; yields no variant if the mistake does not apply.
        adjust: instead of `make`, transforms the reference's distances; constants are fitted to the port's distances;
            both ``(pair,)``.
        double: counts as two mistakes.
    """

    name: str
    remedy: str
    group: str
    make: Make | None = None
    adjust: Adjust | None = None
    double: bool = False


def _changed(reference: Reference, change: DistanceChange) -> Reference:
    return replace(reference, outer=lambda core: functools.partial(change, reference.outer(core)))


def _on_images(reference: Reference, change: ImageChange) -> Reference:
    return _changed(reference, lambda distance, a, b: distance(change(a), change(b)))


def _distance(changes: Mapping[str, DistanceChange]) -> Make:
    """Return the `make` of changes of a distance and its arguments, by variant."""
    return lambda reference: ((name, _changed(reference, change)) for name, change in changes.items())


def _images(changes: Mapping[str, ImageChange]) -> Make:
    """Return the `make` of changes of images, by variant."""
    return lambda reference: ((name, _on_images(reference, change)) for name, change in changes.items())


def _layers(**changes: Any) -> Make:
    """Return the `make` of other attributes of a `LayeredDistance`."""

    def make(reference: Reference) -> Variants:
        if reference.layered is not None and any(getattr(reference.layered, k) != v for k, v in changes.items()):
            yield "", _with_layers(reference, **changes)

    return make


def _with_layers(reference: Reference, **changes: Any) -> Reference:
    assert reference.layered is not None
    layered = replace(reference.layered, **changes)
    return replace(reference, core=layered, outer=lambda core: core, layered=layered)


# -------------------------------------------------------------------------------------------------- networks


def _older_heads(reference: Reference) -> Variants:
    if reference.layered is not None and reference.layered.older_heads:
        older = _with_layers(reference, heads=reference.layered.older_heads)
        yield "", older
        for _, without in NOT_NORMALIZED(older):  # like that version of LPIPS
            yield "which took images as they are", without


def _in_train_mode(reference: Reference) -> Variants:
    """Compute the distance with modules in train mode; their buffers are restored afterwards."""

    def train(module: nn.Module, _inputs: object) -> None:
        if module not in saved:
            buffers = {name: buffer.clone() for name, buffer in module.named_buffers(recurse=False)}
            saved[module] = module.training, buffers
            module.training = True

    saved: dict[nn.Module, tuple[bool, dict[str, Tensor]]] = {}

    def call(a: Tensor, b: Tensor) -> Any:
        handle = nn.modules.module.register_module_forward_pre_hook(train)
        try:
            with guest.visit():
                return reference.core(a, b)
        finally:
            handle.remove()
            for module, (mode, buffers) in saved.items():
                module.training = mode
                for name, value in buffers.items():
                    module.get_buffer(name).copy_(value)
            saved.clear()

    if reference.has_network:
        yield "", replace(reference, core=call)


class _CastMode(TorchFunctionMode):
    """Computes in another type, as if all float32 tensors had been converted to it."""

    def __init__(self, _device: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(self._convert, (args, kwargs or {}))
        return func(*args, **kwargs)

    def _convert(self, value: object) -> object:
        return value.to(self.dtype) if isinstance(value, Tensor) and value.dtype == torch.float32 else value


def _within(reference: Reference, context: Callable[[str], AbstractContextManager[Any]]) -> Reference:
    """Return a reference that computes within a context, created with the device type."""

    def core(a: Tensor, b: Tensor) -> Any:
        with context(a.device.type):
            return reference.core(a, b)

    return replace(reference, core=core)


def _in_half(reference: Reference) -> Variants:
    for name, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        yield f"images in {name}", _on_images(reference, functools.partial(_rounded, dtype=dtype))
        yield name, _within(reference, functools.partial(_CastMode, dtype=dtype))
        if reference.has_network:
            yield f"autocast to {name}", _within(reference, functools.partial(torch.autocast, dtype=dtype))


def _rounded(images: Tensor, dtype: torch.dtype) -> Tensor:
    return images.to(dtype).float()


# --------------------------------------------------------------------------------------------------- images


def _normalization(change: Callable[[Tensor, Tensor, Tensor, float, float], Tensor], variant: str) -> Make:
    """Return the `make` of a change of images with mean, standard deviation and range.

    The variant, for a reference with another range, is on images in [0, 1].
    """

    def make(reference: Reference) -> Variants:
        ranges = {"": reference.input_range}
        if reference.input_range != (0, 1):
            ranges[variant] = (0.0, 1.0)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (reference.mean, reference.std))
        for name, limits in ranges.items() if reference.has_network else ():

            def changed(x: Tensor, limits: tuple[float, float] = limits) -> Tensor:
                return change(x, mean.to(x), std.to(x), *limits)

            yield name, _on_images(reference, changed)

    return make


NOT_NORMALIZED = _normalization(
    lambda x, mean, std, low, high: (x * (high - low) + low) * std + mean, "on images in [0, 1]"
)
NORMALIZED_TWICE = _normalization(
    lambda x, mean, std, low, high: ((x - mean) / std - low) / (high - low), "as images in [0, 1]"
)


def _gray(images: Tensor) -> Tensor:
    luma = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * luma).sum(1, keepdim=True).expand_as(images)


def _cropped(images: Tensor, size: int | None) -> Tensor:
    """Crop the center of images to a size in pixels; to a square if it is None."""
    height, width = images.shape[-2:]
    down, across = (min(length, size or min(height, width)) for length in (height, width))
    top, left = round((height - down) / 2), round((width - across) / 2)
    return images[..., top : top + down, left : left + across]


def _resized(images: Tensor, size: int, *, antialias: bool = True, shorter: bool = False) -> Tensor:
    height, width = images.shape[-2:]
    ratio = size / min(height, width)
    shape = (int(height * ratio), int(width * ratio)) if shorter else (size, size)
    return nn.functional.interpolate(images, shape, mode="bilinear", align_corners=False, antialias=antialias)


RESIZERS: dict[str, Any] = {"bilinear": {"antialias": False}, "antialiased": {}, "shorter side": {"shorter": True}}

RANGES = {"[0, 1]": (0, 1), "[-1, 1]": (-1, 1), "0..255": (0, 255)}

SCALINGS = {
    ("[0, 1]", "[-1, 1]"): "2 * x - 1",
    ("[0, 1]", "0..255"): "255 * x",
    ("[-1, 1]", "[0, 1]"): "(x + 1) / 2",
    ("[-1, 1]", "0..255"): "(x + 1) * 127.5",
    ("0..255", "[0, 1]"): "x / 255",
    ("0..255", "[-1, 1]"): "x / 127.5 - 1",
}
"""Conversions between ranges of images."""


def _wrong_range(actual: str, expected: str, formula: str) -> Mistake:
    (low, high), (expected_low, expected_high) = RANGES[actual], RANGES[expected]
    change = {"": lambda x: (x * (high - low) + low - expected_low) / (expected_high - expected_low)}
    name = f"on images in {actual} taken for {expected}"
    return Mistake(name, f"scale your input with {formula}", "range", _images(change))


# ------------------------------------------------------------------------------------------------- distances


def _factor(_reference: Reference, distances: Distances, port: Distances) -> tuple[str, Distances]:
    large = np.abs(distances) > 1e-2 * np.median(np.abs(distances))
    factor = float(np.median(port[large] / distances[large])) if large.any() else np.nan
    return f"{factor:.6g}", distances * (factor or np.nan)


def _linear(_reference: Reference, distances: Distances, port: Distances) -> tuple[str, Distances]:
    factor, offset = np.polyfit(distances, port, 1)
    return f"{factor:.6g} and {offset:.6g}", distances * factor + offset


def _offset(_reference: Reference, distances: Distances, port: Distances) -> tuple[str, Distances]:
    offset = float(np.median(port - distances))
    return f"{offset:.6g}", distances + offset


def _transform(change: Callable[[Distances], Distances]) -> Adjust:
    return lambda _reference, distances, _port: ("", change(distances))


def _similarity(reference: Reference, distances: Distances, _port: Distances) -> tuple[str, Distances]:
    return f"{reference.identity:g} - distance", reference.identity - distances


MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "on another network",
        "take the network of the reference",
        "network",
        lambda reference: iter(reference.others.items()),
    ),
    Mistake(
        "with heads of version 0.0", "load the heads of version 0.1, lpips.LPIPS(version='0.1')", "heads", _older_heads
    ),
    Mistake(
        "without heads (uncalibrated)",
        "weight the channels with the heads, lpips.LPIPS(lpips=True)",
        "heads",
        _layers(heads=()),
    ),
    Mistake(
        "without unit normalization",
        "divide each position's features by their L2 norm",
        "unit",
        _layers(normalization="none"),
    ),
    Mistake("with unit normalization", "leave the features as they are", "unit", _layers(normalization="unit")),
    Mistake(
        "averaged over channels, not summed",
        "sum the squared differences over channels",
        "channels",
        _layers(reduction="mean"),
    ),
    Mistake(
        "summed over channels, not averaged",
        "average the squared differences over channels",
        "channels",
        _layers(reduction="sum"),
    ),
    Mistake(
        "summed over positions, not averaged",
        "average over height and width",
        "positions",
        _layers(over_positions="sum"),
    ),
    Mistake("in train mode", "call .eval() on your model, which turns dropout off", "train", _in_train_mode),
    Mistake("in half precision", "compute in float32", "half", _in_half),
    Mistake(
        "without ImageNet normalization",
        "subtract the mean and divide by the standard deviation of ImageNet",
        "normalization",
        NOT_NORMALIZED,
    ),
    Mistake(
        "with ImageNet normalization twice",
        "leave your own normalization out, the model has one",
        "normalization",
        NORMALIZED_TWICE,
    ),
    *(_wrong_range(*ranges, formula) for ranges, formula in SCALINGS.items()),
    Mistake(
        "on images in BGR order", "exchange the first and the last channel", "color", _images({"": lambda x: x.flip(1)})
    ),
    Mistake(
        "on gray images",
        "keep the three channels",
        "color",
        _images({"luma": _gray, "mean of channels": lambda x: x.mean(1, keepdim=True).expand_as(x)}),
    ),
    Mistake(
        "on center-cropped images",
        "measure whole images",
        "crop",
        _images({f"to {size or 'a square'}": functools.partial(_cropped, size=size) for size in (None, 64, 224)}),
    ),
    *(
        Mistake(
            f"on images resized to {size}",
            "measure at full size",
            "size",
            _images({name: functools.partial(_resized, size=size, **options) for name, options in RESIZERS.items()}),
        )
        for size in (64, 224, 256)
    ),
    Mistake(
        "with the arguments swapped",
        "pass the original first",
        "arguments",
        _distance({"": lambda distance, a, b: distance(b, a)}),
    ),
    Mistake(
        "averaged over the batch",
        "return one distance for each pair",
        "batch",
        _distance({"": lambda distance, a, b: distance(a, b).mean().expand(len(a))}),
    ),
    Mistake(
        "summed over pixels, not averaged",
        "divide by height x width",
        "positions",
        _distance(
            {
                "": lambda distance, a, b: distance(a, b) * a[0, 0].numel(),
                "and channels": lambda distance, a, b: distance(a, b) * a[0].numel(),
            }
        ),
    ),
    Mistake("squared", "take the square root of your distance", "power", adjust=_transform(np.square)),
    Mistake(
        "under a square root", "square your distance", "power", adjust=_transform(lambda x: np.sqrt(x.clip(min=0)))
    ),
    Mistake(
        "as a similarity",
        "subtract it from its value for equal images, dps.Metric(similarity_at_identity=...)",
        "similarity",
        adjust=_similarity,
    ),
    Mistake("times a constant factor", "divide by it", "constant", adjust=_factor),
    Mistake("plus a constant offset", "subtract it", "constant", adjust=_offset),
    Mistake(
        "times a constant factor, plus a constant offset",
        "subtract the offset and divide by the factor",
        "constant",
        adjust=_linear,
        double=True,
    ),
)
"""All mistakes, from the last step on images back to the first, then those of arguments and distances.

Of two mistakes, the later one is applied to the result of the earlier one."""
