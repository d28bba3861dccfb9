"""Distortions: what is done to an original. Each is a function with its parameters as keywords and an entry in a table.

scene_distortions.py  change where or on what a scene is drawn, so they are exact
pixel_distortions.py  change an image, and work on files, too
"""

from collections.abc import Mapping

from dps.distortions.pixel_distortions import PIXEL_DISTORTIONS
from dps.distortions.scene_distortions import SCENE_DISTORTIONS

__all__ = ["IDENTITY_PARAMETERS", "PIXEL_DISTORTIONS", "SCENE_DISTORTIONS"]

IDENTITY_PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "rotate": {"degrees": 0},
    "zoom": {"factor": 1},
    "shear": {"degrees": 0},
    "translate": {"right": 0, "down": 0},
    "stain": {"strokes": 0},
    "stain_noise": {"strength": 0},
    "blur": {"sigma": 0},
    "noise": {"deviation": 0},
    "jpeg": {"quality": 100},
    "contrast": {"factor": 1},
    "lighting": {"gamma": 1, "gain": 1},
    "recolor": {"degrees": 0},
    "occlude": {"side": 0},
    "shuffle": {"patch": 1024},
}
"""Of each numeric parameter the value that changes nothing, or least: a distortion is milder the nearer it is."""
