"""Known mistakes of ports of metrics, one table. Each is made with the reference, to see whether that explains a port.

Images come to a metric as RGB in [0, 1]. A port that takes them for something else is the reference of other images,
which the functions here return: those that mean to the reference what the given ones mean to the port.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from dps.same.reference import Distance, LayeredDistance, Reference
from dps.user_code import guest

Distances: TypeAlias = NDArray[np.float64]
Ways: TypeAlias = Iterator[tuple[str, Reference]]
"""Ways to make one mistake with a reference, each with what it is in a few words, which may be none."""

ImageChange: TypeAlias = Callable[[Tensor], Tensor]
"""From images to images, ``(batch, 3, height, width)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A way in which a port differs from its reference.

    Attributes:
        name: completes "equals the reference ...".
        remedy: what to do.
        make: makes it with the reference; none of its ways where it makes no sense for that.
        adjust: changes the reference's distances, given those of the port, to which a constant may be fitted; both
            ``(pair,)``. Such a mistake has no `make`.
        group: of mistakes in one place, of which two are not made at once.
        double: two mistakes at once.
    """

    name: str
    remedy: str
    make: Callable[[Reference], Ways] | None = None
    adjust: Callable[[Reference, Distances, Distances], tuple[str, Distances]] | None = None
    group: str = ""
    double: bool = False


def on_images(reference: Reference, change: ImageChange) -> Reference:
    """Return a reference that is given other images."""

    def outer(core: Distance) -> Distance:
        distance = reference.outer(core)
        return lambda a, b: distance(change(a), change(b))

    return replace(reference, outer=outer)


def _of_images(**changes: ImageChange) -> Callable[[Reference], Ways]:
    """Return what makes a mistake by changes of images; their names, with spaces for ``_``, tell them apart."""

    def make(reference: Reference) -> Ways:
        for name, change in changes.items():
            yield name.replace("_", " ").strip(), on_images(reference, change)

    return make


def _of_layers(**changes: Any) -> Callable[[Reference], Ways]:
    """Return what makes a mistake by other parts of a `LayeredDistance`."""

    def make(reference: Reference) -> Ways:
        if reference.layered is not None and any(getattr(reference.layered, k) != v for k, v in changes.items()):
            yield "", _with_layers(reference, replace(reference.layered, **changes))

    return make


def _with_layers(reference: Reference, layered: LayeredDistance) -> Reference:
    return replace(reference, core=layered, outer=lambda core: core, layered=layered)


def _wrapped(wrap: Callable[[Distance], Distance], *, network: bool) -> Callable[[Reference], Ways]:
    """Return what makes a mistake while the distance is computed."""

    def make(reference: Reference) -> Ways:
        if reference.has_network or not network:
            yield "", replace(reference, core=wrap(reference.core))

    return make


# --------------------------------------------------------------------------------- networks and their parts


def _other_network(reference: Reference) -> Ways:
    yield from reference.others.items()


def _older_heads(reference: Reference) -> Ways:
    if reference.layered is not None and reference.layered.older_heads:
        older = _with_layers(reference, replace(reference.layered, heads=reference.layered.older_heads))
        yield "", older
        for _, without in _not_normalized(older):  # as that version of LPIPS was
            yield "which took images as they are", without


def _no_heads(reference: Reference) -> Ways:
    if reference.layered is not None and reference.layered.heads:
        yield "", _with_layers(reference, replace(reference.layered, heads=()))


def _not_unit(reference: Reference) -> Ways:
    if reference.layered is not None:
        other = "none" if reference.layered.normalization == "unit" else "unit"
        yield "", _with_layers(reference, replace(reference.layered, normalization=other))


def in_train_mode(distance: Distance) -> Distance:
    """Return a distance whose modules are in train mode while it is computed, with their buffers set back."""

    def train(module: nn.Module, _inputs: object) -> None:
        if module not in saved:
            saved[module] = module.training, {name: each.clone() for name, each in module.named_buffers(recurse=False)}
            module.training = True

    saved: dict[nn.Module, tuple[bool, dict[str, Tensor]]] = {}

    def call(a: Tensor, b: Tensor) -> Any:
        handle = nn.modules.module.register_module_forward_pre_hook(train)
        try:
            with guest.visit():
                return distance(a, b)
        finally:
            handle.remove()
            for module, (mode, buffers) in saved.items():
                module.training = mode
                for name, value in buffers.items():
                    module.get_buffer(name).copy_(value)
            saved.clear()

    return call


class _In(TorchFunctionMode):
    """Computes with numbers of another type, as if all that is floating point had been converted to it."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(self._convert, (args, kwargs or {}))
        return func(*args, **kwargs)

    def _convert(self, value: object) -> object:
        return value.to(self.dtype) if isinstance(value, Tensor) and value.dtype == torch.float32 else value


