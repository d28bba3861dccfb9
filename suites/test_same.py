"""Comparison of a metric with the one that it should equal, with ``--same-as METRIC``, and diagnosis of differences."""

from dps.metrics import Variant
from dps.plugin import Suites


def test_same(variant: Variant, suites: Suites) -> None:
    """Both give the same distances, to ``--tolerance``, on all pairs of images, alone and in batches."""
    suites.compare(variant)
