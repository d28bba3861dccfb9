"""Attacks on photographs, where they are named: changes within a few levels that the metric's own gradient finds."""

from dps.metrics import Variant
from dps.plugin import Suites


def test_attack(variant: Variant, bound: int, suites: Suites) -> None:
    """Half of the photographs, attacked within the bound, stay closer to the original than each damaged one."""
    suites.attack(variant, bound)
