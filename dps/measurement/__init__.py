"""Measuring: from images and variants to distances.

engine.py           batches of cases; each image passes once through each network
groups.py           distances of an original from the images that it is compared with
representations.py  representations of features; distances with gradients
"""

from dps.measurement.engine import IMAGES_AT_ONCE, Engine, Outcome, concatenated, images_at_once, measure_images
from dps.measurement.representations import pairwise_distances

__all__ = [
    "IMAGES_AT_ONCE",
    "Engine",
    "Outcome",
    "concatenated",
    "images_at_once",
    "measure_images",
    "pairwise_distances",
]
