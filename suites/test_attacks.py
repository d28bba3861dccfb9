"""Attacks on photographs, where they are named: changes within a few levels that the metric's own gradient finds."""

from collections.abc import Callable

from dps.metrics import Variant


def test_attack(variant: Variant, bound: int, attacked: Callable[[Variant, int], None]) -> None:
    """Half of the photographs, attacked within the bound, stay closer to the original than each damaged one."""
    attacked(variant, bound)