def _in_half(reference: Reference) -> Ways:
    for name, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):

        def half(a: Tensor, b: Tensor, dtype: torch.dtype = dtype) -> Any:
            with _In(dtype):
                return reference.core(a, b)

        def mixed(a: Tensor, b: Tensor, dtype: torch.dtype = dtype) -> Any:
            with torch.autocast(a.device.type, dtype):
                return reference.core(a, b)

        def rounded(images: Tensor, dtype: torch.dtype = dtype) -> Tensor:
            return images.to(dtype).float()

        yield f"images in {name}", on_images(reference, rounded)
        yield name, replace(reference, core=half)
        if reference.has_network:
            yield f"autocast to {name}", replace(reference, core=mixed)


# ------------------------------------------------------------------------------------------- what images are


def _not_normalized(reference: Reference) -> Ways:
    low, high = reference.input_range
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (reference.mean, reference.std))
    if reference.has_network:
        yield "", on_images(reference, lambda x: (x * (high - low) + low) * std.to(x) + mean.to(x))
        if (low, high) != (0, 1):
            yield "on images in [0, 1]", on_images(reference, lambda x: x * std.to(x) + mean.to(x))


def _normalized_twice(reference: Reference) -> Ways:
    low, high = reference.input_range
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (reference.mean, reference.std))
    if reference.has_network:
        yield "", on_images(reference, lambda x: ((x - mean.to(x)) / std.to(x) - low) / (high - low))
        if (low, high) != (0, 1):
            yield "as images in [0, 1]", on_images(reference, lambda x: (x - mean.to(x)) / std.to(x))


def _gray(images: Tensor) -> Tensor:
    luma = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * luma).sum(1, keepdim=True).expand_as(images)


