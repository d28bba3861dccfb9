"""Metrics: what they are, and from a name to one.

names.py         from names to metrics; all names that can be used
reading.py       from text on the command line to names
definitions.py   a sum of comparisons on any network, or a metric of the images themselves
user_defined.py  users' metrics and comparisons, loaded from a module, a file or a package that registers them
guest.py         users' code changes nothing of the process that runs it
third_party.py   other libraries' metrics, with checked weights
"""

from dps.metrics.definitions import (
    IMAGE_METRICS,
    AnyMetric,
    FeatureMetric,
    Metric,
    Term,
    Variant,
    check_normalization,
    metric_error,
    pixel_distance,
    variants,
)
from dps.metrics.names import DEFAULT_METRICS, listed, named, resolve, split_names

__all__ = [
    "DEFAULT_METRICS",
    "IMAGE_METRICS",
    "AnyMetric",
    "FeatureMetric",
    "Metric",
    "Term",
    "Variant",
    "check_normalization",
    "listed",
    "metric_error",
    "named",
    "pixel_distance",
    "resolve",
    "split_names",
    "variants",
]
