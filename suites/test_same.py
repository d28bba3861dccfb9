"""Whether a metric is the same as another one, and if not, why: with ``--same-as METRIC``."""

from collections.abc import Callable

from dps.metrics import Variant


def test_same(variant: Variant, compared: Callable[[Variant], None]) -> None:
    """Both give the same distances, to ``--tolerance``, on all pairs of images, alone and in batches."""
    compared(variant)
