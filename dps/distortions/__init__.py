"""Distortions: what is done to an original. Each is a function with its parameters as keywords and an entry in a table.

of_scenes.py  change where or on what a scene is drawn, so they are exact
of_pixels.py  change an image, and work on files, too
"""

from dps.distortions.of_pixels import PIXEL_DISTORTIONS
from dps.distortions.of_scenes import SCENE_DISTORTIONS

__all__ = ["PIXEL_DISTORTIONS", "SCENE_DISTORTIONS"]
