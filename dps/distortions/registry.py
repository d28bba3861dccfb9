"""All distortions by name."""

from collections.abc import Callable, Mapping
from typing import Any

from dps.distortions.pixel_distortions import PIXEL_DISTORTIONS
from dps.distortions.scene_distortions import SCENE_DISTORTIONS
from dps.scenes.parameters import parameters

DISTORTIONS: Mapping[str, Callable[..., Any]] = {**SCENE_DISTORTIONS, **PIXEL_DISTORTIONS}

IDENTITY_PARAMETERS: Mapping[str, Mapping[str, float]] = {
    name: values
    for name, function in DISTORTIONS.items()
    if (values := {key: p.identity for key, p in parameters(function).items() if p.identity is not None})
}
"""Of each numeric parameter the value at which a distortion changes nothing, or least."""
