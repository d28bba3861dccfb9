"""Which known flaws a metric has: every probe's cases, one item for each case and variant."""

from collections.abc import Callable

from dps.metrics import Variant
from dps.probes import Case
from dps.run import Answer, Measured


def test_probe(case: Case, variant: Variant, measured: Measured, gate: Callable[[Case, Variant, Answer], None]) -> None:
    """The distorted image is closer to the original than every reference, or no farther off than it was known to be."""
    answer = measured[case, variant]  # the first look-up measures a batch of cases, all variants at once
    gate(case, variant, answer)
