"""Whether a metric is the same as another one, and if not, why: with ``--same-as METRIC``."""

from dps.metrics import Variant
from dps.plugin import Suites


def test_same(variant: Variant, suites: Suites) -> None:
    """Both give the same distances, to ``--tolerance``, on all pairs of images, alone and in batches."""
    suites.compare(variant)
