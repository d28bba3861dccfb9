"""Distortions: what is done to an original. Each is a function with its parameters as keywords and an entry in a table.

of_scenes.py  change where or on what a scene is drawn, so they are exact
of_pixels.py  change an image, and work on files, too
"""

from collections.abc import Mapping

from dps.distortions.of_pixels import PIXEL_DISTORTIONS
from dps.distortions.of_scenes import SCENE_DISTORTIONS

__all__ = ["PIXEL_DISTORTIONS", "SCENE_DISTORTIONS", "UNCHANGED"]

UNCHANGED: Mapping[str, Mapping[str, float]] = {
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
