"""Measuring: from images and variants to distances.

engine.py           batches of cases, each image once through each network
representations.py  features in the representations that are compared; distances with gradients
groups.py           an original and what it is compared with, subtracted
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
