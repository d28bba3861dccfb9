"""Which known flaws a metric has: every probe's cases, one item for each case and variant."""

from collections.abc import Callable

from dps.metrics import Variant
from dps.probes import Case


def test_probe(case: Case, variant: Variant, judged: Callable[[Case, Variant], None]) -> None:
    """The distorted image is closer to the original than every reference, or no farther than in the baseline."""
    judged(case, variant)  # the first look-up measures a batch of cases, all variants of a network at once
