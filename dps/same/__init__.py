"""Comparing a metric with the one that it should be, and finding the mistakes that explain a difference.

pairs.py       images on which both are measured
reference.py   a metric as a function that mistakes can be made with
mistakes.py    the table of known mistakes
diagnosis.py   which mistakes explain the numbers of a metric
comparison.py  two metrics on all pairs, and what to say of them
"""

from dps.same.comparison import compare
from dps.same.reference import lenient, reference_of

__all__ = ["compare", "lenient", "reference_of"]
