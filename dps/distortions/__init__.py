"""Distortions of an original. Each is a function, with its parameters as keywords, and an entry in a table.

scene_distortions.py  change where or on what a scene is drawn, so they are exact
pixel_distortions.py  change an image, and work on files, too
registry.py           all of them by name, and the parameters at which they change nothing
"""

from dps.distortions.pixel_distortions import PIXEL_DISTORTIONS
from dps.distortions.registry import DISTORTIONS, IDENTITY_PARAMETERS
from dps.distortions.scene_distortions import SCENE_DISTORTIONS

__all__ = ["DISTORTIONS", "IDENTITY_PARAMETERS", "PIXEL_DISTORTIONS", "SCENE_DISTORTIONS"]
