"""Metrics: sums of comparisons on any network, and metrics of images.

names.py         from names to metrics; all available names
definitions.py   the definitions of metrics, their terms and variants
user_defined.py  from user-defined objects to metrics and comparisons
third_party.py   other libraries' metrics, with checked weights
tuned_files.py   files of tuned metrics, including those that are part of dps
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
from dps.metrics.names import DEFAULT_METRICS, list_names, named, resolve

__all__ = [
    "DEFAULT_METRICS",
    "IMAGE_METRICS",
    "AnyMetric",
    "FeatureMetric",
    "Metric",
    "Part",
    "Term",
    "Variant",
    "list_names",
    "metric_error",
    "named",
    "pixel_distance",
    "resolve",
    "variants",
]
