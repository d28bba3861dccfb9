"""What is measured, by name.

names.py   from a name on the command line to a metric; all names that there are
kinds.py   a sum of comparisons on any network, or a metric of the images themselves
own.py     users' own, loaded from a module or file, and what packages register
others.py  other libraries' metrics, with checked weights
"""

from dps.metrics.definitions import (
    IMAGE_METRICS,
    AnyMetric,
    FeatureMetric,
    Metric,
    Term,
    Variant,
    check_normalization,
    pixel_distance,
    variants,
)
from dps.metrics.names import DEFAULT_METRICS, listed, named
from dps.metrics.user_defined import TOLD_APART

__all__ = [
    "DEFAULT_METRICS",
    "IMAGE_METRICS",
    "TOLD_APART",
    "AnyMetric",
    "FeatureMetric",
    "Metric",
    "Term",
    "Variant",
    "check_normalization",
    "listed",
    "named",
    "pixel_distance",
    "variants",
]
