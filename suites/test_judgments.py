"""Agreement of a metric with people's judgments, with ``--judgments PATH``."""

from dps.agreement import Subset
from dps.metrics import Variant
from dps.plugin import Suites


def test_score(subset: Subset, variant: Variant, suites: Suites) -> None:
    """Every triplet or pair has a distance; ``--require`` sets a floor for the score."""
    suites.score(subset, variant)  # the first look-up measures a subset, all of a network's variants at once
