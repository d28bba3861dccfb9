"""Metrics: what they are, and from a name to one.

names.py         from names to metrics; all names that can be used
definitions.py   a sum of comparisons on any network, or a metric of the images themselves
user_defined.py  from users' objects to metrics and comparisons
third_party.py   other libraries' metrics, with checked weights
tuned_files.py   files of tuned metrics, and those that come with dps
"""

from dps.metrics.definitions import (
    IMAGE_METRICS,
    AnyMetric,
    FeatureMetric,
    Metric,
    Part,
    Term,
    Variant,
    metric_error,
    pixel_distance,
    variants,
)
from dps.metrics.names import DEFAULT_METRICS, listed, named, resolve

__all__ = [
    "DEFAULT_METRICS",
    "IMAGE_METRICS",
    "AnyMetric",
    "FeatureMetric",
    "Metric",
    "Part",
    "Term",
    "Variant",
    "listed",
    "metric_error",
    "named",
    "pixel_distance",
    "resolve",
    "variants",
]
