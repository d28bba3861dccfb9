"""The severity of each graded distortion up to which a metric passes half of the scenes. Runs only where named."""

from dps.metrics import Variant
from dps.plugin import Suites
from dps.thresholds import GradedDistortion


def test_threshold(graded: GradedDistortion, variant: Variant, suites: Suites) -> None:
    """Up to people's detection threshold, the distorted image is closer to the original than visibly damaged ones."""
    suites.find_threshold(graded, variant)  # the first look-up measures all variants of a network at once
