"""Distortions: functions of a scene or image, a random number generator and parameters.

scenes.py  distortions of scenes
images.py  distortions of images
"""

from dps.distortions.images import DAMAGES, PIXEL_DISTORTIONS
from dps.distortions.scenes import SCENE_DISTORTIONS

__all__ = ["DAMAGES", "PIXEL_DISTORTIONS", "SCENE_DISTORTIONS"]
