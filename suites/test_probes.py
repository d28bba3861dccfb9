"""Known flaws of metrics: the cases of every probe, one item for each case and variant."""

from dps.metrics import Variant
from dps.plugin import Suites
from dps.probes import Case


def test_probe(case: Case, variant: Variant, suites: Suites) -> None:
    """The distorted image is closer to the original than every reference, or no farther than in the baseline."""
    suites.judge(case, variant)  # the first look-up measures a batch of cases, all variants of a network at once