def _cropped(size: int | None = None) -> ImageChange:
    """Return what cuts the middle out of images, a square where no size in pixels is given."""

    def crop(images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        down, across = (min(length, size or min(height, width)) for length in (height, width))
        top, left = round((height - down) / 2), round((width - across) / 2)
        return images[..., top : top + down, left : left + across]

    return crop


def _resized(size: int) -> Callable[[Reference], Ways]:
    def resize(images: Tensor, *, antialias: bool, shorter: bool = False) -> Tensor:
        height, width = images.shape[-2:]
        ratio = size / min(height, width)
        to = (int(height * ratio), int(width * ratio)) if shorter else (size, size)
        return nn.functional.interpolate(images, to, mode="bilinear", align_corners=False, antialias=antialias)

    return _of_images(
        bilinear=functools.partial(resize, antialias=False),
        antialiased=functools.partial(resize, antialias=True),
        shorter_side=functools.partial(resize, antialias=True, shorter=True),
    )


RANGES: dict[str, tuple[ImageChange, ImageChange]] = {
    "[0, 1]": (lambda x: x, lambda y: y),
    "[-1, 1]": (lambda x: 2 * x - 1, lambda y: (y + 1) / 2),
    "0..255": (lambda x: 255 * x, lambda y: y / 255),
}
"""Ranges of images, each with the ways from [0, 1] and back."""

SCALINGS = {
    ("[0, 1]", "[-1, 1]"): "2 * x - 1",
    ("[0, 1]", "0..255"): "255 * x",
    ("[-1, 1]", "[0, 1]"): "(x + 1) / 2",
    ("[-1, 1]", "0..255"): "(x + 1) * 127.5",
    ("0..255", "[0, 1]"): "x / 255",
    ("0..255", "[-1, 1]"): "x / 127.5 - 1",
}
"""How images in one range are brought to another."""


def _taken_for(given: str, expected: str, formula: str) -> Mistake:
    there, back = RANGES[given][0], RANGES[expected][1]
    return Mistake(
        name=f"on images in {given} taken for {expected}",
        remedy=f"scale your input with {formula}",
        make=_of_images(_=lambda images: back(there(images))),
        group="range",
    )


# -------------------------------------------------------------------------------------- arguments and distances


def _of_distance(*changes: tuple[str, Callable[[Distance, Tensor, Tensor], Any]]) -> Callable[[Reference], Ways]:
    """Return what makes a mistake of a distance and its two arguments."""

    def make(reference: Reference) -> Ways:
        for name, change in changes:

            def outer(core: Distance, change: Callable[[Distance, Tensor, Tensor], Any] = change) -> Distance:
                distance = reference.outer(core)
                return lambda a, b: change(distance, a, b)

            yield name, replace(reference, outer=outer)

    return make


def _mean_of_batch(distance: Distance, a: Tensor, b: Tensor) -> Any:
    return distance(a, b).mean().expand(len(a))


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


MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        name="on another network", remedy="take the network of the reference", make=_other_network, group="network"
    ),
    Mistake(
        name="with heads of version 0.0",
        remedy="load the heads of version 0.1, lpips.LPIPS(version='0.1')",
        make=_older_heads,
        group="heads",
    ),
    Mistake(
        name="without heads (uncalibrated)",
        remedy="weight the channels with the heads, lpips.LPIPS(lpips=True)",
        make=_no_heads,
        group="heads",
    ),
    Mistake(
        name="without unit normalization",
        remedy="divide each position's features by their L2 norm",
        make=_of_layers(normalization="none"),
        group="unit",
    ),
    Mistake(
        name="with unit normalization",
        remedy="leave the features as they are",
        make=_of_layers(normalization="unit"),
        group="unit",
    ),
    Mistake(
        name="averaged over channels, not summed",
        remedy="sum the squared differences over channels",
        make=_of_layers(reduction="mean"),
        group="channels",
    ),
    Mistake(
        name="summed over channels, not averaged",
        remedy="average the squared differences over channels",
        make=_of_layers(reduction="sum"),
        group="channels",
    ),
    Mistake(
        name="summed over positions, not averaged",
        remedy="average over height and width",
        make=_of_layers(over_positions="sum"),
        group="positions",
    ),
    Mistake(
        name="in train mode",
        remedy="call .eval() on your model, which turns dropout off",
        make=_wrapped(in_train_mode, network=True),
    ),
    Mistake(name="in half precision", remedy="compute in float32", make=_in_half),
    Mistake(
        name="without ImageNet normalization",
        remedy="subtract the mean and divide by the standard deviation of ImageNet",
        make=_not_normalized,
        group="normalization",
    ),
    Mistake(
        name="with ImageNet normalization twice",
        remedy="leave your own normalization out, the model has one",
        make=_normalized_twice,
        group="normalization",
    ),
    *(_taken_for(*pair, formula) for pair, formula in SCALINGS.items()),
    Mistake(
        name="on images in BGR order",
        remedy="exchange the first and the last channel",
        make=_of_images(_=lambda x: x.flip(1)),
        group="color",
    ),
    Mistake(
        name="on gray images",
        remedy="keep the three channels",
        make=_of_images(luma=_gray, mean_of_channels=lambda x: x.mean(1, keepdim=True).expand_as(x)),
        group="color",
    ),
    Mistake(
        name="on center-cropped images",
        remedy="measure whole images",
        make=_of_images(to_a_square=_cropped(), to_64=_cropped(64), to_224=_cropped(224)),
        group="crop",
    ),
    *(
        Mistake(name=f"on images resized to {size}", remedy="measure at full size", make=_resized(size), group="size")
        for size in (64, 224, 256)
    ),
    Mistake(
        name="with the arguments swapped",
        remedy="pass the original first",
        make=_of_distance(("", lambda distance, a, b: distance(b, a))),
    ),
    Mistake(
        name="averaged over the batch",
        remedy="return one distance for each pair",
        make=_of_distance(("", _mean_of_batch)),
    ),
    Mistake(
        name="summed over pixels, not averaged",
        remedy="divide by height x width",
        make=_of_distance(
            ("", lambda distance, a, b: distance(a, b) * a[0, 0].numel()),
            ("and channels", lambda distance, a, b: distance(a, b) * a[0].numel()),
        ),
        group="positions",
    ),
    Mistake(
        name="squared",
        remedy="take the square root of your distance",
        adjust=lambda _, distances, _port: ("", distances**2),
        group="power",
    ),
    Mistake(
        name="under a square root",
        remedy="square your distance",
        adjust=lambda _, distances, _port: ("", np.sqrt(distances.clip(min=0))),
        group="power",
    ),
    Mistake(
        name="as a similarity",
        remedy="subtract it from its value for equal images, dps.Metric(similarity_at_identity=...)",
        adjust=lambda reference, distances, _port: (
            f"{reference.identity:g} - distance",
            reference.identity - distances,
        ),
        group="similarity",
    ),
    Mistake(name="times a constant factor", remedy="divide by it", adjust=_factor, group="constant"),
    Mistake(name="plus a constant offset", remedy="subtract it", adjust=_offset, group="constant"),
    Mistake(
        name="times a constant factor, plus a constant offset",
        remedy="subtract the offset and divide by the factor",
        adjust=_linear,
        double=True,
    ),
)
"""All of them, in the order in which a metric computes, from the last step on images back to the first, and then what
happens to arguments and distances: of two mistakes, the later one is made with the result of the earlier one."""
