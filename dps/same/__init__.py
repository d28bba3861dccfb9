"""Comparison of a metric with the one that it should equal, and diagnosis of a difference.

pairs.py       pairs of images on which both are measured
reference.py   a metric whose parts can be modified
mistakes.py    the table of known mistakes
diagnosis.py   the search for mistakes that explain the distances of a metric
comparison.py  two metrics on all pairs, and the findings
"""

from dps.same.comparison import compare
from dps.same.reference import lenient, reference_of

__all__ = ["compare", "lenient", "reference_of"]
