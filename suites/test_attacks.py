"""Attacks on photographs by gradient ascent on the metric's own distance. The suite runs only where it is named."""

from dps.metrics import Variant
from dps.plugin import Suites


def test_attack(variant: Variant, bound: int, suites: Suites) -> None:
    """Half of the photographs, attacked within the bound, stay closer to the original than each damaged version."""
    suites.attack(variant, bound)
