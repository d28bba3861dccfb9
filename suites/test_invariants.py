"""What must hold of every metric: one item for each invariant and variant."""

from collections.abc import Callable

from dps.metrics import Variant


def test_invariant(invariant: str, variant: Variant, hold: Callable[[str, Variant], None]) -> None:
    """It holds of all pairs of images that were tried; else the smallest pair that breaks it is shown and kept."""
    hold(invariant, variant)
